//! Expressions that pass, and what is said of those that do not.

use rstest::rstest;
use serde_json::json;

use super::{condition, mutation, node_condition, validate_plugin};
use crate::Operation;

#[rstest]
#[case(r#"vmi.Name == "test""#)]
#[case(r#"vmi.Labels["app"] == "test" && vmi.Namespace != """#)]
#[case(r#"domainSpec.Type == "kvm" || has(domainSpec.CPU)"#)]
#[case("domainSpec.Devices.Disks.exists(disk, disk.Device == 'cdrom')")]
#[case("vmi.Spec.Volumes.all(v, has(v.ContainerDisk)) && size(vmi.Spec.Networks) > 1")]
#[case("vmi.Spec.Domain.CPU.Cores > 2u")]
#[case("vmi.Spec.Domain.Devices.Disks.map(d, d.Name).filter(n, n.startsWith('a')).size() == 1")]
#[case("vmi.Spec.Domain.CPU == null ? false : vmi.Spec.Domain.CPU.DedicatedCPUPlacement")]
fn conditions(#[case] expression: &str) {
    assert_eq!(condition(expression), Ok(()));
}

#[rstest]
#[case("vmi.Name", "condition must return bool, got string")]
#[case("vmi.Spec", "condition must return bool, got v1.VirtualMachineInstanceSpec")]
#[case("dyn(true)", "condition must return bool, got dyn")]
#[case("vmi.spec.running", "compiling expression: ERROR: <input>:1:4: undefined field 'spec'\n | vmi.spec.running\n | ...^")]
#[case(
    "vm.Name == ''",
    "compiling expression: ERROR: <input>:1:1: undeclared reference to 'vm' (in container 'libvirtxml')\n | vm.Name == ''\n | ^"
)]
#[case(
    "vmi.Spec.Domain.CPU.Cores > 2",
    "compiling expression: ERROR: <input>:1:27: found no matching overload for '_>_' applied to '(uint, int)'\n | vmi.Spec.Domain.CPU.Cores > 2\n | ..........................^"
)]
#[case(
    "vmi.Name.trim() == ''",
    "compiling expression: ERROR: <input>:1:14: undeclared reference to 'trim' (in container 'libvirtxml')\n | vmi.Name.trim() == ''\n | .............^"
)]
#[case(
    "vmi.Name.contains(1)",
    "compiling expression: ERROR: <input>:1:18: found no matching overload for 'contains' applied to 'string.(int)'\n | vmi.Name.contains(1)\n | .................^"
)]
fn conditions_that_are_none(#[case] expression: &str, #[case] why: &str) {
    assert_eq!(condition(expression), Err(format!("invalid CEL condition expression: {why}")));
}

#[rstest]
#[case("invalid!!! syntax")]
#[case("@@@")]
#[case("vmi.Name == ")]
fn syntax_errors(#[case] expression: &str) {
    for judged in [condition(expression), mutation(expression)] {
        let why = judged.unwrap_err();
        assert!(why.contains("compiling expression: ERROR: <input>:1:") && why.contains("Syntax error"), "{why}");
    }
    assert!(node_condition(expression).unwrap_err().contains("CEL compilation failed: ERROR: <input>:1:"));
}

#[rstest]
#[case(r#"Domain{Title: "modified"}"#)]
#[case(r#"libvirtxml.Domain{Memory: DomainMemory{Value: uint(2048), Unit: "GiB"}}"#)]
#[case("Domain{SysInfo: [DomainSysInfo{SMBIOS: DomainSysInfoSMBIOS{}}]}")]
#[case(r#"vmi.Labels["a"] == "b" ? Domain{Description: "x"} : Domain{}"#)]
#[case("domainSpec")]
fn mutations(#[case] expression: &str) {
    assert_eq!(mutation(expression), Ok(()));
}

#[rstest]
#[case("domainSpec.Name", "mutation must return Domain, got string")]
#[case(
    "Domainn{Title: 'x'}",
    "compiling expression: ERROR: <input>:1:8: undeclared reference to 'Domainn' (in container 'libvirtxml')\n | Domainn{Title: 'x'}\n | .......^"
)]
#[case("Domain{Bogus: 'x'}", "compiling expression: ERROR: <input>:1:13: undefined field 'Bogus'\n | Domain{Bogus: 'x'}\n | ............^")]
#[case(
    "Domain{Memory: 'x'}",
    "compiling expression: ERROR: <input>:1:14: expected type of field 'Memory' is 'libvirtxml.DomainMemory' but provided type is 'string'\n | Domain{Memory: 'x'}\n | .............^"
)]
#[case(
    "Domain{Memory: DomainMemory{Value: 2048}}",
    "compiling expression: ERROR: <input>:1:34: expected type of field 'Value' is 'uint' but provided type is 'int'\n | Domain{Memory: DomainMemory{Value: 2048}}\n | .................................^"
)]
fn mutations_that_are_none(#[case] expression: &str, #[case] why: &str) {
    assert_eq!(mutation(expression), Err(format!("invalid CEL mutation expression: {why}")));
}

#[rstest]
#[case("vmi.spec.domain.cpu.cores > 2", Ok(()))]
#[case("'app' in vmi.metadata.labels", Ok(()))]
#[case("vmi.metadata.name.lowerAscii().split('-').join('') == 'a' && math.greatest(1, 2) == 2", Ok(()))]
#[case("vmi.metadata.name", Err("CEL expression must return bool, got string"))]
#[case(
    "vmi.spec.doman.cpu.cores > 2",
    Err("CEL compilation failed: ERROR: <input>:1:9: undefined field 'doman'\n | vmi.spec.doman.cpu.cores > 2\n | ........^")
)]
#[case(
    "domainSpec.Name == ''",
    Err(
        "CEL compilation failed: ERROR: <input>:1:1: undeclared reference to 'domainSpec' (in container '')\n | domainSpec.Name == ''\n | ^"
    )
)]
fn node_conditions(#[case] expression: &str, #[case] verdict: Result<(), &str>) {
    assert_eq!(node_condition(expression), verdict.map_err(|why| format!("invalid CEL condition expression: {why}")));
}

#[test]
fn every_hook_is_judged_and_the_first_cause_is_the_message() {
    let spec = serde_json::from_value(json!({
        "condition": "1",
        "domainHooks": [
            {"cel": {"expression": "1"}, "condition": "2"},
            {"sidecar": {"socketPath": "/a/../b.sock"}},
        ],
        "nodeHooks": [{"socket": "s", "permittedHooks": ["PreVMStart"], "condition": "3"}],
    }));
    let config = crate::tests::cluster(&["Plugins"], json!({}));
    let denial = validate_plugin(&spec.unwrap(), Operation::Update, &config).unwrap_err();
    let fields: Vec<&str> = denial.causes.iter().map(|c| c.field.as_str()).collect();
    let wanted = [
        "spec.condition",
        "spec.domainHooks[0].cel.expression",
        "spec.domainHooks[0].condition",
        "spec.nodeHooks[0].condition",
        "spec.domainHooks[1].sidecar.socketPath",
    ];
    assert_eq!(fields, wanted);
    assert_eq!(denial.message, "invalid CEL condition expression: condition must return bool, got int");
    assert_eq!(denial.code, 0);
}

#[test]
fn an_expression_that_is_too_long_is_not_read() {
    let why = condition(&"!".repeat(20_000)).unwrap_err();
    assert!(why.ends_with("expression code point size exceeds limit: size: 20000, limit 10000"), "{why}");
}

#[test]
fn many_expressions_are_not_read_either() {
    let hook = json!({"socket": "s", "permittedHooks": ["PreVMStart"], "condition": format!("true{}", " || true".repeat(1000))});
    let spec = serde_json::from_value(json!({"nodeHooks": vec![hook; 5]})).unwrap();
    let denial = validate_plugin(&spec, Operation::Update, &crate::tests::cluster(&["Plugins"], json!({}))).unwrap_err();
    assert_eq!(denial.message, "the expressions of a plugin must have no more than 40000 characters together, not 40020");
    assert_eq!((denial.code, denial.causes[0].field.as_str()), (0, "spec"));
}

/// On the stack of a thread, in a debug build.
#[rstest]
#[case("(", ")")]
#[case("[1].all(x, ", ")")]
#[case("[1].map(x, ", ")")]
#[case("vmi.Name == '' ? '' : ", "")]
#[case("size([", "])")]
#[case("{'a': ", "}")]
#[case("Domain{Title: ", "}")]
fn expressions_are_nested_as_deep_as_there_is_stack(#[case] open: &str, #[case] close: &str) {
    for count in [3, 15, 31, 60, 3000] {
        let expression = format!("{}''{}", open.repeat(count), close.repeat(count));
        assert!(condition(&expression).is_err(), "{expression}");
        assert!(condition(&open.repeat(count)).is_err(), "{expression}");
    }
    let why = condition(&open.repeat(60)).unwrap_err();
    assert!(why.ends_with("expression recursion limit exceeded: 32"), "{why}");
}

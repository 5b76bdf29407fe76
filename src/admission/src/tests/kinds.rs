//! The other kinds (spec/admission.md §8-§13).

use api::config::ClusterConfig;
use k8s_openapi::api::core::v1::Pod;
use rstest::rstest;
use serde_json::{Value, json};

use super::{cluster, component, merged, read, seeded, sound_spec, user};
use crate::review::{self, Known, Request, Stop};
use crate::{Denial, Eviction, EvictionAnswer, Operation, Requester, validate_eviction};

/// Judges an object among others; the denial, if there is one.
fn judge(object: &Value, old: Option<&Value>, others: &[Value], requester: &Requester, config: &ClusterConfig) -> Option<Denial> {
    let text = |o: &Value, at: &str| o.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
    let operation = if old.is_some() { Operation::Update } else { Operation::Create };
    let request = Request { kind: &kind, subresource: "", operation, namespace: "default", name: &name, object, old, requester };
    let mut known = Known::default();
    loop {
        match review::validate(&request, config, &known) {
            Ok(_) => return None,
            Err(Stop::Denied(denial)) => return Some(denial),
            Err(Stop::Need(need)) => {
                let fits =
                    |o: &&Value| text(o, "/kind") == need.kind && need.name.as_deref().is_none_or(|n| n == text(o, "/metadata/name"));
                let found = others.iter().filter(fits).cloned().collect();
                known.add(need, found);
            }
        }
    }
}

fn message(object: &Value, old: Option<&Value>, others: &[Value]) -> Option<String> {
    judge(object, old, others, &user(), &cluster(&["IncrementalBackup"], json!({}))).map(|d| d.message)
}

fn object(api_version: &str, kind: &str, spec: &Value) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "o", "namespace": "default"}, "spec": spec})
}

fn machine_source(name: &str) -> Value {
    json!({"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": name})
}

#[rstest]
#[case::sn2(object("snapshot.kubevirt.io/v1beta1", "VirtualMachineSnapshot", &json!({"source": {"kind": "VirtualMachine", "name": "vm"}})), Some("missing apiGroup"))]
#[case::sn4(object("snapshot.kubevirt.io/v1beta1", "VirtualMachineSnapshot", &json!({"source": {"apiGroup": "kubevirt.io", "kind": "Pod", "name": "vm"}})), Some("invalid kind"))]
#[case::snapshot(object("snapshot.kubevirt.io/v1beta1", "VirtualMachineSnapshot", &json!({"source": machine_source("vm")})), None)]
#[case::re8(object("snapshot.kubevirt.io/v1beta1", "VirtualMachineRestore", &json!({"target": machine_source("vm"), "virtualMachineSnapshotName": "s", "volumeRestoreOverrides": [{"restoreName": "n"}]})), Some("must provide a volume name"))]
#[case::re10(object("snapshot.kubevirt.io/v1beta1", "VirtualMachineRestore", &json!({"target": machine_source("vm"), "virtualMachineSnapshotName": "s", "volumeRestorePolicy": "Maybe"})), Some("volume restore policy \"Maybe\" doesn't exist"))]
#[case::ex1(object("export.kubevirt.io/v1", "VirtualMachineExport", &json!({"source": {"kind": "Pod", "name": "p"}})), Some("invalid kind"))]
#[case::ex3(object("export.kubevirt.io/v1", "VirtualMachineExport", &json!({"source": {"apiGroup": "x", "kind": "PersistentVolumeClaim", "name": "p"}})), Some("PVC API group must be missing or blank"))]
#[case::cl4(object("clone.kubevirt.io/v1beta1", "VirtualMachineClone", &json!({"source": machine_source("vm"), "labelFilters": ["a*b"]})), Some("spec.labels filter a*b is invalid: cannot contain a wildcard character (*); FilterRules: WildcardChar can be only at the end of the filter"))]
#[case::cl13(object("clone.kubevirt.io/v1beta1", "VirtualMachineClone", &json!({"source": machine_source("vm"), "patches": ["{"]})), Some("patch is not valid JSON ({)"))]
#[case::it1(object("instancetype.kubevirt.io/v1beta1", "VirtualMachineInstancetype", &json!({"cpu": {"guest": 1}, "memory": {"guest": "1Gi", "overcommitPercent": 101}})), Some("spec.memory.overcommitPercent '101': must be in range between 0 and 100."))]
#[case::pf1(object("instancetype.kubevirt.io/v1beta1", "VirtualMachineClusterPreference", &json!({"cpu": {"preferredCPUTopology": "cubes"}})), Some("unknown preferredCPUTopology cubes"))]
#[case::pl(object("plugin.kubevirt.io/v1alpha1", "Plugin", &json!({})), Some("Plugins feature gate is not enabled"))]
#[case::mp1(object("migrations.kubevirt.io/v1alpha1", "MigrationPolicy", &json!({"selectors": {}, "completionTimeoutPerGiB": -1})), Some("must not be negative"))]
#[case::ps1(object("kubevirt.io/v1", "VirtualMachineInstancePreset", &json!({"selector": {}})), Some("missing domain."))]
#[case::rs3(object("kubevirt.io/v1", "VirtualMachineInstanceReplicaSet", &json!({"selector": {"matchLabels": {"a": "b"}}, "template": {"spec": sound_spec()}})), Some("selector does not match labels."))]
#[case::form(object("kubevirt.io/v1", "VirtualMachine", &json!({"runStrategy": "Always", "tempalte": {}})), Some("spec.template in body is required, spec.tempalte in body is a forbidden property"))]
fn of_new_objects(#[case] object: Value, #[case] wanted: Option<&str>) {
    assert_eq!(message(&object, None, &[]).as_deref(), wanted);
}

#[rstest]
#[case("snapshot.kubevirt.io/v1beta1", "VirtualMachineSnapshot")]
#[case("export.kubevirt.io/v1", "VirtualMachineExport")]
fn specs_that_stay(#[case] api_version: &str, #[case] kind: &str) {
    let old = object(api_version, kind, &json!({"source": machine_source("a")}));
    let new = object(api_version, kind, &json!({"source": machine_source("b")}));
    assert_eq!(message(&new, Some(&old), &[]).as_deref(), Some("spec in immutable after creation"));
    assert_eq!(message(&old, Some(&old), &[]), None);
}

fn migration(patch: &Value) -> Value {
    merged(object("kubevirt.io/v1", "VirtualMachineInstanceMigration", &json!({"vmiName": "vm"})), patch)
}

fn instance(status: &Value) -> Value {
    json!({"kind": "VirtualMachineInstance", "metadata": {"name": "vm", "namespace": "default"}, "spec": sound_spec(), "status": status})
}

fn active(phase: &str) -> Value {
    let labels = json!({"name": "m", "uid": "u1", "labels": {"kubevirt.io/vmi-name": "vm"}});
    migration(&json!({"metadata": labels, "status": {"phase": phase}}))
}

#[rstest]
#[case::mg1(json!({"spec": {"vmiName": null}}), vec![], Some("vmiName is missing"))]
#[case::mg2(json!({"spec": {"priority": "system-critical"}}), vec![instance(&json!({}))], Some("Migration priority queue, only virt-controller is allowed to set priority field"))]
#[case::mg3(json!({}), vec![], Some("the VMI \"default/vm\" does not exist"))]
#[case::mg4(json!({}), vec![instance(&json!({"phase": "Failed"}))], Some("Cannot migrate VMI in finalized state."))]
#[case::mg5(json!({}), vec![instance(&json!({"conditions": [{"type": "LiveMigratable", "status": "False", "reason": "R", "message": "M"}]}))], Some("Cannot migrate VMI, Reason: R, Message: M"))]
#[case::mg6(json!({}), vec![instance(&json!({})), active("Running")], Some("in-flight migration detected. Active migration job (u1) is currently already in progress for VMI vm."))]
#[case::finished_ones_do_not_count(json!({}), vec![instance(&json!({})), active("Succeeded")], None)]
fn of_migrations(#[case] patch: Value, #[case] others: Vec<Value>, #[case] wanted: Option<&str>) {
    assert_eq!(message(&migration(&patch), None, &others).as_deref(), wanted);
}

fn kubevirt(spec: &Value) -> Value {
    object("kubevirt.io/v1", "KubeVirt", spec)
}

#[rstest]
#[case::kv1(json!({"customizeComponents": {"patches": [{"resourceName": "r", "resourceType": "t", "type": "json", "patch": "{"}]}}), Some("patch \"{\" is not valid JSON"))]
#[case::kv5(json!({"certificateRotateStrategy": {"selfSigned": {"ca": {"duration": "1h"}, "server": {"duration": "2h"}}}}), Some("Certificate duration cannot exceed CA (spec.certificateRotationStrategy.selfSigned.server.duration > spec.certificateRotationStrategy.selfSigned.ca.duration)"))]
#[case::kv7(json!({"configuration": {"additionalGuestMemoryOverheadRatio": "0.5"}}), Some("ratio provided, 0.5, cannot be smaller than 1.0"))]
#[case::kv17(json!({"infra": {"replicas": 0}}), Some("infra replica count can't be 0"))]
#[case::kv18(json!({"configuration": {"developerConfiguration": {"featureGates": ["X"], "disabledFeatureGates": ["X"]}}}), Some("feature gate \"X\" exists on both \"FeatureGates\" and \"DisabledFeatureGates\""))]
#[case::unknown_gates_pass(json!({"configuration": {"developerConfiguration": {"featureGates": ["X"]}}}), None)]
fn of_the_kubevirt_resource(#[case] spec: Value, #[case] wanted: Option<&str>) {
    assert_eq!(message(&kubevirt(&spec), Some(&kubevirt(&json!({}))), &[]).as_deref(), wanted);
}

#[test]
fn there_is_one_kubevirt() {
    let one = kubevirt(&json!({}));
    assert_eq!(message(&one, None, &[]), None);
    assert_eq!(message(&one, None, std::slice::from_ref(&one)).as_deref(), Some("Kubevirt is already created"));
}

#[rstest]
#[case::bare("10", Some("maxUnavailable percentage must end with %"))]
#[case::zero("0%", Some("maxUnavailable percentage value 0 must be between 1 and 100"))]
#[case::text("x%", Some("maxUnavailable percentage value \"x\" is invalid: strconv.Atoi: parsing \"x\": invalid syntax"))]
#[case::fine("10%", None)]
fn of_pools(#[case] unavailable: &str, #[case] wanted: Option<&str>) {
    let machine = json!({"runStrategy": "Always", "template": {"spec": sound_spec()}});
    let spec = json!({"selector": {}, "maxUnavailable": unavailable, "virtualMachineTemplate": {"spec": machine}});
    assert_eq!(message(&object("pool.kubevirt.io/v1beta1", "VirtualMachinePool", &spec), None, &[]).as_deref(), wanted);
}

#[test]
fn migrations_and_clones_are_completed() {
    let (config, requester) = (cluster(&[], json!({})), component("kubevirt-controller"));
    let mutated = |object: &Value, kind: &str| {
        let operation = Operation::Create;
        let request =
            Request { kind, subresource: "", operation, namespace: "default", name: "o", object, old: None, requester: &requester };
        seeded(|seeds| review::mutate(&request, &config, &Known::default(), seeds)).unwrap().object.unwrap()
    };
    let migration = mutated(&migration(&json!({})), "VirtualMachineInstanceMigration");
    assert_eq!(migration.pointer("/metadata/labels/kubevirt.io~1vmi-name"), Some(&json!("vm")));
    assert_eq!(migration.pointer("/metadata/finalizers/0"), Some(&json!("kubevirt.io/migrationJobFinalize")));
    let clone = object("clone.kubevirt.io/v1beta1", "VirtualMachineClone", &json!({"source": machine_source("vm")}));
    let target = mutated(&clone, "VirtualMachineClone").pointer("/spec/target/name").and_then(Value::as_str).unwrap().to_owned();
    assert!(target.starts_with("clone-vm-") && target.len() == "clone-vm-".len() + 5, "{target}");
}

fn launcher(patch: &Value) -> Pod {
    let base = json!({
        "metadata": {"name": "virt-launcher-vm-x", "namespace": "default", "labels": {"kubevirt.io": "virt-launcher"}, "annotations": {"kubevirt.io/domain": "vm"}},
        "spec": {"nodeName": "n1", "containers": []},
        "status": {"phase": "Running"},
    });
    read(merged(base, patch))
}

fn mark() -> EvictionAnswer {
    EvictionAnswer::Mark { node: "n1".into(), message: "Eviction triggered evacuation of VMI \"default/vm\"".into(), descheduler: false }
}

#[rstest]
#[case::none("None", "True", json!({}), EvictionAnswer::Allow)]
#[case::migrate("LiveMigrate", "True", json!({}), mark())]
#[case::cannot("LiveMigrate", "False", json!({}), EvictionAnswer::Deny("VMI vm is configured with an eviction strategy but is not live-migratable".into()))]
#[case::if_possible("LiveMigrateIfPossible", "False", json!({}), EvictionAnswer::Allow)]
#[case::external("External", "False", json!({}), mark())]
#[case::again("External", "False", json!({"evacuationNodeName": "n1"}), EvictionAnswer::Deny("Evacuation in progress: Eviction triggered evacuation of VMI \"default/vm\"".into()))]
#[case::target("External", "False", json!({"nodeName": "n2"}), EvictionAnswer::Deny("Eviction request for target Pod".into()))]
fn evictions(#[case] strategy: &str, #[case] migratable: &str, #[case] status: Value, #[case] wanted: EvictionAnswer) {
    let base = json!({"nodeName": "n1", "conditions": [{"type": "LiveMigratable", "status": migratable}]});
    let vmi = read(merged(instance(&merged(base, &status)), &json!({"spec": {"evictionStrategy": strategy}})));
    let pod = launcher(&json!({}));
    let eviction = Eviction { pod: Some(&pod), vmi: Some(&vmi), owner: None, by_descheduler: false };
    assert_eq!(validate_eviction(&eviction, &cluster(&[], json!({}))), wanted);
    let gone = launcher(&json!({"status": {"phase": "Succeeded"}}));
    let eviction = Eviction { pod: Some(&gone), vmi: Some(&vmi), owner: None, by_descheduler: false };
    assert_eq!(validate_eviction(&eviction, &cluster(&[], json!({}))), EvictionAnswer::Allow);
}

fn typed(patch: &Value) -> Value {
    let spec = json!({"runStrategy": "Always", "instancetype": {"name": "small"}, "preference": {"name": "linux"}, "template": {"spec": {"domain": {"devices": {}}}}});
    merged(object("kubevirt.io/v1", "VirtualMachine", &spec), patch)
}

fn catalogue(instancetype: &Value, preference: &Value) -> Vec<Value> {
    let small = merged(json!({"cpu": {"guest": 4}, "memory": {"guest": "1Gi"}}), instancetype);
    let mut objects = vec![
        object("instancetype.kubevirt.io/v1beta1", "VirtualMachineClusterInstancetype", &small),
        object("instancetype.kubevirt.io/v1beta1", "VirtualMachineClusterPreference", preference),
    ];
    for (object, name) in objects.iter_mut().zip(["small", "linux"]) {
        object["metadata"]["name"] = json!(name);
    }
    objects
}

#[rstest]
#[case::fits(json!({}), json!({}), json!({}), None)]
#[case::missing_objects_are_let_through(json!({"spec": {"instancetype": {"name": "none"}}}), json!({}), json!({}), None)]
#[case::vm16(json!({}), json!({"cpu": {"guest": 5}}), json!({"cpu": {"preferredCPUTopology": "spread"}}), Some("5 vCPUs provided by the instance type are not divisible by the Spec.PreferSpreadSocketToCoreRatio or Spec.CPU.PreferSpreadOptions.Ratio of 2 provided by the preference"))]
#[case::vm17(json!({"spec": {"template": {"spec": {"domain": {"cpu": {"cores": 2}, "memory": {"guest": "1Gi"}}}}}}), json!({}), json!({}), Some("VM field(s) spec.template.spec.domain.cpu.cores conflicts with selected instance type, VM field(s) spec.template.spec.domain.memory.guest conflicts with selected instance type"))]
#[case::vm18(json!({}), json!({}), json!({"requirements": {"cpu": {"guest": 8}}}), Some("failure checking preference requirements: insufficient CPU resources of 4 vCPU provided by instance type, preference requires 8 vCPU"))]
#[case::architecture(json!({}), json!({}), json!({"requirements": {"architecture": "arm64"}}), Some("failure checking preference requirements: preference requires architecture arm64 but amd64 is being requested"))]
fn machines_with_instance_types(#[case] vm: Value, #[case] instancetype: Value, #[case] preference: Value, #[case] wanted: Option<&str>) {
    let others = catalogue(&instancetype, &preference);
    assert_eq!(message(&typed(&vm), None, &others).as_deref(), wanted);
}

/// What only direct callers of the webhook can send: the API server asks for these fields before.
#[rstest]
#[case::po1(json!({"selector": {}}), "spec.template", "missing virtual machine template.")]
#[case::vm1(json!({"selector": {}, "virtualMachineTemplate": {"spec": {"runStrategy": "Halted"}}}), "spec.virtualMachineTemplate.spec.template", "missing virtual machine template.")]
#[case::no_selector(json!({"virtualMachineTemplate": {"spec": {"runStrategy": "Halted", "template": {"spec": sound_spec()}}}}), "spec.selector", "selector does not match labels.")]
fn pools_without_what_they_need(#[case] spec: Value, #[case] field: &str, #[case] message: &str) {
    let pool = object("pool.kubevirt.io/v1beta1", "VirtualMachinePool", &spec);
    let denial = judge(&pool, None, &[], &user(), &cluster(&[], json!({}))).unwrap();
    assert_eq!((denial.causes[0].field.as_str(), denial.message.as_str()), (field, message));
}

#[test]
fn what_was_before_and_cannot_be_read_is_told_last() {
    let pool = json!({"selector": {}, "virtualMachineTemplate": {"spec": {"runStrategy": "Halted", "template": {"spec": sound_spec()}}}});
    let pool = object("pool.kubevirt.io/v1beta1", "VirtualMachinePool", &pool);
    let unreadable = json!({"spec": 5});
    let why = |object: &Value| judge(object, Some(&unreadable), &[], &user(), &cluster(&[], json!({}))).unwrap().message;
    assert_eq!(why(&pool), "Could not fetch old vmpool");
    let vm = object("kubevirt.io/v1", "VirtualMachine", &json!({"runStrategy": "Halted", "template": {"spec": sound_spec()}}));
    assert_eq!(why(&vm), "Could not fetch old VM");
}

//! What people may do (spec/rbac.md §4): the roles that aggregate to `admin`, `edit` and `view`, and those that everybody has.

use super::managed;
use super::rbac::{Rule, rules};
use serde_json::{Value, json};

const SUB: &str = "subresources.kubevirt.io";
const STREAMS: &str =
    "virtualmachineinstances/console, virtualmachineinstances/vnc, virtualmachineinstances/portforward, virtualmachineinstances/usbredir";
const READS: &str = "virtualmachineinstances/guestosinfo, virtualmachineinstances/filesystemlist, virtualmachineinstances/userlist, virtualmachineinstances/sev/fetchcertchain, virtualmachineinstances/sev/querylaunchmeasurement, virtualmachines/objectgraph, virtualmachineinstances/objectgraph, virtualmachines/expand-spec";
const VMI_ACTIONS: &str = "virtualmachineinstances/pause, virtualmachineinstances/unpause, virtualmachineinstances/addvolume, virtualmachineinstances/removevolume, virtualmachineinstances/freeze, virtualmachineinstances/unfreeze, virtualmachineinstances/softreboot, virtualmachineinstances/reset, virtualmachineinstances/sev/setupsession, virtualmachineinstances/sev/injectlaunchsecret, virtualmachineinstances/evacuate/cancel";
const VM_ACTIONS: &str = "virtualmachines/start, virtualmachines/stop, virtualmachines/restart, virtualmachines/addvolume, virtualmachines/removevolume, virtualmachines/memorydump, virtualmachines/removememorydump, virtualmachines/evacuate/cancel";

const MACHINES: &str = "virtualmachines, virtualmachineinstances, virtualmachineinstancepresets, virtualmachineinstancereplicasets";
const SNAPSHOTS: &str = "virtualmachinesnapshots, virtualmachinesnapshotcontents, virtualmachinerestores";
const BACKUPS: &str = "virtualmachinebackups, virtualmachinebackuptrackers";
const INSTANCETYPES: &str =
    "virtualmachineinstancetypes, virtualmachineclusterinstancetypes, virtualmachinepreferences, virtualmachineclusterpreferences";

/// Lines of the kinds that users own, with the verbs given.
fn owned(verbs: &'static str) -> Vec<Rule> {
    vec![
        ("kubevirt.io", MACHINES, verbs),
        ("snapshot.kubevirt.io", SNAPSHOTS, verbs),
        ("backup.kubevirt.io", BACKUPS, verbs),
        ("export.kubevirt.io", "virtualmachineexports", verbs),
        ("clone.kubevirt.io", "virtualmachineclones", verbs),
        ("instancetype.kubevirt.io", INSTANCETYPES, verbs),
        ("pool.kubevirt.io", "virtualmachinepools", verbs),
    ]
}

fn admin() -> Vec<Rule> {
    let mut lines = vec![
        (SUB, STREAMS, "g"),
        (SUB, "virtualmachineinstances/vnc/screenshot, virtualmachines/portforward", "g"),
        (SUB, READS, "g"),
        (SUB, VMI_ACTIONS, "u"),
        (SUB, VM_ACTIONS, "u"),
        (SUB, "expand-vm-spec", "u"),
    ];
    lines.extend(owned("gdcuplwD"));
    lines.push(("plugin.kubevirt.io", "plugins", "gdcuplwD"));
    lines.push(("kubevirt.io", "virtualmachineinstancemigrations", "glw"));
    lines.push(("migrations.kubevirt.io", "migrationpolicies", "glw"));
    lines
}

fn edit() -> Vec<Rule> {
    let mut lines = vec![
        (SUB, STREAMS, "g"),
        (SUB, "virtualmachines/portforward", "g"),
        (SUB, READS, "g"),
        (SUB, VMI_ACTIONS, "u"),
        (SUB, VM_ACTIONS, "u"),
        (SUB, "expand-vm-spec", "u"),
    ];
    lines.extend(owned("gdcuplw"));
    lines.push(("kubevirt.io", "virtualmachineinstancemigrations", "glw"));
    lines.push(("kubevirt.io", "kubevirts", "gl"));
    lines.push(("migrations.kubevirt.io", "migrationpolicies", "glw"));
    lines
}

fn view() -> Vec<Rule> {
    let mut lines = vec![(SUB, READS, "g"), (SUB, "expand-vm-spec", "u")];
    lines.extend(owned("glw"));
    lines.push(("plugin.kubevirt.io", "plugins", "glw"));
    lines.push(("kubevirt.io", "virtualmachineinstancemigrations", "glw"));
    lines.push(("kubevirt.io", "kubevirts", "gl"));
    lines.push(("migrations.kubevirt.io", "migrationpolicies", "glw"));
    lines
}

fn role(name: &str, aggregate_to: Option<&str>, lines: &[Rule]) -> Value {
    let mut labels = managed();
    if let Some(target) = aggregate_to {
        labels[format!("rbac.authorization.k8s.io/aggregate-to-{target}")] = json!("true");
    }
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name, "labels": labels}, "rules": rules(lines)})
}

/// Binds a ClusterRole to everybody who is authenticated.
fn everybody(name: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "labels": managed(), "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "Group", "name": "system:authenticated", "apiGroup": "rbac.authorization.k8s.io"}],
    })
}

/// The users' roles and the two bindings that everybody has.
pub(super) fn objects() -> Vec<Value> {
    let mut default = role("kubevirt.io:default", None, &[("kubevirt.io", "kubevirts", "gl"), (SUB, "version, guestfs", "gl")]);
    default["metadata"]["labels"]["kubernetes.io/bootstrapping"] = json!("rbac-defaults");
    let mut operator = role("kubevirt.io:operator", Some("admin"), &[("kubevirt.io", "kubevirts", "gdcuplwD")]);
    operator["metadata"]["labels"]["operator.kubevirt.io"] = json!("");
    // Ours: whoever may look at instances may ask for the state of their domains, as `virtctl why` does.
    let mut why = role("ferrovirt.io:why", Some("view"), &[(SUB, "virtualmachineinstances/domainstate", "g")]);
    for target in ["admin", "edit"] {
        why["metadata"]["labels"][format!("rbac.authorization.k8s.io/aggregate-to-{target}")] = json!("true");
    }
    vec![
        default,
        role("kubevirt.io:admin", Some("admin"), &admin()),
        role("kubevirt.io:edit", Some("edit"), &edit()),
        role("kubevirt.io:view", Some("view"), &view()),
        role(
            "kubevirt.io:migrate",
            None,
            &[(SUB, "virtualmachines/migrate", "u"), ("kubevirt.io", "virtualmachineinstancemigrations", "gdcuplwD")],
        ),
        role(
            "instancetype.kubevirt.io:view",
            None,
            &[("instancetype.kubevirt.io", "virtualmachineclusterinstancetypes, virtualmachineclusterpreferences", "glw")],
        ),
        operator,
        why,
        everybody("kubevirt.io:default"),
        everybody("instancetype.kubevirt.io:view"),
    ]
}

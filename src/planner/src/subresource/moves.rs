//! Moving a guest, and calling an evacuation off (spec/api.md §3.1, §3.5).

use std::collections::BTreeMap;

use api::v1::{VirtualMachineInstance, VirtualMachineInstanceMigration};
use k8s_openapi::api::core::v1::Node;
use serde_json::json;

use super::{Effect, Refusal, phase};

/// The migration that a virtual machine's `migrate` creates.
///
/// # Errors
/// 404 without an instance, 409 for one that does not run.
pub fn migrate(
    name: &str,
    vmi: Option<&VirtualMachineInstance>,
    node_selector: BTreeMap<String, String>,
) -> Result<VirtualMachineInstanceMigration, Refusal> {
    let vmi = vmi.ok_or_else(|| Refusal::not_found("virtualmachineinstance", name))?;
    if phase(vmi) != "Running" {
        return Err(Refusal::conflict("virtualmachine", name, "VM is not running"));
    }
    let mut migration = VirtualMachineInstanceMigration::default();
    migration.metadata.generate_name = Some("kubevirt-migrate-vm-".into());
    migration.metadata.namespace.clone_from(&vmi.metadata.namespace);
    migration.spec.vmi_name = Some(name.to_owned());
    migration.spec.added_node_selector = node_selector;
    Ok(migration)
}

/// The node an instance is to leave, or is on.
pub fn left_node(vmi: &VirtualMachineInstance) -> &str {
    let status = vmi.status.as_ref();
    let marked = status.and_then(|status| status.evacuation_node_name.as_deref()).filter(|node| !node.is_empty());
    marked.or_else(|| status.and_then(|status| status.node_name.as_deref())).unwrap_or_default()
}

/// Whether the node is not being drained, by the taint with this key.
///
/// # Errors
/// 400 where it is: the mark would come back.
pub fn not_draining(node: &Node, key: &str) -> Result<(), Refusal> {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    if taints.into_iter().any(|taint| taint.key == key && taint.effect == "NoSchedule") {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        return Err(Refusal::bad_request(format!("Node {name:?} has NodeDrainTaintKey {:?}", format!("{key}:NoSchedule"))));
    }
    Ok(())
}

/// Takes an instance's mark for evacuation away; nothing where there is none.
pub fn cancel_evacuation(vmi: &VirtualMachineInstance, node: &str) -> Option<Effect> {
    let marked = vmi.status.as_ref().and_then(|s| s.evacuation_node_name.as_deref()).is_some_and(|n| !n.is_empty());
    let path = "/status/evacuationNodeName";
    marked.then(|| Effect::PatchVmi(vec![json!({"op": "test", "path": path, "value": node}), json!({"op": "remove", "path": path})]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vmi(status: &serde_json::Value) -> VirtualMachineInstance {
        serde_json::from_value(json!({"metadata": {"name": "vm", "namespace": "ns"}, "status": status})).unwrap()
    }

    #[test]
    fn only_running_guests_move() {
        assert_eq!(migrate("vm", None, BTreeMap::new()).unwrap_err().code, 404);
        assert_eq!(migrate("vm", Some(&vmi(&json!({"phase": "Scheduled"}))), BTreeMap::new()).unwrap_err().code, 409);
        let selector = BTreeMap::from([("zone".to_owned(), "a".to_owned())]);
        let migration = migrate("vm", Some(&vmi(&json!({"phase": "Running"}))), selector.clone()).unwrap();
        assert_eq!((migration.spec.vmi_name.as_deref(), migration.spec.added_node_selector), (Some("vm"), selector));
    }

    #[test]
    fn only_a_mark_is_taken_away() {
        assert_eq!(cancel_evacuation(&vmi(&json!({})), "n1"), None);
        let Some(Effect::PatchVmi(patch)) = cancel_evacuation(&vmi(&json!({"evacuationNodeName": "n1"})), "n1") else { panic!("no patch") };
        assert_eq!(patch[0]["value"], "n1");
    }

    #[test]
    fn a_node_that_is_drained_is_left_all_the_same() {
        assert_eq!(left_node(&vmi(&json!({"nodeName": "n1"}))), "n1");
        assert_eq!(left_node(&vmi(&json!({"nodeName": "n1", "evacuationNodeName": "n0"}))), "n0");
        let node = |effect: &str| -> Node {
            let taint = json!({"key": "kubevirt.io/drain", "effect": effect});
            serde_json::from_value(json!({"metadata": {"name": "n1"}, "spec": {"taints": [taint]}})).unwrap()
        };
        assert!(not_draining(&node("NoExecute"), "kubevirt.io/drain").is_ok());
        let refusal = not_draining(&node("NoSchedule"), "kubevirt.io/drain").unwrap_err();
        assert_eq!(refusal.message, r#"Node "n1" has NodeDrainTaintKey "kubevirt.io/drain:NoSchedule""#);
    }
}

//! Moving a guest, and calling an evacuation off (spec/api.md §3.1, §3.5).

use std::collections::BTreeMap;

use api::v1::{VirtualMachineInstance, VirtualMachineInstanceMigration};
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
}

//! What is checked before a request of confidential guests, backups and object graphs (spec/api.md §3.2, §3.6, §3.7).

use super::{Refusal, phase};
use api::config::ClusterConfig;
use api::v1::VirtualMachineInstance;

const VMI: &str = "virtualmachineinstance";

/// Whether a verb of `sev/…` may be carried out; `verb` is what follows `sev/`.
///
/// # Errors
/// 400 without the feature gate, 409 for a VMI without attestation or in the wrong state.
pub fn sev(vmi: &VirtualMachineInstance, verb: &str, config: &ClusterConfig) -> Result<(), Refusal> {
    if !config.gate("WorkloadEncryptionSEV") {
        return Err(Refusal::bad_request("'WorkloadEncryptionSEV' feature gate is not enabled"));
    }
    let name = vmi.metadata.name.as_deref().unwrap_or_default();
    let conflict = |why: &str| Err(Refusal::conflict(VMI, name, why));
    let sev = vmi.spec.domain.launch_security.as_ref().and_then(|security| security.sev.as_ref());
    let Some(sev) = sev.filter(|sev| sev.attestation.is_some()) else { return conflict("Attestation not requested for VMI") };
    let paused = vmi.status.iter().flat_map(|status| &status.conditions).any(|c| c.r#type == "Paused" && c.status == "True");
    match (verb, phase(vmi)) {
        ("fetchcertchain", "Scheduled" | "Running") => Ok(()),
        ("fetchcertchain", _) => conflict("VMI is not assigned to a node yet"),
        ("setupsession", "Scheduled") if sev.session.is_some() || sev.dh_cert.is_some() => conflict("Session already defined"),
        ("setupsession", "Scheduled") => Ok(()),
        ("setupsession", _) => conflict("VMI is not in Scheduled phase"),
        (_, "Running") if !paused => conflict("VMI is not paused"),
        (_, "Running") => Ok(()),
        _ => conflict("VMI is not running"),
    }
}

/// Whether the object graph may be asked for.
///
/// # Errors
/// 400 without the feature gate.
pub fn object_graph(config: &ClusterConfig) -> Result<(), Refusal> {
    if config.gate("ObjectGraph") {
        return Ok(());
    }
    Err(Refusal::bad_request("ObjectGraph feature gate not enabled: Unable to return object graph."))
}

/// Whether a backup of the guest may begin.
///
/// # Errors
/// 409 without a running guest.
pub fn backup(vmi: &VirtualMachineInstance) -> Result<(), Refusal> {
    if phase(vmi) == "Running" {
        return Ok(());
    }
    Err(Refusal::conflict(VMI, vmi.metadata.name.as_deref().unwrap_or_default(), "VMI is not running"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case(json!({}), "Running", "fetchcertchain", Some("Attestation not requested for VMI"))]
    #[case(json!({"sev": {"attestation": {}}}), "Running", "fetchcertchain", None)]
    #[case(json!({"sev": {"attestation": {}}}), "Pending", "fetchcertchain", Some("VMI is not assigned to a node yet"))]
    #[case(json!({"sev": {"attestation": {}, "session": "x"}}), "Scheduled", "setupsession", Some("Session already defined"))]
    #[case(json!({"sev": {"attestation": {}}}), "Running", "injectlaunchsecret", Some("VMI is not paused"))]
    fn confidential_guests(#[case] security: Value, #[case] phase: &str, #[case] verb: &str, #[case] refused: Option<&str>) {
        let spec = json!({"domain": {"devices": {}, "launchSecurity": security}});
        let vmi: VirtualMachineInstance =
            serde_json::from_value(json!({"metadata": {"name": "vm"}, "spec": spec, "status": {"phase": phase}})).unwrap();
        let config = json!({"spec": {"configuration": {"developerConfiguration": {"featureGates": ["WorkloadEncryptionSEV"]}}}});
        let config = ClusterConfig::from_kubevirt(Some(&serde_json::from_value(config).unwrap()));
        match (sev(&vmi, verb, &config), refused) {
            (Ok(()), None) => {}
            (Err(refusal), Some(why)) => assert!(refusal.message.ends_with(why), "{}", refusal.message),
            (got, wanted) => panic!("{got:?}, not {wanted:?}"),
        }
    }
}

//! What is checked before a request of confidential guests, backups and object graphs (spec/api.md §3.2, §3.6, §3.7).

use super::{Effect, Refusal, guarded, phase};
use api::config::ClusterConfig;
use api::v1::{SEV, VirtualMachineInstance};
use serde_json::json;

const VMI: &str = "virtualmachineinstance";

/// Whether anything of `sev/…` is there.
///
/// # Errors
/// 400 without the feature gate.
pub fn sev_enabled(config: &ClusterConfig) -> Result<(), Refusal> {
    if config.gate("WorkloadEncryptionSEV") {
        return Ok(());
    }
    Err(Refusal::bad_request("'WorkloadEncryptionSEV' feature gate is not enabled"))
}

/// Whether a verb of `sev/…` may be carried out; `verb` is what follows `sev/`.
///
/// # Errors
/// 400 without the feature gate, 409 for a VMI without attestation or in the wrong state.
pub fn sev(vmi: &VirtualMachineInstance, verb: &str, config: &ClusterConfig) -> Result<(), Refusal> {
    sev_enabled(config)?;
    let name = vmi.metadata.name.as_deref().unwrap_or_default();
    let conflict = |why: &str| Err(Refusal::conflict(VMI, name, why));
    match (verb, phase(vmi)) {
        ("fetchcertchain", "Scheduled" | "Running") | ("setupsession", "Scheduled") => {}
        ("fetchcertchain", _) => return conflict("VMI is not assigned to a node yet"),
        ("setupsession", _) => return conflict("VMI is not in Scheduled phase"),
        (_, "Running") => {}
        _ => return conflict("VMI is not running"),
    }
    let sev = vmi.spec.domain.launch_security.as_ref().and_then(|security| security.sev.as_ref());
    let Some(sev) = sev.filter(|sev| sev.attestation.is_some()) else { return conflict("Attestation not requested for VMI") };
    let is_set = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let paused = vmi.status.iter().flat_map(|status| &status.conditions).any(|c| c.r#type == "Paused");
    match verb {
        "setupsession" if is_set(&sev.session) || is_set(&sev.dh_cert) => conflict("Session already defined"),
        "querylaunchmeasurement" | "injectlaunchsecret" if !paused => conflict("VMI is not paused"),
        _ => Ok(()),
    }
}

/// Whether a session has both its parts.
///
/// # Errors
/// 400 for one without its blob or its certificate.
pub fn sev_session_is_complete(session: &str, dh_cert: &str) -> Result<(), Refusal> {
    if session.is_empty() {
        return Err(Refusal::bad_request("Session blob is required"));
    }
    if dh_cert.is_empty() {
        return Err(Refusal::bad_request("DH cert is required"));
    }
    Ok(())
}

/// Gives a guest that waits for its start the session that its owner set up; [`sev`] and [`sev_session_is_complete`] allowed it.
pub fn sev_session(vmi: &VirtualMachineInstance, session: &str, dh_cert: &str) -> Effect {
    let old = vmi.spec.domain.launch_security.as_ref().and_then(|security| security.sev.clone()).unwrap_or_default();
    let new = SEV { session: Some(session.to_owned()), dh_cert: Some(dh_cert.to_owned()), ..old.clone() };
    Effect::PatchVmi(guarded("/spec/domain/launchSecurity/sev", &json!(old), &json!(new)))
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
    Err(Refusal::conflict(VMI, vmi.metadata.name.as_deref().unwrap_or_default(), "VM is not running"))
}

/// Whether a checkpoint of the guest may be defined anew.
///
/// # Errors
/// 409 for a guest whose changed blocks are not tracked.
pub fn redefine_checkpoint(vmi: &VirtualMachineInstance) -> Result<(), Refusal> {
    let tracking = vmi.status.as_ref().and_then(|status| status.changed_block_tracking.as_ref());
    if tracking.is_some_and(|tracking| tracking.state == "Enabled") {
        return Ok(());
    }
    Err(Refusal::conflict(VMI, vmi.metadata.name.as_deref().unwrap_or_default(), "ChangedBlockTracking is not enabled"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::Value;

    #[rstest]
    #[case(json!({}), "Running", "fetchcertchain", Some("Attestation not requested for VMI"))]
    #[case(json!({}), "Running", "setupsession", Some("VMI is not in Scheduled phase"))]
    #[case(json!({}), "Scheduled", "querylaunchmeasurement", Some("VMI is not running"))]
    #[case(json!({"sev": {"attestation": {}, "session": ""}}), "Scheduled", "setupsession", None)]
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

    #[test]
    fn a_session_has_both_parts_and_keeps_the_rest() {
        let spec = json!({"domain": {"devices": {}, "launchSecurity": {"sev": {"attestation": {}, "policy": {"encryptedState": true}}}}});
        let vmi: VirtualMachineInstance = serde_json::from_value(json!({"metadata": {"name": "vm"}, "spec": spec})).unwrap();
        assert_eq!(sev_session_is_complete("", "cert").unwrap_err().message, "Session blob is required");
        assert_eq!(sev_session_is_complete("blob", "").unwrap_err().message, "DH cert is required");
        let Effect::PatchVmi(patch) = sev_session(&vmi, "blob", "cert") else { panic!("no patch of the VMI") };
        assert_eq!(patch[1]["value"]["policy"], json!({"encryptedState": true}));
        assert_eq!(patch[1]["value"]["session"], "blob");
    }
}

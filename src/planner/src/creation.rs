//! What controllers check once more before they create a guest (spec controllers §3.4).

use admission::{Cause, refused_at_creation};
use api::config::ClusterConfig;
use api::v1::VirtualMachineInstanceSpec;

/// Why a guest with this specification cannot be created, though it is stored: an older cluster knew what this one does not.
pub(crate) fn failed_validation(spec: &VirtualMachineInstanceSpec, config: &ClusterConfig) -> Option<String> {
    let causes: Vec<String> = refused_at_creation(spec, config).0.iter().map(Cause::as_go).collect();
    (!causes.is_empty()).then(|| format!("failed create validation: {}", causes.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bindings_that_are_gone_keep_a_guest_from_being_created() {
        let config = ClusterConfig::from_kubevirt(None);
        let spec = |interface| -> VirtualMachineInstanceSpec {
            serde_json::from_value(json!({"domain": {"devices": {"interfaces": [interface]}}})).unwrap()
        };
        assert_eq!(failed_validation(&spec(json!({"name": "a", "masquerade": {}})), &config), None);
        assert_eq!(
            failed_validation(&spec(json!({"name": "a", "slirp": {}})), &config).unwrap(),
            "failed create validation: &StatusCause{Type:FieldValueInvalid,Message:Slirp interface support has been discontinued \
             since v1.3,Field:spec.domain.devices.interfaces[0].slirp,}"
        );
    }
}

//! Lists so long that no rule looks at them.
//!
//! The API server takes at most [`MOST`] disks, volumes and the like (spec/admission.md §16.2) and checks that after the mutating
//! webhooks: those leave such an object as it is, and what refuses it is the schema. Longer still, a review would take as long as
//! its author likes.

use serde_json::Value;

use crate::{CauseKind, Denial};

/// Entries that the API server takes.
const MOST: usize = 256;

/// Entries that rules look at: whoever asks a webhook directly gets the original's words a while longer.
const READ: usize = 4 * MOST;

/// Where a VirtualMachineInstance's specification is, by kind.
const SPECS: [&str; 3] = ["/spec", "/spec/template/spec", "/spec/virtualMachineTemplate/spec/template/spec"];

const LISTS: [&str; 6] =
    ["/domain/devices/disks", "/domain/devices/interfaces", "/volumes", "/networks", "/accessCredentials", "/utilityVolumes"];

/// The first list that is too long to be read, and what the API server says of it.
pub(super) fn refusal(object: &Value) -> Option<Denial> {
    SPECS.iter().filter_map(|spec| Some((spec, object.pointer(spec)?))).find_map(|(place, spec)| {
        let (list, count) = LISTS.iter().find_map(|list| {
            let count = spec.pointer(list)?.as_array()?.len();
            (count > READ).then_some((list, count))
        })?;
        let field = format!("{place}{list}").trim_start_matches('/').replace('/', ".");
        let message = format!("{field}: Too many: {count}: must have at most {MOST} items");
        Some(Denial::cause(CauseKind::Invalid, field, message))
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::{READ, refusal};

    fn disks(count: usize) -> Value {
        json!({"domain": {"devices": {"disks": vec![json!({"name": "a"}); count]}}})
    }

    #[rstest]
    #[case(json!({"spec": disks(READ)}), None)]
    #[case(json!({"spec": disks(READ + 1)}), Some("spec.domain.devices.disks: Too many: 1025: must have at most 256 items"))]
    #[case(json!({"spec": {"template": {"spec": disks(9000)}}}),
        Some("spec.template.spec.domain.devices.disks: Too many: 9000: must have at most 256 items"))]
    #[case(json!({"spec": {"virtualMachineTemplate": {"spec": {"template": {"spec": {"volumes": vec![0; 2000]}}}}}}),
        Some("spec.virtualMachineTemplate.spec.template.spec.volumes: Too many: 2000: must have at most 256 items"))]
    #[case(json!("no object"), None)]
    fn lists_are_counted(#[case] object: Value, #[case] expected: Option<&str>) {
        assert_eq!(refusal(&object).map(|denial| denial.message).as_deref(), expected);
    }
}

//! Conditions, as upstream's condition managers treat them (spec controllers §1.5).

use api::pool::v1beta1::VirtualMachinePoolCondition;
use api::v1::{
    VirtualMachineCondition, VirtualMachineInstanceCondition, VirtualMachineInstanceMigrationCondition,
    VirtualMachineInstanceReplicaSetCondition,
};
use k8s_openapi::api::core::v1::PodCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// `True`.
pub const TRUE: &str = "True";
/// `False`.
pub const FALSE: &str = "False";
/// `Unknown`.
pub const UNKNOWN: &str = "Unknown";

/// What the conditions of all kinds have in common.
pub trait Condition: Clone + PartialEq {
    /// What it is about; one of a type.
    fn kind(&self) -> &str;
    /// True, False or Unknown.
    fn status(&self) -> &str;
    /// CamelCase, empty when absent.
    fn reason(&self) -> &str;
}

impl Condition for VirtualMachineInstanceCondition {
    fn kind(&self) -> &str {
        &self.r#type
    }
    fn status(&self) -> &str {
        &self.status
    }
    fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }
}

impl Condition for VirtualMachineCondition {
    fn kind(&self) -> &str {
        &self.r#type
    }
    fn status(&self) -> &str {
        &self.status
    }
    fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }
}

impl Condition for VirtualMachineInstanceReplicaSetCondition {
    fn kind(&self) -> &str {
        &self.r#type
    }
    fn status(&self) -> &str {
        &self.status
    }
    fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }
}

impl Condition for VirtualMachinePoolCondition {
    fn kind(&self) -> &str {
        &self.r#type
    }
    fn status(&self) -> &str {
        &self.status
    }
    fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }
}

impl Condition for VirtualMachineInstanceMigrationCondition {
    fn kind(&self) -> &str {
        &self.r#type
    }
    fn status(&self) -> &str {
        &self.status
    }
    fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }
}

impl Condition for PodCondition {
    fn kind(&self) -> &str {
        &self.type_
    }
    fn status(&self) -> &str {
        &self.status
    }
    fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }
}

/// The condition of a type.
pub fn get<'a, C: Condition>(conditions: &'a [C], kind: &str) -> Option<&'a C> {
    conditions.iter().find(|condition| condition.kind() == kind)
}

/// Whether there is a condition of a type, whatever its status.
pub fn has<C: Condition>(conditions: &[C], kind: &str) -> bool {
    get(conditions, kind).is_some()
}

/// Whether the condition of a type has a status.
pub fn is<C: Condition>(conditions: &[C], kind: &str, status: &str) -> bool {
    get(conditions, kind).is_some_and(|condition| condition.status() == status)
}

/// Whether the condition of a type has a status and a reason.
pub fn is_because<C: Condition>(conditions: &[C], kind: &str, status: &str, reason: &str) -> bool {
    get(conditions, kind).is_some_and(|condition| condition.status() == status && condition.reason() == reason)
}

/// Removes the condition of a type.
pub fn remove<C: Condition>(conditions: &mut Vec<C>, kind: &str) {
    conditions.retain(|condition| condition.kind() != kind);
}

/// Puts a condition in the place of the one of its type, but only where status or reason differ: a change of the text alone is
/// not worth a write.
pub fn update<C: Condition>(conditions: &mut Vec<C>, condition: C) {
    match conditions.iter_mut().find(|known| known.kind() == condition.kind()) {
        None => conditions.push(condition),
        Some(known) => {
            if known.status() != condition.status() || known.reason() != condition.reason() {
                *known = condition;
            }
        }
    }
}

/// Whether two lists say the same: by type, status and reason, in any order.
pub fn same<C: Condition>(ours: &[C], theirs: &[C]) -> bool {
    let key = |condition: &C| (condition.kind().to_owned(), condition.status().to_owned(), condition.reason().to_owned());
    let mut ours: Vec<_> = ours.iter().map(key).collect();
    let mut theirs: Vec<_> = theirs.iter().map(key).collect();
    ours.sort();
    theirs.sort();
    ours == theirs
}

/// A condition of a VMI.
pub fn vmi(kind: &str, status: &str, reason: &str, message: &str) -> VirtualMachineInstanceCondition {
    VirtualMachineInstanceCondition {
        r#type: kind.to_owned(),
        status: status.to_owned(),
        reason: filled(reason),
        message: filled(message),
        ..VirtualMachineInstanceCondition::default()
    }
}

/// A condition of a VM, changed at `at`.
pub fn vm(kind: &str, status: &str, reason: &str, message: &str, at: &Time) -> VirtualMachineCondition {
    VirtualMachineCondition {
        r#type: kind.to_owned(),
        status: status.to_owned(),
        reason: filled(reason),
        message: filled(message),
        last_transition_time: Some(at.clone()),
        ..VirtualMachineCondition::default()
    }
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_text_alone_is_not_a_change() {
        let mut conditions = vec![vmi("Ready", FALSE, "A", "one")];
        update(&mut conditions, vmi("Ready", FALSE, "A", "two"));
        assert_eq!(conditions[0].message.as_deref(), Some("one"));
        update(&mut conditions, vmi("Ready", FALSE, "B", "two"));
        assert_eq!(conditions[0].message.as_deref(), Some("two"));
        update(&mut conditions, vmi("Other", TRUE, "", ""));
        assert_eq!(conditions.len(), 2);
        let mut turned = conditions.clone();
        turned.reverse();
        assert!(same(&conditions, &turned));
        remove(&mut turned, "Other");
        assert!(!same(&conditions, &turned));
    }
}

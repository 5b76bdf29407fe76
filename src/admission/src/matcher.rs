//! References of a VirtualMachine to instance types and preferences (spec/admission.md §6.3).

use api::v1::{InstancetypeMatcher, VirtualMachine};

use crate::defaults::text;
use crate::{CauseKind, Denial};

/// IM1-IM10. Each group returns on failure.
///
/// # Errors
/// The first group of rules that is broken.
pub(crate) fn validate(vm: &VirtualMachine, old: Option<&VirtualMachine>) -> Result<(), Denial> {
    let preference = |vm: &VirtualMachine| {
        vm.spec.preference.as_ref().map(|p| InstancetypeMatcher {
            name: p.name.clone(),
            kind: p.kind.clone(),
            revision_name: p.revision_name.clone(),
            infer_from_volume: p.infer_from_volume.clone(),
            infer_from_volume_failure_policy: p.infer_from_volume_failure_policy.clone(),
        })
    };
    let new = [("spec.instancetype", vm.spec.instancetype.clone()), ("spec.preference", preference(vm))];
    let old = old.map(|o| [o.spec.instancetype.clone(), preference(o)]).unwrap_or_default();
    for ((field, new), old) in new.iter().zip(&old) {
        if let (Some(new), Some(old)) = (new, old) {
            revision(field, new, old)?;
        }
    }
    for ((field, matcher), kind) in new.iter().zip(["InstancetypeMatcher", "PreferenceMatcher"]) {
        if let Some(matcher) = matcher {
            shape(field, kind, matcher)?;
        }
    }
    Ok(())
}

/// IM1, IM2: a new name needs a new revision.
fn revision(field: &str, new: &InstancetypeMatcher, old: &InstancetypeMatcher) -> Result<(), Denial> {
    let renamed = text(new.name.as_ref()) != text(old.name.as_ref());
    let revision = text(new.revision_name.as_ref());
    if renamed && !revision.is_empty() && revision == text(old.revision_name.as_ref()) {
        let message = "the Matcher Name has been updated without updating the RevisionName";
        return Err(Denial::cause(CauseKind::Invalid, format!("{field}.revisionName"), message));
    }
    Ok(())
}

/// IM3-IM6, IM7-IM10.
fn shape(field: &str, kind: &str, matcher: &InstancetypeMatcher) -> Result<(), Denial> {
    let name = text(matcher.name.as_ref());
    let mut causes = crate::Causes::default();
    if text(matcher.infer_from_volume.as_ref()).is_empty() {
        if name.is_empty() {
            let message = format!("Either Name or InferFromVolume should be provided within the {kind}");
            causes.add(CauseKind::NotFound, field, message);
        }
    } else {
        if !name.is_empty() {
            let message = "Name already set, should be cleared before setting inferFromVolume";
            causes.not_supported(format!("{field}.name"), message);
        }
        if !text(matcher.kind.as_ref()).is_empty() {
            let message = "Kind already set, should be cleared before setting inferFromVolume";
            causes.not_supported(format!("{field}.kind"), message);
        }
    }
    if let Some(policy) = matcher.infer_from_volume_failure_policy.as_deref()
        && !["Reject", "Ignore"].contains(&policy)
    {
        let message = format!("Invalid value '{policy}' for InferFromVolumeFailurePolicy");
        causes.invalid(format!("{field}.inferFromVolumeFailurePolicy"), message);
    }
    causes.into_result()
}

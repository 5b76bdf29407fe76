//! What follows from the VMI to its pod: labels, annotations, and whether the guest is paused (spec controllers §2.6 step 4).

use std::collections::BTreeMap;

use api::names::{self, reason};
use api::v1::VirtualMachineInstance;
use api::v1::values::vmi_condition;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::Observed;
use super::sync::{metadata_patch, ready_annotations};
use crate::conditions::{self, FALSE, TRUE};
use crate::metadata::{self, matches_any};
use crate::plan::{Action, ObjectRef, OnFailure, Patch, kinds};

/// Tells the descheduler to ask for evictions instead of evicting.
pub(super) const REQUEST_EVICT_ONLY: &str = "descheduler.alpha.kubernetes.io/request-evict-only";
/// Tells the descheduler that an eviction is under way.
pub(super) const EVICTION_IN_PROGRESS: &str = "descheduler.alpha.kubernetes.io/eviction-in-progress";
/// What users tell the descheduler on the VMI.
const DESCHEDULER: [&str; 2] = ["descheduler.alpha.kubernetes.io/evict", "descheduler.alpha.kubernetes.io/prefer-no-eviction"];
/// Velero's hooks, which freeze the guest's file systems around a backup.
const VELERO: [&str; 6] = [
    "pre.hook.backup.velero.io/container",
    "pre.hook.backup.velero.io/command",
    "pre.hook.backup.velero.io/timeout",
    "post.hook.backup.velero.io/container",
    "post.hook.backup.velero.io/command",
    "post.hook.backup.velero.io/timeout",
];

/// The patch that brings the pod's labels and annotations in line with the VMI, if any is needed: one write for all of them.
pub(super) fn metadata_action(observed: &Observed<'_>, vmi: &VirtualMachineInstance, pod: &Pod) -> Option<Action> {
    let labels = labels(observed, vmi, pod);
    let annotations = annotations(observed, vmi, pod);
    let changed = |old: &Option<BTreeMap<String, String>>, new: &BTreeMap<String, String>| {
        (old.as_ref().map_or(!new.is_empty(), |old| old != new)).then_some(())
    };
    let labels = changed(&pod.metadata.labels, &labels).map(|()| labels);
    let annotations = changed(&pod.metadata.annotations, &annotations).map(|()| annotations);
    let operations = metadata_patch(pod, labels.as_ref(), annotations.as_ref());
    (!operations.is_empty()).then(|| {
        Action::json_patch(ObjectRef::of(&kinds::POD, &pod.metadata), operations).otherwise(OnFailure {
            reason: reason::FAILED_POD_PATCH.into(),
            prefix: "error syncing annotations to pod: ".to_owned(),
            ..OnFailure::default()
        })
    })
}

fn follow(from: Option<&BTreeMap<String, String>>, to: &mut BTreeMap<String, String>, follows: impl Fn(&str) -> bool) {
    to.retain(|key, _| !follows(key));
    to.extend(from.into_iter().flatten().filter(|(key, _)| follows(key)).map(|(key, value)| (key.clone(), value.clone())));
}

fn labels(observed: &Observed<'_>, vmi: &VirtualMachineInstance, pod: &Pod) -> BTreeMap<String, String> {
    let mut labels = pod.metadata.labels.clone().unwrap_or_default();
    follow(vmi.metadata.labels.as_ref(), &mut labels, |key| {
        key == names::NODE_NAME_LABEL || key == names::OUTDATED_LAUNCHER_IMAGE_LABEL || matches_any(&observed.settings.labels_sync, key)
    });
    labels
}

fn annotations(observed: &Observed<'_>, vmi: &VirtualMachineInstance, pod: &Pod) -> BTreeMap<String, String> {
    let mut annotations = pod.metadata.annotations.clone().unwrap_or_default();
    follow(vmi.metadata.annotations.as_ref(), &mut annotations, |key| {
        DESCHEDULER.contains(&key) || matches_any(&observed.settings.annotations_sync, key)
    });
    annotations.retain(|key, _| !VELERO.contains(&key.as_str()));
    annotations.extend(backup_hooks(observed, vmi));
    for (key, value) in ready_annotations(observed, pod) {
        match value {
            Some(value) => {
                annotations.insert(key.to_owned(), value.to_owned());
            }
            None => {
                annotations.remove(key);
            }
        }
    }
    annotations
}

/// Velero's hooks; none when the installation or the VMI skips them.
fn backup_hooks(observed: &Observed<'_>, vmi: &VirtualMachineInstance) -> BTreeMap<String, String> {
    let skipped = |value: Option<&str>| value.is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if skipped(observed.config.annotation(names::SKIP_BACKUP_HOOKS_ANNOTATION))
        || skipped(metadata::annotation(&vmi.metadata, names::SKIP_BACKUP_HOOKS_ANNOTATION))
    {
        return BTreeMap::new();
    }
    let (name, namespace) = (metadata::name(&vmi.metadata), metadata::namespace(&vmi.metadata));
    let command = |verb: &str| format!(r#"["/usr/bin/virt-freezer", "--{verb}", "--name", "{name}", "--namespace", "{namespace}"]"#);
    [
        ("pre.hook.backup.velero.io/container", "compute".to_owned()),
        ("pre.hook.backup.velero.io/command", command("freeze")),
        ("pre.hook.backup.velero.io/timeout", "60s".to_owned()),
        ("post.hook.backup.velero.io/container", "compute".to_owned()),
        ("post.hook.backup.velero.io/command", command("unfreeze")),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// The patch of the pod's readiness gate, if it does not say what the VMI says.
pub(super) fn paused_action(observed: &Observed<'_>, vmi: &VirtualMachineInstance, pod: &Pod) -> Option<Action> {
    let stored = vmi.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let gates = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let unpaused = conditions::is(gates, names::VIRTUAL_MACHINE_UNPAUSED_GATE, TRUE);
    let paused = conditions::is(stored, vmi_condition::PAUSED, TRUE);
    let (status, why, message) = match (paused, unpaused) {
        (true, true) => (FALSE, reason::PAUSED, "the virtual machine is paused"),
        (false, false) => (TRUE, reason::NOT_PAUSED, "the virtual machine is not paused"),
        (true, false) | (false, true) => return None,
    };
    let condition = json!({
        "type": names::VIRTUAL_MACHINE_UNPAUSED_GATE,
        "status": status,
        "reason": why,
        "message": message,
        "lastProbeTime": observed.now,
        "lastTransitionTime": observed.now,
    });
    Some(Action::Patch {
        object: ObjectRef::of(&kinds::POD, &pod.metadata),
        subresource: Some("status"),
        patch: Patch::Strategic(json!({"status": {"conditions": [condition]}})),
        on_failure: OnFailure::default(),
    })
}

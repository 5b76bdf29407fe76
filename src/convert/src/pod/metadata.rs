//! Labels, annotations, owner, and the pod's accounts and pull secrets. Source: spec/pod.md §2, §3.

use std::collections::{BTreeMap, BTreeSet};

use api::quantity::Amount;
use api::v1::VirtualMachineInstance;
use k8s_openapi::api::core::v1::LocalObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use sha1::{Digest, Sha1};

use super::Context;
use crate::vmi;

/// How long a label's value may be.
const LABEL_LENGTH: usize = 63;
/// What is kept of a name that is too long for a label, before the hash.
const LABEL_PREFIX_LENGTH: usize = 54;
/// How many digits of the hash.
const LABEL_HASH_LENGTH: usize = 8;
const ISTIO_INJECT: &str = "sidecar.istio.io/inject";

/// A VMI's stable id in labels: its name, shortened with a hash where it is too long.
pub fn vmi_id(name: &str) -> String {
    if name.len() <= LABEL_LENGTH {
        return name.to_owned();
    }
    let hash = vmi::hex(&Sha1::digest(name.as_bytes()), LABEL_HASH_LENGTH);
    let prefix: String = name.chars().take(LABEL_PREFIX_LENGTH).collect();
    format!("{prefix}-{hash}")
}

pub(super) fn render(vmi: &VirtualMachineInstance, cx: &Context<'_>, overhead: Amount, reservations: &BTreeSet<String>) -> ObjectMeta {
    ObjectMeta {
        generate_name: Some(format!("virt-launcher-{}-", vmi::name(vmi))),
        labels: Some(labels(vmi, reservations)),
        annotations: Some(annotations(vmi, cx, overhead)),
        owner_references: Some(vec![OwnerReference {
            api_version: "kubevirt.io/v1".to_owned(),
            kind: "VirtualMachineInstance".to_owned(),
            name: vmi::name(vmi).to_owned(),
            uid: vmi::uid(vmi).to_owned(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }]),
        ..ObjectMeta::default()
    }
}

fn labels(vmi: &VirtualMachineInstance, reservations: &BTreeSet<String>) -> BTreeMap<String, String> {
    let mut labels = vmi.metadata.labels.clone().unwrap_or_default();
    let mut set = |key: &str, value: String| {
        labels.insert(key.to_owned(), value);
    };
    set("kubevirt.io", "virt-launcher".to_owned());
    set("kubevirt.io/created-by", vmi::uid(vmi).to_owned());
    set("vm.kubevirt.io/name", vmi::hostname(vmi));
    set("vmi.kubevirt.io/id", vmi_id(vmi::name(vmi)));
    if let Some(inject) = vmi::annotation(vmi, ISTIO_INJECT) {
        set(ISTIO_INJECT, inject.to_owned());
    }
    for claim in reservations {
        set(&format!("pr.kubevirt.io/{claim}"), String::new());
    }
    labels
}

fn annotations(vmi: &VirtualMachineInstance, cx: &Context<'_>, overhead: Amount) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::from([("kubevirt.io/domain".to_owned(), vmi::name(vmi).to_owned())]);
    let own = ["kubevirt.io/storage-observed-api-version", "kubevirt.io/latest-observed-api-version"];
    for (key, value) in vmi.metadata.annotations.iter().flatten() {
        if !key.starts_with("kubectl.kubernetes.io") && !own.contains(&key.as_str()) {
            annotations.insert(key.clone(), value.clone());
        }
    }
    let mut set = |key: &str, value: &str| {
        annotations.insert(key.to_owned(), value.to_owned());
    };
    set("kubectl.kubernetes.io/default-container", "compute");
    set("kubevirt.io/migrationTransportUnix", "true");
    set("descheduler.alpha.kubernetes.io/request-evict-only", "");
    set("kubevirt.io/memory-overhead-bytes", &overhead.value().to_string());
    if cx.temporary {
        set("kubevirt.io/ephemeral-provisioning", "true");
    }
    annotations
}

/// The pod's service account: as asked for, else that of the service account volume.
pub(super) fn service_account(vmi: &VirtualMachineInstance) -> Option<String> {
    let asked = vmi.spec.service_account_name.clone().filter(|s| !s.is_empty());
    asked.or_else(|| vmi.spec.volumes.iter().find_map(|v| v.service_account.as_ref()?.service_account_name.clone()))
}

pub(super) fn automounts_token(vmi: &VirtualMachineInstance) -> bool {
    vmi.spec.volumes.iter().any(|v| v.service_account.is_some()) || is_istio_injected(vmi)
}

/// Whether Istio puts its proxy into the pod.
pub(super) fn is_istio_injected(vmi: &VirtualMachineInstance) -> bool {
    vmi::annotation(vmi, ISTIO_INJECT).is_some_and(|v| v.eq_ignore_ascii_case("true"))
}

pub(super) fn image_pull_secrets(vmi: &VirtualMachineInstance, cx: &Context<'_>) -> Vec<LocalObjectReference> {
    let disks = vmi.spec.volumes.iter().filter_map(|v| v.container_disk.as_ref()?.image_pull_secret.as_deref());
    let kernel = super::container_disks::kernel_boot(vmi).and_then(|k| k.image_pull_secret.as_deref());
    let mut secrets: Vec<LocalObjectReference> = Vec::new();
    for name in disks.chain(kernel).chain(cx.image_pull_secret).filter(|n| !n.is_empty()) {
        if !secrets.iter().any(|s| s.name == name) {
            secrets.push(LocalObjectReference { name: name.to_owned() });
        }
    }
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_shortened_with_a_hash() {
        assert_eq!(vmi_id("vm"), "vm");
        assert_eq!(vmi_id(&"a".repeat(63)), "a".repeat(63));
        let id = vmi_id(&"a".repeat(64));
        // The first four bytes of SHA-1 over 64 times "a".
        assert_eq!(id, format!("{}-0098ba82", "a".repeat(54)));
    }
}

//! The eviction webhook (spec/admission.md §13).

use api::config::ClusterConfig;
use api::names;
use api::v1::VirtualMachineInstance;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::known::kinds;
use super::{Known, Request, Stop, namespace_of};
use crate::{Eviction, EvictionAnswer, HotplugOwner, validate_eviction};

/// Judges the eviction of a pod; the request's object is the Eviction, and its name the pod's.
///
/// # Errors
/// An object must be looked up first.
pub fn evict(request: &Request<'_>, config: &ClusterConfig, known: &Known) -> Result<EvictionAnswer, Stop> {
    let namespace = namespace_of(request);
    let Some(pod) = known.get::<Pod>(kinds::POD, namespace, request.name)? else { return Ok(EvictionAnswer::Allow) };
    let vmi = instance(&pod, namespace, known)?;
    let owner = pod.metadata.owner_references.as_deref().and_then(|o| o.first()).map(|o| o.name.clone());
    let owner: Option<Pod> = known.get(kinds::POD, namespace, owner.as_deref().unwrap_or_default())?;
    let owner_vmi = match &owner {
        Some(owner) => instance(owner, namespace, known)?,
        None => None,
    };
    let requested_by = request.object.pointer("/metadata/annotations/requested-by").and_then(Value::as_str);
    let eviction = Eviction {
        pod: Some(&pod),
        vmi: vmi.as_ref(),
        owner: owner.as_ref().map(|pod| HotplugOwner { pod, vmi: owner_vmi.as_ref() }),
        by_descheduler: requested_by == Some("sigs.k8s.io/descheduler"),
    };
    Ok(validate_eviction(&eviction, config))
}

/// The instance a launcher pod runs.
fn instance(pod: &Pod, namespace: &str, known: &Known) -> Result<Option<VirtualMachineInstance>, Stop> {
    let name = pod.metadata.annotations.as_ref().and_then(|a| a.get(names::DOMAIN_ANNOTATION));
    known.get(kinds::VMI, namespace, name.map_or("", String::as_str))
}

/// Marks an instance for evacuation from a node.
///
/// An instance without annotations gets one whose key keeps the escape of a JSON pointer, as upstream's patch leaves it.
pub fn mark_for_evacuation(vmi: &mut VirtualMachineInstance, node: &str, descheduler: bool) {
    vmi.status.get_or_insert_default().evacuation_node_name = Some(node.to_owned());
    if !descheduler {
        return;
    }
    let annotations = vmi.metadata.annotations.get_or_insert_default();
    let key = names::EVICTION_SOURCE_ANNOTATION;
    let key = if annotations.is_empty() { key.replace('/', "~1") } else { key.to_owned() };
    annotations.insert(key, "descheduler".to_owned());
}

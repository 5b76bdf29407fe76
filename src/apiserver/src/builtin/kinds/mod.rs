//! The rules of each built-in kind.

mod admission;
mod cluster;
mod config;
mod events;
mod pod;
mod pod_defaults;
mod pod_rules;
mod service;
mod simple;
mod storage;
mod workload;

use serde_json::Value;

use crate::object;

pub use crate::crd::CustomResourceDefinition;
pub use admission::{AdmissionPolicy, AdmissionPolicyBinding, ApiService, WebhookConfiguration};
pub use cluster::{Namespace, Node, Rbac};
pub use config::{ConfigMap, Secret, ServiceAccount};
pub use events::{Event, Lease};
pub use pod::Pod;
pub use service::{EndpointSlice, Endpoints, NetworkPolicy, Service};
pub use simple::{
    CertificateSigningRequest, CsiDriver, Generation, GenerationAndStatus, Plain, PriorityClass, Upsert, VolumeAttachment, WithStatus,
};
pub use storage::{PersistentVolume, PersistentVolumeClaim, StorageClass};
pub use workload::{
    ControllerRevision, CronJob, DaemonSet, Deployment, HorizontalPodAutoscaler, Job, PodDisruptionBudget, PodTemplate, ReplicaSet,
    ReplicationController, StatefulSet,
};

/// Go writes times without `omitempty` as null when they are not set; so do the elements of a list here.
fn null_members(object: &mut Value, path: &[&str], keys: &[&str]) {
    for element in object::list_mut(object, path) {
        if element.is_object() {
            for key in keys {
                object::set_default(element, &[key], Value::Null);
            }
        }
    }
}

/// What changed between two values: the lines of their JSON that differ, with three around them.
fn difference(before: &Value, after: &Value) -> String {
    const AROUND: usize = 3;
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let (before, after) = (pretty(before), pretty(after));
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let most = old.len().min(new.len()) - start;
    let end = old.iter().rev().zip(new.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    let first = start.saturating_sub(AROUND);
    let tail = end.saturating_sub(AROUND);
    let (old_count, new_count) = (old.len() - tail - first, new.len() - tail - first);
    let mut lines = vec![format!("@@ -{},{old_count} +{},{new_count} @@", first + 1, first + 1)];
    let mut add = |sign: &str, part: Option<&[&str]>| {
        lines.extend(part.into_iter().flatten().map(|line| format!("{sign} {line}")));
    };
    add(" ", old.get(first..start));
    add("-", old.get(start..old.len() - end));
    add("+", new.get(start..new.len() - end));
    add(" ", old.get(old.len() - end..old.len() - tail));
    lines.join("\n") + "\n"
}

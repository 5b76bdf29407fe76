//! The rules of each built-in kind.

mod admission;
mod cluster;
mod config;
mod events;
mod jobs;
mod limits;
mod network;
mod pod;
mod pod_defaults;
mod pod_rules;
mod revision;
mod schedule;
mod service;
mod simple;
mod storage;
mod workload;

use serde_json::Value;

use crate::object;

pub use crate::crd::CustomResourceDefinition;
pub use admission::{AdmissionPolicy, AdmissionPolicyBinding, ApiService, MutatingPolicy, WebhookConfiguration};
pub use cluster::{Namespace, Node, Rbac};
pub use config::{ConfigMap, Secret, ServiceAccount};
pub use events::{Event, Lease};
pub use jobs::{CronJob, Job};
pub use limits::{LimitRange, ResourceQuota};
pub use network::{Endpoints, Ingress, NetworkPolicy};
pub use pod::Pod;
pub use revision::ControllerRevision;
pub use service::{EndpointSlice, Service};
pub use simple::{CertificateSigningRequest, CsiDriver, Generation, Plain, PriorityClass, RuntimeClass, VolumeAttachment};
pub use storage::{PersistentVolume, PersistentVolumeClaim, StorageClass};
pub use workload::{
    DaemonSet, Deployment, HorizontalPodAutoscaler, PodDisruptionBudget, PodTemplate, ReplicaSet, ReplicationController, StatefulSet,
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

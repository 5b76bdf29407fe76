//! The rules of each built-in kind.

mod admission;
mod cluster;
mod config;
mod events;
mod pod;
mod pod_defaults;
mod pod_rules;
mod revision;
mod service;
mod simple;
mod storage;
mod workload;

use serde_json::Value;

use crate::object;

pub use crate::crd::CustomResourceDefinition;
pub use admission::{AdmissionPolicy, AdmissionPolicyBinding, ApiService, WebhookConfiguration};
pub use cluster::{Namespace, Node, Rbac};
pub use config::{ConfigMap, LimitRange, Secret, ServiceAccount};
pub use events::{Event, Lease};
pub use pod::Pod;
pub use revision::ControllerRevision;
pub use service::{EndpointSlice, Endpoints, NetworkPolicy, Service};
pub use simple::{
    CertificateSigningRequest, CsiDriver, Generation, GenerationAndStatus, Plain, PriorityClass, VolumeAttachment, WithStatus,
};
pub use storage::{PersistentVolume, PersistentVolumeClaim, StorageClass};
pub use workload::{
    CronJob, DaemonSet, Deployment, HorizontalPodAutoscaler, Job, PodDisruptionBudget, PodTemplate, ReplicaSet,
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

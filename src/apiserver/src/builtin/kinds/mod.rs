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

pub use admission::{AdmissionPolicy, AdmissionPolicyBinding, ApiService, WebhookConfiguration};
pub use crate::crd::CustomResourceDefinition;
pub use cluster::{Namespace, Node, Rbac};
pub use config::{ConfigMap, Secret, ServiceAccount};
pub use events::{Event, Lease};
pub use pod::Pod;
pub use service::{EndpointSlice, Endpoints, NetworkPolicy, Service};
pub use simple::{
    CertificateSigningRequest, CsiDriver, Generation, GenerationAndStatus, Plain, PriorityClass, Upsert, VolumeAttachment,
    WithStatus,
};
pub use storage::{PersistentVolume, PersistentVolumeClaim, StorageClass};
pub use workload::{
    ControllerRevision, CronJob, DaemonSet, Deployment, HorizontalPodAutoscaler, Job, PodDisruptionBudget, PodTemplate,
    ReplicaSet, ReplicationController, StatefulSet,
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

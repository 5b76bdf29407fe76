//! The rules of each built-in kind.

mod admission;
mod cluster;
mod config;
mod events;
mod pod;
mod pod_defaults;
mod service;
mod simple;
mod storage;
mod workload;

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

//! The kubevirt.io API types of every group, and the CustomResourceDefinitions made from them.
//!
//! Types carry the names and the JSON of KubeVirt v1.9; they hold data and no rules (`ferrovirt-admission` has those).
//! Decoding is lenient, as upstream's is: a missing field takes its zero value, an unknown field is dropped, and what is
//! required is the business of the CRD's schema. Optional scalars are `Option`s; where upstream's field is a plain value, a zero
//! counts as absent when the object is encoded again.
#![doc = include_str!("../README.md")]

mod address;
pub mod cdi;
pub mod config;
pub mod crd;
mod kind;
pub mod names;
pub mod quantity;
mod schema;
pub mod v1;
mod zero;

/// instancetype.kubevirt.io: instance types and preferences.
pub mod instancetype {
    mod preference;
    pub mod v1beta1;
}
/// snapshot.kubevirt.io: snapshots and their restoration.
pub mod snapshot {
    pub mod v1beta1;
}
/// clone.kubevirt.io: copies of virtual machines.
pub mod clone {
    pub mod v1beta1;
}
/// pool.kubevirt.io: pools of virtual machines.
pub mod pool {
    pub mod v1beta1;
}
/// export.kubevirt.io: downloads.
pub mod export {
    pub mod v1;
}
/// migrations.kubevirt.io: migration policies.
pub mod migrations {
    pub mod v1alpha1;
}
/// backup.kubevirt.io: backups.
pub mod backup {
    pub mod v1alpha1;
}
/// plugin.kubevirt.io: plugins.
pub mod plugin {
    pub mod v1alpha1;
}

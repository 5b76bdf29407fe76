//! Claims and DataVolumes: how far the storage of a virtual machine is (spec controllers §2.4, §3.5).

use std::collections::BTreeMap;
use std::sync::Arc;

use api::v1::{PersistentVolumeClaimInfo, Volume};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::metadata;

/// CDI's DataVolume, as far as it is read here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolume {
    /// `cdi.kubevirt.io/v1beta1`.
    pub api_version: String,
    /// `DataVolume`.
    pub kind: String,
    /// Its identity.
    pub metadata: ObjectMeta,
    /// What is wanted; CDI's business.
    pub spec: Value,
    /// How far it is.
    pub status: DataVolumeStatus,
}

/// How far a DataVolume is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeStatus {
    /// CDI's phase; empty before it looked.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub phase: String,
    /// Bound, Running, Ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<DataVolumeCondition>,
}

/// A condition of a DataVolume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVolumeCondition {
    /// Bound, Running or Ready.
    pub r#type: String,
    /// True, False or Unknown.
    pub status: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}

impl k8s_openapi::Resource for DataVolume {
    const API_VERSION: &'static str = "cdi.kubevirt.io/v1beta1";
    const GROUP: &'static str = "cdi.kubevirt.io";
    const KIND: &'static str = "DataVolume";
    const VERSION: &'static str = "v1beta1";
    const URL_PATH_SEGMENT: &'static str = "datavolumes";
    type Scope = k8s_openapi::NamespaceResourceScope;
}

impl k8s_openapi::Metadata for DataVolume {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// CDI's phases that matter here; all others are "on the way".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// `Succeeded`: the data is there.
    Succeeded,
    /// `PendingPopulation`: the first consumer's claim gets the data before the pod starts.
    PendingPopulation,
    /// `WaitForFirstConsumer`: somebody has to use the claim first.
    WaitForFirstConsumer,
    /// `Failed`.
    Failed,
    /// `Pending`.
    Pending,
    /// Not looked at yet.
    Unset,
    /// Importing, cloning, uploading and whatever else CDI invents.
    Underway,
}

impl DataVolume {
    /// How far it is.
    pub fn progress(&self) -> Progress {
        match self.status.phase.as_str() {
            "Succeeded" => Progress::Succeeded,
            "PendingPopulation" => Progress::PendingPopulation,
            "WaitForFirstConsumer" => Progress::WaitForFirstConsumer,
            "Failed" => Progress::Failed,
            "Pending" => Progress::Pending,
            "" => Progress::Unset,
            _ => Progress::Underway,
        }
    }

    /// The condition of a type.
    pub fn condition(&self, kind: &str) -> Option<&DataVolumeCondition> {
        self.status.conditions.iter().find(|condition| condition.r#type == kind)
    }
}

/// The storage objects of one namespace, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Storage {
    /// The claims.
    pub claims: BTreeMap<String, Arc<PersistentVolumeClaim>>,
    /// The DataVolumes.
    pub data_volumes: BTreeMap<String, Arc<DataVolume>>,
}

/// Whether what uses a claim may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Yes.
    Ready,
    /// Not before somebody consumed the claim.
    WaitForFirstConsumer,
    /// Not yet.
    NotReady,
    /// There is no such claim.
    Missing,
}

/// The name of the claim behind a volume: DataVolumes and their claims share it.
pub fn claim_name(volume: &Volume) -> Option<&str> {
    volume
        .persistent_volume_claim
        .as_ref()
        .map(|source| source.claim_name.as_str())
        .or_else(|| volume.data_volume.as_ref().map(|source| source.name.as_str()))
        .or_else(|| volume.memory_dump.as_ref().map(|source| source.claim_name.as_str()))
}

/// Whether a volume can be plugged in and out of a running guest.
pub fn is_hotpluggable(volume: &Volume) -> bool {
    volume.persistent_volume_claim.as_ref().is_some_and(|source| source.hotpluggable == Some(true))
        || volume.data_volume.as_ref().is_some_and(|source| source.hotpluggable == Some(true))
        || volume.memory_dump.is_some()
}

impl Storage {
    /// The DataVolumes of volumes: those named, and the controllers of claims that are named (spec controllers §2.2 step 5).
    pub fn data_volumes_of<'a>(&'a self, volumes: &'a [Volume]) -> Vec<&'a Arc<DataVolume>> {
        volumes
            .iter()
            .filter_map(|volume| {
                if let Some(source) = &volume.data_volume {
                    return self.data_volumes.get(&source.name);
                }
                let source = volume.persistent_volume_claim.as_ref()?;
                self.owner_of(self.claims.get(&source.claim_name)?)
            })
            .collect()
    }

    /// The DataVolume that controls a claim.
    pub fn owner_of(&self, claim: &PersistentVolumeClaim) -> Option<&Arc<DataVolume>> {
        let owner = metadata::controller(&claim.metadata).filter(|owner| owner.kind == "DataVolume")?;
        self.data_volumes.get(&owner.name)
    }

    /// Whether what uses the claim may start (spec controllers §2.4). Only claims that CDI populates are waited for: of a
    /// plain claim that waits for its first consumer, the launcher is that consumer.
    pub fn readiness(&self, claim: &str) -> Readiness {
        let Some(found) = self.claims.get(claim) else { return Readiness::Missing };
        let populated_for = metadata::annotation(&found.metadata, "cdi.kubevirt.io/storage.populatedFor");
        let owner = self.owner_of(found).or_else(|| self.data_volumes.get(populated_for?));
        match owner.map(|owner| owner.progress()) {
            None | Some(Progress::Succeeded | Progress::PendingPopulation) => Readiness::Ready,
            Some(Progress::WaitForFirstConsumer) => Readiness::WaitForFirstConsumer,
            Some(Progress::Failed | Progress::Pending | Progress::Unset | Progress::Underway) => Readiness::NotReady,
        }
    }
}

/// What a VMI's status says about a claim (spec controllers §2.9).
pub fn claim_info(claim: &PersistentVolumeClaim) -> PersistentVolumeClaimInfo {
    let spec = claim.spec.clone().unwrap_or_default();
    let preallocated = claim
        .metadata
        .annotations
        .iter()
        .flatten()
        .any(|(key, value)| (key.contains("/storage.preallocation") || key.contains("/storage.thick-provisioned")) && value == "true");
    let block = spec.volume_mode.as_deref() == Some("Block");
    PersistentVolumeClaimInfo {
        claim_name: claim.metadata.name.clone(),
        access_modes: spec.access_modes.unwrap_or_default(),
        volume_mode: spec.volume_mode,
        capacity: claim.status.as_ref().and_then(|status| status.capacity.clone()).unwrap_or_default(),
        requests: spec.resources.and_then(|resources| resources.requests).unwrap_or_default(),
        preallocated: preallocated.then_some(true),
        filesystem_overhead: Some(if block { "0" } else { DEFAULT_FILESYSTEM_OVERHEAD }.to_owned()),
    }
}

/// What is kept free on a file system when CDI does not say.
const DEFAULT_FILESYSTEM_OVERHEAD: &str = "0.055";

//! Migrations of instances.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::v1::VirtualMachineInstanceMigrationState;

/// A request to move an instance to another node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceMigrationSpec {
    /// The instance to move.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub vmi_name: Option<String>,
    /// Labels the target node must carry besides the instance's own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub added_node_selector: BTreeMap<String, String>,
    /// Sends the guest to another cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_to: Option<VirtualMachineInstanceMigrationSource>,
    /// Takes a guest in from another cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive: Option<VirtualMachineInstanceMigrationTarget>,
    /// Its place among waiting migrations. Only virt-controller sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
}

/// `sendTo` of a VirtualMachineInstanceMigrationSpec: decentralized: push to a remote sync controller (gate DecentralizedLiveMigration).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceMigrationSource {
    /// What ties both halves of a migration between clusters together.
    #[serde(rename = "migrationID")]
    pub migration_id: String,
    /// Where the receiving cluster listens.
    #[serde(rename = "connectURL")]
    pub connect_url: String,
}

/// `receive` of a VirtualMachineInstanceMigrationSpec: decentralized: accept a remote VMI.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceMigrationTarget {
    /// What ties both halves of a migration between clusters together.
    #[serde(rename = "migrationID")]
    pub migration_id: String,
}

/// How far a migration is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceMigrationStatus {
    /// Where the object is in its life.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub phase: Option<String>,
    /// What is known about the object now, one entry a type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub conditions: Vec<VirtualMachineInstanceMigrationCondition>,
    /// When each phase was entered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phase_transition_timestamps: Vec<VirtualMachineInstanceMigrationPhaseTransitionTimestamp>,
    /// How the current or last migration goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migration_state: Option<Box<VirtualMachineInstanceMigrationState>>,
    /// Where the synchronization controller listens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub synchronization_addresses: Vec<String>,
}

/// `conditions` of a VirtualMachineInstanceMigrationStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceMigrationCondition {
    /// Which kind this is; one of migrationAbortRequested, migrationRejectedByResourceQuota, migrationBlockedByUtilityVolumes, decentralizedMigrationBlocked, migrationBlockedByBackup.
    pub r#type: String,
    /// True, False or Unknown.
    pub status: String,
    /// When the condition was last examined.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub last_probe_time: Option<Time>,
    /// When the status last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("nullable" = true))]
    pub last_transition_time: Option<Time>,
    /// A machine-readable cause, one word.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub reason: Option<String>,
    /// What happened, for a reader.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub message: Option<String>,
}

/// `phaseTransitionTimestamps` of a VirtualMachineInstanceMigrationStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualMachineInstanceMigrationPhaseTransitionTimestamp {
    /// Where the object is in its life.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub phase: Option<String>,
    /// When the phase was entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase_transition_timestamp: Option<Time>,
}

//! migrations.kubevirt.io/v1alpha1: migration policies.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::kind;
use crate::v1::ExperimentalMigrationOptions;

kind!(
    /// Migration settings for the guests it selects.
    MigrationPolicy, "migrations.kubevirt.io", "v1alpha1", "migrationpolicies", ClusterResourceScope, MigrationPolicySpec, MigrationPolicyStatus
);

/// Migration policy spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MigrationPolicySpec {
    /// What is selected: all listed labels must match; more matched labels wins, tie → lowest name.
    #[schemars(with = "Selectors")]
    pub selectors: Option<Selectors>,
    /// Whether the guest may be slowed down to let a migration finish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_auto_converge: Option<bool>,
    /// The most a migration may transfer in a second.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "crate::quantity::opt")]
    pub bandwidth_per_migration: Option<Quantity>,
    /// Seconds granted per GiB of guest memory before a migration is given up.
    #[serde(rename = "completionTimeoutPerGiB", skip_serializing_if = "Option::is_none")]
    pub completion_timeout_per_gib: Option<i64>,
    /// The longest pause a migration may cause, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 1, "maximum" = 2_000_000))]
    pub max_downtime_ms: Option<u64>,
    /// Whether the guest may run on the target before all memory is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_post_copy: Option<bool>,
    /// Whether a slow migration may pause the guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_workload_disruption: Option<bool>,
    /// Settings that may change without notice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experimental: Option<Box<ExperimentalMigrationOptions>>,
}

/// `selectors` of a MigrationPolicySpec: all listed labels must match; more matched labels wins, tie → lowest name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Selectors {
    /// Labels of the namespace.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub namespace_selector: BTreeMap<String, String>,
    /// Labels of the instance.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub virtual_machine_instance_selector: BTreeMap<String, String>,
}

/// Migration policy status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MigrationPolicyStatus {}

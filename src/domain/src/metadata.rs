//! KubeVirt's own element inside `<metadata>`.
//!
//! The XML that is defined carries only an empty `<uid/>`; the launcher keeps the real content and lays it over the domain
//! it reports. Source: spec/domain-xml.md §6.14.

use serde::{Deserialize, Serialize};

use crate::element::element;

/// The namespace of [`KubevirtMetadata`].
pub const KUBEVIRT_NAMESPACE: &str = "http://kubevirt.io";

element! {
    /// `<metadata>`; other tools' elements in it are dropped on parse.
    Metadata {
        req "kubevirt" kubevirt: KubevirtMetadata,
    }
}

/// `<kubevirt xmlns="http://kubevirt.io">`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubevirtMetadata {
    /// The namespace, always [`KUBEVIRT_NAMESPACE`].
    #[serde(rename = "@xmlns", default = "namespace")]
    pub namespace: String,
    /// The VMI's UID; empty in the XML that is defined.
    #[serde(default)]
    pub uid: String,
    /// How long the guest may take to shut down.
    #[serde(rename = "graceperiod", default, skip_serializing_if = "Option::is_none")]
    pub grace_period: Option<GracePeriod>,
    /// The last migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<MigrationMetadata>,
    /// The last change of guest credentials.
    #[serde(rename = "accessCredential", default, skip_serializing_if = "Option::is_none")]
    pub access_credential: Option<AccessCredentialMetadata>,
    /// The last memory dump.
    #[serde(rename = "memoryDump", default, skip_serializing_if = "Option::is_none")]
    pub memory_dump: Option<MemoryDumpMetadata>,
}

fn namespace() -> String {
    KUBEVIRT_NAMESPACE.to_owned()
}

impl Default for KubevirtMetadata {
    fn default() -> Self {
        Self { namespace: namespace(), uid: String::new(), grace_period: None, migration: None, access_credential: None, memory_dump: None }
    }
}

element! {
    /// The grace period, in seconds, and whether it runs. Times are RFC 3339.
    GracePeriod {
        opt "deletionGracePeriodSeconds" deletion_grace_period_seconds: i64,
        opt "deletionTimestamp" deletion_timestamp: String,
        opt "markedForGracefulShutdown" marked_for_graceful_shutdown: bool,
    }
}

element! {
    /// A migration's course. Times are RFC 3339.
    MigrationMetadata {
        opt "uid" uid: String,
        opt "startTimestamp" start_timestamp: String,
        opt "endTimestamp" end_timestamp: String,
        opt "failed" failed: bool,
        opt "failureReason" failure_reason: String,
        opt "abortStatus" abort_status: String,
        opt "mode" mode: String,
    }
}

element! {
    /// Whether the guest took the credentials.
    AccessCredentialMetadata {
        opt "succeeded" succeeded: bool,
        opt "message" message: String,
    }
}

element! {
    /// A memory dump's course. Times are RFC 3339.
    MemoryDumpMetadata {
        opt "fileName" file_name: String,
        opt "startTimestamp" start_timestamp: String,
        opt "endTimestamp" end_timestamp: String,
        opt "completed" completed: bool,
        opt "failed" failed: bool,
        opt "failureReason" failure_reason: String,
    }
}

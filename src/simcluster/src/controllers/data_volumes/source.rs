//! Where the data of a DataVolume comes from.

use serde_json::Value;

use super::objects::{DataSource, DataVolume, text};
use crate::store::{Key, Store};

/// Where data comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A server: http, registry, s3, ….
    Server,
    /// Nowhere: an empty disk.
    Blank,
    /// Another claim.
    Claim {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A snapshot of a volume.
    Snapshot {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Somebody who sends it.
    Upload,
    /// Somebody else's populator.
    External,
}

/// The words of a transfer's phases and events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Words {
    /// The phase before it begins; also the reason of the event.
    pub(crate) scheduled: &'static str,
    /// The phase while it goes on.
    pub(crate) underway: &'static str,
    /// The reason of the event at its end.
    pub(crate) succeeded: &'static str,
    /// The reason of the event at its failure.
    pub(crate) failed: &'static str,
    /// The message of the condition at its end.
    pub(crate) complete: &'static str,
}

const IMPORT: Words = Words {
    scheduled: "ImportScheduled",
    underway: "ImportInProgress",
    succeeded: "ImportSucceeded",
    failed: "ImportFailed",
    complete: "Import Complete",
};
const CLONE: Words = Words {
    scheduled: "CloneScheduled",
    underway: "CloneInProgress",
    succeeded: "CloneSucceeded",
    failed: "CloneFailed",
    complete: "Clone Complete",
};
const UPLOAD: Words = Words {
    scheduled: "UploadScheduled",
    underway: "UploadReady",
    succeeded: "UploadSucceeded",
    failed: "UploadFailed",
    complete: "Upload Complete",
};

impl Source {
    /// The source of a DataVolume; references are followed through DataSources.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn of(volume: &DataVolume, sources: &Store<DataSource>) -> Result<Self, String> {
        let namespace = volume.metadata.namespace.clone().unwrap_or_default();
        let reference = volume.spec.get("sourceRef").filter(|reference| reference.is_object());
        let Some(reference) = reference else {
            return match volume.spec.get("source").filter(|source| source.is_object()) {
                Some(source) => Self::read(source, &namespace),
                // The claim names its own populator, or nothing at all.
                None => Ok(Self::External),
            };
        };
        if text(reference, "/kind") != "DataSource" {
            return Err(format!("DataVolume sourceRef kind {:?} is not supported", text(reference, "/kind")));
        }
        let mut key = Key::new(or(text(reference, "/namespace"), &namespace), text(reference, "/name"));
        // As deep as references may go.
        for _ in 0..2 {
            let Some(found) = sources.get(&key) else { return Err(format!("DataSource {key} not found")) };
            let source = found.spec.get("source").cloned().unwrap_or_default();
            let Some(next) = source.get("dataSource").filter(|next| next.is_object()) else { return Self::read(&source, &key.namespace) };
            key = Key::new(or(text(next, "/namespace"), &key.namespace), text(next, "/name"));
        }
        Err(format!("DataSource {key} refers to another one too often"))
    }

    fn read(source: &Value, namespace: &str) -> Result<Self, String> {
        let named = |kind: &str| {
            let found = source.get(kind).filter(|found| found.is_object())?;
            Some((or(text(found, "/namespace"), namespace), text(found, "/name").to_owned()))
        };
        if let Some((namespace, name)) = named("pvc") {
            return Ok(Self::Claim { namespace, name });
        }
        if let Some((namespace, name)) = named("snapshot") {
            return Ok(Self::Snapshot { namespace, name });
        }
        let has = |kind: &str| source.get(kind).is_some_and(|found| !found.is_null());
        if has("blank") {
            return Ok(Self::Blank);
        }
        if has("upload") {
            return Ok(Self::Upload);
        }
        if ["http", "registry", "s3", "gcs", "imageio", "vddk"].into_iter().any(has) {
            return Ok(Self::Server);
        }
        Err("Datavolume Spec is not valid - no source".to_owned())
    }

    /// The words of its transfers.
    pub(crate) fn words(&self) -> Words {
        match self {
            Self::Server | Self::Blank | Self::External => IMPORT,
            Self::Claim { .. } | Self::Snapshot { .. } => CLONE,
            Self::Upload => UPLOAD,
        }
    }

    /// The message of a transfer's event with this reason.
    pub(crate) fn message(&self, reason: &str, target: &Key) -> String {
        let name = &target.name;
        match (self, reason) {
            (Self::Claim { namespace, name } | Self::Snapshot { namespace, name }, _) => {
                let between = format!("from {namespace}/{name} into {target}");
                match reason {
                    "CloneScheduled" => format!("Cloning {between} scheduled"),
                    "CloneInProgress" => format!("Cloning {between} in progress"),
                    "CloneSucceeded" => format!("Successfully cloned {between}"),
                    _ => format!("Cloning {between} failed"),
                }
            }
            (_, "ImportScheduled") => format!("Import into {name} scheduled"),
            (_, "ImportInProgress") => format!("Import into {name} in progress"),
            (_, "ImportSucceeded") => format!("Successfully imported into PVC {name}"),
            (_, "UploadScheduled") => format!("Upload into {name} scheduled"),
            (_, "UploadReady") => format!("Upload into {name} ready"),
            (_, "UploadSucceeded") => format!("Successfully uploaded into {name}"),
            (_, "UploadFailed") => format!("Upload into {name} failed"),
            _ => format!("Failed to import into PVC {name}"),
        }
    }
}

fn or(text: &str, otherwise: &str) -> String {
    if text.is_empty() { otherwise } else { text }.to_owned()
}

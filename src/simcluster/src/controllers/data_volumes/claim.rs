//! The claim that a DataVolume makes.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::{Value, json};

use super::objects::{DataVolume, GROUP, text};
use super::source::Source;
use crate::quantity::milli;
use crate::storage::annotation;

/// Whether the data comes before the claim is bound, instead of afterwards.
pub(crate) const USE_POPULATOR: &str = "cdi.kubevirt.io/storage.usePopulator";
/// The end of the transfer into a claim.
pub(crate) const POD_PHASE: &str = "cdi.kubevirt.io/storage.pod.phase";
/// Whether an upload may begin.
pub(crate) const POD_READY: &str = "cdi.kubevirt.io/storage.pod.ready";
/// The part of a file system that its own data takes, in hundredths.
const FILESYSTEM_OVERHEAD_PERCENT: i128 = 6;

/// Whether data has to be put into a claim before it is bound.
pub(crate) fn is_populated(claim: &PersistentVolumeClaim) -> bool {
    let source = claim.spec.as_ref().and_then(|spec| spec.data_source_ref.as_ref());
    source.is_some_and(|source| source.api_group.as_deref() == Some(GROUP))
}

/// Whether the data is in a claim.
pub(crate) fn has_data(claim: &PersistentVolumeClaim) -> bool {
    annotation(&claim.metadata, POD_PHASE) == Some("Succeeded")
}

/// The claim of a DataVolume.
///
/// # Errors
/// Why there is none.
pub(crate) fn of(volume: &DataVolume, source: &Source, origin: Option<&PersistentVolumeClaim>, populator: bool) -> Result<Value, String> {
    let meta = &volume.metadata;
    let mut spec = match (volume.spec.get("pvc").filter(|pvc| pvc.is_object()), volume.spec.get("storage").filter(|s| s.is_object())) {
        (Some(_), Some(_)) => return Err("Datavolume Spec is not valid - both pvc and storage are set".to_owned()),
        (Some(pvc), None) => pvc.clone(),
        (None, Some(storage)) => from_storage(storage, origin)?,
        (None, None) => return Err("Datavolume Spec is not valid - missing pvc/storage".to_owned()),
    };
    let uid = meta.uid.clone().unwrap_or_default();
    if populator {
        let (kind, name) = match source {
            Source::Claim { .. } | Source::Snapshot { .. } => ("VolumeCloneSource", "volume-clone-source"),
            Source::Upload => ("VolumeUploadSource", "volume-upload-source"),
            _ => ("VolumeImportSource", "volume-import-source"),
        };
        spec["dataSourceRef"] = json!({"apiGroup": GROUP, "kind": kind, "name": format!("{name}-{uid}")});
    }
    let mut labels = meta.labels.clone().unwrap_or_default();
    for (key, value) in [
        ("app", "containerized-data-importer"),
        ("app.kubernetes.io/component", "storage"),
        ("app.kubernetes.io/managed-by", "cdi-controller"),
        ("alerts.k8s.io/KubePersistentVolumeFillingUp", "disabled"),
    ] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    let mut annotations = meta.annotations.clone().unwrap_or_default();
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    annotations.insert("cdi.kubevirt.io/storage.contentType".to_owned(), "kubevirt".to_owned());
    annotations.insert("cdi.kubevirt.io/createdForDataVolume".to_owned(), uid.clone());
    annotations.insert(USE_POPULATOR.to_owned(), populator.to_string());
    if *source == Source::Upload {
        annotations.insert("cdi.kubevirt.io/storage.upload.target".to_owned(), String::new());
    }
    Ok(json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": meta.name, "namespace": meta.namespace, "labels": labels, "annotations": annotations,
            "ownerReferences": [owner(volume)]
        },
        "spec": spec
    }))
}

/// The reference of a claim to its DataVolume.
pub(crate) fn owner(volume: &DataVolume) -> Value {
    json!({
        "apiVersion": "cdi.kubevirt.io/v1beta1", "kind": "DataVolume", "name": volume.metadata.name, "uid": volume.metadata.uid,
        "controller": true, "blockOwnerDeletion": true
    })
}

/// A claim's spec from a `storage` section: modes are filled in, and a file system gets room for its own data.
fn from_storage(storage: &Value, origin: Option<&PersistentVolumeClaim>) -> Result<Value, String> {
    let mut spec = storage.clone();
    let from = origin.and_then(|claim| claim.spec.as_ref());
    if spec.get("accessModes").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        spec["accessModes"] =
            from.and_then(|spec| spec.access_modes.clone()).map_or_else(|| json!(["ReadWriteOnce"]), |modes| json!(modes));
    }
    if text(&spec, "/volumeMode").is_empty() {
        spec["volumeMode"] = json!(from.and_then(|spec| spec.volume_mode.clone()).unwrap_or_else(|| "Filesystem".to_owned()));
    }
    let asked = text(&spec, "/resources/requests/storage").to_owned();
    if asked.is_empty() {
        // A clone is at least as large as its source, which has its overhead already.
        let size = from.and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage").cloned());
        let size = size.ok_or("Datavolume Spec is not valid - missing storage size")?;
        spec["resources"] = json!({"requests": {"storage": size}});
    } else if text(&spec, "/volumeMode") == "Filesystem" {
        let bytes = milli(&asked) / 1000;
        let inflated = (bytes * (100 + FILESYSTEM_OVERHEAD_PERCENT) + 99) / 100;
        spec["resources"]["requests"]["storage"] = json!(inflated.to_string());
    }
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(spec: Value) -> DataVolume {
        DataVolume { spec, ..DataVolume::default() }
    }

    #[test]
    fn storage_leaves_room_for_the_file_system() {
        let made = of(&volume(json!({"storage": {"resources": {"requests": {"storage": "1Gi"}}}})), &Source::Blank, None, true).unwrap();
        assert_eq!(made["spec"]["resources"]["requests"]["storage"], "1138166334");
        assert_eq!(made["spec"]["accessModes"], json!(["ReadWriteOnce"]));
        assert_eq!(made["spec"]["dataSourceRef"]["kind"], "VolumeImportSource");
    }

    #[test]
    fn a_block_volume_and_a_plain_claim_are_as_large_as_asked() {
        let storage = json!({"storage": {"volumeMode": "Block", "resources": {"requests": {"storage": "1Gi"}}}});
        assert_eq!(of(&volume(storage), &Source::Blank, None, false).unwrap()["spec"]["resources"]["requests"]["storage"], "1Gi");
        let pvc = json!({"pvc": {"resources": {"requests": {"storage": "1Gi"}}}});
        let made = of(&volume(pvc), &Source::Blank, None, false).unwrap();
        assert_eq!(made["spec"], json!({"resources": {"requests": {"storage": "1Gi"}}}));
    }

    #[test]
    fn a_clone_takes_the_size_of_its_source() {
        let origin: PersistentVolumeClaim =
            serde_json::from_value(json!({"spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "3Gi"}}}}))
                .unwrap();
        let source = Source::Claim { namespace: "images".to_owned(), name: "golden".to_owned() };
        let made = of(&volume(json!({"storage": {}})), &source, Some(&origin), true).unwrap();
        assert_eq!(made["spec"]["resources"]["requests"]["storage"], "3Gi");
        assert_eq!(made["spec"]["accessModes"], json!(["ReadWriteMany"]));
        assert_eq!(
            of(&volume(json!({"storage": {}})), &source, None, true),
            Err("Datavolume Spec is not valid - missing storage size".into())
        );
    }
}

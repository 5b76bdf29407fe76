//! Storage.

use serde_json::{Value, json};

use super::null_members;
use crate::admission::quantity::Quantity;
use crate::builtin::gostruct::{self, Struct};
use crate::builtin::{Context, Strategy};
use crate::error::{ApiError, FieldError};
use crate::object;

const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

fn check_modes(object: &Value, wrong: &mut Vec<FieldError>) {
    let modes = object::strings(object, &["spec", "accessModes"]);
    if modes.is_empty() {
        wrong.push(FieldError::required("spec.accessModes", "at least 1 access mode is required"));
    }
    for mode in modes.iter().filter(|mode| !MODES.contains(mode)) {
        wrong.push(FieldError::not_supported("spec.accessModes", *mode, &MODES));
    }
    if modes.len() > 1 && modes.contains(&"ReadWriteOncePod") {
        wrong.push(FieldError::forbidden("spec.accessModes", "may not use ReadWriteOncePod with other access modes"));
    }
}

fn check_volume_mode(object: &Value, wrong: &mut Vec<FieldError>) {
    let mode = object::text(object, &["spec", "volumeMode"]);
    if !matches!(mode, "" | "Block" | "Filesystem") {
        wrong.push(FieldError::not_supported("spec.volumeMode", mode, &["Block", "Filesystem"]));
    }
}

/// Adds a finalizer that protects what is in use.
fn protect(object: &mut Value, finalizer: &str) {
    let mut finalizers = object::finalizers(object);
    if !finalizers.contains(&finalizer) {
        finalizers.push(finalizer);
    }
    let finalizers = json!(finalizers);
    object::set(object, &["metadata", "finalizers"], finalizers);
}

/// `PersistentVolumeClaim`.
#[derive(Debug)]
pub struct PersistentVolumeClaim;

impl Strategy for PersistentVolumeClaim {
    fn has_status(&self) -> bool {
        true
    }

    fn default(&self, object: &mut Value, _version: &str) {
        object::set_default(object, &["spec", "volumeMode"], "Filesystem");
        object::set_default(object, &["spec", "resources"], json!({}));
        object::set_default(object, &["status", "phase"], "Pending");
        for key in ["dataSource", "dataSourceRef"] {
            if object::at(object, &["spec", key]).is_some() {
                object::set_default(object, &["spec", key, "apiGroup"], Value::Null);
            }
        }
        null_members(object, &["status", "conditions"], &["lastProbeTime", "lastTransitionTime"]);
    }

    fn prepare_create(&self, _cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
        object::set(object, &["status"], json!({"phase": "Pending"}));
        protect(object, "kubernetes.io/pvc-protection");
        // The two spellings of the source follow each other.
        let source = object::at(object, &["spec", "dataSource"]).cloned();
        let reference = object::at(object, &["spec", "dataSourceRef"]).cloned();
        match (source, reference) {
            (Some(source), None) => object::set(object, &["spec", "dataSourceRef"], source),
            (None, Some(reference)) if object::text(&reference, &["namespace"]).is_empty() => {
                object::set(object, &["spec", "dataSource"], reference);
            }
            _ => {}
        }
        Ok(())
    }

    fn prepare_update(&self, cx: &Context<'_>, object: &mut Value, old: &Value) -> Result<(), ApiError> {
        if cx.subresource == "status" {
            object::copy(object, old, &["spec"]);
        }
        Ok(())
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        check_modes(object, &mut wrong);
        let field = "spec.resources[storage]";
        match object::at(object, &["spec", "resources", "requests", "storage"]) {
            None => wrong.push(FieldError::required(field, "")),
            Some(value) => {
                if Quantity::of(value).is_none_or(|size| size <= Quantity::whole(0)) {
                    wrong.push(FieldError::invalid(field, value.clone(), "must be greater than zero"));
                }
            }
        }
        check_volume_mode(object, &mut wrong);
        if let Some(class) = object::at(object, &["spec", "storageClassName"]).and_then(Value::as_str).filter(|c| !c.is_empty()) {
            let texts = crate::registry::names::subdomain(class);
            wrong.extend(texts.into_iter().map(|text| FieldError::invalid("spec.storageClassName", class, text)));
        }
        wrong
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if cx.subresource == "status" {
            return Vec::new();
        }
        let mut wrong = self.validate(cx, object);
        let size = |claim: &Value| object::at(claim, &["spec", "resources", "requests", "storage"]).and_then(Quantity::of);
        let bound = object::text(old, &["status", "phase"]) == "Bound";
        let mut same = object.get("spec").cloned().unwrap_or(Value::Null);
        let mut before = old.get("spec").cloned().unwrap_or(Value::Null);
        let grows = size(object) > size(old);
        for spec in [&mut same, &mut before] {
            if bound && grows {
                object::remove(spec, &["resources", "requests"]);
            }
            object::remove(spec, &["volumeAttributesClassName"]);
        }
        // A claim may be told its volume once, and its class while it has none.
        for key in ["volumeName", "storageClassName"] {
            if object::text(&before, &[key]).is_empty() && (key == "volumeName" || before.get(key).is_none()) {
                object::remove(&mut same, &[key]);
            }
        }
        if same != before {
            wrong.push(FieldError::forbidden(
                "spec",
                format!(
                    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n{}",
                    gostruct::difference(Struct::PersistentVolumeClaimSpec, &before, &same)
                ),
            ));
        } else if size(object) < size(old) {
            wrong.push(FieldError::forbidden("spec.resources.requests.storage", "field can not be less than status.capacity"));
        }
        wrong
    }
}

/// `PersistentVolume`.
#[derive(Debug)]
pub struct PersistentVolume;

const SOURCES: [&str; 22] = [
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "glusterfs",
    "hostPath",
    "iscsi",
    "local",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];

impl Strategy for PersistentVolume {
    fn has_status(&self) -> bool {
        true
    }

    fn default(&self, object: &mut Value, _version: &str) {
        object::set_default(object, &["spec", "persistentVolumeReclaimPolicy"], "Retain");
        object::set_default(object, &["spec", "volumeMode"], "Filesystem");
        object::set_default(object, &["status", "phase"], "Pending");
        if object::at(object, &["spec", "hostPath"]).is_some() {
            object::set_default(object, &["spec", "hostPath", "type"], "");
        }
    }

    fn prepare_create(&self, cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
        let now = cx.core.env.timestamp();
        object::set(object, &["status"], json!({"phase": "Pending", "lastPhaseTransitionTime": now}));
        protect(object, "kubernetes.io/pv-protection");
        Ok(())
    }

    fn prepare_update(&self, cx: &Context<'_>, object: &mut Value, old: &Value) -> Result<(), ApiError> {
        if cx.subresource == "status" {
            object::copy(object, old, &["spec"]);
            if object::text(object, &["status", "phase"]) != object::text(old, &["status", "phase"]) {
                object::set(object, &["status", "lastPhaseTransitionTime"], cx.core.env.timestamp());
            }
        }
        Ok(())
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        let has = |name: &str| object::at(object, &["spec", name]).is_some();
        if object::strings(object, &["spec", "accessModes"]).is_empty() {
            wrong.push(FieldError::required("spec.accessModes", ""));
        } else {
            check_modes(object, &mut wrong);
        }
        let capacity = object::map(object, &["spec", "capacity"]);
        if capacity.is_none_or(serde_json::Map::is_empty) {
            wrong.push(FieldError::required("spec.capacity", ""));
        }
        if !capacity.is_some_and(|capacity| capacity.len() == 1 && capacity.contains_key("storage")) {
            let found = object::at(object, &["spec", "capacity"]).cloned().unwrap_or(Value::Null);
            wrong.push(FieldError::not_supported("spec.capacity", found, &["storage"]));
        }
        let mut present = SOURCES.iter().filter(|name| has(name));
        if present.next().is_none() {
            wrong.push(FieldError::required("spec", "must specify a volume type"));
        }
        for name in present {
            wrong.push(FieldError::forbidden(format!("spec.{name}"), "may not specify more than 1 volume type"));
        }
        let policy = object::text(object, &["spec", "persistentVolumeReclaimPolicy"]);
        if !matches!(policy, "Delete" | "Recycle" | "Retain") {
            let known = ["Delete", "Recycle", "Retain"];
            wrong.push(FieldError::not_supported("spec.persistentVolumeReclaimPolicy", policy, &known));
        }
        check_volume_mode(object, &mut wrong);
        wrong
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if cx.subresource == "status" {
            return Vec::new();
        }
        let mut wrong = self.validate(cx, object);
        let source =
            |volume: &Value| -> Vec<Option<Value>> { SOURCES.iter().map(|name| object::at(volume, &["spec", name]).cloned()).collect() };
        if source(object) != source(old) {
            wrong.push(FieldError::forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation\n"));
        }
        if object::at(object, &["spec", "volumeMode"]) != object::at(old, &["spec", "volumeMode"]) {
            let mode = object::text(object, &["spec", "volumeMode"]);
            wrong.push(FieldError::invalid("spec.volumeMode", mode, "field is immutable"));
        }
        wrong
    }
}

/// `StorageClass`.
#[derive(Debug)]
pub struct StorageClass;

impl Strategy for StorageClass {
    fn default(&self, object: &mut Value, _version: &str) {
        object::set_default(object, &["reclaimPolicy"], "Delete");
        object::set_default(object, &["volumeBindingMode"], "Immediate");
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        let provisioner = object::text(object, &["provisioner"]);
        if provisioner.is_empty() {
            wrong.push(FieldError::required("provisioner", ""));
        } else {
            let texts = crate::registry::names::qualified_name(&provisioner.to_lowercase());
            wrong.extend(texts.into_iter().map(|text| FieldError::invalid("provisioner", provisioner, text)));
        }
        let policy = object::text(object, &["reclaimPolicy"]);
        if !matches!(policy, "Delete" | "Retain") {
            wrong.push(FieldError::not_supported("reclaimPolicy", policy, &["Delete", "Retain"]));
        }
        let mode = object::text(object, &["volumeBindingMode"]);
        if !matches!(mode, "Immediate" | "WaitForFirstConsumer") {
            let known = ["Immediate", "WaitForFirstConsumer"];
            wrong.push(FieldError::not_supported("volumeBindingMode", mode, &known));
        }
        wrong
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut wrong = self.validate(cx, object);
        for (key, detail) in [
            ("parameters", "field is immutable"),
            ("provisioner", "field is immutable"),
            ("reclaimPolicy", "field is immutable"),
            ("volumeBindingMode", "field is immutable"),
        ] {
            if object.get(key) != old.get(key) {
                wrong.push(FieldError::invalid(key, object.get(key).cloned().unwrap_or(Value::Null), detail));
            }
        }
        wrong
    }
}

//! DefaultStorageClass, StorageObjectInUseProtection and PersistentVolumeClaimResize.
//!
//! Facts: `plugin/pkg/admission/storage/{storageclass/setdefault,storageobjectinuseprotection,persistentvolume/resize}`.

use serde_json::Value;

use super::quantity::Quantity;
use super::{Attributes, Chain, Operation};
use crate::error::ApiError;
use crate::object;

const GROUP: &str = "storage.k8s.io";
const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
const DEFAULT_CLASS: [&str; 2] = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

pub(super) fn admit(chain: &Chain, attributes: &mut Attributes) {
    if attributes.operation != Operation::Create {
        return;
    }
    if attributes.is("", "persistentvolumeclaims") {
        let Some(claim) = &mut attributes.object else { return };
        let names_class = object::at(claim, &["spec", "storageClassName"]).is_some_and(Value::is_string)
            || object::at(claim, &["metadata", "annotations", BETA_CLASS]).is_some();
        if !names_class && let Some(class) = default_class(chain) {
            object::set(claim, &["spec", "storageClassName"], object::name(&class));
        }
        protect(claim, "kubernetes.io/pvc-protection");
    } else if attributes.is("", "persistentvolumes")
        && let Some(volume) = &mut attributes.object
    {
        protect(volume, "kubernetes.io/pv-protection");
    }
}

fn protect(object: &mut Value, finalizer: &str) {
    let mut finalizers: Vec<String> = object::finalizers(object).into_iter().map(ToOwned::to_owned).collect();
    if !finalizers.iter().any(|f| f == finalizer) {
        finalizers.push(finalizer.to_owned());
        object::set(object, &["metadata", "finalizers"], finalizers);
    }
}

/// The default class; of several the newest, then the first by name.
fn default_class(chain: &Chain) -> Option<Value> {
    let is_default =
        |class: &Value| DEFAULT_CLASS.iter().any(|annotation| object::text(class, &["metadata", "annotations", annotation]) == "true");
    let mut classes: Vec<Value> = chain.list(GROUP, "storageclasses", None).into_iter().filter(is_default).collect();
    let created = |class: &Value| object::text(class, &["metadata", "creationTimestamp"]).to_owned();
    classes.sort_by(|a, b| created(b).cmp(&created(a)).then_with(|| object::name(a).cmp(object::name(b))));
    classes.into_iter().next()
}

pub(super) fn validate(chain: &Chain, attributes: &Attributes) -> Result<(), ApiError> {
    if attributes.operation != Operation::Update || !attributes.is("", "persistentvolumeclaims") {
        return Ok(());
    }
    let (Some(new), Some(old)) = (&attributes.object, &attributes.old_object) else { return Ok(()) };
    let size = |claim: &Value| object::at(claim, &["spec", "resources", "requests", "storage"]).and_then(Quantity::of);
    if size(new) <= size(old) || size(old).is_none() {
        return Ok(());
    }
    if object::text(old, &["status", "phase"]) != "Bound" {
        return Err(attributes.forbidden("Only bound persistent volume claims can be expanded"));
    }
    let class = object::text(new, &["spec", "storageClassName"]);
    let expands = chain.get(GROUP, "storageclasses", "", class).is_some_and(|class| object::flag(&class, &["allowVolumeExpansion"]));
    if expands {
        Ok(())
    } else {
        Err(attributes
            .forbidden("only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"))
    }
}

//! Taking objects in and letting them go: owner references, guarded by what was read (spec controllers §1.5).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::json;

use crate::guarded::GuardedPatch;
use crate::metadata;
use crate::plan::{Action, Kind, ObjectRef};

/// The write that makes `owner` the controller of an object that has none. Whoever applies it first asks the API server, not a
/// cache, whether the owner is still there: an object with an owner that is gone is garbage.
pub fn adopt(owner: &ObjectRef, kind: &Kind, object: &ObjectMeta) -> Option<Action> {
    let mut owners = object.owner_references.clone().unwrap_or_default();
    owners.push(owner.controller_reference());
    patch(kind, object, &owners, None)
}

/// The write after which the object with that UID owns nothing of `object`, nor holds it with `finalizer`; nothing when that is so.
pub fn release(owner_uid: &str, finalizer: Option<&str>, kind: &Kind, object: &ObjectMeta) -> Option<Action> {
    let owners: Vec<_> = object.owner_references.iter().flatten().filter(|owner| owner.uid != owner_uid).cloned().collect();
    patch(kind, object, &owners, finalizer)
}

fn patch(kind: &Kind, object: &ObjectMeta, owners: &[OwnerReference], finalizer: Option<&str>) -> Option<Action> {
    let mut changes = GuardedPatch::default();
    changes.change("/metadata/ownerReferences", &object.owner_references.as_deref().unwrap_or_default(), &owners);
    if let Some(finalizer) = finalizer {
        let mut kept = object.clone();
        metadata::remove_finalizer(&mut kept, finalizer);
        changes.change("/metadata/finalizers", &object.finalizers, &kept.finalizers);
    }
    if changes.is_empty() {
        return None;
    }
    // Another object may have the name by now.
    let mut guarded = GuardedPatch::default();
    guarded.push(json!({"op": "test", "path": "/metadata/uid", "value": object.uid}));
    guarded.append(changes);
    guarded.into_action(ObjectRef::of(kind, object))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Patch, kinds};

    fn object(owners: &serde_json::Value) -> ObjectMeta {
        serde_json::from_value(json!({"name": "a", "namespace": "ns", "uid": "a", "ownerReferences": owners, "finalizers": ["f", "g"]}))
            .unwrap()
    }

    fn operations(action: Option<Action>) -> serde_json::Value {
        match action {
            Some(Action::Patch { patch: Patch::Json(operations), .. }) => json!(operations),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn other_owners_stay() {
        let other = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "p"});
        let owner = ObjectRef { uid: Some("o".to_owned()), ..ObjectRef::new(&kinds::VM, Some("ns"), "o") };
        let adopted = operations(adopt(&owner, &kinds::VMI, &object(&json!([other]))));
        assert_eq!(adopted[0]["value"], "a");
        assert_eq!(adopted[2]["value"][0], other);
        assert_eq!(adopted[2]["value"][1]["uid"], "o");
        let released = operations(release("o", Some("f"), &kinds::VMI, &object(&adopted[2]["value"])));
        assert_eq!(released[2]["value"], json!([other]));
        assert_eq!(released[4]["value"], json!(["g"]));
        assert_eq!(release("o", Some("x"), &kinds::VMI, &object(&json!([other]))), None);
    }
}

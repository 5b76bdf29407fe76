//! Bringing what is served into line with the stored definitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::status::{self, Taken};
use super::{CLEANUP_FINALIZER, definitions, resource_info};
use crate::env::Env;
use crate::fieldmanager::{self, Manager, Operation, Tracked};
use crate::object;
use crate::resource::{GroupResource, Registry, ResourceInfo, Source};
use crate::schema::builtin;
use crate::store::{Expect, Store, Stored};

/// Rounds until nothing changes: a name that becomes free may let another definition in.
const ROUNDS: usize = 8;

/// Settles every stored definition and serves what is established.
///
/// # Flow
/// Definitions that did not change keep their resource. Of the others, names and conditions are settled; a deleted one
/// loses its objects (those with finalizers are marked) and, when none is left, itself.
pub fn follow(store: &Store, registry: &Registry, env: &Env) {
    for _ in 0..ROUNDS {
        if !round(store, registry, env) {
            return;
        }
    }
}

/// One pass; whether it wrote something that another pass should see.
fn round(store: &Store, registry: &Registry, env: &Env) -> bool {
    let served: BTreeMap<String, Arc<ResourceInfo>> = registry
        .all()
        .into_iter()
        .filter_map(|info| match &info.source {
            Source::Crd { name, .. } => Some((name.clone(), info.clone())),
            Source::Builtin(_) => None,
        })
        .collect();
    let stored = store.list(&definitions(), None).0;
    let mut kept = BTreeMap::new();
    let mut changed: Vec<(Arc<Stored>, Value)> = Vec::new();
    for one in stored {
        if let Some(info) = served.get(&one.key.name).filter(|info| is_current(info, one.revision)) {
            kept.insert(one.key.name.clone(), info.clone());
        } else {
            let value = one.value();
            changed.push((one, value));
        }
    }
    let mut infos: BTreeMap<String, ResourceInfo> = BTreeMap::new();
    let mut again = false;
    let others: Vec<(String, Value)> = changed.iter().map(|(_, value)| names_of(value)).collect();
    for (index, (stored, mut value)) in changed.into_iter().enumerate() {
        let group = object::text(&value, &["spec", "group"]).to_owned();
        let mut taken = Taken::default();
        for info in kept.values().filter(|info| info.gr.group == group) {
            add_info(&mut taken, info);
        }
        for (_, (_, accepted)) in others.iter().enumerate().filter(|(i, (g, _))| *i != index && *g == group) {
            taken.add(accepted);
        }
        // Versions are most of a definition and do not change here.
        let versions = object::remove(&mut value, &["spec", "versions"]);
        object::set(&mut value, &["spec", "versions"], json!([]));
        let before = value.clone();
        let terminating = object::is_terminating(&value);
        let left = terminating && clean_up(store, env, &mut value);
        let put_back = |value: &mut Value| object::set(value, &["spec", "versions"], versions.unwrap_or_default());
        if terminating && !left {
            again = true;
            end(store, &stored, &mut value, &before, env, put_back);
            continue;
        }
        if !terminating {
            status::settle(&mut value, &taken, &env.timestamp());
        }
        let revision = write(store, &stored, &mut value, &before, env, put_back);
        if status::is_true(&value, "Established") {
            // A definition that still waits for something is looked at every time.
            let settled = !terminating && status::is_true(&value, "NamesAccepted");
            let name = stored.key.name.clone();
            let mut info = resource_info(&value, if settled { revision } else { 0 }, terminating);
            date_schemas(&mut info, served.get(&name).map(AsRef::as_ref), revision);
            infos.insert(name, info);
        }
    }
    for (name, info) in &infos {
        index(store, info, served.get(name).map(AsRef::as_ref));
    }
    publish(registry, &served, kept, infos);
    again
}

fn is_current(info: &ResourceInfo, revision: u64) -> bool {
    info.versions.iter().any(|version| version.origin == revision)
}

/// Sets since when the schemas are what they are; one that stayed the same keeps its date.
fn date_schemas(info: &mut ResourceInfo, before: Option<&ResourceInfo>, revision: u64) {
    for version in &mut info.versions {
        let same = before.and_then(|before| before.version(&version.name)).filter(|old| old.fingerprint == version.fingerprint);
        version.since = same.map_or(revision, |old| old.since);
    }
}

fn names_of(value: &Value) -> (String, Value) {
    let accepted = object::at(value, &["status", "acceptedNames"]).cloned().unwrap_or_default();
    (object::text(value, &["spec", "group"]).to_owned(), accepted)
}

fn add_info(taken: &mut Taken, info: &ResourceInfo) {
    taken.add_resource(&info.gr.resource);
    taken.add_resource(&info.singular);
    for name in &info.short_names {
        taken.add_resource(name);
    }
    taken.add_kind(&info.kind);
    taken.add_kind(&info.list_kind);
}

/// JSON paths of the selectable fields of all versions, without their leading dots.
fn selectable(info: &ResourceInfo) -> BTreeSet<String> {
    let paths = info.versions.iter().flat_map(|version| &version.selectable_fields);
    paths.map(|path| path.trim_start_matches('.').to_owned()).collect()
}

/// Lets the store know the selectable fields of a resource, when they are others than before.
fn index(store: &Store, info: &ResourceInfo, before: Option<&ResourceInfo>) {
    let fields = selectable(info);
    if fields == before.map(selectable).unwrap_or_default() {
        return;
    }
    let find = move |value: &Value| {
        let text = |field: &str| match object::at(value, &field.split('.').collect::<Vec<_>>()) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        fields.iter().map(|field| (field.clone(), text(field))).collect()
    };
    store.set_indexer(&info.gr, Arc::new(find));
}

/// Serves the resources, in the order of their definitions' names, if anything is different.
fn publish(
    registry: &Registry,
    served: &BTreeMap<String, Arc<ResourceInfo>>,
    kept: BTreeMap<String, Arc<ResourceInfo>>,
    infos: BTreeMap<String, ResourceInfo>,
) {
    if infos.is_empty() && kept.len() == served.len() {
        return;
    }
    let mut all: BTreeMap<String, ResourceInfo> = kept.into_iter().map(|(name, info)| (name, (*info).clone())).collect();
    all.extend(infos);
    registry.replace_crds(all.into_values().collect());
}

/// Stores a definition if it changed, as the server itself; returns its revision. `complete` gives back what was taken
/// out of both values.
fn write(store: &Store, stored: &Stored, value: &mut Value, before: &Value, env: &Env, complete: impl FnOnce(&mut Value)) -> u64 {
    if value == before {
        complete(value);
        return stored.revision;
    }
    let who = Manager {
        name: "kube-apiserver".to_owned(),
        operation: Operation::Update,
        api_version: "apiextensions.k8s.io/v1".to_owned(),
        subresource: "status".to_owned(),
        time: env.timestamp(),
        tracked: Tracked::except(&["spec"]),
    };
    let schema = builtin::schema_of(&crate::resource::Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition"));
    fieldmanager::track_update(Some(before), value, &who, schema.as_deref());
    complete(value);
    match store.commit(stored.key.clone(), Expect::Revision(stored.revision), Some(value.clone())) {
        Ok(new) => new.revision,
        Err(error) => {
            tracing::debug!(%error, name = stored.key.name, "definition changed while its status was written");
            stored.revision
        }
    }
}

/// Deletes the objects of a deleted definition; whether some are left.
fn clean_up(store: &Store, env: &Env, definition: &mut Value) -> bool {
    if !object::finalizers(definition).contains(&CLEANUP_FINALIZER) {
        return !object::finalizers(definition).is_empty();
    }
    let gr = GroupResource::new(object::text(definition, &["spec", "group"]), object::text(definition, &["spec", "names", "plural"]));
    let mut left = false;
    // Only an established definition has objects of its own; without, the names may be another's.
    if status::is_true(definition, "Established") {
        for one in store.list(&gr, None).0 {
            left |= !remove(store, env, &one);
        }
    }
    if left {
        status::set_condition(definition, &env.timestamp(), status::DELETION_IN_PROGRESS);
    }
    left
}

/// Removes or marks one object; whether it is gone.
fn remove(store: &Store, env: &Env, stored: &Stored) -> bool {
    let mut value = stored.value();
    let expect = Expect::Revision(stored.revision);
    if object::finalizers(&value).is_empty() {
        return store.commit(stored.key.clone(), expect, None).is_ok();
    }
    if !object::is_terminating(&value) {
        object::set(&mut value, &["metadata", "deletionTimestamp"], env.timestamp());
        object::set(&mut value, &["metadata", "deletionGracePeriodSeconds"], 0);
        let generation = object::number(&value, &["metadata", "generation"]).unwrap_or(0);
        object::set(&mut value, &["metadata", "generation"], generation + 1);
        if let Err(error) = store.commit(stored.key.clone(), expect, Some(value)) {
            tracing::debug!(%error, "object changed while its definition is deleted");
        }
    }
    false
}

/// Ends a definition without objects, unless others hold it.
fn end(store: &Store, stored: &Stored, value: &mut Value, before: &Value, env: &Env, complete: impl FnOnce(&mut Value)) {
    let others: Vec<String> =
        object::finalizers(value).into_iter().filter(|finalizer| *finalizer != CLEANUP_FINALIZER).map(str::to_owned).collect();
    if others.is_empty() {
        let gone = store.commit(stored.key.clone(), Expect::Revision(stored.revision), None);
        if let Err(error) = gone {
            tracing::debug!(%error, name = stored.key.name, "definition changed while it was deleted");
        }
        return;
    }
    object::set(value, &["metadata", "finalizers"], json!(others));
    status::set_condition(value, &env.timestamp(), status::DELETION_COMPLETED);
    write(store, stored, value, before, env, complete);
}

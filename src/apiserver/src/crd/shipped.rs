//! Definitions that a server has from its beginning.
//!
//! # Flow
//! [`Definitions::accepted`] reads what a server would read of each definition, once: schemas, columns, names. A server that
//! begins stores those it does not have yet, established, and serves them: what [`super::follow`] would have settled after a
//! `create` is there in one write. Clones share all that was read, so that a second server costs little.
//!
//! # Guarantees
//! What is stored already stays as it is. The result differs from a `create` in its UID, its times and its manager only.

use std::sync::Arc;

use serde_json::{Value, json};

use super::status::{self, Taken};
use super::{definitions, resource_info};
use crate::builtin::Strategy;
use crate::env::Env;
use crate::error::{ApiError, FieldError};
use crate::fieldmanager::{self, Manager, Operation, Tracked};
use crate::object;
use crate::registry::meta;
use crate::resource::{Gvk, ResourceInfo, Source};
use crate::schema::builtin;
use crate::store::{Expect, Key, Store, StoreError};

/// Definitions that were read already.
#[derive(Clone, Debug, Default)]
pub struct Definitions(Arc<Vec<Definition>>);

#[derive(Debug)]
struct Definition {
    /// As it is stored, but for its identity and times.
    value: Value,
    /// Nothing where its names are taken by another.
    info: Option<ResourceInfo>,
}

impl Definitions {
    /// Reads definitions (`apiextensions.k8s.io/v1`) that a server is known to accept: they are not checked.
    pub fn accepted(values: Vec<Value>) -> Self {
        let mut taken = std::collections::BTreeMap::<String, Taken>::new();
        let read = values.into_iter().map(|mut value| {
            let names = object::at(&value, &["spec", "names"]).cloned().unwrap_or_default();
            let group = object::text(&value, &["spec", "group"]).to_owned();
            let others = taken.entry(group).or_default();
            apart_from_versions(&mut value, |value| complete(value, others));
            others.add(&names);
            let info = status::is_true(&value, "Established").then(|| resource_info(&value, 0, false));
            Definition { value, info }
        });
        Self(Arc::new(read.collect()))
    }

    /// Reads definitions after the checks that a server does when they are created.
    ///
    /// # Errors
    /// The first definition that is invalid, and why.
    pub fn checked(values: Vec<Value>) -> Result<Self, ApiError> {
        let strategy = super::CustomResourceDefinition;
        let prepared = values.into_iter().map(|mut value| {
            strategy.default(&mut value, "v1");
            super::strategy::begin_status(&mut value);
            let errors: Vec<FieldError> = super::validate(&value);
            let gvk = Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
            if errors.is_empty() { Ok(value) } else { Err(ApiError::invalid(&gvk, object::name(&value), &errors)) }
        });
        Ok(Self::accepted(prepared.collect::<Result<_, _>>()?))
    }

    /// Stores those that are not there yet; returns the resources that are served for it. Where a store has definitions
    /// already, their names come first: then all are left to [`super::follow`].
    pub(crate) fn install(&self, store: &Store, env: &Env) -> Result<Vec<ResourceInfo>, StoreError> {
        let now = env.timestamp();
        let mut served = Vec::new();
        let alone = store.list(&definitions(), None).0.is_empty();
        for definition in self.0.iter() {
            let key = Key::new(definitions(), "", object::name(&definition.value));
            if store.get(&key).is_some() {
                continue;
            }
            let mut value = definition.value.clone();
            meta::fill_new(env, &mut value, "");
            date(&mut value, &now);
            if !alone {
                super::strategy::begin_status(&mut value);
            }
            let uid = object::uid(&value).to_owned();
            let revision = store.commit(key, Expect::Absent, Some(value))?.revision;
            let Some(mut info) = definition.info.clone().filter(|_| alone) else { continue };
            if let Source::Crd { uid: own, .. } = &mut info.source {
                *own = uid;
            }
            for version in &mut info.versions {
                (version.origin, version.since) = (revision, revision);
            }
            served.push(info);
        }
        Ok(served)
    }
}

/// Versions are most of a definition, and nothing here looks into them but for their names.
fn apart_from_versions(value: &mut Value, change: impl FnOnce(&mut Value)) {
    let versions = object::remove(value, &["spec", "versions"]).unwrap_or_else(|| json!([]));
    let names: Vec<Value> = versions
        .as_array()
        .into_iter()
        .flatten()
        .map(|version| json!({"name": object::text(version, &["name"]), "storage": object::flag(version, &["storage"])}))
        .collect();
    object::set(value, &["spec", "versions"], names);
    change(value);
    object::set(value, &["spec", "versions"], versions);
}

/// What a server adds to a new definition.
fn complete(value: &mut Value, taken: &Taken) {
    let strategy = super::CustomResourceDefinition;
    strategy.default(value, "v1");
    object::remove(value, &["status"]);
    let who = |subresource: &str, tracked: Tracked| Manager {
        name: "kube-apiserver".to_owned(),
        operation: Operation::Update,
        api_version: "apiextensions.k8s.io/v1".to_owned(),
        subresource: subresource.to_owned(),
        time: String::new(),
        tracked,
    };
    let schema = builtin::schema_of(&Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition"));
    fieldmanager::track_update(None, value, &who("", Tracked::except(&["status"])), schema.as_deref());
    object::set(value, &["metadata", "generation"], 1);
    super::strategy::begin_status(value);
    let before = value.clone();
    status::settle(value, taken, "");
    fieldmanager::track_update(Some(&before), value, &who("status", Tracked::except(&["spec"])), schema.as_deref());
}

/// Sets the times that [`complete`] left out.
fn date(value: &mut Value, now: &str) {
    for (list, time) in [(&["metadata", "managedFields"], "time"), (&["status", "conditions"], "lastTransitionTime")] {
        let dated = object::list(value, list).iter().cloned().map(|mut one| {
            object::set(&mut one, &[time], now);
            one
        });
        let dated: Vec<Value> = dated.collect();
        object::set(value, list, dated);
    }
}

//! What aggregated servers add to the discovery documents.
//!
//! Facts: `kube-aggregator/pkg/apiserver/handler_apis.go`, `…/handler_discovery.go`; the conversion of resource lists as
//! `apiserver/pkg/endpoints/installer.go` does it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Aggregator, Backend};
use crate::object;
use crate::resource::api_version;

/// What one server said about one version.
#[derive(Debug, Clone, Default)]
pub(super) struct Served {
    /// `APIResourceList`.
    pub(super) resources: Value,
    /// OpenAPI v3 document.
    pub(super) openapi: Option<Bytes>,
}

impl Aggregator {
    pub(super) fn known(&self, name: &str) -> Option<Served> {
        self.0.discovered.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(super) fn learn(&self, name: &str, served: Served) {
        self.0.discovered.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), served);
        self.changed();
    }

    /// Drops what is known of servers that are not registered any more.
    pub(super) fn forget(&self, backends: &BTreeMap<(String, String), Arc<Backend>>) {
        let mut discovered = self.0.discovered.lock().unwrap_or_else(PoisonError::into_inner);
        discovered.retain(|name, _| backends.values().any(|backend| backend.name == *name));
    }

    /// Groups of other servers by importance, each with its versions by importance.
    fn groups(&self) -> Vec<(String, Vec<Arc<Backend>>)> {
        let mut by_group: BTreeMap<String, Vec<Arc<Backend>>> = BTreeMap::new();
        for backend in self.backends().values() {
            by_group.entry(backend.group.clone()).or_default().push(backend.clone());
        }
        let mut groups: Vec<_> = by_group.into_iter().collect();
        for (_, versions) in &mut groups {
            // Of equal priority, stable versions come before beta and alpha ones.
            let stage =
                |version: &str| u8::from(!version.contains("alpha")) + u8::from(!version.contains("alpha") && !version.contains("beta"));
            let rank = |b: &Backend| (b.version_priority, stage(&b.version), b.version.clone());
            versions.sort_by_key(|backend| std::cmp::Reverse(rank(backend)));
        }
        groups.sort_by_key(|(_, versions)| std::cmp::Reverse(versions.iter().map(|b| b.group_priority).max()));
        groups
    }

    /// Adds the groups of other servers to an `APIGroupList` (`/apis`).
    pub fn merge_group_list(&self, document: &mut Value) {
        let mut list = object::list(document, &["groups"]).to_vec();
        for (group, versions) in self.groups() {
            match list.iter_mut().find(|own| object::text(own, &["name"]) == group) {
                Some(own) => add_versions(own, &group, &versions),
                None => list.push(new_group(&group, &versions)),
            }
        }
        object::set(document, &["groups"], list);
    }

    /// The `APIGroup` of a group (`/apis/GROUP`): `own` is this server's part.
    pub fn group(&self, name: &str, own: Option<Value>) -> Option<Value> {
        let Some((group, versions)) = self.groups().into_iter().find(|(group, _)| group == name) else { return own };
        let Some(mut document) = own else {
            let mut document = new_group(&group, &versions);
            object::set_type(&mut document, "v1", "APIGroup");
            return Some(document);
        };
        add_versions(&mut document, &group, &versions);
        Some(document)
    }

    /// Adds the groups of other servers to an `APIGroupDiscoveryList`.
    pub fn merge_aggregated(&self, document: &mut Value) {
        let mut items = object::list(document, &["items"]).to_vec();
        for (group, backends) in self.groups() {
            let versions: Vec<Value> = backends.iter().map(|backend| self.aggregated_version(backend)).collect();
            match items.iter_mut().find(|item| object::text(item, &["metadata", "name"]) == group) {
                Some(item) => {
                    let mut all = object::list(item, &["versions"]).to_vec();
                    all.extend(versions);
                    object::set(item, &["versions"], all);
                }
                None => items.push(json!({"metadata": {"name": group}, "versions": versions})),
            }
        }
        object::set(document, &["items"], items);
    }

    fn aggregated_version(&self, backend: &Backend) -> Value {
        let known = self.known(&backend.name);
        let freshness = if backend.available { "Current" } else { "Stale" };
        let mut version = json!({"version": backend.version, "freshness": freshness});
        if let Some(known) = known {
            object::set(&mut version, &["resources"], resources(backend, &known.resources));
        }
        version
    }

    /// OpenAPI v3 documents of other servers, by key of the index (`apis/GROUP/VERSION`).
    pub fn openapi_v3(&self) -> BTreeMap<String, Bytes> {
        let backends = self.backends();
        let document = |backend: &Arc<Backend>| {
            let key = format!("apis/{}/{}", backend.group, backend.version);
            Some((key, self.known(&backend.name)?.openapi?))
        };
        backends.values().filter_map(document).collect()
    }
}

fn version_entry(group: &str, backend: &Backend) -> Value {
    json!({"groupVersion": api_version(group, &backend.version), "version": backend.version})
}

fn new_group(group: &str, versions: &[Arc<Backend>]) -> Value {
    let versions: Vec<Value> = versions.iter().map(|backend| version_entry(group, backend)).collect();
    json!({"name": group, "preferredVersion": versions.first(), "versions": versions})
}

fn add_versions(document: &mut Value, group: &str, versions: &[Arc<Backend>]) {
    let mut all = object::list(document, &["versions"]).to_vec();
    for backend in versions {
        let entry = version_entry(group, backend);
        if !all.contains(&entry) {
            all.push(entry);
        }
    }
    object::set(document, &["versions"], all);
}

/// `APIResourceDiscovery` entries of an `APIResourceList`.
fn resources(backend: &Backend, list: &Value) -> Vec<Value> {
    let mut found: Vec<(String, Map<String, Value>)> = Vec::new();
    for resource in object::list(list, &["resources"]) {
        let text = |field: &str| object::text(resource, &[field]);
        let own = |field: &'static str, default: &str| match text(field) {
            "" => default.to_owned(),
            other => other.to_owned(),
        };
        let kind = json!({
            "group": own("group", &backend.group),
            "version": own("version", &backend.version),
            "kind": text("kind"),
        });
        let verbs = resource.get("verbs").cloned().unwrap_or_else(|| json!([]));
        let scope = if object::flag(resource, &["namespaced"]) { "Namespaced" } else { "Cluster" };
        let (name, sub) = text("name").split_once('/').unwrap_or((text("name"), ""));
        if !found.iter().any(|(known, _)| known == name) {
            // A subresource without its resource hangs below one that has no kind and no verbs.
            let parent = Map::from_iter([
                ("resource".to_owned(), json!(name)),
                ("responseKind".to_owned(), json!({"group": "", "version": "", "kind": ""})),
                ("scope".to_owned(), json!(scope)),
                ("singularResource".to_owned(), json!("")),
                ("verbs".to_owned(), Value::Null),
            ]);
            found.push((name.to_owned(), parent));
        }
        let Some((_, entry)) = found.iter_mut().find(|(known, _)| known == name) else { continue };
        if sub.is_empty() {
            entry.insert("responseKind".into(), kind);
            entry.insert("scope".into(), json!(scope));
            entry.insert("singularResource".into(), json!(text("singularName")));
            entry.insert("verbs".into(), verbs);
            for field in ["shortNames", "categories"] {
                if let Some(value) = resource.get(field).filter(|value| !value.is_null()) {
                    entry.insert(field.into(), value.clone());
                }
            }
        } else {
            let list = entry.entry("subresources").or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                list.push(json!({"subresource": sub, "responseKind": kind, "verbs": verbs}));
            }
        }
    }
    found.into_iter().map(|(_, entry)| Value::Object(entry)).collect()
}

//! The documents themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::builtin::catalog::{self, GROUPS};
use crate::http::Core;
use crate::resource::{ResourceInfo, VersionInfo, api_version};

/// A group with its versions in order of preference, each with its resources.
struct Group {
    name: String,
    versions: Vec<(String, Vec<Arc<ResourceInfo>>)>,
}

/// How a version name ranks: `v2` over `v1` over `v1beta2` over `v1beta1` over `v1alpha1`, others last by name.
pub fn version_rank(name: &str) -> (u8, u32, u32, std::cmp::Reverse<String>) {
    let other = || (0, 0, 0, std::cmp::Reverse(name.to_owned()));
    let Some(rest) = name.strip_prefix('v') else { return other() };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, stage) = rest.split_at(digits);
    let Ok(major) = major.parse::<u32>() else { return other() };
    let none = std::cmp::Reverse(String::new());
    let minor = |prefix: &str| stage.strip_prefix(prefix).and_then(|minor| minor.parse::<u32>().ok());
    match (stage, minor("beta"), minor("alpha")) {
        ("", _, _) => (3, major, 0, none),
        (_, Some(minor), _) => (2, major, minor, none),
        (_, _, Some(minor)) => (1, major, minor, none),
        _ => other(),
    }
}

fn groups(core: &Core) -> Vec<Group> {
    let mut by_group: BTreeMap<String, BTreeMap<String, Vec<Arc<ResourceInfo>>>> = BTreeMap::new();
    for info in core.resources.all() {
        let versions = by_group.entry(info.gr.group.clone()).or_default();
        for version in info.versions.iter().filter(|version| version.served) {
            versions.entry(version.name.clone()).or_default().push(info.clone());
        }
    }
    let mut groups: Vec<Group> = by_group
        .into_iter()
        .map(|(name, versions)| {
            let mut versions: Vec<(String, Vec<Arc<ResourceInfo>>)> = versions.into_iter().collect();
            versions.sort_by_cached_key(|(name, _)| std::cmp::Reverse(version_rank(name)));
            Group { name, versions }
        })
        .filter(|group| !group.versions.is_empty())
        .collect();
    groups.sort_by_key(|group| (GROUPS.iter().position(|name| *name == group.name).unwrap_or(GROUPS.len()), group.name.clone()));
    groups
}

fn group_document(group: &Group) -> Value {
    let versions: Vec<Value> =
        group.versions.iter().map(|(version, _)| json!({"groupVersion": api_version(&group.name, version), "version": version})).collect();
    json!({"name": group.name, "preferredVersion": versions.first(), "versions": versions})
}

/// The document at a path of legacy discovery.
pub fn plain(core: &Core, path: &str) -> Option<Value> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["api"] => Some(json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"}],
        })),
        ["apis"] => {
            let list: Vec<Value> = groups(core).iter().filter(|group| !group.name.is_empty()).map(group_document).collect();
            let mut document = json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": list});
            core.aggregation.merge_group_list(&mut document);
            Some(document)
        }
        ["apis", name] => {
            let groups = groups(core);
            let own = groups.iter().find(|group| group.name == *name).map(|group| {
                let mut document = group_document(group);
                crate::object::set_type(&mut document, "v1", "APIGroup");
                document
            });
            core.aggregation.group(name, own)
        }
        ["api", version] => resources(core, "", version),
        ["apis", group, version] => resources(core, group, version),
        _ => None,
    }
}

fn resources(core: &Core, group: &str, version: &str) -> Option<Value> {
    let groups = groups(core);
    let (_, infos) = groups.iter().find(|found| found.name == group)?.versions.iter().find(|(name, _)| name == version)?;
    let mut list: Vec<Value> = Vec::new();
    for info in infos {
        list.push(resource(info, version));
        for sub in subresources(info, version) {
            let mut entry = json!({
                "name": format!("{}/{}", info.gr.resource, sub.name),
                "singularName": "",
                "namespaced": info.namespaced,
                "kind": sub.kind,
                "verbs": sub.verbs,
            });
            if let Some(map) = entry.as_object_mut().filter(|_| !sub.group.is_empty()) {
                map.insert("group".into(), sub.group.into());
                map.insert("version".into(), sub.version.into());
            }
            list.push(entry);
        }
    }
    list.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    let mut document = json!({"kind": "APIResourceList", "groupVersion": api_version(group, version), "resources": list});
    // The oldest group's document never got a version of its own.
    if let Some(map) = document.as_object_mut().filter(|_| !group.is_empty()) {
        map.insert("apiVersion".into(), "v1".into());
    }
    Some(document)
}

fn common(info: &ResourceInfo, map: &mut Map<String, Value>) {
    if !info.short_names.is_empty() {
        map.insert("shortNames".into(), json!(info.short_names));
    }
    if !info.categories.is_empty() {
        map.insert("categories".into(), json!(info.categories));
    }
}

fn resource(info: &ResourceInfo, _version: &str) -> Value {
    let mut map = Map::new();
    map.insert("name".into(), info.gr.resource.as_str().into());
    map.insert("singularName".into(), info.singular.as_str().into());
    map.insert("namespaced".into(), info.namespaced.into());
    map.insert("kind".into(), info.kind.as_str().into());
    map.insert("verbs".into(), json!(info.verbs));
    common(info, &mut map);
    if info.verbs.iter().any(|verb| verb == "list") {
        map.insert("storageVersionHash".into(), storage_hash(info).into());
    }
    Value::Object(map)
}

/// Tells clients whether objects are stored as before: the first bytes of the SHA-256 of `group/version/Kind`.
fn storage_hash(info: &ResourceInfo) -> String {
    let stored = info.storage_resource();
    // Definitions were first stored as v1beta1, and the hash has stayed.
    let version = if stored.group == "apiextensions.k8s.io" { "v1beta1" } else { info.storage_version() };
    let text = format!("{}/{version}/{}", stored.group, info.kind);
    let digest = Sha256::digest(text);
    base64::engine::general_purpose::STANDARD.encode(digest.get(..8).unwrap_or_default())
}

struct Sub<'a> {
    name: &'a str,
    kind: &'a str,
    group: &'a str,
    version: &'a str,
    verbs: &'a [&'a str],
}

fn subresources<'a>(info: &'a ResourceInfo, version: &str) -> Vec<Sub<'a>> {
    const RW: &[&str] = &["get", "patch", "update"];
    match &info.source {
        crate::resource::Source::Builtin(_) => catalog::entry_of(&info.gr)
            .into_iter()
            .flat_map(|entry| entry.subresources)
            .map(|sub| Sub { name: sub.name, kind: sub.kind, group: sub.group, version: sub.version, verbs: sub.verbs })
            .collect(),
        crate::resource::Source::Crd { .. } => {
            let mut list = Vec::new();
            let found: Option<&VersionInfo> = info.version(version);
            if found.is_some_and(|version| version.subresource_status) {
                list.push(Sub { name: "status", kind: &info.kind, group: "", version: "", verbs: RW });
            }
            if found.is_some_and(|version| version.subresource_scale.is_some()) {
                list.push(Sub { name: "scale", kind: "Scale", group: "autoscaling", version: "v1", verbs: RW });
            }
            list
        }
    }
}

/// The aggregated document: of the core group, or of all others.
pub fn aggregated(core: &Core, legacy: bool) -> Value {
    let items: Vec<Value> = groups(core)
        .iter()
        .filter(|group| group.name.is_empty() == legacy)
        .map(|group| {
            let versions: Vec<Value> = group
                .versions
                .iter()
                .map(|(version, infos)| {
                    let mut infos: Vec<&Arc<ResourceInfo>> = infos.iter().collect();
                    if !infos.iter().any(|info| info.is_custom()) {
                        infos.sort_by(|a, b| a.gr.resource.cmp(&b.gr.resource));
                    }
                    let resources: Vec<Value> = infos.into_iter().map(|info| aggregated_resource(group, version, info)).collect();
                    json!({"version": version, "freshness": "Current", "resources": resources})
                })
                .collect();
            let metadata = if group.name.is_empty() { json!({}) } else { json!({"name": group.name}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let mut document = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    });
    if !legacy {
        core.aggregation.merge_aggregated(&mut document);
    }
    document
}

fn aggregated_resource(group: &Group, version: &str, info: &ResourceInfo) -> Value {
    // Kinds of built-in resources name group and version only when these are not the document's own.
    let own = |kind: &str| {
        if info.is_custom() {
            json!({"group": group.name, "version": version, "kind": kind})
        } else {
            json!({"group": "", "version": "", "kind": kind})
        }
    };
    let mut map = Map::new();
    map.insert("resource".into(), info.gr.resource.as_str().into());
    map.insert("responseKind".into(), own(&info.kind));
    map.insert("scope".into(), if info.namespaced { "Namespaced" } else { "Cluster" }.into());
    map.insert("singularResource".into(), info.singular.as_str().into());
    map.insert("verbs".into(), json!(info.verbs));
    common(info, &mut map);
    let subs: Vec<Value> = subresources(info, version)
        .iter()
        .map(|sub| {
            let kind =
                if sub.group.is_empty() { own(sub.kind) } else { json!({"group": sub.group, "version": sub.version, "kind": sub.kind}) };
            json!({"subresource": sub.name, "responseKind": kind, "verbs": sub.verbs})
        })
        .collect();
    if !subs.is_empty() {
        map.insert("subresources".into(), subs.into());
    }
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::version_rank;

    #[test]
    fn versions_rank_as_kubernetes_says() {
        let mut names = ["v1alpha1", "v10", "foo10", "v2", "v11beta2", "v1", "v3beta1", "foo1", "v12alpha1"];
        names.sort_by_key(|name| std::cmp::Reverse(version_rank(name)));
        assert_eq!(names, ["v10", "v2", "v1", "v11beta2", "v3beta1", "v12alpha1", "v1alpha1", "foo1", "foo10"]);
    }
}

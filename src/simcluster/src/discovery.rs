//! Which resources the API server has.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::client::{Answer, Client, collection};

/// A resource in the version that the server prefers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiResource {
    pub(crate) group: String,
    pub(crate) plural: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) namespaced: bool,
    pub(crate) verbs: Vec<String>,
}

impl ApiResource {
    pub(crate) fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|other| other == verb)
    }

    /// `plural.group`.
    pub(crate) fn name(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    pub(crate) fn path(&self, namespace: &str, name: &str) -> String {
        let namespace = if self.namespaced { namespace } else { "" };
        format!("{}/{name}", collection(&self.group, &self.version, &self.plural, namespace))
    }

    pub(crate) fn collection(&self, namespace: &str) -> String {
        collection(&self.group, &self.version, &self.plural, namespace)
    }
}

#[derive(Deserialize)]
struct Groups {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    #[serde(default)]
    versions: Vec<GroupVersion>,
    preferred_version: Option<GroupVersion>,
}

#[derive(Deserialize, Clone)]
struct GroupVersion {
    version: String,
}

#[derive(Deserialize)]
struct Resources {
    #[serde(default)]
    resources: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    kind: String,
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
}

/// All resources without subresources; groups that do not answer are left out.
pub(crate) async fn resources(client: &Client) -> Answer<Vec<ApiResource>> {
    let mut versions = vec![(String::new(), "v1".to_owned())];
    let groups: Groups = client.get("/apis").await?;
    for group in groups.groups {
        let preferred = group.preferred_version.as_ref().map(|version| version.version.clone());
        let mut all: Vec<String> = group.versions.into_iter().map(|version| version.version).collect();
        // The preferred version first: resources that others add are taken from them.
        all.sort_by_key(|version| Some(version) != preferred.as_ref());
        versions.extend(all.into_iter().map(|version| (group.name.clone(), version)));
    }
    let mut found: BTreeMap<(String, String), ApiResource> = BTreeMap::new();
    for (group, version) in versions {
        let path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let list: Resources = match client.get(&path).await {
            Ok(list) => list,
            Err(error) => {
                tracing::debug!(%error, path, "discovery incomplete");
                continue;
            }
        };
        for entry in list.resources.into_iter().filter(|entry| !entry.name.contains('/')) {
            found.entry((group.clone(), entry.name.clone())).or_insert_with(|| ApiResource {
                group: group.clone(),
                version: version.clone(),
                plural: entry.name,
                kind: entry.kind,
                namespaced: entry.namespaced,
                verbs: entry.verbs,
            });
        }
    }
    Ok(found.into_values().collect())
}

//! Which resources the API server has.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::client::{Answer, Client, collection};

/// The form that has everything in one document.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

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

/// An aggregated discovery document (`apidiscovery.k8s.io/v2`).
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    items: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default, deserialize_with = "or_null")]
    versions: Vec<Version>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Version {
    version: String,
    #[serde(default, deserialize_with = "or_null")]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    #[serde(rename = "resource")]
    plural: String,
    #[serde(default)]
    response_kind: ResponseKind,
    scope: String,
    #[serde(default, deserialize_with = "or_null")]
    verbs: Vec<String>,
}

/// An empty list may be written `null`: aggregated servers in Go send their lists as they are.
fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[derive(Default, Deserialize)]
struct ResponseKind {
    #[serde(default)]
    kind: String,
}

/// All resources without subresources, each in the first version of its group that has it: versions come in the order the server
/// prefers them.
pub(crate) async fn resources(client: &Client) -> Answer<Vec<ApiResource>> {
    let mut found: BTreeMap<(String, String), ApiResource> = BTreeMap::new();
    for path in ["/api", "/apis"] {
        let document: Document = client.get_as(path, AGGREGATED).await?;
        for Group { metadata: Metadata { name: group }, versions } in document.items {
            for Version { version, resources } in versions {
                for entry in resources {
                    found.entry((group.clone(), entry.plural.clone())).or_insert_with(|| ApiResource {
                        group: group.clone(),
                        version: version.clone(),
                        plural: entry.plural,
                        kind: entry.response_kind.kind,
                        namespaced: entry.scope == "Namespaced",
                        verbs: entry.verbs,
                    });
                }
            }
        }
    }
    Ok(found.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_may_be_null() {
        let text = r#"{"items": [{"metadata": {"name": "a"}, "versions": [{"version": "v1", "resources": [
            {"resource": "b", "scope": "Namespaced", "verbs": null}]}, {"version": "v2", "resources": null}]}]}"#;
        let document: Document = serde_json::from_str(text).unwrap();
        let versions = &document.items.first().unwrap().versions;
        assert_eq!(versions.iter().map(|version| version.resources.len()).collect::<Vec<_>>(), [1, 0]);
    }
}

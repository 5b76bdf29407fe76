//! The APIServices of the groups that this server answers itself, as `kubectl get apiservices` shows them.
//!
//! Facts: `cmd/kube-apiserver/app/aggregator.go` and `pkg/controlplane/apiserver/aggregator.go` (priorities),
//! `kube-aggregator/pkg/controllers/autoregister`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Aggregator, GROUP, api_services};
use crate::object;
use crate::resource::api_version;
use crate::store::{Expect, Key, StoreError};

const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";
/// Priorities of a group and version that come from a CustomResourceDefinition.
const CUSTOM: (i64, i64) = (1000, 100);

/// Priority of a built-in group, and of its version.
fn priority(group: &str, version: &str) -> (i64, i64) {
    let group = match group {
        "" => 18_000,
        "events.k8s.io" => 17_750,
        "apps" => 17_800,
        "authentication.k8s.io" => 17_700,
        "authorization.k8s.io" => 17_600,
        "autoscaling" => 17_500,
        "batch" => 17_400,
        "certificates.k8s.io" => 17_300,
        "networking.k8s.io" => 17_200,
        "policy" => 17_100,
        "rbac.authorization.k8s.io" => 17_000,
        "storage.k8s.io" => 16_800,
        "apiextensions.k8s.io" | "admissionregistration.k8s.io" => 16_700,
        "scheduling.k8s.io" => 16_600,
        "coordination.k8s.io" => 16_500,
        "node.k8s.io" => 16_300,
        "discovery.k8s.io" => 16_200,
        "flowcontrol.apiserver.k8s.io" => 16_100,
        _ => 16_000,
    };
    let version = match version {
        "v2" => 30,
        "v1" if group == 18_000 => 1,
        "v1beta1" => 12,
        "v1alpha1" => 9,
        _ => 15,
    };
    (group, version)
}

impl Aggregator {
    /// Creates the APIServices of what this server has, and removes those of custom resources that are gone.
    ///
    /// # Errors
    /// The store's, except for lost races.
    pub fn register_local(&self) -> Result<(), StoreError> {
        let mut wanted: BTreeMap<String, (String, String, bool)> = BTreeMap::new();
        for info in self.0.registry.all() {
            for version in info.versions.iter().filter(|version| version.served) {
                let group = &info.gr.group;
                if group != GROUP {
                    let name = format!("{}.{group}", version.name);
                    wanted.entry(name).or_insert_with(|| (group.clone(), version.name.clone(), info.is_custom()));
                }
            }
        }
        for stored in self.0.store.list(&api_services(), None).0 {
            let managed = stored.labels.get(MANAGED).map(String::as_str);
            if wanted.remove(&stored.key.name).is_none() && managed == Some("true") {
                quiet(self.0.store.commit(stored.key.clone(), Expect::Revision(stored.revision), None))?;
            }
        }
        for (name, (group, version, custom)) in wanted {
            let object = self.local(&name, &group, &version, custom);
            quiet(self.0.store.commit(Key::new(api_services(), "", name), Expect::Absent, Some(object)))?;
        }
        Ok(())
    }

    fn local(&self, name: &str, group: &str, version: &str, custom: bool) -> Value {
        let env = &self.0.env;
        let (group_priority, version_priority) = if custom { CUSTOM } else { priority(group, version) };
        let mut spec = json!({"version": version, "groupPriorityMinimum": group_priority, "versionPriority": version_priority});
        if !group.is_empty() {
            object::set(&mut spec, &["group"], group);
        }
        json!({
            "apiVersion": api_version(GROUP, "v1"),
            "kind": "APIService",
            "metadata": {
                "name": name,
                "labels": {MANAGED: if custom { "true" } else { "onstart" }},
                "uid": env.entropy.uuid(),
                "creationTimestamp": env.timestamp(),
            },
            "spec": spec,
            "status": {"conditions": [{
                "type": "Available",
                "status": "True",
                "reason": "Local",
                "message": "Local APIServices are always available",
                "lastTransitionTime": env.timestamp(),
            }]},
        })
    }
}

/// A race that somebody else won is no error.
pub(super) fn quiet<T>(result: Result<T, StoreError>) -> Result<(), StoreError> {
    match result {
        Ok(_) | Err(StoreError::Changed(_) | StoreError::Missing | StoreError::Exists(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

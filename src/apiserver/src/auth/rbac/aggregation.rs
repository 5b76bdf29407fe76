//! ClusterRoles that aggregate others (`aggregationRule`): who writes `rules` of `admin`, `edit` and `view`.
//!
//! A real cluster leaves this to a controller; here [`pending`] says which roles are out of date, and the server commits
//! that after a ClusterRole changed. The authorizer does not wait for it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{GROUP, Rule};
use crate::resource::GroupResource;
use crate::selector::LabelSelector;
use crate::store::{Expect, Key, Store, StoreError};

/// The rules of every ClusterRole, aggregated ones resolved, by name.
pub(super) fn resolved(store: &Store, cluster_roles: &GroupResource) -> BTreeMap<String, Vec<Rule>> {
    let all = Roles::read(store, cluster_roles);
    all.0.iter().map(|(name, role)| (name.clone(), all.rules(role))).collect()
}

struct Role {
    revision: u64,
    labels: BTreeMap<String, String>,
    rules: Vec<Rule>,
    selectors: Option<Vec<LabelSelector>>,
    object: Value,
}

struct Roles(BTreeMap<String, Role>);

impl Roles {
    fn read(store: &Store, cluster_roles: &GroupResource) -> Self {
        let read = |stored: &std::sync::Arc<crate::store::Stored>| {
            let object = stored.value();
            let selectors = object.pointer("/aggregationRule/clusterRoleSelectors").and_then(Value::as_array).map(|list| {
                // A selector that does not parse selects nothing.
                list.iter().filter_map(|selector| LabelSelector::from_object(Some(selector)).ok()).collect()
            });
            let role = Role { revision: stored.revision, labels: stored.labels.clone(), rules: Rule::of_role(&object), selectors, object };
            (stored.key.name.clone(), role)
        };
        Self(store.list(cluster_roles, None).0.iter().map(read).collect())
    }

    fn rules(&self, role: &Role) -> Vec<Rule> {
        let mut path = Vec::new();
        self.collect(role, &mut path)
    }

    /// Roles may aggregate roles that aggregate (`admin` selects `edit`); `path` stops cycles.
    fn collect<'a>(&'a self, role: &'a Role, path: &mut Vec<&'a str>) -> Vec<Rule> {
        let Some(selectors) = &role.selectors else { return role.rules.clone() };
        let mut rules: Vec<Rule> = Vec::new();
        for selector in selectors {
            for (name, selected) in &self.0 {
                if std::ptr::eq(selected, role) || path.contains(&name.as_str()) || !selector.matches(&selected.labels) {
                    continue;
                }
                path.push(name);
                for rule in self.collect(selected, path) {
                    if !rules.contains(&rule) {
                        rules.push(rule);
                    }
                }
                path.pop();
            }
        }
        rules
    }
}

/// Roles whose `rules` are not what they aggregate: key, revision it was computed from, new object.
pub fn pending(store: &Store) -> Vec<(Key, u64, Value)> {
    let gr = GroupResource::new(GROUP, "clusterroles");
    let all = Roles::read(store, &gr);
    all.0
        .iter()
        .filter(|(_, role)| role.selectors.is_some())
        .filter_map(|(name, role)| {
            let rules = all.rules(role);
            (rules != role.rules).then(|| {
                let mut object = role.object.clone();
                if let Some(map) = object.as_object_mut() {
                    map.insert("rules".into(), json!(rules));
                }
                (Key::new(gr.clone(), "", name.clone()), role.revision, object)
            })
        })
        .collect()
}

/// Commits what [`pending`] finds. A role that changes meanwhile is left to the next call.
///
/// # Errors
/// The store's, except for lost races.
pub fn aggregate(store: &Store) -> Result<(), StoreError> {
    for (key, revision, object) in pending(store) {
        match store.commit(key, Expect::Revision(revision), Some(object)) {
            Ok(_) | Err(StoreError::Changed(_) | StoreError::Missing) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

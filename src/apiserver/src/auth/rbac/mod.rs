//! Role-based access control.
//!
//! The roles and bindings in the store are kept as an index by subject, rebuilt when one of the four resources changed
//! (compared by [`Store::last_write`]). Roles that aggregate others are resolved while indexing, so a new role counts at
//! once. Members of `system:masters` are allowed everything, and nodes what the ClusterRole `system:node` says, as the
//! node authorizer would; its graph of which node may see which object is not reproduced.
//!
//! Facts: `plugin/pkg/auth/authorizer/rbac/rbac.go`.

pub mod aggregation;
pub mod bootstrap;
pub mod escalation;
mod rule;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

pub use rule::{Rule, uncovered};

use super::service_account::user_name;
use super::{Attributes, MASTERS, UserInfo};
use crate::error::{ApiError, go_quote};
use crate::resource::GroupResource;
use crate::store::{Key, Store};

/// API group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";
/// Group of kubelets.
const NODES: &str = "system:nodes";

/// What the authorizer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Allowed, and by what: `RBAC: allowed by …`.
    Allow(String),
    /// Nothing allows it; the text names problems met on the way and is mostly empty.
    NoOpinion(String),
}

impl Decision {
    /// Whether the request may proceed.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow(_))
    }
}

/// A role that a binding refers to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoleRef {
    /// `Role` or `ClusterRole`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl RoleRef {
    /// The `roleRef` of a binding.
    pub fn of(binding: &Value) -> Self {
        let text = |pointer: &str| binding.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { kind: text("/roleRef/kind"), name: text("/roleRef/name") }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    User(String),
    Group(String),
}

#[derive(Debug)]
struct Binding {
    /// Empty for cluster-wide bindings.
    namespace: String,
    name: String,
    role: RoleRef,
    /// How the subject is written in reasons, by index of the subject.
    subjects: Vec<(Subject, String)>,
}

/// Roles and bindings at one moment.
#[derive(Debug, Default)]
struct Index {
    /// Revisions of the four resources when this was built.
    built_at: [u64; 4],
    /// By namespace (empty for ClusterRoles) and name.
    roles: BTreeMap<(String, String), Arc<Vec<Rule>>>,
    bindings: Vec<Binding>,
    /// By namespace (empty for cluster-wide) and subject: positions in `bindings`.
    by_subject: BTreeMap<(String, Subject), Vec<usize>>,
}

/// Decides on requests; clones share the index.
#[derive(Clone)]
pub struct Authorizer {
    store: Store,
    index: Arc<Mutex<Arc<Index>>>,
}

impl std::fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authorizer")
    }
}

fn resources() -> [GroupResource; 4] {
    ["roles", "clusterroles", "rolebindings", "clusterrolebindings"].map(|r| GroupResource::new(GROUP, r))
}

impl Authorizer {
    /// An authorizer over the roles and bindings in `store`.
    pub fn new(store: Store) -> Self {
        Self { store, index: Arc::default() }
    }

    /// Whether a request is allowed.
    pub fn authorize(&self, request: &Attributes<'_>) -> Decision {
        if request.user.is_in(MASTERS) {
            return Decision::Allow(String::new());
        }
        let index = self.index();
        let mut errors = Vec::new();
        let mut allowed = None;
        index.visit(request.user, request.namespace, |reason, rules| {
            match rules {
                Ok(rules) if rules.iter().any(|rule| rule.allows(request)) => allowed = Some(reason()),
                Ok(_) => {}
                Err(error) => errors.push(error),
            }
            allowed.is_none()
        });
        match allowed {
            Some(reason) => Decision::Allow(format!("RBAC: allowed by {reason}")),
            None if errors.is_empty() => Decision::NoOpinion(String::new()),
            None => Decision::NoOpinion(format!("RBAC: {}", aggregate(&errors))),
        }
    }

    /// [`Authorizer::authorize`] as a result.
    ///
    /// # Errors
    /// 403 in Kubernetes' words.
    pub fn check(&self, request: &Attributes<'_>) -> Result<(), ApiError> {
        match self.authorize(request) {
            Decision::Allow(_) => Ok(()),
            Decision::NoOpinion(reason) => Err(request.forbidden(&reason)),
        }
    }

    /// All rules of a user in a namespace (empty: cluster-wide only), and what could not be resolved.
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> (Vec<Rule>, Vec<String>) {
        let index = self.index();
        let (mut all, mut errors) = (Vec::new(), Vec::new());
        index.visit(user, namespace, |_, rules| {
            match rules {
                Ok(rules) => all.extend(rules.iter().cloned()),
                Err(error) => errors.push(error),
            }
            true
        });
        (all, errors)
    }

    /// The rules of a role as bindings in `namespace` see it; `None` when it does not exist.
    pub fn rules_of(&self, role: &RoleRef, namespace: &str) -> Option<Arc<Vec<Rule>>> {
        self.index().rules_of(role, namespace).cloned()
    }

    fn index(&self) -> Arc<Index> {
        let now = resources().map(|gr| self.store.last_write(&gr));
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if index.built_at != now || index.roles.is_empty() {
            *index = Arc::new(Index::build(&self.store, now));
        }
        index.clone()
    }
}

/// Everything on every resource and path.
pub(super) fn full_authority() -> [Rule; 2] {
    let all = || vec!["*".to_owned()];
    [
        Rule { api_groups: all(), resources: all(), verbs: all(), ..Rule::default() },
        Rule { non_resource_urls: all(), verbs: all(), ..Rule::default() },
    ]
}

/// Several errors as Go's aggregate prints them.
fn aggregate(errors: &[String]) -> String {
    let unique: BTreeSet<&String> = errors.iter().collect();
    let mut seen = Vec::new();
    for error in errors {
        if unique.contains(error) && !seen.contains(&error.as_str()) {
            seen.push(error.as_str());
        }
    }
    match seen.as_slice() {
        [one] => (*one).to_owned(),
        many => format!("[{}]", many.join(", ")),
    }
}

impl Index {
    fn build(store: &Store, built_at: [u64; 4]) -> Self {
        let [roles, cluster_roles, role_bindings, cluster_role_bindings] = resources();
        let mut index = Self { built_at, ..Self::default() };
        for stored in store.list(&roles, None).0 {
            let key = (stored.key.namespace.clone(), stored.key.name.clone());
            index.roles.insert(key, Arc::new(Rule::of_role(&stored.value())));
        }
        for (name, rules) in aggregation::resolved(store, &cluster_roles) {
            index.roles.insert((String::new(), name), Arc::new(rules));
        }
        for gr in [cluster_role_bindings, role_bindings] {
            for stored in store.list(&gr, None).0 {
                index.add_binding(&stored.key, &stored.value());
            }
        }
        index
    }

    fn add_binding(&mut self, key: &Key, object: &Value) {
        let position = self.bindings.len();
        let mut subjects = Vec::new();
        for subject in object.get("subjects").and_then(Value::as_array).into_iter().flatten() {
            let text = |field: &str| subject.get(field).and_then(Value::as_str).unwrap_or_default();
            let name = text("name");
            let (subject, written) = match text("kind") {
                "User" => (Subject::User(name.to_owned()), format!("User {}", go_quote(name))),
                "Group" => (Subject::Group(name.to_owned()), format!("Group {}", go_quote(name))),
                "ServiceAccount" => {
                    let namespace = Some(text("namespace")).filter(|n| !n.is_empty()).unwrap_or(&key.namespace);
                    if namespace.is_empty() {
                        continue;
                    }
                    let written = format!("ServiceAccount {}", go_quote(&format!("{name}/{namespace}")));
                    (Subject::User(user_name(namespace, name)), written)
                }
                _ => continue,
            };
            let positions = self.by_subject.entry((key.namespace.clone(), subject.clone())).or_default();
            if positions.last() != Some(&position) {
                positions.push(position);
            }
            subjects.push((subject, written));
        }
        self.bindings.push(Binding { namespace: key.namespace.clone(), name: key.name.clone(), role: RoleRef::of(object), subjects });
    }

    fn rules_of(&self, role: &RoleRef, namespace: &str) -> Option<&Arc<Vec<Rule>>> {
        let namespace = if role.kind == "Role" { namespace } else { "" };
        self.roles.get(&(namespace.to_owned(), role.name.clone()))
    }

    /// Calls `visit` with each binding that names the user, cluster-wide ones first, until it returns false. It gets the
    /// reason to print, and the rules or why there are none.
    fn visit(&self, user: &UserInfo, namespace: &str, mut visit: impl FnMut(&dyn Fn() -> String, Result<&[Rule], String>) -> bool) {
        let subjects: BTreeSet<Subject> =
            std::iter::once(Subject::User(user.name.clone())).chain(user.groups.iter().cloned().map(Subject::Group)).collect();
        let scopes: &[&str] = if namespace.is_empty() { &[""] } else { &["", namespace] };
        for scope in scopes {
            let positions: BTreeSet<usize> = subjects
                .iter()
                .filter_map(|subject| self.by_subject.get(&((*scope).to_owned(), subject.clone())))
                .flatten()
                .copied()
                .collect();
            for binding in positions.into_iter().filter_map(|position| self.bindings.get(position)) {
                let rules = self.rules_of(&binding.role, &binding.namespace).map(|rules| rules.as_slice()).ok_or_else(|| {
                    let resource = if binding.role.kind == "Role" { "role" } else { "clusterrole" };
                    format!("{resource}.{GROUP} {} not found", go_quote(&binding.role.name))
                });
                if !visit(&|| binding.reason(&subjects), rules) {
                    return;
                }
            }
        }
        if user.is_in(NODES)
            && let Some(rules) = self.rules_of(&RoleRef { kind: "ClusterRole".into(), name: "system:node".into() }, "")
        {
            visit(&|| format!("ClusterRole \"system:node\" to Group \"{NODES}\""), Ok(rules));
        }
    }
}

impl Binding {
    fn reason(&self, subjects: &BTreeSet<Subject>) -> String {
        let subject = self.subjects.iter().find(|(subject, _)| subjects.contains(subject)).map_or("", |(_, written)| written.as_str());
        let (kind, name) = if self.namespace.is_empty() {
            ("ClusterRoleBinding", self.name.clone())
        } else {
            ("RoleBinding", format!("{}/{}", self.name, self.namespace))
        };
        format!("{kind} {} of {} {} to {subject}", go_quote(&name), self.role.kind, go_quote(&self.role.name))
    }
}

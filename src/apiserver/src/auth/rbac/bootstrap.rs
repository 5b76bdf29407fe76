//! The roles and bindings that every cluster starts with.
//!
//! Facts: `plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go` of Kubernetes 1.34; the `system:controller:*`
//! roles are left out, since controllers here are not users of the API.

use serde_json::{Value, json};

use super::GROUP;
use crate::env::Env;
use crate::resource::GroupResource;
use crate::store::{Expect, Key, Store, StoreError};

const READ: &str = "get,list,watch";
const WRITE: &str = "create,delete,deletecollection,patch,update";
const READ_WRITE: &str = "create,delete,deletecollection,get,list,patch,update,watch";

/// Verbs, API groups, resources; comma-separated, `core` for the core group. An empty list of groups means URLs.
type Line = (&'static str, &'static str, &'static str);

const DISCOVERY: &[Line] = &[("get", "", "/api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/")];
const PUBLIC_INFO: &[Line] = &[("get", "", "/healthz,/livez,/readyz,/version,/version/")];
const MONITORING: &[Line] = &[("get", "", "/healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/slis,/readyz,/readyz/*")];
const ISSUER_DISCOVERY: &[Line] =
    &[("get", "", "/.well-known/openid-configuration,/.well-known/openid-configuration/,/openid/v1/jwks,/openid/v1/jwks/")];
const BASIC_USER: &[Line] = &[
    ("create", "authorization.k8s.io", "selfsubjectaccessreviews,selfsubjectrulesreviews"),
    ("create", "authentication.k8s.io", "selfsubjectreviews"),
];
const CLUSTER_ADMIN: &[Line] = &[("*", "*", "*"), ("*", "", "*")];
const TO_ADMIN: &[Line] =
    &[("create", "authorization.k8s.io", "localsubjectaccessreviews"), (READ_WRITE, "rbac.authorization.k8s.io", "rolebindings,roles")];
const TO_EDIT: &[Line] = &[
    (READ, "core", "pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy"),
    ("impersonate", "core", "serviceaccounts"),
    (WRITE, "core", "pods,pods/attach,pods/exec,pods/portforward,pods/proxy"),
    ("create", "core", "pods/eviction"),
    (
        WRITE,
        "core",
        "configmaps,events,persistentvolumeclaims,replicationcontrollers,replicationcontrollers/scale,secrets,serviceaccounts,services,services/proxy",
    ),
    ("create", "core", "serviceaccounts/token"),
    (
        WRITE,
        "apps",
        "daemonsets,deployments,deployments/rollback,deployments/scale,replicasets,replicasets/scale,statefulsets,statefulsets/scale",
    ),
    (WRITE, "autoscaling", "horizontalpodautoscalers"),
    (WRITE, "batch", "cronjobs,jobs"),
    (
        WRITE,
        "extensions",
        "daemonsets,deployments,deployments/rollback,deployments/scale,ingresses,networkpolicies,replicasets,replicasets/scale,replicationcontrollers/scale",
    ),
    (WRITE, "policy", "poddisruptionbudgets"),
    (WRITE, "networking.k8s.io", "ingresses,networkpolicies"),
    (READ_WRITE, "coordination.k8s.io", "leases"),
];
const TO_VIEW: &[Line] = &[
    (
        READ,
        "core",
        "configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,pods,replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status",
    ),
    (
        READ,
        "core",
        "bindings,events,limitranges,namespaces/status,pods/log,pods/status,replicationcontrollers/status,resourcequotas,resourcequotas/status",
    ),
    (READ, "core", "namespaces"),
    (READ, "discovery.k8s.io", "endpointslices"),
    (
        READ,
        "apps",
        "controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,replicasets,replicasets/scale,replicasets/status,statefulsets,statefulsets/scale,statefulsets/status",
    ),
    (READ, "autoscaling", "horizontalpodautoscalers,horizontalpodautoscalers/status"),
    (READ, "batch", "cronjobs,cronjobs/status,jobs,jobs/status"),
    (
        READ,
        "extensions",
        "daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,ingresses,ingresses/status,networkpolicies,replicasets,replicasets/scale,replicasets/status,replicationcontrollers/scale",
    ),
    (READ, "policy", "poddisruptionbudgets,poddisruptionbudgets/status"),
    (READ, "networking.k8s.io", "ingresses,ingresses/status,networkpolicies"),
];
const NODE: &[Line] = &[
    ("create", "authentication.k8s.io", "tokenreviews"),
    ("create", "authorization.k8s.io", "localsubjectaccessreviews,subjectaccessreviews"),
    (READ, "core", "services"),
    ("create,get,list,watch", "core", "nodes"),
    ("patch,update", "core", "nodes/status"),
    ("patch,update", "core", "nodes"),
    ("create,patch,update", "core", "events"),
    (READ, "core", "pods"),
    ("create,delete", "core", "pods"),
    ("patch,update", "core", "pods/status"),
    ("create", "core", "pods/eviction"),
    (READ, "core", "configmaps,secrets"),
    ("get", "core", "persistentvolumeclaims,persistentvolumes"),
    ("get", "core", "endpoints"),
    ("create,get,list,watch", "certificates.k8s.io", "certificatesigningrequests"),
    ("create,delete,get,patch,update", "coordination.k8s.io", "leases"),
    ("get", "storage.k8s.io", "volumeattachments"),
    ("create", "core", "serviceaccounts/token"),
    ("get,patch,update", "core", "persistentvolumeclaims/status"),
    (READ, "storage.k8s.io", "csidrivers"),
    ("create,delete,get,patch,update", "storage.k8s.io", "csinodes"),
    (READ, "node.k8s.io", "runtimeclasses"),
    ("get", "resource.k8s.io", "resourceclaims"),
    ("deletecollection,get,list,watch", "resource.k8s.io", "resourceslices"),
];
const NODE_PROXIER: &[Line] = &[
    ("list,watch", "core", "endpoints,services"),
    (READ, "core", "nodes"),
    ("create,patch,update", "core,events.k8s.io", "events"),
    ("list,watch", "discovery.k8s.io", "endpointslices"),
];
const NODE_PROBLEM_DETECTOR: &[Line] =
    &[("get", "core", "nodes"), ("patch", "core", "nodes/status"), ("create,patch,update", "core,events.k8s.io", "events")];
const KUBELET_API: &[Line] = &[
    (READ, "core", "nodes"),
    ("*", "core", "nodes"),
    ("*", "core", "nodes/checkpoint,nodes/configz,nodes/healthz,nodes/log,nodes/metrics,nodes/pods,nodes/proxy,nodes/stats"),
];
const NODE_BOOTSTRAPPER: &[Line] = &[("create,get,list,watch", "certificates.k8s.io", "certificatesigningrequests")];
const AUTH_DELEGATOR: &[Line] =
    &[("create", "authentication.k8s.io", "tokenreviews"), ("create", "authorization.k8s.io", "subjectaccessreviews")];
const KUBE_AGGREGATOR: &[Line] = &[(READ, "core", "endpoints,services")];
const KUBE_DNS: &[Line] = &[("list,watch", "core", "endpoints,services")];
const CONTROLLER_MANAGER: &[Line] = &[
    ("create,patch,update", "core,events.k8s.io", "events"),
    ("create", "coordination.k8s.io", "leases"),
    ("get,update", "coordination.k8s.io", "leases"),
    ("create", "core", "secrets,serviceaccounts"),
    ("delete", "core", "secrets"),
    ("get", "core", "configmaps,namespaces,secrets,serviceaccounts"),
    ("update", "core", "secrets,serviceaccounts"),
    ("create", "authentication.k8s.io", "tokenreviews"),
    ("create", "authorization.k8s.io", "subjectaccessreviews"),
    ("list,watch", "*", "*"),
    ("create", "core", "serviceaccounts/token"),
];
const SCHEDULER: &[Line] = &[
    ("create,patch,update", "core,events.k8s.io", "events"),
    ("create", "coordination.k8s.io", "leases"),
    ("get,list,update,watch", "coordination.k8s.io", "leases"),
    (READ, "core", "nodes"),
    ("delete,get,list,watch", "core", "pods"),
    ("create", "core", "bindings,pods/binding"),
    ("patch,update", "core", "pods/status"),
    (READ, "core", "replicationcontrollers,services"),
    (READ, "apps,extensions", "replicasets"),
    (READ, "apps", "statefulsets"),
    (READ, "policy", "poddisruptionbudgets"),
    (READ, "core", "persistentvolumeclaims,persistentvolumes"),
    ("create", "authentication.k8s.io", "tokenreviews"),
    ("create", "authorization.k8s.io", "subjectaccessreviews"),
    (READ, "storage.k8s.io", "csidrivers,csinodes,csistoragecapacities"),
    (READ, "core", "namespaces"),
];
const VOLUME_SCHEDULER: &[Line] = &[
    ("get,list,patch,update,watch", "core", "persistentvolumes"),
    (READ, "storage.k8s.io", "storageclasses"),
    ("get,list,patch,update,watch", "core", "persistentvolumeclaims"),
];
const VOLUME_PROVISIONER: &[Line] = &[
    ("create,delete,get,list,watch", "core", "persistentvolumes"),
    ("get,list,update,watch", "core", "persistentvolumeclaims"),
    (READ, "storage.k8s.io", "storageclasses"),
    ("watch", "core", "events"),
    ("create,patch,update", "core,events.k8s.io", "events"),
];

/// ClusterRoles that list their rules; the label makes a role part of `admin`, `edit` or `view`.
const CLUSTER_ROLES: &[(&str, &str, &[Line])] = &[
    ("cluster-admin", "", CLUSTER_ADMIN),
    ("system:discovery", "", DISCOVERY),
    ("system:public-info-viewer", "", PUBLIC_INFO),
    ("system:monitoring", "", MONITORING),
    ("system:basic-user", "", BASIC_USER),
    ("system:aggregate-to-admin", "aggregate-to-admin", TO_ADMIN),
    ("system:aggregate-to-edit", "aggregate-to-edit", TO_EDIT),
    ("system:aggregate-to-view", "aggregate-to-view", TO_VIEW),
    ("system:auth-delegator", "", AUTH_DELEGATOR),
    ("system:kube-aggregator", "", KUBE_AGGREGATOR),
    ("system:kube-controller-manager", "", CONTROLLER_MANAGER),
    ("system:kube-dns", "", KUBE_DNS),
    ("system:kube-scheduler", "", SCHEDULER),
    ("system:kubelet-api-admin", "", KUBELET_API),
    ("system:node", "", NODE),
    ("system:node-bootstrapper", "", NODE_BOOTSTRAPPER),
    ("system:node-problem-detector", "", NODE_PROBLEM_DETECTOR),
    ("system:node-proxier", "", NODE_PROXIER),
    ("system:persistent-volume-provisioner", "", VOLUME_PROVISIONER),
    ("system:service-account-issuer-discovery", "", ISSUER_DISCOVERY),
    ("system:volume-scheduler", "", VOLUME_SCHEDULER),
];

/// ClusterRoles made of others: name, own label (`edit` is part of `admin`), label of the parts.
const AGGREGATES: &[(&str, &str, &str)] = &[
    ("admin", "", "aggregate-to-admin"),
    ("edit", "aggregate-to-admin", "aggregate-to-edit"),
    ("view", "aggregate-to-edit", "aggregate-to-view"),
];

/// ClusterRoleBindings: name (the role's too), kind of subject, subjects.
const CLUSTER_ROLE_BINDINGS: &[(&str, &str, &str)] = &[
    ("cluster-admin", "Group", "system:masters"),
    ("system:basic-user", "Group", "system:authenticated"),
    ("system:discovery", "Group", "system:authenticated"),
    ("system:public-info-viewer", "Group", "system:authenticated,system:unauthenticated"),
    ("system:monitoring", "Group", "system:monitoring"),
    ("system:node-proxier", "User", "system:kube-proxy"),
    ("system:kube-controller-manager", "User", "system:kube-controller-manager"),
    ("system:kube-dns", "ServiceAccount", "kube-dns"),
    ("system:kube-scheduler", "User", "system:kube-scheduler"),
    ("system:volume-scheduler", "User", "system:kube-scheduler"),
    ("system:node", "Group", ""),
    ("system:service-account-issuer-discovery", "Group", "system:serviceaccounts"),
];

fn list(text: &str) -> Vec<&str> {
    text.split(',').map(|item| if item == "core" { "" } else { item }).collect()
}

fn rule((verbs, groups, resources): &Line) -> Value {
    if groups.is_empty() {
        json!({"nonResourceURLs": list(resources), "verbs": list(verbs)})
    } else {
        json!({"apiGroups": list(groups), "resources": list(resources), "verbs": list(verbs)})
    }
}

fn object(kind: &str, namespace: &str, name: &str, label: &str) -> Value {
    let mut labels = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
    if !label.is_empty() {
        labels[format!("{GROUP}/{label}")] = "true".into();
    }
    let mut metadata = json!({"name": name, "labels": labels, "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}});
    if !namespace.is_empty() {
        metadata["namespace"] = namespace.into();
    }
    json!({"apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": metadata})
}

/// Every bootstrap object with its resource.
fn objects() -> Vec<(&'static str, Value)> {
    let mut all = Vec::new();
    for (name, label, lines) in CLUSTER_ROLES {
        let mut role = object("ClusterRole", "", name, label);
        role["rules"] = lines.iter().map(rule).collect();
        all.push(("clusterroles", role));
    }
    for (name, label, parts) in AGGREGATES {
        let mut role = object("ClusterRole", "", name, label);
        role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {format!("{GROUP}/{parts}"): "true"}}]});
        role["rules"] = Value::Null;
        all.push(("clusterroles", role));
    }
    for (name, kind, subjects) in CLUSTER_ROLE_BINDINGS {
        let mut binding = object("ClusterRoleBinding", "", name, "");
        binding["roleRef"] = json!({"apiGroup": GROUP, "kind": "ClusterRole", "name": name});
        let subjects: Vec<Value> = list(subjects)
            .into_iter()
            .filter(|subject| !subject.is_empty())
            .map(|subject| match *kind {
                "ServiceAccount" => json!({"kind": kind, "name": subject, "namespace": "kube-system"}),
                _ => json!({"apiGroup": GROUP, "kind": kind, "name": subject}),
            })
            .collect();
        if !subjects.is_empty() {
            binding["subjects"] = subjects.into();
        }
        all.push(("clusterrolebindings", binding));
    }
    // Aggregated API servers read the front proxy's authority through this role.
    let mut reader = object("Role", "kube-system", "extension-apiserver-authentication-reader", "");
    reader["rules"] = json!([{
        "apiGroups": [""],
        "resourceNames": ["extension-apiserver-authentication"],
        "resources": ["configmaps"],
        "verbs": ["get", "list", "watch"],
    }]);
    all.push(("roles", reader));
    let mut binding = object("RoleBinding", "kube-system", "system::extension-apiserver-authentication-reader", "");
    binding["roleRef"] = json!({"apiGroup": GROUP, "kind": "Role", "name": "extension-apiserver-authentication-reader"});
    binding["subjects"] = json!([
        {"apiGroup": GROUP, "kind": "User", "name": "system:kube-controller-manager"},
        {"apiGroup": GROUP, "kind": "User", "name": "system:kube-scheduler"},
    ]);
    all.push(("rolebindings", binding));
    all
}

/// Creates what is missing of the bootstrap roles and bindings; what users changed stays.
///
/// # Errors
/// The store's.
pub fn ensure(store: &Store, env: &Env) -> Result<(), StoreError> {
    for (resource, mut object) in objects() {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = Key::new(GroupResource::new(GROUP, resource), text("/metadata/namespace"), text("/metadata/name"));
        if store.get(&key).is_some() {
            continue;
        }
        object["metadata"]["uid"] = env.entropy.uuid().into();
        object["metadata"]["creationTimestamp"] = env.timestamp().into();
        store.commit(key, Expect::Absent, Some(object))?;
    }
    super::aggregation::aggregate(store)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;

    use super::*;
    use crate::auth::rbac::{Authorizer, Decision};
    use crate::auth::{Attributes, UserInfo};
    use crate::env::Entropy;

    fn env() -> Env {
        let at: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        Env { now: Arc::new(move || at), entropy: Entropy::from_seed(1), dialer: Arc::new(crate::net::Unreachable) }
    }

    fn put(store: &Store, resource: &str, namespace: &str, object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        store.commit(Key::new(GroupResource::new(GROUP, resource), namespace, name), Expect::Any, Some(object)).unwrap();
    }

    fn bound(role: &str) -> (Store, Authorizer) {
        let store = Store::new();
        ensure(&store, &env()).unwrap();
        let binding = json!({"metadata": {"name": "b", "namespace": "n"}, "roleRef": {"kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "name": "amy"}, {"kind": "ServiceAccount", "name": "sa"}]});
        put(&store, "rolebindings", "n", binding);
        (store.clone(), Authorizer::new(store))
    }

    #[rstest]
    #[case("view", "get", "", "pods", "n", true)]
    #[case("view", "get", "", "secrets", "n", false)]
    #[case("view", "delete", "", "pods", "n", false)]
    #[case("edit", "delete", "", "pods", "n", true)]
    #[case("edit", "get", "", "pods", "n", true)]
    #[case("edit", "create", "rbac.authorization.k8s.io", "roles", "n", false)]
    #[case("admin", "create", "rbac.authorization.k8s.io", "roles", "n", true)]
    #[case("admin", "get", "", "pods", "n", true)]
    #[case("admin", "get", "", "pods", "other", false)]
    #[case("cluster-admin", "x", "y", "z", "n", true)]
    #[case("nothing", "get", "", "pods", "n", false)]
    fn the_user_roles_allow(
        #[case] role: &str,
        #[case] verb: &str,
        #[case] group: &str,
        #[case] resource: &str,
        #[case] namespace: &str,
        #[case] allowed: bool,
    ) {
        let (_, authorizer) = bound(role);
        for user in [UserInfo::new("amy", &[]), UserInfo::new("system:serviceaccount:n:sa", &[])] {
            let request = Attributes { namespace, ..Attributes::resource(&user, verb, group, resource) };
            assert_eq!(authorizer.authorize(&request).is_allowed(), allowed, "{user:?}");
        }
    }

    #[test]
    fn reasons_name_the_binding_and_the_problem() {
        let (_, authorizer) = bound("view");
        let amy = UserInfo::new("amy", &[]);
        let request = Attributes { namespace: "n", ..Attributes::resource(&amy, "get", "", "pods") };
        let reason = "RBAC: allowed by RoleBinding \"b/n\" of ClusterRole \"view\" to User \"amy\"";
        assert_eq!(authorizer.authorize(&request), Decision::Allow(reason.into()));
        let (_, authorizer) = bound("nothing");
        let reason = "RBAC: clusterrole.rbac.authorization.k8s.io \"nothing\" not found";
        assert_eq!(authorizer.authorize(&request), Decision::NoOpinion(reason.into()));
    }

    #[test]
    fn a_new_role_with_the_label_widens_the_aggregate_at_once_and_in_its_object() {
        let (store, authorizer) = bound("view");
        let amy = UserInfo::new("amy", &[]);
        let request = Attributes { namespace: "n", ..Attributes::resource(&amy, "get", "example.dev", "gadgets") };
        assert!(!authorizer.authorize(&request).is_allowed());
        let role = json!({"metadata": {"name": "vms", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
            "rules": [{"apiGroups": ["example.dev"], "resources": ["gadgets"], "verbs": ["get"]}]});
        put(&store, "clusterroles", "", role);
        assert!(authorizer.authorize(&request).is_allowed());
        super::super::aggregation::aggregate(&store).unwrap();
        for name in ["view", "edit", "admin"] {
            let stored = store.get(&Key::new(GroupResource::new(GROUP, "clusterroles"), "", name)).unwrap();
            assert!(stored.value()["rules"].to_string().contains("example.dev"), "{name}");
        }
        assert_eq!(super::super::aggregation::pending(&store), []);
    }

    #[test]
    fn granting_more_than_held_is_refused_with_the_list() {
        let (_, authorizer) = bound("view");
        let amy = UserInfo::new("amy", &["system:authenticated"]);
        let roles = GroupResource::new(GROUP, "roles");
        let role = json!({"metadata": {"name": "big"}, "rules": [{"apiGroups": [""], "resources": ["secrets", "pods"], "verbs": ["get", "delete"]}]});
        let error = authorizer.check_escalation(&amy, &roles, "n", &role, None).unwrap_err();
        assert_eq!(
            error.message,
            "roles.rbac.authorization.k8s.io \"big\" is forbidden: user \"amy\" (groups=[\"system:authenticated\"]) is attempting to grant \
             RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}\n\
             {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"delete\"]}"
        );
        assert_eq!(authorizer.check_escalation(&amy, &roles, "n", &role, Some(&role)), Ok(()));
        assert_eq!(authorizer.check_escalation(&UserInfo::admin(), &roles, "n", &role, None), Ok(()));
        let bindings = GroupResource::new(GROUP, "rolebindings");
        let binding = |role: &str| json!({"metadata": {"name": "up"}, "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": []});
        assert_eq!(authorizer.check_escalation(&amy, &bindings, "n", &binding("cluster-admin"), None).unwrap_err().code, 403);
        assert_eq!(authorizer.check_escalation(&amy, &bindings, "n", &binding("nowhere"), None).unwrap_err().code, 404);
        assert_eq!(authorizer.check_escalation(&amy, &bindings, "n", &binding("view"), None), Ok(()));
    }

    #[test]
    fn everybody_may_discover_and_anonymous_sees_health_only() {
        let (_, authorizer) = bound("view");
        let may = |user: &UserInfo, path: &str| authorizer.authorize(&Attributes::path(user, "get", path)).is_allowed();
        let amy = UserInfo::new("amy", &["system:authenticated"]);
        assert!(may(&amy, "/apis/apps/v1") && may(&amy, "/openapi/v3") && !may(&amy, "/metrics"));
        let nobody = UserInfo::anonymous();
        assert!(may(&nobody, "/healthz") && may(&nobody, "/version") && !may(&nobody, "/api"));
    }
}

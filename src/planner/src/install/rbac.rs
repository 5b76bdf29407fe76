//! What each component may do (spec/rbac.md §3): ClusterRole, Role in the install namespace, and their bindings.

use super::{Installation, managed};
use serde_json::{Value, json};

/// One line of a role: API group, resources (comma-separated), verbs as letters.
///
/// Letters: `g`et, `l`ist, `w`atch, `c`reate, `u`pdate, `p`atch, `d`elete, `D`eletecollection, `*` all.
pub(super) type Rule = (&'static str, &'static str, &'static str);

pub(super) fn rules(lines: &[Rule]) -> Vec<Value> {
    lines
        .iter()
        .map(|(group, resources, verbs)| {
            json!({"apiGroups": [group], "resources": resources.split(", ").collect::<Vec<_>>(), "verbs": verbs.chars().map(verb).collect::<Vec<_>>()})
        })
        .collect()
}

fn verb(letter: char) -> &'static str {
    match letter {
        'g' => "get",
        'l' => "list",
        'w' => "watch",
        'c' => "create",
        'u' => "update",
        'p' => "patch",
        'd' => "delete",
        'D' => "deletecollection",
        _ => "*",
    }
}

const INSTANCETYPES: &str =
    "virtualmachineinstancetypes, virtualmachineclusterinstancetypes, virtualmachinepreferences, virtualmachineclusterpreferences";

const API: &[Rule] = &[
    ("", "pods", "gldp"),
    ("kubevirt.io", "virtualmachines, virtualmachineinstances", "glwpu"),
    ("kubevirt.io", "virtualmachines/status", "p"),
    ("kubevirt.io", "virtualmachineinstancemigrations", "cglwp"),
    ("kubevirt.io", "virtualmachineinstancepresets", "wl"),
    ("kubevirt.io", "kubevirts", "glw"),
    // What may be in the way of an uninstallation, which virt-api judges here.
    ("kubevirt.io", "virtualmachineinstancereplicasets", "l"),
    ("snapshot.storage.k8s.io", "volumesnapshots", "g"),
    ("", "persistentvolumeclaims", "gl"),
    ("", "configmaps, namespaces", "glw"),
    ("", "limitranges", "wl"),
    ("", "nodes", "g"),
    ("apiextensions.k8s.io", "customresourcedefinitions", "glw"),
    ("snapshot.kubevirt.io", "virtualmachinesnapshots, virtualmachinerestores, virtualmachinesnapshotcontents", "glw"),
    ("backup.kubevirt.io", "virtualmachinebackups, virtualmachinebackuptrackers", "glw"),
    ("cdi.kubevirt.io", "datasources, datavolumes", "glw"),
    ("instancetype.kubevirt.io", INSTANCETYPES, "glw"),
    ("migrations.kubevirt.io", "migrationpolicies", "glw"),
    ("apps", "controllerrevisions", "clg"),
];
const API_LOCAL: &[Rule] = &[
    ("", "configmaps", "glw"),
    // In dry runs only, as a policy sees to: whether the components may be placed as an installation wants.
    ("apps", "deployments, daemonsets", "c"),
];

const CONTROLLER: &[Rule] = &[
    ("", "namespaces", "glwp"),
    ("policy", "poddisruptionbudgets", "glwdcp"),
    ("", "pods, configmaps, endpoints, services", "glwducp"),
    ("", "events", "ucp"),
    ("", "secrets", "c"),
    ("", "pods/finalizers", "u"),
    ("", "pods/eviction", "c"),
    ("", "pods/status", "p"),
    ("", "nodes", "glwup"),
    ("", "persistentvolumeclaims", "glwcudp"),
    ("", "resourcequotas", "lw"),
    ("apps", "daemonsets", "l"),
    ("apps", "controllerrevisions", "wlcdgu"),
    ("kubevirt.io", "*", "*"),
    ("kubevirt.io", "virtualmachines/finalizers, virtualmachineinstances/finalizers", "u"),
    (
        "snapshot.kubevirt.io",
        "virtualmachinesnapshots, virtualmachinesnapshots/status, virtualmachinesnapshots/finalizers, virtualmachinesnapshotcontents, virtualmachinesnapshotcontents/status, virtualmachinesnapshotcontents/finalizers, virtualmachinerestores, virtualmachinerestores/status",
        "glwcudp",
    ),
    ("export.kubevirt.io", "virtualmachineexports, virtualmachineexports/status, virtualmachineexports/finalizers", "glwcudp"),
    (
        "backup.kubevirt.io",
        "virtualmachinebackups, virtualmachinebackups/status, virtualmachinebackups/finalizers, virtualmachinebackuptrackers, virtualmachinebackuptrackers/status",
        "glwcudp",
    ),
    ("template.kubevirt.io", "virtualmachinetemplates", "glw"),
    (
        "pool.kubevirt.io",
        "virtualmachinepools, virtualmachinepools/finalizers, virtualmachinepools/status, virtualmachinepools/scale",
        "wlcdupg",
    ),
    (
        "subresources.kubevirt.io",
        "virtualmachines/stop, virtualmachineinstances/addvolume, virtualmachineinstances/removevolume, virtualmachineinstances/backup, virtualmachineinstances/redefine-checkpoint, virtualmachineinstances/freeze, virtualmachineinstances/unfreeze, virtualmachineinstances/reset, virtualmachineinstances/softreboot, virtualmachineinstances/sev/setupsession, virtualmachineinstances/sev/injectlaunchsecret",
        "u",
    ),
    ("cdi.kubevirt.io", "*", "*"),
    ("apiextensions.k8s.io", "customresourcedefinitions", "glw"),
    ("authorization.k8s.io", "subjectaccessreviews", "c"),
    ("snapshot.storage.k8s.io", "volumesnapshotclasses", "glw"),
    ("snapshot.storage.k8s.io", "volumesnapshots", "glwcud"),
    ("storage.k8s.io", "storageclasses", "glw"),
    ("instancetype.kubevirt.io", INSTANCETYPES, "glw"),
    ("migrations.kubevirt.io", "migrationpolicies", "glw"),
    ("clone.kubevirt.io", "virtualmachineclones, virtualmachineclones/status, virtualmachineclones/finalizers", "glwupd"),
    ("batch", "jobs", "cgd"),
    ("resource.k8s.io", "resourceslices, resourceclaims", "lwg"),
    ("k8s.cni.cncf.io", "network-attachment-definitions", "g"),
];
const CONTROLLER_LOCAL: &[Rule] = &[
    ("route.openshift.io", "routes", "lgw"),
    ("", "secrets", "lgw"),
    ("networking.k8s.io", "ingresses", "lgw"),
    ("coordination.k8s.io", "leases", "*"),
];

const HANDLER: &[Rule] = &[
    ("kubevirt.io", "virtualmachineinstances", "ulw"),
    ("", "nodes", "plwg"),
    ("", "configmaps", "glw"),
    ("", "events", "cp"),
    ("apiextensions.k8s.io", "customresourcedefinitions", "glw"),
    ("kubevirt.io", "kubevirts", "glw"),
    ("migrations.kubevirt.io", "migrationpolicies", "glw"),
    ("backup.kubevirt.io", "virtualmachinebackuptrackers, virtualmachinebackuptrackers/status", "lwp"),
    ("plugin.kubevirt.io", "plugins", "glw"),
];
const HANDLER_LOCAL: &[Rule] = &[("", "configmaps", "glw")];

/// Roles and bindings of the components.
pub(super) fn objects(installation: &Installation) -> Vec<Value> {
    let ns = installation.namespace.as_str();
    let mut all = Vec::new();
    for (name, cluster, local) in [
        ("kubevirt-apiserver", API, API_LOCAL),
        ("kubevirt-controller", CONTROLLER, CONTROLLER_LOCAL),
        ("kubevirt-handler", HANDLER, HANDLER_LOCAL),
    ] {
        let subjects = json!([{"kind": "ServiceAccount", "name": name, "namespace": ns}]);
        all.push(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name, "labels": managed()}, "rules": rules(cluster)}));
        all.push(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name, "labels": managed()}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}, "subjects": subjects}));
        all.push(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name, "namespace": ns, "labels": managed()}, "rules": rules(local)}));
        all.push(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name, "namespace": ns, "labels": managed()}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}, "subjects": subjects}));
    }
    // virt-api asks the API server who a caller is and what it may do.
    all.push(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "kubevirt-apiserver-auth-delegator", "labels": managed()},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
        "subjects": [{"kind": "ServiceAccount", "name": "kubevirt-apiserver", "namespace": ns}],
    }));
    all
}

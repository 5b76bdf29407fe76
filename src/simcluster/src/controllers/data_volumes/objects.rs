//! DataVolumes and DataSources as they are read here, and the definitions that make them known to an API server.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::{Value, json};

/// The group of the kinds.
pub(crate) const GROUP: &str = "cdi.kubevirt.io";
const VERSION: &str = "v1beta1";

macro_rules! kind {
    ($(#[$doc:meta])* $name:ident, $plural:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(default)]
        pub(crate) struct $name {
            pub(crate) metadata: ObjectMeta,
            pub(crate) spec: Value,
            pub(crate) status: Value,
        }

        impl k8s_openapi::Resource for $name {
            const API_VERSION: &'static str = "cdi.kubevirt.io/v1beta1";
            const GROUP: &'static str = GROUP;
            const KIND: &'static str = stringify!($name);
            const VERSION: &'static str = VERSION;
            const URL_PATH_SEGMENT: &'static str = $plural;
            type Scope = NamespaceResourceScope;
        }

        impl k8s_openapi::Metadata for $name {
            type Ty = ObjectMeta;

            fn metadata(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn metadata_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

kind!(
    /// A disk that is to be filled.
    DataVolume,
    "datavolumes"
);
kind!(
    /// A name for where disks are filled from.
    DataSource,
    "datasources"
);

/// A text of an untyped object; empty when there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The CustomResourceDefinitions of DataVolumes and their like, for whoever installs a cluster.
///
/// Fields that this cluster acts upon are typed, all others are kept as they are.
pub fn data_volume_definitions() -> Vec<Value> {
    let age = json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"});
    let volume_columns = json!([
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase", "description": "The phase the data volume is in"},
        {"name": "Progress", "type": "string", "jsonPath": ".status.progress", "description": "Transfer progress in percentage if known, N/A otherwise"},
        {"name": "Restarts", "type": "integer", "jsonPath": ".status.restartCount", "description": "The number of times the transfer has been restarted."},
        age
    ]);
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let volume_status = json!({
        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
        "properties": {
            "phase": {"type": "string"}, "progress": {"type": "string"}, "claimName": {"type": "string"},
            "restartCount": {"type": "integer", "format": "int32"},
            "conditions": {"type": "array", "items": open}
        }
    });
    vec![
        definition("DataVolume", "Namespaced", &["dv", "dvs"], &volume_columns, &volume_status),
        definition("DataSource", "Namespaced", &["das"], &json!([]), &open),
        definition("StorageProfile", "Cluster", &[], &json!([]), &open),
        definition("CDIConfig", "Cluster", &[], &json!([]), &open),
    ]
}

/// What people may do with DataVolumes: the roles that aggregate to `admin`, `edit` and `view`, and the configuration, which everybody
/// may read.
pub fn data_volume_roles() -> Vec<Value> {
    let api = "rbac.authorization.k8s.io";
    let upload = "upload.cdi.kubevirt.io";
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    let role = |to: &str, rules: &[Value]| {
        let labels = json!({format!("{api}/aggregate-to-{to}"): "true"});
        json!({"apiVersion": format!("{api}/v1"), "kind": "ClusterRole", "metadata": {"name": format!("{GROUP}:{to}"), "labels": labels}, "rules": rules})
    };
    let own = [
        rule(GROUP, &["datavolumes", "datasources"], &["*"]),
        rule(GROUP, &["datavolumes/source"], &["create"]),
        rule(upload, &["uploadtokenrequests"], &["*"]),
    ];
    let look = [rule(GROUP, &["datavolumes", "datasources", "storageprofiles", "cdiconfigs"], &["get", "list", "watch"])];
    let reader = format!("{GROUP}:config-reader");
    vec![
        role("admin", &own),
        role("edit", &own),
        role("view", &look),
        json!({
            "apiVersion": format!("{api}/v1"), "kind": "ClusterRole", "metadata": {"name": reader},
            "rules": [rule(GROUP, &["cdiconfigs", "storageprofiles"], &["get", "list", "watch"])],
        }),
        json!({
            "apiVersion": format!("{api}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": reader},
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": reader},
            "subjects": [{"kind": "Group", "name": "system:authenticated", "apiGroup": api}],
        }),
    ]
}

fn definition(kind: &str, scope: &str, short: &[&str], columns: &Value, status: &Value) -> Value {
    let singular = kind.to_lowercase();
    let plural = format!("{singular}s");
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{GROUP}")},
        "spec": {
            "group": GROUP, "scope": scope,
            "names": {
                "kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": singular, "shortNames": short,
                "categories": if kind == "DataVolume" { json!(["all"]) } else { json!([]) }
            },
            "versions": [{
                "name": VERSION, "served": true, "storage": true, "subresources": {"status": {}},
                "additionalPrinterColumns": columns,
                "schema": {"openAPIV3Schema": {
                    "type": "object", "required": ["spec"],
                    "properties": {
                        "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
                        "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}, "status": status
                    }
                }}
            }]
        }
    })
}

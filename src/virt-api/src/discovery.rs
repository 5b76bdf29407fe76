//! Discovery and service endpoints of the aggregated API (spec/api.md §2.1).

use crate::routes::{self, ROUTES};
use serde_json::{Value, json};

/// The group that is served.
pub const GROUP: &str = "subresources.kubevirt.io";

/// Its versions; both serve the same.
pub const VERSIONS: [&str; 2] = ["v1", "v1alpha3"];

/// The document at a path that needs no authentication, if it is one.
pub fn document(path: &str) -> Option<Value> {
    let base = format!("/apis/{GROUP}");
    let versions: Vec<Value> =
        VERSIONS.iter().map(|version| json!({"groupVersion": format!("{GROUP}/{version}"), "version": version})).collect();
    let group = json!({
        "kind": "APIGroup", "apiVersion": "v1",
        // Misspelt upstream too; clients read the preferred version only.
        "name": "subresource.kubevirt.io",
        "versions": versions,
        "preferredVersion": {"groupVersion": format!("{GROUP}/v1"), "version": "v1"},
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}],
    });
    match path {
        "/" => {
            let mut paths = vec!["/apis".to_owned(), base.clone()];
            paths.extend(VERSIONS.iter().map(|version| format!("{base}/{version}")));
            paths.extend(["/healthz".to_owned(), "/openapi/v2".to_owned(), "/openapi/v3".to_owned()]);
            Some(json!({"paths": paths}))
        }
        "/apis" => Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]})),
        path if path == base => Some(group),
        "/openapi/v2" => {
            Some(json!({"swagger": "2.0", "info": {"title": "KubeVirt subresources", "version": "v1"}, "paths": routes::paths_v2()}))
        }
        "/openapi/v3" => {
            let paths: serde_json::Map<String, Value> = VERSIONS
                .iter()
                .map(|version| {
                    (format!("apis/{GROUP}/{version}"), json!({"serverRelativeURL": format!("/openapi/v3/apis/{GROUP}/{version}")}))
                })
                .collect();
            Some(json!({"paths": paths}))
        }
        path => {
            if let Some(version) = VERSIONS.iter().find(|version| path == format!("{base}/{version}")) {
                let resources: Vec<Value> = ROUTES.iter().filter(|route| route.listed).map(|route| resource(&route.name())).collect();
                return Some(
                    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{GROUP}/{version}"), "resources": resources}),
                );
            }
            let version = VERSIONS.iter().find(|version| path == format!("/openapi/v3/apis/{GROUP}/{version}"))?;
            let info = json!({"title": "KubeVirt subresources", "version": version});
            Some(json!({"openapi": "3.0.0", "info": info, "paths": routes::paths(version)}))
        }
    }
}

/// An entry of the resource list: upstream fills in nothing but name and scope.
fn resource(name: &str) -> Value {
    json!({"name": name, "singularName": "", "namespaced": true, "kind": "", "verbs": null})
}

/// What `…/version` answers.
pub fn version() -> Value {
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    json!({
        "gitVersion": version, "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "", "compiler": "rustc", "platform": concat!("linux/", "amd64"),
    })
}

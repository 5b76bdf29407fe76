//! What the aggregated API serves (spec/api.md §2.1, §3, §4): the one table behind discovery, the OpenAPI documents, and what is
//! answered to a path or method that there is not.

use crate::discovery::{GROUP, VERSIONS};
use serde_json::{Map, Value, json};

/// A route of both versions, below `namespaces/{namespace}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// GET or PUT.
    pub method: &'static str,
    /// `virtualmachines`, `virtualmachineinstances` or `expand-vm-spec`.
    pub resource: &'static str,
    /// What follows the name; a parameter is in braces.
    pub verb: &'static str,
    /// The type of the body, where there is one.
    pub body: Option<&'static str>,
    /// Whether discovery lists it.
    pub listed: bool,
}

const VM: &str = "virtualmachines";
const VMI: &str = "virtualmachineinstances";

const fn put(resource: &'static str, verb: &'static str, body: &'static str) -> Route {
    Route { method: "PUT", resource, verb, body: Some(body), listed: true }
}

const fn act(resource: &'static str, verb: &'static str) -> Route {
    Route { method: "PUT", resource, verb, body: None, listed: true }
}

const fn get(resource: &'static str, verb: &'static str) -> Route {
    Route { method: "GET", resource, verb, body: None, listed: true }
}

/// Served, not listed.
const fn hidden(route: Route) -> Route {
    Route { listed: false, ..route }
}

/// Every route; discovery lists them in this order.
pub const ROUTES: &[Route] = &[
    Route { method: "PUT", resource: "expand-vm-spec", verb: "", body: Some("VirtualMachine"), listed: true },
    get(VMI, "vnc"),
    get(VMI, "vnc/screenshot"),
    get(VMI, "console"),
    get(VMI, "portforward/{port}"),
    hidden(get(VMI, "portforward/{port}/{protocol}")),
    put(VMI, "backup", "BackupOptions"),
    put(VMI, "redefine-checkpoint", "BackupCheckpoint"),
    put(VMI, "pause", "PauseOptions"),
    put(VMI, "unpause", "UnpauseOptions"),
    put(VMI, "freeze", "FreezeUnfreezeTimeout"),
    act(VMI, "unfreeze"),
    act(VMI, "reset"),
    act(VMI, "softreboot"),
    get(VMI, "guestosinfo"),
    get(VMI, "userlist"),
    get(VMI, "filesystemlist"),
    put(VMI, "addvolume", "AddVolumeOptions"),
    put(VMI, "removevolume", "RemoveVolumeOptions"),
    get(VMI, "objectgraph"),
    get(VMI, "sev/fetchcertchain"),
    get(VMI, "sev/querylaunchmeasurement"),
    put(VMI, "sev/setupsession", "SEVSessionOptions"),
    put(VMI, "sev/injectlaunchsecret", "SEVSecretOptions"),
    put(VMI, "evacuate/cancel", "EvacuateCancelOptions"),
    hidden(get(VMI, "usbredir")),
    hidden(get(VMI, "vsock")),
    hidden(get(VMI, "domainstate")),
    put(VM, "start", "StartOptions"),
    put(VM, "stop", "StopOptions"),
    put(VM, "restart", "RestartOptions"),
    put(VM, "migrate", "MigrateOptions"),
    get(VM, "expand-spec"),
    get(VM, "objectgraph"),
    put(VM, "evacuate/cancel", "EvacuateCancelOptions"),
    hidden(put(VM, "addvolume", "AddVolumeOptions")),
    hidden(put(VM, "removevolume", "RemoveVolumeOptions")),
    hidden(put(VM, "memorydump", "VirtualMachineMemoryDumpRequest")),
    hidden(act(VM, "removememorydump")),
    hidden(get(VM, "portforward/{port}")),
    hidden(get(VM, "portforward/{port}/{protocol}")),
];

/// What is served without a namespace.
const SERVICE: &[&str] = &["version", "guestfs", "healthz", "start-cluster-profiler", "stop-cluster-profiler", "dump-cluster-profiler"];

impl Route {
    /// The name in discovery, parameters left out: `virtualmachines/start`.
    pub fn name(&self) -> String {
        let verb: Vec<&str> = self.verb.split('/').filter(|part| !part.starts_with('{')).collect();
        if self.verb.is_empty() { self.resource.to_owned() } else { format!("{}/{}", self.resource, verb.join("/")) }
    }

    /// The path in an OpenAPI document.
    fn path(&self, version: &str) -> String {
        let base = format!("/apis/{GROUP}/{version}/namespaces/{{namespace}}/{}", self.resource);
        if self.verb.is_empty() { base } else { format!("{base}/{{name}}/{}", self.verb) }
    }

    /// Whether a path of this shape is meant, whatever the method.
    fn fits(&self, resource: &str, verb: &str, rest: usize) -> bool {
        let parameters = self.verb.split('/').filter(|part| part.starts_with('{')).count();
        self.resource == resource && parameters == rest && self.name() == [resource, verb].join("/").trim_end_matches('/')
    }

    fn operation(&self, version: &str) -> Value {
        let parameters: Vec<Value> = self
            .path(version)
            .split(['{', '}'])
            .skip(1)
            .step_by(2)
            .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
            .collect();
        let id: String = self.name().split(['/', '-']).map(capital).collect();
        let mut operation = json!({
            "operationId": format!("{version}{id}"), "parameters": parameters,
            "responses": {"default": {"description": "as spec says, or a Status"}},
        });
        if let Some(body) = self.body {
            let schema = json!({"type": "object", "title": body});
            operation["requestBody"] = json!({"required": false, "content": {"*/*": {"schema": schema}}});
        }
        operation
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Whether there is such a path, and such a method for it: the answer to one that is not, as go-restful words it.
///
/// # Errors
/// Status and text.
pub fn check(method: &str, resource: &str, verb: &str, rest: usize) -> Result<(), (u16, &'static str)> {
    let mut found = ROUTES.iter().filter(|route| route.fits(resource, verb, rest)).peekable();
    if found.peek().is_none() {
        return Err((404, "404: Page Not Found"));
    }
    if found.any(|route| route.method == method) { Ok(()) } else { Err((405, "405: Method Not Allowed")) }
}

/// The paths of a version for an OpenAPI v3 document.
pub fn paths(version: &str) -> Value {
    let mut paths = Map::new();
    for service in SERVICE {
        let id: String = service.split('-').map(capital).collect();
        let responses = json!({"default": {"description": "OK"}});
        paths.insert(
            format!("/apis/{GROUP}/{version}/{service}"),
            json!({"get": {"operationId": format!("{version}{id}"), "responses": responses}}),
        );
    }
    for route in ROUTES {
        let item = paths.entry(route.path(version)).or_insert_with(|| json!({}));
        item[route.method.to_lowercase()] = route.operation(version);
    }
    Value::Object(paths)
}

/// The paths of both versions for an OpenAPI v2 document.
pub fn paths_v2() -> Value {
    let mut all = Map::new();
    for version in VERSIONS {
        for (path, mut item) in paths(version).as_object().cloned().unwrap_or_default() {
            for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
                let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                for parameter in &mut parameters {
                    *parameter = json!({"name": parameter["name"], "in": "path", "required": true, "type": "string"});
                }
                if let Some(body) = operation.as_object_mut().and_then(|operation| operation.remove("requestBody")) {
                    let schema = body.pointer("/content/*~1*/schema").cloned().unwrap_or_default();
                    parameters.push(json!({"name": "body", "in": "body", "required": false, "schema": schema}));
                }
                operation["parameters"] = Value::Array(parameters);
            }
            all.insert(path, item);
        }
    }
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("PUT", "virtualmachines", "start", 0, Ok(()))]
    #[case("GET", "virtualmachines", "start", 0, Err((405, "405: Method Not Allowed")))]
    #[case("PUT", "virtualmachines", "pause", 0, Err((404, "404: Page Not Found")))]
    #[case("PUT", "virtualmachineinstances", "sev/setupsession", 0, Ok(()))]
    #[case("PUT", "expand-vm-spec", "", 0, Ok(()))]
    #[case("GET", "virtualmachines", "portforward", 2, Ok(()))]
    #[case("GET", "virtualmachines", "portforward", 0, Err((404, "404: Page Not Found")))]
    fn paths_and_methods(
        #[case] method: &str,
        #[case] resource: &str,
        #[case] verb: &str,
        #[case] rest: usize,
        #[case] expected: Result<(), (u16, &'static str)>,
    ) {
        assert_eq!(check(method, resource, verb, rest), expected);
    }

    #[test]
    fn documents_have_every_route_once() {
        let paths = paths("v1");
        let operations: Vec<&Value> = paths.as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values()).collect();
        assert_eq!(operations.len(), ROUTES.len() + SERVICE.len());
        let start = &paths["/apis/subresources.kubevirt.io/v1/namespaces/{namespace}/virtualmachines/{name}/start"]["put"];
        assert_eq!(
            (start["operationId"].as_str(), start["parameters"].as_array().map(Vec::len)),
            (Some("v1VirtualmachinesStart"), Some(2))
        );
        let v2 = paths_v2();
        let start = &v2["/apis/subresources.kubevirt.io/v1alpha3/namespaces/{namespace}/virtualmachines/{name}/start"]["put"];
        assert_eq!(start["parameters"][2]["in"], "body");
    }
}

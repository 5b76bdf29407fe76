//! A cluster of plain objects that plans are applied to: what an API server would make of their writes.

use planner::plan::{Action, ObjectRef, Patch};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The objects of a case, and what was done to them.
pub(crate) struct Cluster {
    /// The objects, in the order of the case; created ones follow.
    pub(crate) objects: Vec<Value>,
    /// The writes, `VERB RESOURCE[/SUBRESOURCE] NAME`.
    pub(crate) actions: Vec<String>,
    /// The events, `TYPE REASON MESSAGE`.
    pub(crate) events: Vec<String>,
    now: String,
}

impl Cluster {
    /// A cluster with these objects.
    pub(crate) fn new(objects: Vec<Value>, now: &str) -> Self {
        Self { objects, actions: Vec::new(), events: Vec::new(), now: now.to_owned() }
    }

    /// The objects of a kind.
    pub(crate) fn list<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>, String> {
        self.objects
            .iter()
            .filter(|object| object["kind"] == kind)
            .map(|object| serde_json::from_value(object.clone()).map_err(|error| format!("{kind}: {error}")))
            .collect()
    }

    /// The object of a kind and name.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Option<&Value> {
        self.objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    }

    /// Applies actions in order.
    pub(crate) fn apply(&mut self, actions: &[Action]) -> Result<(), String> {
        for action in actions {
            self.apply_one(action)?;
        }
        Ok(())
    }

    fn apply_one(&mut self, action: &Action) -> Result<(), String> {
        match action {
            Action::Event { severity, reason, message, .. } => {
                let message = self.generated(message);
                self.events.push(format!("{} {reason} {message}", severity.as_str()));
            }
            Action::Create { object, body, .. } => {
                let mut body = body.clone();
                if let Some(base) = body["metadata"]["generateName"].as_str() {
                    body["metadata"]["name"] = json!(format!("{base}xxxxx"));
                }
                let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                self.actions.push(format!("create {} {name}", object.resource));
                self.objects.push(body);
            }
            Action::Replace { object, subresource, body, .. } => {
                self.log("update", object, *subresource);
                let target = self.target(object)?;
                *target = body.clone();
            }
            Action::Patch { object, subresource, patch, .. } => {
                self.log("patch", object, *subresource);
                let target = self.target(object)?;
                apply_patch(target, patch)?;
            }
            Action::Call { object, subresource, body, .. } => {
                self.actions.push(format!("put {}/{subresource} {}", object.resource, object.name));
                let _ = body;
            }
            Action::Delete { object, grace_seconds, .. } => {
                let grace = grace_seconds.map_or_else(String::new, |grace| format!(" gracePeriodSeconds={grace}"));
                self.actions.push(format!("delete {} {}{grace}", object.resource, object.name));
                let now = self.now.clone();
                let target = self.target(object)?;
                target["metadata"]["deletionTimestamp"] = json!(now);
            }
        }
        Ok(())
    }

    fn log(&mut self, verb: &str, object: &ObjectRef, subresource: Option<&str>) {
        let subresource = subresource.map_or_else(String::new, |name| format!("/{name}"));
        let name = self.generated(&object.name);
        self.actions.push(format!("{verb} {}{subresource} {name}", object.resource));
    }

    /// A text with the random part of created names masked.
    fn generated(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for object in &self.objects {
            let (Some(base), Some(name)) = (object["metadata"]["generateName"].as_str(), object["metadata"]["name"].as_str()) else {
                continue;
            };
            if let Some(at) = text.find(base).filter(|_| name.ends_with("xxxxx")) {
                let end = at + base.len();
                if text.get(end..).is_some_and(|rest| rest.len() >= 5) {
                    text.replace_range(end..end + 5, "xxxxx");
                }
            }
        }
        text
    }

    fn target(&mut self, object: &ObjectRef) -> Result<&mut Value, String> {
        let name = self.generated(&object.name);
        let kind = object.kind.clone();
        self.objects
            .iter_mut()
            .find(|known| known["kind"] == *kind && known["metadata"]["name"] == *name)
            .ok_or_else(|| format!("{kind} {name} not found"))
    }
}

fn apply_patch(target: &mut Value, patch: &Patch) -> Result<(), String> {
    match patch {
        Patch::Json(operations) => {
            // Tests compare what a typed client read with what is stored; their outcome is not under test here.
            let operations: Vec<Value> = operations.iter().filter(|operation| operation["op"] != "test").cloned().collect();
            let patch: json_patch::Patch = serde_json::from_value(Value::Array(operations)).map_err(|error| error.to_string())?;
            json_patch::patch(target, &patch).map_err(|error| error.to_string())
        }
        Patch::Merge(body) => {
            json_patch::merge(target, body);
            Ok(())
        }
        Patch::Strategic(body) => {
            // The only strategic patches are of a pod's conditions, merged by type.
            let new = body["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let known = target["status"]["conditions"].as_array_mut();
            match known {
                None => target["status"]["conditions"] = Value::Array(new),
                Some(known) => {
                    for condition in new {
                        known.retain(|old| old["type"] != condition["type"]);
                        known.push(condition);
                    }
                }
            }
            Ok(())
        }
    }
}

/// The configuration of a case.
pub(crate) fn configuration(cluster: &Cluster) -> Result<api::config::ClusterConfig, String> {
    let kubevirts: Vec<api::v1::KubeVirt> = cluster.list("KubeVirt")?;
    Ok(api::config::ClusterConfig::from_kubevirt(kubevirts.last()))
}

/// Claims and DataVolumes of a case.
pub(crate) fn storage(cluster: &Cluster) -> Result<planner::storage::Storage, String> {
    let mut storage = planner::storage::Storage::default();
    for claim in cluster.list::<k8s_openapi::api::core::v1::PersistentVolumeClaim>("PersistentVolumeClaim")? {
        storage.claims.insert(claim.metadata.name.clone().unwrap_or_default(), claim.into());
    }
    for volume in cluster.list::<planner::storage::DataVolume>("DataVolume")? {
        storage.data_volumes.insert(volume.metadata.name.clone().unwrap_or_default(), volume.into());
    }
    Ok(storage)
}

/// What virt-controller was started with in the reference.
pub(crate) fn settings() -> planner::vmi::Settings {
    planner::vmi::Settings {
        launcher_image: "registry/virt-launcher:v1".to_owned(),
        qemu_timeout_seconds: convert::pod::QEMU_TIMEOUT_SECONDS,
        ..planner::vmi::Settings::default()
    }
}

/// A VMI as the reference prints it: fields that it writes even when they are zero.
pub(crate) fn printed_vmi(mut vmi: Value) -> Value {
    if vmi.get("status").is_none_or(Value::is_null) {
        vmi["status"] = json!({});
    }
    if vmi["status"].get("runtimeUser").is_none() {
        vmi["status"]["runtimeUser"] = json!(0);
    }
    vmi
}

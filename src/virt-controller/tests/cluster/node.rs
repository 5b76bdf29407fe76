//! A node: starts pods that are handed to it, and is virt-handler to their instances.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Cluster, State};

/// What guests do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// They run until they are stopped.
    Run,
    /// They never start: their pods fail.
    FailToStart,
    /// They run, then crash.
    Crash,
}

/// Between two looks.
const PACE: Duration = Duration::from_millis(5);

/// Acts until the runtime ends.
pub async fn run(cluster: Cluster, script: Script) {
    let mut seen = 0;
    loop {
        tokio::time::sleep(PACE).await;
        let mut state = cluster.state();
        if state.version() == seen {
            continue;
        }
        seen = state.version();
        pods(&mut state, script);
        instances(&mut state, script);
        garbage(&mut state);
    }
}

fn names(state: &State, resource: &str) -> Vec<(String, Value)> {
    let named = |object: &&Value| (object["metadata"]["name"].as_str().unwrap_or_default().to_owned(), (*object).clone());
    state.list(resource).iter().map(named).collect()
}

fn condition(object: &Value, kind: &str) -> Option<String> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == kind)?["status"].as_str().map(str::to_owned)
}

fn pods(state: &mut State, script: Script) {
    for (name, pod) in names(state, "pods") {
        let phase = pod["status"]["phase"].as_str().unwrap_or_default();
        if pod["metadata"].get("deletionTimestamp").is_some() {
            if pod["status"]["phase"] == "Succeeded" || phase.is_empty() || phase == "Failed" {
                state.remove("pods", &name);
            } else {
                state.update("pods", &name, |pod| pod["status"]["phase"] = json!("Succeeded"));
            }
            continue;
        }
        if pod["spec"].get("nodeName").is_none() {
            state.update("pods", &name, |pod| pod["spec"]["nodeName"] = json!("n1"));
        } else if phase.is_empty() {
            let (phase, container) = match script {
                Script::FailToStart => ("Failed", json!({"terminated": {"exitCode": 1}})),
                Script::Run | Script::Crash => ("Running", json!({"running": {}})),
            };
            state.update("pods", &name, |pod| {
                pod["status"]["phase"] = json!(phase);
                pod["status"]["qosClass"] = json!("Burstable");
                pod["status"]["containerStatuses"] =
                    json!([{"name": "compute", "ready": true, "image": "i", "imageID": "i", "restartCount": 0, "state": container}]);
            });
        } else if phase == "Running"
            && condition(&pod, "kubevirt.io/virtual-machine-unpaused").as_deref() == Some("True")
            && condition(&pod, "Ready").is_none()
        {
            state.update("pods", &name, |pod| {
                let mut conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
                conditions.push(json!({"type": "Ready", "status": "True"}));
                pod["status"]["conditions"] = Value::Array(conditions);
            });
        }
    }
}

fn instances(state: &mut State, script: Script) {
    for (name, vmi) in names(state, "virtualmachineinstances") {
        let phase = vmi["status"]["phase"].as_str().unwrap_or_default();
        let pod = names(state, "pods").into_iter().find(|(_, pod)| pod["metadata"]["ownerReferences"][0]["uid"] == vmi["metadata"]["uid"]);
        let ended = pod.is_none_or(|(_, pod)| pod["status"]["phase"] == "Succeeded");
        let enter = |phase: &str| {
            let phase = phase.to_owned();
            move |vmi: &mut Value| {
                let mut entered = vmi["status"]["phaseTransitionTimestamps"].as_array().cloned().unwrap_or_default();
                entered.push(json!({"phase": phase, "phaseTransitionTimestamp": "2026-01-01T00:00:00Z"}));
                vmi["status"]["phaseTransitionTimestamps"] = Value::Array(entered);
                vmi["status"]["phase"] = json!(phase);
            }
        };
        match phase {
            "Scheduled" if !ended => state.update("virtualmachineinstances", &name, enter("Running")),
            "Running" if vmi["metadata"].get("deletionTimestamp").is_some() && ended => {
                state.update("virtualmachineinstances", &name, enter("Succeeded"));
            }
            "Running" if script == Script::Crash && condition(&vmi, "Ready").as_deref() == Some("True") => {
                state.update("virtualmachineinstances", &name, enter("Failed"));
            }
            _ => {}
        }
    }
}

/// Objects whose owner is gone go as well.
fn garbage(state: &mut State) {
    let uids: Vec<String> = ["virtualmachines", "virtualmachineinstances"]
        .iter()
        .flat_map(|resource| names(state, resource))
        .filter_map(|(_, object)| object["metadata"]["uid"].as_str().map(str::to_owned))
        .collect();
    for resource in ["virtualmachineinstances", "pods", "controllerrevisions"] {
        for (name, object) in names(state, resource) {
            let owner = object["metadata"]["ownerReferences"][0]["uid"].as_str();
            if owner.is_some_and(|owner| !uids.iter().any(|uid| uid == owner)) && object["metadata"].get("deletionTimestamp").is_none() {
                state.delete(resource, &name);
            }
        }
    }
}

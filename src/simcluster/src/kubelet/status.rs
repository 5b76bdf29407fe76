//! The status of a pod, made from its containers.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use serde_json::{Map, Value, json};

use super::slot::{Role, Slot};

/// What a pod's status is made from.
pub(super) struct View<'a> {
    pub(super) pod: &'a Pod,
    pub(super) slots: &'a [Slot],
    pub(super) host_ip: &'a str,
    /// Empty until the pod's network is up.
    pub(super) pod_ip: &'a str,
    pub(super) start_time: &'a str,
    /// Phase, reason and message that kubelet decided against the containers: `DeadlineExceeded`.
    pub(super) failed: Option<(&'a str, &'a str)>,
    pub(super) deleting: bool,
}

/// Status of a condition and since when, by type.
pub(super) type Conditions = BTreeMap<String, (String, String)>;

fn restart_policy(spec: Option<&PodSpec>) -> &str {
    spec.and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always")
}

/// `status.phase`.
pub(super) fn phase(view: &View<'_>) -> &'static str {
    if view.failed.is_some() {
        return "Failed";
    }
    let policy = restart_policy(view.pod.spec.as_ref());
    let mains = || view.slots.iter().filter(|slot| slot.role == Role::Main);
    let inits = || view.slots.iter().filter(|slot| slot.role != Role::Main);
    let failed_init = inits().any(|slot| slot.role == Role::Init && slot.ended().is_some_and(|ended| ended.code != 0) && policy == "Never");
    if failed_init {
        return "Failed";
    }
    let initialized = inits().all(|slot| match slot.role {
        Role::Init => slot.ended().is_some_and(|ended| ended.code == 0),
        _ => slot.started || slot.ended().is_some() || slot.last.is_some(),
    });
    if !initialized && !view.deleting {
        return "Pending";
    }
    let running = mains().filter(|slot| slot.is_running()).count();
    let ended = mains().filter(|slot| slot.ended().is_some()).count();
    let succeeded = mains().filter(|slot| slot.ended().is_some_and(|ended| ended.code == 0)).count();
    let waiting = mains().count() - running - ended;
    if waiting > 0 && !view.deleting {
        let restarting = mains().any(|slot| slot.last.is_some() && !slot.is_running() && slot.ended().is_none());
        return if running > 0 || ended > 0 || restarting { "Running" } else { "Pending" };
    }
    if running > 0 {
        return "Running";
    }
    if ended == 0 && waiting > 0 {
        // Deleted before anything started.
        return if view.deleting { "Failed" } else { "Pending" };
    }
    if view.deleting {
        return if succeeded == ended && waiting == 0 { "Succeeded" } else { "Failed" };
    }
    match policy {
        "Always" => "Running",
        "OnFailure" if succeeded < ended => "Running",
        _ if succeeded == ended => "Succeeded",
        _ => "Failed",
    }
}

struct Verdict {
    status: bool,
    reason: &'static str,
    message: String,
}

fn holds() -> Verdict {
    Verdict { status: true, reason: "", message: String::new() }
}

fn fails(reason: &'static str, message: String) -> Verdict {
    Verdict { status: false, reason, message }
}

fn names<'a>(slots: impl Iterator<Item = &'a Slot>) -> String {
    slots.map(|slot| slot.spec.name.as_str()).collect::<Vec<_>>().join(" ")
}

fn initialized(view: &View<'_>, phase: &str) -> Verdict {
    if phase == "Succeeded" {
        return Verdict { status: true, reason: "PodCompleted", message: String::new() };
    }
    let incomplete = names(view.slots.iter().filter(|slot| match slot.role {
        Role::Init => !slot.is_ready(),
        Role::Sidecar => !slot.started && slot.last.is_none(),
        Role::Main => false,
    }));
    if incomplete.is_empty() {
        holds()
    } else {
        fails("ContainersNotInitialized", format!("containers with incomplete status: [{incomplete}]"))
    }
}

fn containers_ready(view: &View<'_>, phase: &str) -> Verdict {
    match phase {
        "Succeeded" => return fails("PodCompleted", String::new()),
        "Failed" => return fails("PodFailed", String::new()),
        _ => {}
    }
    let unready = names(view.slots.iter().filter(|slot| slot.role != Role::Init && !slot.is_ready()));
    if unready.is_empty() { holds() } else { fails("ContainersNotReady", format!("containers with unready status: [{unready}]")) }
}

fn ready(view: &View<'_>, containers: &Verdict) -> Verdict {
    if !containers.status {
        return fails(containers.reason, containers.message.clone());
    }
    let gates = view.pod.spec.as_ref().and_then(|spec| spec.readiness_gates.as_deref()).unwrap_or_default();
    let mut missing = Vec::new();
    for gate in gates {
        let kind = &gate.condition_type;
        match crate::pods::condition(view.pod, kind) {
            None => missing.push(format!("corresponding condition of pod readiness gate {kind:?} does not exist.")),
            Some(condition) if condition.status != "True" => {
                missing.push(format!("the status of pod readiness gate {kind:?} is not \"True\", but {}", condition.status));
            }
            Some(_) => {}
        }
    }
    if missing.is_empty() { holds() } else { fails("ReadinessGatesNotReady", missing.join(", ")) }
}

/// The status as a map of its top-level fields; conditions hold only those that kubelet writes.
pub(super) fn compose(view: &View<'_>, since: &mut Conditions, now: &str) -> Map<String, Value> {
    let phase = phase(view);
    let containers = containers_ready(view, phase);
    let verdicts = [
        (
            "PodReadyToStartContainers",
            if view.pod_ip.is_empty() || matches!(phase, "Succeeded" | "Failed") { fails("", String::new()) } else { holds() },
        ),
        ("Initialized", initialized(view, phase)),
        ("Ready", ready(view, &containers)),
        ("ContainersReady", containers),
        ("PodScheduled", holds()),
    ];
    let generation = view.pod.metadata.generation;
    let conditions: Vec<Value> = verdicts
        .into_iter()
        .map(|(kind, verdict)| {
            let status = if verdict.status { "True" } else { "False" };
            let entry = since.entry(kind.to_owned()).or_insert_with(|| {
                let known = crate::pods::condition(view.pod, kind).filter(|condition| condition.status == status);
                let time = known
                    .and_then(|condition| condition.last_transition_time.as_ref())
                    .map_or_else(|| now.to_owned(), |time| apiserver::env::rfc3339(&time.0));
                (status.to_owned(), time)
            });
            if entry.0 != status {
                *entry = (status.to_owned(), now.to_owned());
            }
            let mut condition = json!({"type": kind, "status": status, "lastProbeTime": null, "lastTransitionTime": entry.1});
            condition["reason"] = if verdict.reason.is_empty() { Value::Null } else { json!(verdict.reason) };
            condition["message"] = if verdict.message.is_empty() { Value::Null } else { json!(verdict.message) };
            if let Some(generation) = generation {
                condition["observedGeneration"] = json!(generation);
            }
            condition
        })
        .collect();
    let statuses = |role: fn(Role) -> bool| -> Vec<Value> { view.slots.iter().filter(|slot| role(slot.role)).map(Slot::status).collect() };
    let mut status = Map::new();
    let mut put = |name: &str, value: Value| {
        status.insert(name.to_owned(), value);
    };
    put("phase", json!(phase));
    put("conditions", Value::from(conditions));
    put("hostIP", json!(view.host_ip));
    put("hostIPs", json!([{"ip": view.host_ip}]));
    put("startTime", json!(view.start_time));
    if let Some(generation) = generation {
        put("observedGeneration", json!(generation));
    }
    if !view.pod_ip.is_empty() {
        put("podIP", json!(view.pod_ip));
        put("podIPs", json!([{"ip": view.pod_ip}]));
    }
    if let Some((reason, message)) = view.failed {
        put("reason", json!(reason));
        put("message", json!(message));
    }
    put("containerStatuses", Value::from(statuses(|role| role == Role::Main)));
    let inits = statuses(|role| role != Role::Main);
    if !inits.is_empty() {
        put("initContainerStatuses", Value::from(inits));
    }
    status
}

/// Remembers what was written, without keeping it.
#[derive(Debug, Default)]
pub(super) struct Written(BTreeMap<String, u64>);

fn digest(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Written {
    /// The fields that differ from what was written; conditions element by element.
    pub(super) fn changes(&self, status: &Map<String, Value>) -> Map<String, Value> {
        let mut changed = Map::new();
        for (name, value) in status {
            match value {
                Value::Array(conditions) if name == "conditions" => {
                    let differing: Vec<Value> = conditions
                        .iter()
                        .filter(|condition| self.0.get(&Self::condition_key(condition)) != Some(&digest(condition)))
                        .cloned()
                        .collect();
                    if !differing.is_empty() {
                        changed.insert(name.clone(), Value::from(differing));
                    }
                }
                _ => {
                    if self.0.get(name) != Some(&digest(value)) {
                        changed.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        changed
    }

    fn condition_key(condition: &Value) -> String {
        format!("condition {}", condition.get("type").and_then(Value::as_str).unwrap_or_default())
    }

    /// These changes were written.
    pub(super) fn remember(&mut self, changes: &Map<String, Value>) {
        for (name, value) in changes {
            match value {
                Value::Array(conditions) if name == "conditions" => {
                    for condition in conditions {
                        self.0.insert(Self::condition_key(condition), digest(condition));
                    }
                }
                _ => {
                    self.0.insert(name.clone(), digest(value));
                }
            }
        }
    }
}

//! The cells of a pod: what state it is in, by what its containers say.

use serde_json::Value;

use crate::object;

/// What `kubectl get pods` says of a pod.
pub(super) struct Summary {
    /// Containers that are ready.
    pub(super) ready: usize,
    /// Containers, sidecars included.
    pub(super) total: usize,
    /// `Running`, `CrashLoopBackOff`, `Init:1/2`, `Terminating`, ….
    pub(super) status: String,
    /// Restarts of the containers that count.
    pub(super) restarts: i64,
    /// When one of them ended last.
    pub(super) last_restart: Option<String>,
}

fn is_sidecar(pod: &Value, name: &str) -> bool {
    object::list(pod, &["spec", "initContainers"])
        .iter()
        .any(|container| object::text(container, &["name"]) == name && object::text(container, &["restartPolicy"]) == "Always")
}

fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    object::list(pod, &["status", "conditions"]).iter().find(|condition| object::text(condition, &["type"]) == kind)
}

fn later(a: Option<String>, status: &Value) -> Option<String> {
    let b = object::text(status, &["lastState", "terminated", "finishedAt"]);
    if b.is_empty() { a } else { a.max(Some(b.to_owned())) }
}

/// Why a terminated container ended.
fn ended(terminated: &Value) -> String {
    let reason = object::text(terminated, &["reason"]);
    if !reason.is_empty() {
        return reason.to_owned();
    }
    match object::number(terminated, &["signal"]).filter(|signal| *signal != 0) {
        Some(signal) => format!("Signal:{signal}"),
        None => format!("ExitCode:{}", object::number(terminated, &["exitCode"]).unwrap_or(0)),
    }
}

/// Sums a pod up.
pub(super) fn summarize(pod: &Value) -> Summary {
    let text = |path: &[&str]| object::text(pod, path).to_owned();
    let inits = object::list(pod, &["spec", "initContainers"]);
    let sidecars = inits.iter().filter(|container| object::text(container, &["restartPolicy"]) == "Always").count();
    let mut summary = Summary {
        ready: 0,
        total: object::list(pod, &["spec", "containers"]).len() + sidecars,
        status: text(&["status", "phase"]),
        restarts: 0,
        last_restart: None,
    };
    let reason = text(&["status", "reason"]);
    if !reason.is_empty() {
        summary.status.clone_from(&reason);
    }
    if condition(pod, "PodScheduled").is_some_and(|c| object::text(c, &["reason"]) == "SchedulingGated") {
        "SchedulingGated".clone_into(&mut summary.status);
    }
    let (init_restarts, initializing) = initialization(pod, &mut summary, inits.len());
    if !initializing || condition(pod, "Initialized").is_some_and(|c| object::text(c, &["status"]) == "True") {
        running(pod, &mut summary);
    } else {
        summary.restarts = init_restarts;
    }
    if object::is_terminating(pod) {
        if reason == "NodeLost" {
            "Unknown".clone_into(&mut summary.status);
        } else if !matches!(text(&["status", "phase"]).as_str(), "Failed" | "Succeeded") {
            "Terminating".clone_into(&mut summary.status);
        }
    }
    summary
}

/// Looks at init containers; returns their restarts and whether one of them still holds the pod.
fn initialization(pod: &Value, summary: &mut Summary, total: usize) -> (i64, bool) {
    let mut restarts = 0;
    for (index, status) in object::list(pod, &["status", "initContainerStatuses"]).iter().enumerate() {
        let sidecar = is_sidecar(pod, object::text(status, &["name"]));
        restarts += object::number(status, &["restartCount"]).unwrap_or(0);
        summary.last_restart = later(summary.last_restart.take(), status);
        let terminated = object::at(status, &["state", "terminated"]);
        let waiting = object::text(status, &["state", "waiting", "reason"]);
        if terminated.is_some_and(|state| object::number(state, &["exitCode"]).unwrap_or(0) == 0) {
            continue;
        }
        if sidecar && object::flag(status, &["started"]) {
            if object::flag(status, &["ready"]) {
                summary.ready += 1;
            }
            continue;
        }
        summary.status = if let Some(terminated) = terminated {
            format!("Init:{}", ended(terminated))
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{index}/{total}")
        };
        return (restarts, true);
    }
    (restarts, false)
}

/// Looks at the containers of an initialized pod.
fn running(pod: &Value, summary: &mut Summary) {
    let mut has_running = false;
    let mut restarts: i64 = object::list(pod, &["status", "initContainerStatuses"])
        .iter()
        .filter(|status| is_sidecar(pod, object::text(status, &["name"])))
        .map(|status| object::number(status, &["restartCount"]).unwrap_or(0))
        .sum();
    for status in object::list(pod, &["status", "containerStatuses"]).iter().rev() {
        restarts += object::number(status, &["restartCount"]).unwrap_or(0);
        summary.last_restart = later(summary.last_restart.take(), status);
        let waiting = object::text(status, &["state", "waiting", "reason"]);
        let terminated = object::at(status, &["state", "terminated"]);
        if !waiting.is_empty() {
            waiting.clone_into(&mut summary.status);
        } else if let Some(terminated) = terminated {
            summary.status = ended(terminated);
        } else if object::flag(status, &["ready"]) && object::at(status, &["state", "running"]).is_some() {
            has_running = true;
            summary.ready += 1;
        }
    }
    summary.restarts = restarts;
    if summary.status == "Completed" && has_running {
        let ready = condition(pod, "Ready").is_some_and(|c| object::text(c, &["status"]) == "True");
        if ready { "Running" } else { "NotReady" }.clone_into(&mut summary.status);
    }
}

//! What a DataVolume's status says: phase, progress, and the conditions Bound, Ready and Running.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::{Value, json};

use super::objects::text;

/// Whether the transfer's program runs, as the condition Running tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running {
    status: &'static str,
    reason: &'static str,
    message: String,
}

impl Running {
    /// Nothing to tell yet.
    pub(crate) fn no() -> Self {
        Self { status: "False", reason: "", message: String::new() }
    }

    /// It is about to.
    pub(crate) fn creating() -> Self {
        Self { status: "False", reason: "ContainerCreating", message: String::new() }
    }

    /// It does.
    pub(crate) fn yes() -> Self {
        Self { status: "True", reason: "Pod is running", message: String::new() }
    }

    /// It came to its end.
    pub(crate) fn completed(message: &str) -> Self {
        Self { status: "False", reason: "Completed", message: message.to_owned() }
    }

    /// It failed.
    pub(crate) fn error(message: &str) -> Self {
        Self { status: "False", reason: "Error", message: message.to_owned() }
    }
}

/// How far a DataVolume is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// The phase.
    pub(crate) phase: &'static str,
    /// The part done, `N/A` when it is not known.
    pub(crate) progress: String,
    /// How often the transfer was begun again.
    pub(crate) restarts: u32,
    /// Its program.
    pub(crate) running: Running,
}

impl State {
    /// A state in which nothing is transferred.
    pub(crate) fn idle(phase: &'static str) -> Self {
        Self { phase, progress: "N/A".to_owned(), restarts: 0, running: Running::no() }
    }
}

/// Why there is no claim, or none that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Complaint<'a> {
    /// CamelCase.
    pub(crate) reason: &'a str,
    /// In words.
    pub(crate) message: &'a str,
}

/// The status of a DataVolume with this claim; conditions keep their times while they do not change.
pub(crate) fn of(state: &State, claim: Option<&PersistentVolumeClaim>, complaint: Option<Complaint<'_>>, old: &Value, now: &str) -> Value {
    let name = claim.and_then(|claim| claim.metadata.name.clone()).unwrap_or_default();
    let claim_phase = claim.map(|claim| claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending"));
    let bound = match (claim_phase, complaint) {
        (Some("Bound"), _) => ("True", "Bound", format!("PVC {name} Bound")),
        (Some("Lost"), _) => ("False", "ClaimLost", "Claim Lost".to_owned()),
        (claim, Some(complaint)) => (if claim.is_some() { "False" } else { "Unknown" }, complaint.reason, complaint.message.to_owned()),
        (None, None) => ("Unknown", "NotFound", "No PVC found".to_owned()),
        (Some(_), None) => ("False", "Pending", format!("PVC {name} Pending")),
    };
    let ready = if state.phase == "Succeeded" { "True" } else { "False" };
    let running = &state.running;
    let conditions = [
        condition("Bound", bound.0, bound.1, &bound.2, old, now),
        condition("Ready", ready, "", "", old, now),
        condition("Running", running.status, running.reason, &running.message, old, now),
    ];
    json!({
        "phase": state.phase, "progress": state.progress, "restartCount": state.restarts,
        "claimName": claim.is_some().then_some(name), "conditions": conditions
    })
}

fn condition(kind: &str, status: &str, reason: &str, message: &str, old: &Value, now: &str) -> Value {
    let known = old.get("conditions").and_then(Value::as_array).and_then(|all| all.iter().find(|known| known["type"] == kind));
    let same = |field: &str, value: &str| known.is_some_and(|known| text(known, field) == value);
    let since = known.filter(|_| same("/status", status)).map_or(now, |known| text(known, "/lastTransitionTime"));
    let unchanged = same("/status", status) && same("/reason", reason) && same("/message", message);
    let seen = known.filter(|_| unchanged).map_or(now, |known| text(known, "/lastHeartbeatTime"));
    let mut condition = json!({"type": kind, "status": status, "lastTransitionTime": since, "lastHeartbeatTime": seen});
    for (field, value) in [("reason", reason), ("message", message)] {
        if !value.is_empty() {
            condition[field] = json!(value);
        }
    }
    condition
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_keep_their_times_while_they_stand() {
        let state = State::idle("Pending");
        let first = of(&state, None, None, &json!({}), "t1");
        assert_eq!(first["conditions"][0]["message"], "No PVC found");
        assert_eq!(of(&state, None, None, &first, "t2"), first);
        let running = State { running: Running::yes(), ..state };
        let second = of(&running, None, None, &first, "t2");
        assert_eq!((&second["conditions"][0], &second["conditions"][2]["lastTransitionTime"]), (&first["conditions"][0], &json!("t2")));
    }
}

//! One container of a pod and how far it is.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, ContainerStatus};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Which part a container plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Runs to its end before the next one starts.
    Init,
    /// Starts before the next one, runs as long as the pod.
    Sidecar,
    /// The pod's work.
    Main,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) code: i32,
    /// The container's last words.
    pub(super) message: String,
    pub(super) reason: String,
    pub(super) started: Option<String>,
    pub(super) finished: String,
    pub(super) id: String,
}

/// The state of a container, as in its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Waiting { reason: String, message: String },
    Running { since: String },
    Terminated(Ended),
}

/// A container.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) spec: Arc<Container>,
    pub(super) role: Role,
    pub(super) phase: Phase,
    pub(super) last: Option<Ended>,
    pub(super) restarts: i32,
    /// Counts starts, so that messages of an earlier run are told apart.
    pub(super) run: u64,
    /// What the program says about itself.
    pub(super) ready_override: Option<bool>,
    /// What probes say; without probes a running container is ready.
    pub(super) probed_ready: bool,
    pub(super) started: bool,
    /// When probes that always succeed first do.
    pub(super) ready_at: Option<Instant>,
    pub(super) next_start: Option<Instant>,
    pub(super) backoff: Duration,
    pub(super) running_since: Option<Instant>,
    /// Set while a program runs; without one the container ends as soon as it is asked to.
    pub(super) has_program: bool,
    pub(super) term: CancellationToken,
    pub(super) kill: CancellationToken,
    /// When a container that was asked to end is killed.
    pub(super) kill_at: Option<Instant>,
    pub(super) id: String,
    /// Whether the image was reported as unpullable once.
    pub(super) pull_failed: bool,
}

impl Slot {
    pub(super) fn new(spec: &Container, role: Role) -> Self {
        Self {
            spec: Arc::new(spec.clone()),
            role,
            phase: Phase::Waiting {
                reason: if role == Role::Main { "ContainerCreating" } else { "PodInitializing" }.to_owned(),
                message: String::new(),
            },
            last: None,
            restarts: 0,
            run: 0,
            ready_override: None,
            probed_ready: false,
            started: false,
            ready_at: None,
            next_start: None,
            backoff: Duration::ZERO,
            running_since: None,
            has_program: false,
            term: CancellationToken::new(),
            kill: CancellationToken::new(),
            kill_at: None,
            id: String::new(),
            pull_failed: false,
        }
    }

    /// Takes over what an earlier kubelet wrote: a container that ran then has ended with its node.
    pub(super) fn adopt(&mut self, status: &ContainerStatus, now: &str) {
        self.restarts = status.restart_count;
        self.id = status.container_id.clone().unwrap_or_default();
        let Some(state) = &status.state else { return };
        if let Some(ended) = &state.terminated {
            self.phase = Phase::Terminated(Ended {
                code: ended.exit_code,
                message: ended.message.clone().unwrap_or_default(),
                reason: ended.reason.clone().unwrap_or_default(),
                started: ended.started_at.as_ref().map(|time| apiserver::env::rfc3339(&time.0)),
                finished: ended.finished_at.as_ref().map_or_else(|| now.to_owned(), |time| apiserver::env::rfc3339(&time.0)),
                id: self.id.clone(),
            });
        } else if let Some(running) = &state.running {
            self.phase = Phase::Terminated(Ended {
                code: 255,
                message: String::new(),
                reason: "Unknown".to_owned(),
                started: running.started_at.as_ref().map(|time| apiserver::env::rfc3339(&time.0)),
                finished: now.to_owned(),
                id: self.id.clone(),
            });
        }
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    pub(super) fn ended(&self) -> Option<&Ended> {
        match &self.phase {
            Phase::Terminated(ended) => Some(ended),
            _ => None,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        match self.role {
            // A finished init container counts as ready.
            Role::Init => self.ended().is_some_and(|ended| ended.code == 0),
            Role::Sidecar | Role::Main => self.is_running() && self.started && self.ready_override.unwrap_or(self.probed_ready),
        }
    }

    pub(super) fn has_probe(&self) -> bool {
        self.spec.readiness_probe.is_some() || self.spec.liveness_probe.is_some() || self.spec.startup_probe.is_some()
    }

    pub(super) fn wait(&mut self, reason: &str, message: impl Into<String>) {
        self.phase = Phase::Waiting { reason: reason.to_owned(), message: message.into() };
    }

    fn ended_json(ended: &Ended) -> Value {
        let mut status = json!({"terminated": {
            "exitCode": ended.code, "reason": ended.reason, "startedAt": ended.started, "finishedAt": ended.finished,
            "containerID": ended.id
        }});
        if !ended.message.is_empty() {
            status["terminated"]["message"] = json!(ended.message);
        }
        status
    }

    /// The container's status.
    pub(super) fn status(&self) -> Value {
        let state = match &self.phase {
            Phase::Waiting { reason, message } if message.is_empty() => json!({"waiting": {"reason": reason}}),
            Phase::Waiting { reason, message } => json!({"waiting": {"reason": reason, "message": message}}),
            Phase::Running { since } => json!({"running": {"startedAt": since}}),
            Phase::Terminated(ended) => Self::ended_json(ended),
        };
        let image = self.spec.image.clone().unwrap_or_default();
        let mut status = json!({
            "name": self.spec.name, "image": image, "imageID": "", "state": state,
            "lastState": self.last.as_ref().map_or_else(|| json!({}), Self::ended_json),
            "ready": self.is_ready(), "restartCount": self.restarts, "started": self.is_running() && self.started
        });
        if !self.id.is_empty() {
            status["containerID"] = json!(self.id);
            status["imageID"] = json!(image);
        }
        status
    }
}

//! One pod on its node: the task that drives its containers and writes its status.
//!
//! Flow: volumes are there → images are there → init containers one after the other, sidecars staying → containers →
//! restarts by policy with back-off → deletion: SIGTERM, grace period, SIGKILL, last status, object removed.
//!
//! Guarantees: this task is the only writer of the pod's kubelet status; it writes when something changed, and what
//! happens at one moment is one write.

mod containers;
mod setup;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::agent::{Agent, Mode};
use super::images::Exit;
use super::probe::ProbeKind;
use super::slot::{Phase, Role, Slot};
use super::status::{Conditions, View, Written, compose};
use crate::client::path_of;
use crate::pods;
use crate::store::Key;

/// What containers and probes tell their pod.
#[derive(Debug)]
pub(crate) enum Message {
    /// A program ended.
    Exited { index: usize, run: u64, exit: Exit },
    /// A program says whether it is ready.
    Ready { index: usize, run: u64, ready: bool },
    /// A probe changed its mind.
    Probed { index: usize, run: u64, kind: ProbeKind, result: Result<(), String> },
}

/// First and longest pause before a crashed container is started again.
const MIN_BACKOFF: Duration = Duration::from_secs(10);
const MAX_BACKOFF: Duration = Duration::from_mins(5);

/// Pause between looks for what a pod waits for (volumes, configuration).
const SETUP_RETRY: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    agent: Arc<Agent>,
    /// Which worker of the pod this is.
    number: u64,
    key: Key,
    uid: String,
    pod: Arc<Pod>,
    slots: Vec<Slot>,
    pod_ip: String,
    start_time: String,
    updates: watch::Receiver<Option<Arc<Pod>>>,
    sender: mpsc::UnboundedSender<Message>,
    messages: mpsc::UnboundedReceiver<Message>,
    since: Conditions,
    written: Written,
    volumes_ready: bool,
    setup_at: Option<Instant>,
    /// When a status that could not be written is tried again.
    write_at: Option<Instant>,
    /// When [`Worker::advance`] last looked: what was due then is done, or waits for something else.
    looked: Instant,
    setup_pause: Duration,
    /// When the pod was asked to end, everything is killed at this time.
    terminate_at: Option<Instant>,
    active_until: Option<Instant>,
    failed: Option<(&'static str, String)>,
    /// Whether the server was asked to remove the object.
    removed: bool,
    /// Ends this pod's tasks, whatever they do.
    all: CancellationToken,
}

impl Worker {
    pub(super) fn new(agent: Arc<Agent>, number: u64, pod: Arc<Pod>, updates: watch::Receiver<Option<Arc<Pod>>>) -> Self {
        let (sender, messages) = mpsc::unbounded_channel();
        let mut slots = Vec::new();
        if let Some(spec) = &pod.spec {
            for container in spec.init_containers.iter().flatten() {
                let sidecar = container.restart_policy.as_deref() == Some("Always");
                slots.push(Slot::new(container, if sidecar { Role::Sidecar } else { Role::Init }));
            }
            for container in &spec.containers {
                slots.push(Slot::new(container, Role::Main));
            }
            if slots.first().is_some_and(|slot| slot.role != Role::Main) {
                for slot in slots.iter_mut().filter(|slot| slot.role == Role::Main) {
                    slot.wait("PodInitializing", "");
                }
            }
        }
        let now = agent.shared.timestamp();
        let mut start_time = now.clone();
        let mut pod_ip = String::new();
        if let Some(status) = &pod.status {
            if let Some(time) = &status.start_time {
                start_time = apiserver::env::rfc3339(&time.0);
            }
            pod_ip = status.pod_ip.clone().unwrap_or_default();
            let statuses = status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten());
            for known in statuses {
                if let Some(slot) = slots.iter_mut().find(|slot| slot.spec.name == known.name) {
                    slot.adopt(known, &now);
                }
            }
        }
        let limit = pod.spec.as_ref().and_then(|spec| spec.active_deadline_seconds);
        let active_until = limit.and_then(|limit| u64::try_from(limit).ok()).map(|limit| Instant::now() + Duration::from_secs(limit));
        Self {
            key: Key::of(pod.as_ref()),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            agent,
            number,
            pod,
            slots,
            pod_ip,
            start_time,
            updates,
            sender,
            messages,
            since: Conditions::new(),
            written: Written::default(),
            volumes_ready: false,
            setup_at: None,
            write_at: None,
            looked: Instant::now(),
            setup_pause: SETUP_RETRY,
            terminate_at: None,
            active_until,
            failed: None,
            removed: false,
            all: CancellationToken::new(),
        }
    }

    /// Lives until the pod is gone, the node dies or the cluster stops.
    pub(super) async fn run(mut self) {
        let mut mode = self.agent.mode();
        loop {
            if self.updates.borrow().is_none() {
                break;
            }
            self.advance().await;
            let finished = self.terminate_at.is_some() && self.slots.iter().all(|slot| !slot.is_running());
            let written = self.write_status().await;
            if finished && written && !self.removed {
                self.remove().await;
            }
            if !self.wait(&mut mode, finished).await {
                break;
            }
        }
        self.all.cancel();
        self.agent.release(&self.key, self.number, &self.pod_ip);
    }

    /// Waits for the next thing to do; false at the end.
    async fn wait(&mut self, mode: &mut watch::Receiver<Mode>, finished: bool) -> bool {
        let timer = self.next_timer(finished);
        let sleep = async move {
            match timer {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let stop = self.agent.shared.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => return false,
            changed = mode.changed() => if changed.is_err() { return false },
            changed = self.updates.changed() => if changed.is_err() { return false },
            message = self.messages.recv() => if let Some(message) = message { self.take(message).await },
            () = sleep => {}
        }
        // A stopped kubelet sees nothing until it runs again; a dead node loses everything.
        loop {
            let now = *mode.borrow_and_update();
            match now {
                Mode::Running => break,
                Mode::Off => return false,
                Mode::Frozen => {
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return false,
                        changed = mode.changed() => if changed.is_err() { return false },
                    }
                }
            }
        }
        while let Ok(message) = self.messages.try_recv() {
            self.take(message).await;
        }
        let update = self.updates.borrow_and_update().clone();
        match update {
            None => false,
            Some(pod) => {
                self.pod = pod;
                true
            }
        }
    }

    fn next_timer(&self, finished: bool) -> Option<Instant> {
        if finished {
            // Finalizers may keep the object; a failed removal is tried again.
            return (!self.removed).then(|| Instant::now() + SETUP_RETRY);
        }
        let slots = self.slots.iter().flat_map(|slot| [slot.next_start, slot.ready_at, slot.kill_at]).flatten();
        let ends = [self.terminate_at, self.active_until.filter(|_| self.failed.is_none()), self.setup_at, self.write_at];
        slots.chain(ends.into_iter().flatten()).filter(|at| *at > self.looked).min()
    }

    fn policy(&self) -> &str {
        self.pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always")
    }

    fn view(&self) -> View<'_> {
        View {
            pod: &self.pod,
            slots: &self.slots,
            host_ip: &self.agent.host_ip,
            pod_ip: &self.pod_ip,
            start_time: &self.start_time,
            failed: self.failed.as_ref().map(|(reason, message)| (*reason, message.as_str())),
            deleting: self.terminate_at.is_some() && self.failed.is_none(),
        }
    }

    /// Does everything that can be done now.
    async fn advance(&mut self) {
        let now = Instant::now();
        self.looked = now;
        self.write_at = None;
        if self.active_until.is_some_and(|until| until <= now) && self.failed.is_none() && !pods::is_terminal(&self.pod) {
            let message = "Pod was active on the node longer than the specified deadline".to_owned();
            self.failed = Some(("DeadlineExceeded", message));
            self.kill_all();
        }
        if self.pod.metadata.deletion_timestamp.is_some() {
            self.begin_termination().await;
        }
        if self.terminate_at.is_some() {
            self.continue_termination(now);
            return;
        }
        for slot in &mut self.slots {
            if slot.kill_at.is_some_and(|at| at <= now) {
                slot.kill_at = None;
                slot.kill.cancel();
            }
            if slot.ready_at.is_some_and(|at| at <= now) {
                slot.ready_at = None;
                slot.started = true;
                slot.probed_ready = true;
            }
        }
        if self.failed.is_none() && !pods::is_terminal(&self.pod) {
            self.start_containers(now).await;
        }
    }

    async fn begin_termination(&mut self) {
        let grace = self.pod.metadata.deletion_grace_period_seconds.and_then(|grace| u64::try_from(grace).ok()).unwrap_or(0);
        let until = Instant::now() + Duration::from_secs(grace);
        if let Some(at) = self.terminate_at {
            // A second, shorter deletion counts.
            if grace == 0 && at > until {
                self.terminate_at = Some(until);
            }
            return;
        }
        self.terminate_at = Some(until);
        let running: Vec<String> = self.slots.iter().filter(|slot| slot.is_running()).map(|slot| slot.spec.name.clone()).collect();
        for name in running {
            self.agent.tell(&self.pod, "Normal", "Killing", &format!("Stopping container {name}")).await;
        }
        self.terminate(Role::Main);
    }

    /// Sidecars end after the containers; what is left at the end of the grace period is killed.
    fn continue_termination(&mut self, now: Instant) {
        if !self.slots.iter().any(|slot| slot.role == Role::Main && slot.is_running()) {
            self.terminate(Role::Sidecar);
        }
        self.terminate(Role::Init);
        if self.terminate_at.is_some_and(|at| at <= now) {
            self.kill_all();
        }
    }

    /// Asks the running containers of a role to end; those without a program do so at once.
    fn terminate(&mut self, role: Role) {
        for index in 0..self.slots.len() {
            let Some(slot) = self.slots.get_mut(index).filter(|slot| slot.role == role && slot.is_running()) else {
                continue;
            };
            slot.term.cancel();
            if !slot.has_program {
                self.ended(index, 0);
            }
        }
    }

    fn kill_all(&mut self) {
        for index in 0..self.slots.len() {
            let Some(slot) = self.slots.get_mut(index) else { continue };
            slot.term.cancel();
            slot.kill.cancel();
            if slot.is_running() {
                self.ended(index, 137);
            }
        }
    }

    async fn take(&mut self, message: Message) {
        match message {
            Message::Exited { index, run, exit } => {
                if self.slots.get(index).is_some_and(|slot| slot.run == run && slot.is_running()) {
                    self.ended(index, exit);
                }
            }
            Message::Ready { index, run, ready } => {
                if let Some(slot) = self.slots.get_mut(index).filter(|slot| slot.run == run) {
                    slot.ready_override = Some(ready);
                }
            }
            Message::Probed { index, run, kind, result } => self.probed(index, run, kind, result).await,
        }
    }

    async fn probed(&mut self, index: usize, run: u64, kind: ProbeKind, result: Result<(), String>) {
        let Some(slot) = self.slots.get_mut(index).filter(|slot| slot.run == run && slot.is_running()) else { return };
        let name = slot.spec.name.clone();
        let needs_readiness = slot.spec.readiness_probe.is_some();
        match (kind, result) {
            (ProbeKind::Startup, Ok(())) => {
                slot.started = true;
                slot.probed_ready = !needs_readiness;
            }
            (ProbeKind::Readiness, Ok(())) => slot.probed_ready = true,
            (ProbeKind::Liveness, Ok(())) => {}
            (ProbeKind::Readiness, Err(why)) => {
                slot.probed_ready = false;
                let message = format!("Readiness probe failed: {why}");
                self.agent.tell(&self.pod, "Warning", "Unhealthy", &message).await;
            }
            (ProbeKind::Startup | ProbeKind::Liveness, Err(why)) => {
                let message = format!("{} probe failed: {why}", kind.as_str());
                self.agent.tell(&self.pod, "Warning", "Unhealthy", &message).await;
                let message = format!("Container {name} failed {} probe, will be restarted", kind.as_str().to_lowercase());
                self.agent.tell(&self.pod, "Normal", "Killing", &message).await;
                self.restart(index);
            }
        }
    }

    /// Ends a container that will be started again by the restart policy.
    fn restart(&mut self, index: usize) {
        let grace = self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.term.cancel();
        if slot.has_program {
            slot.kill_at = Some(Instant::now() + Duration::from_secs(u64::try_from(grace).unwrap_or(0)));
        } else {
            self.ended(index, 137);
        }
    }

    /// Writes what changed; true when the server knows all of it.
    async fn write_status(&mut self) -> bool {
        let now = self.agent.shared.timestamp();
        let mut since = std::mem::take(&mut self.since);
        let status = compose(&self.view(), &mut since, &now);
        self.since = since;
        let changes = self.written.changes(&status);
        if changes.is_empty() {
            return true;
        }
        let body = json!({"metadata": {"uid": self.uid}, "status": Value::Object(changes.clone())});
        let path = format!("{}/status", path_of::<Pod>(&self.key.namespace, &self.key.name));
        match self.agent.shared.client.strategic(&path, &body).await {
            Ok(_) => {
                self.written.remember(&changes);
                true
            }
            Err(error) if error.is_not_found() || error.code() == 409 => true,
            Err(error) => {
                tracing::debug!(%error, pod = %self.key, "status not written");
                self.write_at = Some(Instant::now() + SETUP_RETRY);
                false
            }
        }
    }

    /// Removes the object of a pod that has ended.
    async fn remove(&mut self) {
        let path = path_of::<Pod>(&self.key.namespace, &self.key.name);
        match self.agent.shared.client.delete(&path, &self.uid, Some(0), None).await {
            Ok(()) => self.removed = true,
            Err(error) if error.code() == 409 => self.removed = true,
            Err(error) => tracing::debug!(%error, pod = %self.key, "pod not removed"),
        }
    }

    /// Records the end of a container and when it starts again.
    fn ended(&mut self, index: usize, exit: impl Into<Exit>) {
        let mut exit = exit.into();
        let finished = self.agent.shared.timestamp();
        if let Some(slot) = self.slots.get(index) {
            let logs = &self.agent.shared.logs;
            logs.ended(&self.key, &slot.spec.name);
            let falls_back = slot.spec.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
            if exit.message.is_empty() && exit.code != 0 && falls_back {
                exit.message = logs.tail(&self.key, &slot.spec.name);
            }
        }
        let policy = self.policy().to_owned();
        let terminating = self.terminate_at.is_some() || self.failed.is_some();
        let identity = format!("{}_{}({})", self.key.name, self.key.namespace, self.uid);
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.finish(exit, finished, &policy, terminating, &identity);
    }
}

impl Slot {
    fn finish(&mut self, exit: Exit, finished: String, policy: &str, terminating: bool, pod: &str) {
        let Exit { code, message } = exit;
        let started = match &self.phase {
            Phase::Running { since } => Some(since.clone()),
            _ => None,
        };
        let ended = super::slot::Ended {
            code,
            message,
            reason: if code == 0 { "Completed" } else { "Error" }.to_owned(),
            started,
            finished,
            id: self.id.clone(),
        };
        self.started = false;
        self.probed_ready = false;
        self.ready_override = None;
        self.ready_at = None;
        self.kill_at = None;
        self.kill.cancel();
        let again = !terminating
            && match self.role {
                Role::Sidecar => true,
                Role::Init => code != 0 && policy != "Never",
                Role::Main => policy == "Always" || (policy == "OnFailure" && code != 0),
            };
        let ran_long = self.running_since.take().is_some_and(|since| since.elapsed() >= 2 * MAX_BACKOFF);
        if ran_long {
            self.backoff = Duration::ZERO;
        }
        if !again {
            self.phase = Phase::Terminated(ended);
            return;
        }
        self.next_start = Some(Instant::now() + self.backoff);
        if self.backoff.is_zero() {
            // The first restart is immediate; its pause comes after the next crash.
            self.phase = Phase::Terminated(ended.clone());
        } else {
            let name = &self.spec.name;
            let seconds = self.backoff.as_secs();
            let message = if seconds < 60 {
                format!("back-off {seconds}s restarting failed container={name} pod={pod}")
            } else {
                format!("back-off {}m{}s restarting failed container={name} pod={pod}", seconds / 60, seconds % 60)
            };
            self.wait("CrashLoopBackOff", message);
        }
        self.last = Some(ended);
        self.backoff = if self.backoff.is_zero() { MIN_BACKOFF } else { (self.backoff * 2).min(MAX_BACKOFF) };
    }
}

//! Starting containers: in order, when their image is there, with their environment.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{MAX_BACKOFF, MIN_BACKOFF, Message, Worker};
use crate::kubelet::environment::{self, Place};
use crate::kubelet::images::{Behaviour, ContainerContext, ReadySetter};
use crate::kubelet::probe::Probing;
use crate::kubelet::slot::{Phase, Role, Slot};

impl Worker {
    /// Starts what is next: init containers one by one, then all containers.
    pub(super) async fn start_containers(&mut self, now: Instant) {
        if !self.volumes_ready && !self.set_up(now).await {
            return;
        }
        if self.pod_ip.is_empty() {
            self.pod_ip = self.agent.pod_ip(&self.pod);
        }
        let mut index = 0;
        while index < self.slots.len() {
            let Some(slot) = self.slots.get(index) else { return };
            match slot.role {
                Role::Init => {
                    self.start_if_due(index, now).await;
                    if !self.slots.get(index).is_some_and(Slot::is_ready) {
                        return;
                    }
                }
                Role::Sidecar => {
                    self.start_if_due(index, now).await;
                    if !self.slots.get(index).is_some_and(|slot| slot.started || slot.last.is_some()) {
                        return;
                    }
                }
                Role::Main => self.start_if_due(index, now).await,
            }
            index += 1;
        }
    }

    /// Whether a container should run but does not, and may be started now.
    async fn start_if_due(&mut self, index: usize, now: Instant) {
        let policy = self.policy().to_owned();
        let Some(slot) = self.slots.get(index) else { return };
        if slot.is_running() || slot.next_start.is_some_and(|at| at > now) {
            return;
        }
        if let Phase::Terminated(ended) = &slot.phase
            && slot.next_start.is_none()
        {
            // Ended for good, or found so after the node came back.
            let again = match slot.role {
                Role::Sidecar => true,
                Role::Init => ended.code != 0 && policy != "Never",
                Role::Main => policy == "Always" || (policy == "OnFailure" && ended.code != 0),
            };
            if !again {
                return;
            }
        }
        self.start(index, now).await;
    }

    async fn start(&mut self, index: usize, now: Instant) {
        let Some(slot) = self.slots.get(index) else { return };
        let spec = slot.spec.clone();
        let image = spec.image.clone().unwrap_or_default();
        let behaviour = self.agent.images.behaviour(&self.pod, &image);
        if let Behaviour::Unpullable(why) = &behaviour {
            self.pull_failed(index, &image, why, now).await;
            return;
        }
        let name = spec.name.clone();
        let program = match &behaviour {
            Behaviour::Run(program) => {
                let place = Place { node: &self.agent.name, host_ip: &self.agent.host_ip, pod_ip: &self.pod_ip };
                match environment::resolve(&self.agent.shared.client, &self.pod, &spec, &place).await {
                    Ok(env) => Some((program.clone(), env)),
                    Err(why) => {
                        self.configuration_error(index, why, now).await;
                        return;
                    }
                }
            }
            _ => None,
        };
        let id = self.agent.container_id();
        let since = self.agent.shared.timestamp();
        let messages = self.sender.clone();
        let Some(slot) = self.slots.get_mut(index) else { return };
        let again = slot.last.is_some() || slot.ended().is_some();
        if let Phase::Terminated(ended) = &slot.phase {
            slot.last = Some(ended.clone());
        }
        if again {
            slot.restarts += 1;
        }
        slot.run += 1;
        slot.id = id;
        slot.next_start = None;
        slot.phase = Phase::Running { since };
        slot.running_since = Some(now);
        slot.term = CancellationToken::new();
        slot.kill = self.all.child_token();
        slot.has_program = program.is_some();
        let (run, restarts) = (slot.run, slot.restarts);
        let (term, kill) = (slot.term.clone(), slot.kill.clone());
        slot.probed_ready = false;
        slot.started = false;
        match &self.agent.prober {
            Some(prober) if slot.has_probe() => {
                slot.started = slot.spec.startup_probe.is_none();
                slot.probed_ready = slot.started && slot.spec.readiness_probe.is_none();
                let probing = Probing {
                    prober: prober.clone(),
                    pod: self.pod.clone(),
                    pod_ip: self.pod_ip.clone(),
                    container: spec.clone(),
                    index,
                    run,
                    messages: messages.clone(),
                    end: kill.clone(),
                };
                tokio::spawn(probing.run());
            }
            _ => {
                let delay = |probe: Option<&k8s_openapi::api::core::v1::Probe>| {
                    probe.and_then(|probe| probe.initial_delay_seconds).and_then(|delay| u64::try_from(delay).ok()).unwrap_or(0)
                };
                let wait = delay(spec.startup_probe.as_ref()).max(delay(spec.readiness_probe.as_ref()));
                if wait == 0 {
                    slot.started = true;
                    slot.probed_ready = true;
                } else {
                    slot.ready_at = Some(now + Duration::from_secs(wait));
                }
            }
        }
        if again {
            self.agent.shared.logs.restarted(&self.key, &name);
        }
        if let Some((program, env)) = program {
            self.agent.shared.logs.started(&self.key, &name);
            let args = spec.command.iter().flatten().chain(spec.args.iter().flatten());
            let context = ContainerContext {
                pod: self.pod.clone(),
                container: name.clone(),
                args: args.map(|text| environment::expand(text, &env)).collect(),
                env,
                spec,
                node: self.agent.name.clone(),
                pod_ip: self.pod_ip.clone(),
                restarts,
                term,
                kill: kill.clone(),
                log: self.agent.shared.logs.sink(&self.key, &name),
                ready: ReadySetter { index, run, messages: messages.clone() },
            };
            let future = program(context);
            tokio::spawn(async move {
                let exit = tokio::select! {
                    biased;
                    () = kill.cancelled() => 137.into(),
                    exit = future => exit,
                };
                // A pod that is gone does not ask how its containers ended.
                let _ = messages.send(Message::Exited { index, run, exit });
            });
        }
        if self.agent.container_events {
            self.tell_started(&image, &name).await;
        }
        if let Behaviour::Exit(code) = behaviour {
            self.ended(index, code);
        }
    }

    async fn tell_started(&self, image: &str, name: &str) {
        let agent: &Arc<crate::kubelet::agent::Agent> = &self.agent;
        let pulled = format!("Container image {image:?} already present on machine");
        agent.tell(&self.pod, "Normal", "Pulled", &pulled).await;
        agent.tell(&self.pod, "Normal", "Created", &format!("Created container: {name}")).await;
        agent.tell(&self.pod, "Normal", "Started", &format!("Started container {name}")).await;
    }

    /// `ErrImagePull` at first, `ImagePullBackOff` while waiting, a new attempt after the pause.
    async fn pull_failed(&mut self, index: usize, image: &str, why: &str, now: Instant) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let waiting_since = matches!(&slot.phase, Phase::Waiting { reason, .. } if reason == "ErrImagePull");
        if slot.pull_failed && waiting_since {
            slot.next_start = Some(now + slot.backoff);
            slot.wait("ImagePullBackOff", format!("Back-off pulling image {image:?}: ErrImagePull: {why}"));
            slot.backoff = (slot.backoff * 2).min(MAX_BACKOFF);
            self.agent.tell(&self.pod, "Normal", "BackOff", &format!("Back-off pulling image {image:?}")).await;
            self.agent.tell(&self.pod, "Warning", "Failed", "Error: ImagePullBackOff").await;
            return;
        }
        slot.pull_failed = true;
        if slot.backoff.is_zero() {
            slot.backoff = MIN_BACKOFF;
        }
        slot.wait("ErrImagePull", why);
        // The next look turns it into a back-off.
        slot.next_start = Some(now + Duration::from_secs(1));
        self.agent.tell(&self.pod, "Normal", "Pulling", &format!("Pulling image {image:?}")).await;
        self.agent.tell(&self.pod, "Warning", "Failed", &format!("Failed to pull image {image:?}: {why}")).await;
        self.agent.tell(&self.pod, "Warning", "Failed", "Error: ErrImagePull").await;
    }

    async fn configuration_error(&mut self, index: usize, why: String, now: Instant) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.next_start = Some(now + Duration::from_secs(5));
        slot.wait("CreateContainerConfigError", why.clone());
        self.agent.tell(&self.pod, "Warning", "Failed", &format!("Error: {why}")).await;
    }
}

//! Probes, run against programs in this process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::worker::Message;

/// Which probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeKind {
    /// Holds the others back until it succeeded.
    Startup,
    /// Failing takes the pod out of Services.
    Readiness,
    /// Failing restarts the container.
    Liveness,
}

impl ProbeKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

/// Answers probes. Without one every probe succeeds.
#[async_trait]
pub trait Prober: Send + Sync {
    /// Runs the probe once.
    ///
    /// # Errors
    /// What the container answered instead of success.
    async fn probe(&self, pod: &Pod, pod_ip: &str, container: &Container, kind: ProbeKind, probe: &Probe) -> Result<(), String>;
}

/// What a probe task needs.
pub(super) struct Probing {
    pub(super) prober: Arc<dyn Prober>,
    pub(super) pod: Arc<Pod>,
    pub(super) pod_ip: String,
    pub(super) container: Arc<Container>,
    pub(super) index: usize,
    pub(super) run: u64,
    pub(super) messages: mpsc::UnboundedSender<Message>,
    pub(super) end: CancellationToken,
}

fn seconds(value: Option<i32>, default: u64) -> Duration {
    Duration::from_secs(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(default))
}

impl Probing {
    /// Runs all probes of a container until it ends.
    pub(super) async fn run(self) {
        let work = async {
            if let Some(probe) = &self.container.startup_probe {
                self.follow(ProbeKind::Startup, probe).await;
            }
            let one = async {
                if let Some(probe) = &self.container.readiness_probe {
                    self.follow(ProbeKind::Readiness, probe).await;
                }
            };
            let other = async {
                if let Some(probe) = &self.container.liveness_probe {
                    self.follow(ProbeKind::Liveness, probe).await;
                }
            };
            futures::join!(one, other);
        };
        tokio::select! {
            biased;
            () = self.end.cancelled() => {}
            () = work => {}
        }
    }

    /// Probes at its period; a startup probe is done when it succeeded.
    async fn follow(&self, kind: ProbeKind, probe: &Probe) {
        tokio::time::sleep(seconds(probe.initial_delay_seconds, 0)).await;
        let threshold = |value: Option<i32>, default: i32| value.filter(|value| *value > 0).unwrap_or(default);
        let (mut successes, mut failures) = (0, 0);
        loop {
            let limit = seconds(probe.timeout_seconds, 1);
            let answer = self.prober.probe(&self.pod, &self.pod_ip, &self.container, kind, probe);
            let result = match tokio::time::timeout(limit, answer).await {
                Ok(result) => result,
                Err(_) => Err("context deadline exceeded".to_owned()),
            };
            match result {
                Ok(()) => {
                    (successes, failures) = (successes + 1, 0);
                    if successes == threshold(probe.success_threshold, 1) {
                        self.say(kind, Ok(()));
                        if kind == ProbeKind::Startup {
                            return;
                        }
                    }
                }
                Err(why) => {
                    (successes, failures) = (0, failures + 1);
                    if failures == threshold(probe.failure_threshold, 3) {
                        self.say(kind, Err(why));
                    }
                }
            }
            tokio::time::sleep(seconds(probe.period_seconds, 10)).await;
        }
    }

    fn say(&self, kind: ProbeKind, result: Result<(), String>) {
        // A pod that is gone does not listen.
        let _ = self.messages.send(Message::Probed { index: self.index, run: self.run, kind, result });
    }
}

//! Leader election on a Lease (spec controllers §1.2), on tokio's time.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PostParams};
use planner::plan::{EventType, ObjectRef, kinds};
use tokio::time::Instant;

use crate::{Clock, Deps, Entropy, EventRecorder};

/// How much a retry is stretched at most, as client-go does it.
const JITTER: f64 = 1.2;

/// When a lease counts as lost and how often it is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimes {
    /// Others wait this long after the last renewal they saw.
    pub duration: Duration,
    /// The holder gives up when it could not renew for this long.
    pub renew_deadline: Duration,
    /// Between two tries.
    pub retry_period: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self { duration: Duration::from_secs(15), renew_deadline: Duration::from_secs(10), retry_period: Duration::from_secs(2) }
    }
}

/// Why leading ended.
#[derive(Debug, thiserror::Error)]
pub enum LeadershipError {
    /// The lease could not be renewed in time, or somebody else has it.
    #[error("leader election lost: {lease}")]
    Lost {
        /// `namespace/name` of the lease.
        lease: String,
    },
}

/// A candidate for one lease.
///
/// Flow: [`LeaderElection::acquire`] waits until the lease is ours; then [`LeaderElection::hold`] renews it until it is
/// lost or the process ends, when it is given back for the next candidate to take at once.
/// Guarantees: what a candidate believes of others' renewals is timed by its own clock, so clocks need not agree.
#[derive(Debug)]
pub struct LeaderElection {
    api: Api<Lease>,
    name: String,
    namespace: String,
    identity: String,
    times: LeaseTimes,
    clock: Clock,
    entropy: Entropy,
    recorder: EventRecorder,
    seen: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    spec: LeaseSpec,
    at: Instant,
}

impl LeaderElection {
    /// A candidate for lease `name` in the install namespace, under the pod's name.
    pub fn new(deps: &Deps, name: &str, times: LeaseTimes, recorder: EventRecorder) -> Self {
        Self {
            api: Api::namespaced(deps.client.clone(), &deps.namespace),
            name: name.to_owned(),
            namespace: deps.namespace.clone(),
            identity: deps.pod_name.clone(),
            times,
            clock: deps.clock.clone(),
            entropy: deps.entropy.fork("leader-election"),
            recorder,
            seen: None,
        }
    }

    /// Waits until the lease is ours.
    pub async fn acquire(&mut self) {
        loop {
            match self.try_acquire_or_renew().await {
                Ok(true) => {
                    tracing::info!(lease = self.name, identity = self.identity, "became leader");
                    self.record(&format!("{} became leader", self.identity));
                    return;
                }
                Ok(false) => {}
                Err(error) => tracing::debug!(lease = self.name, %error, "lease not acquired"),
            }
            tokio::time::sleep(self.entropy.jitter(self.times.retry_period, JITTER)).await;
        }
    }

    /// Renews the lease until it is lost.
    ///
    /// # Errors
    /// Always [`LeadershipError::Lost`]: whoever leads stops at once.
    pub async fn hold(&mut self) -> Result<std::convert::Infallible, LeadershipError> {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.times.retry_period).await;
            let left = self.times.renew_deadline.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(left, self.try_acquire_or_renew()).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Err(error)) if renewed.elapsed() < self.times.renew_deadline => {
                    tracing::warn!(lease = self.name, %error, "lease not renewed");
                }
                Ok(Ok(false) | Err(_)) | Err(_) => return Err(self.lost()),
            }
        }
    }

    /// Gives the lease back, so that the next candidate need not wait for it to expire.
    pub async fn release(&mut self) {
        let Ok(Some(mut lease)) = self.api.get_opt(&self.name).await else { return };
        let Some(spec) = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_ref() == Some(&self.identity)) else {
            return;
        };
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(self.clock.micro_time());
        if let Err(error) = self.api.replace(&self.name, &PostParams::default(), &lease).await {
            tracing::debug!(lease = self.name, %error, "lease not released");
        }
    }

    fn lost(&self) -> LeadershipError {
        self.record(&format!("{} stopped leading", self.identity));
        LeadershipError::Lost { lease: format!("{}/{}", self.namespace, self.name) }
    }

    fn record(&self, message: &str) {
        let lease = ObjectRef::new(&kinds::LEASE, Some(&self.namespace), &self.name);
        self.recorder.record(&lease, EventType::Normal, "LeaderElection", message);
    }

    /// One try; `Ok(false)` when somebody else has the lease.
    async fn try_acquire_or_renew(&mut self) -> Result<bool, kube::Error> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), namespace: Some(self.namespace.clone()), ..ObjectMeta::default() },
                spec: Some(self.held(None)),
            };
            return match self.api.create(&PostParams::default(), &lease).await {
                Ok(created) => {
                    self.see(created.spec.unwrap_or_default());
                    Ok(true)
                }
                // Another candidate was faster.
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
                Err(error) => Err(error),
            };
        };
        let spec = lease.spec.clone().unwrap_or_default();
        self.see(spec.clone());
        let holder = spec.holder_identity.clone().unwrap_or_default();
        let duration = Duration::from_secs(u64::try_from(spec.lease_duration_seconds.unwrap_or(0)).unwrap_or(0));
        let seen_at = self.seen.as_ref().map_or_else(Instant::now, |seen| seen.at);
        if !holder.is_empty() && holder != self.identity && seen_at.elapsed() < duration {
            return Ok(false);
        }
        lease.spec = Some(self.held(Some(&spec)));
        match self.api.replace(&self.name, &PostParams::default(), &lease).await {
            Ok(written) => {
                self.see(written.spec.unwrap_or_default());
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.code == 409 && holder != self.identity => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The lease as ours, following `before`.
    fn held(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = self.clock.micro_time();
        let ours = before.filter(|spec| spec.holder_identity.as_ref() == Some(&self.identity));
        let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.times.duration.as_secs()).ok(),
            acquire_time: ours.and_then(|spec| spec.acquire_time.clone()).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(if ours.is_some() || before.is_none() { transitions } else { transitions + 1 }),
            ..LeaseSpec::default()
        }
    }

    fn see(&mut self, spec: LeaseSpec) {
        if self.seen.as_ref().is_none_or(|seen| seen.spec != spec) {
            self.seen = Some(Seen { spec, at: Instant::now() });
        }
    }
}

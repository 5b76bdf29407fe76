//! Jobs: pods that run to their end.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{create_pod, delete_pod, follow_pods, uid, write_status};
use crate::client::Answer;
use crate::cluster::Shared;
use crate::controllers::work;
use crate::owners::EXPECTATION;
use crate::pods;
use crate::queue::Queue;
use crate::recorder::Source;
use crate::store::{Key, Store, spawn_watch};

struct Controller {
    shared: Shared,
    jobs: Arc<Store<Job>>,
    source: Source,
}

/// Starts it.
pub(super) fn start(shared: &Shared) {
    let queue: Queue<Key> = Queue::new();
    let jobs = Store::<Job>::new();
    let add = queue.clone();
    jobs.on_change(move |change| {
        if change.new.is_some() {
            add.add(change.key.clone());
        }
    });
    let add = queue.clone();
    follow_pods::<Job>(shared, move |key| add.add(key));
    spawn_watch(shared.client.clone(), jobs.clone(), shared.stop.clone());
    let controller = Arc::new(Controller { shared: shared.clone(), jobs, source: Source::component("job-controller") });
    let shared = shared.clone();
    tokio::spawn(async move {
        controller.jobs.synced().await;
        shared.pods.synced().await;
        work(&shared, &queue, |key: Key| {
            let controller = controller.clone();
            async move { controller.reconcile(&key).await }
        })
        .await;
    });
}

/// How a job ended.
struct Verdict {
    kind: &'static str,
    reason: &'static str,
    message: &'static str,
}

impl Controller {
    async fn reconcile(&self, key: &Key) -> Answer<Option<Duration>> {
        let Some(job) = self.jobs.get(key) else { return Ok(None) };
        let Some(spec) = job.spec.as_ref().filter(|_| job.metadata.deletion_timestamp.is_none()) else { return Ok(None) };
        let known = job.status.clone().unwrap_or_default();
        let over = known
            .conditions
            .iter()
            .flatten()
            .any(|condition| matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True");
        if over {
            return Ok(None);
        }
        let id = uid(&job.metadata);
        if !self.shared.owners.settled(id) {
            // Seeing the pods brings the set back here.
            return Ok(Some(EXPECTATION));
        }
        let owned = self.shared.owners.pods_of(id);
        let count = |phase: &str| i32::try_from(owned.iter().filter(|pod| pods::phase(pod) == phase).count()).unwrap_or(i32::MAX);
        let (succeeded, failed) = (count("Succeeded"), count("Failed"));
        let active: Vec<Arc<Pod>> = owned.iter().filter(|pod| pods::is_active(pod)).cloned().collect();
        let now = (self.shared.now)();
        let started = known.start_time.as_ref().map_or(now, |time| time.0);
        let mut again = None;
        let mut verdict = Self::verdict(spec, succeeded, failed, active.is_empty());
        if let Some(limit) = spec.active_deadline_seconds
            && verdict.is_none()
        {
            let limit = Duration::from_secs(u64::try_from(limit).unwrap_or(0));
            let passed = Duration::try_from(now.duration_since(started)).unwrap_or_default();
            if passed >= limit {
                verdict =
                    Some(Verdict { kind: "Failed", reason: "DeadlineExceeded", message: "Job was active longer than specified deadline" });
            } else {
                again = Some(limit.saturating_sub(passed));
            }
        }
        let mut running = i32::try_from(active.len()).unwrap_or(i32::MAX);
        if verdict.is_some() {
            for pod in &active {
                delete_pod(&self.shared, &self.source, job.as_ref(), pod).await?;
            }
            running = 0;
        } else if spec.suspend != Some(true) {
            let parallel = spec.parallelism.unwrap_or(1);
            let missing = spec.completions.map_or(parallel, |completions| completions - succeeded).min(parallel);
            let missing = if spec.completions.is_none() && succeeded > 0 { 0 } else { missing };
            for _ in 0..(missing - running).max(0) {
                create_pod(&self.shared, &self.source, job.as_ref(), &spec.template, |_| {}).await?;
            }
            running = running.max(missing);
        }
        self.status(&job, &active, running, succeeded, failed, &apiserver::env::rfc3339(&started), verdict).await?;
        Ok(again)
    }

    fn verdict(spec: &JobSpec, succeeded: i32, failed: i32, idle: bool) -> Option<Verdict> {
        if failed > spec.backoff_limit.unwrap_or(6) {
            return Some(Verdict {
                kind: "Failed",
                reason: "BackoffLimitExceeded",
                message: "Job has reached the specified backoff limit",
            });
        }
        let complete = match spec.completions {
            Some(completions) => succeeded >= completions,
            None => succeeded > 0 && idle,
        };
        complete.then_some(Verdict { kind: "Complete", reason: "CompletionsReached", message: "Reached expected number of succeeded pods" })
    }

    #[allow(clippy::too_many_arguments, reason = "one figure of the status each")]
    async fn status(
        &self,
        job: &Job,
        active: &[Arc<Pod>],
        running: i32,
        succeeded: i32,
        failed: i32,
        started: &str,
        verdict: Option<Verdict>,
    ) -> Answer<()> {
        let ready = if running == 0 { 0 } else { active.iter().filter(|pod| pods::is_ready(pod)).count() };
        let figure = |number: i32| if number == 0 { Value::Null } else { json!(number) };
        let mut new = json!({
            "startTime": started, "active": figure(running), "ready": ready, "terminating": 0, "succeeded": figure(succeeded),
            "failed": figure(failed), "uncountedTerminatedPods": {}
        });
        let known = job.status.clone().unwrap_or_default();
        let old = json!({
            "startTime": known.start_time, "active": known.active, "ready": known.ready.unwrap_or(0), "terminating": 0,
            "succeeded": known.succeeded, "failed": known.failed, "uncountedTerminatedPods": {}
        });
        let Some(verdict) = verdict else {
            return if old == new { Ok(()) } else { write_status(&self.shared, job, None, new).await };
        };
        let now = self.shared.timestamp();
        let condition = |kind: &str| {
            json!({
                "type": kind, "status": "True", "reason": verdict.reason, "message": verdict.message, "lastProbeTime": now,
                "lastTransitionTime": now
            })
        };
        let before = if verdict.kind == "Complete" { "SuccessCriteriaMet" } else { "FailureTarget" };
        new["conditions"] = json!([condition(before), condition(verdict.kind)]);
        if verdict.kind == "Complete" {
            new["completionTime"] = json!(now);
        }
        write_status(&self.shared, job, None, new).await?;
        let (kind, reason, message) = if verdict.kind == "Complete" {
            ("Normal", "Completed", "Job completed")
        } else {
            ("Warning", verdict.reason, verdict.message)
        };
        self.shared.recorder.record(&self.source, job, kind, reason, message).await;
        Ok(())
    }
}

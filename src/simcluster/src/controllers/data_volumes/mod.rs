//! DataVolumes: claims that are filled with data.
//!
//! The happy path: a DataVolume makes its claim; where the claim's class waits for a first consumer, so does the DataVolume;
//! then the data comes, in simulated time and with its progress told; then the claim is bound. Where the data comes first
//! (`VolumeImportSource` and its like, the rule), a consumer can be scheduled but not started before it is there; where it comes
//! afterwards (annotation `cdi.kubevirt.io/storage.usePopulator: "false"`), a consumer has to bind the claim first.
//!
//! ```text
//! Pending ─► PendingPopulation / WaitForFirstConsumer ─► ImportScheduled ─► ImportInProgress ─► Succeeded
//!                     (classes that wait)                     ▲                 │    └────────► Failed (for good)
//!                                                             └── (failed try) ─┘
//! ```
//!
//! No byte is moved. Annotations `sim.ferrovirt.io/…` script duration and faults (docs/simulated-storage.md).

mod claim;
mod objects;
mod script;
mod source;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::{Value, json};
use tokio::time::Instant;

use self::objects::{DataSource, DataVolume, text};
use self::script::{Failures, Script};
use self::source::Source;
use self::status::{Complaint, Running, State};
use super::{existing_is_fine, work};
use crate::client::{Answer, collection, collection_of, optional, path_of};
use crate::cluster::Shared;
use crate::owners::controller;
use crate::queue::Queue;
use crate::recorder::Source as Reporter;
use crate::storage::{ANNOTATION_SELECTED_NODE, PROVISIONER, annotation, class_name, is_bound, waits_for_consumer};
use crate::store::{Key, Store, lock, spawn_watch};

pub(crate) use self::claim::{has_data, is_populated};
pub use self::objects::{data_volume_definitions, data_volume_roles};

/// From the decision to transfer to its begin.
const SCHEDULING: Duration = Duration::from_millis(500);
/// Into how many parts progress is told.
const STEPS: u32 = 4;
/// After a first failed try; doubled after each, up to [`MOST_BACK_OFF`].
const BACK_OFF: Duration = Duration::from_secs(10);
/// Longest wait between two tries.
const MOST_BACK_OFF: Duration = Duration::from_mins(5);
/// Data is uploaded to the claim.
const UPLOAD_TARGET: &str = "cdi.kubevirt.io/storage.upload.target";
/// A claim of that name may be taken over.
const ALLOW_ADOPTION: &str = "cdi.kubevirt.io/allowClaimAdoption";
/// Asks not to wait for a first consumer.
const BIND_IMMEDIATELY: &str = "cdi.kubevirt.io/storage.bind.immediate.requested";

/// A transfer that goes on.
#[derive(Debug, Clone)]
struct Run {
    uid: String,
    began: Instant,
    tries: u32,
    /// A failed try is over: the next one begins then.
    resumes: Option<Instant>,
}

struct Controller {
    shared: Shared,
    reporter: Reporter,
    volumes: Arc<Store<DataVolume>>,
    sources: Arc<Store<DataSource>>,
    runs: Mutex<BTreeMap<Key, Run>>,
    /// DataVolumes whose source is not there.
    sourceless: Arc<Mutex<BTreeSet<Key>>>,
}

/// Starts it. The API server has to know the kinds ([`data_volume_definitions`]).
pub(crate) fn start(shared: &Shared, upload_proxy: Option<String>) {
    let queue: Queue<Key> = Queue::new();
    let (volumes, sources) = (Store::<DataVolume>::new(), Store::<DataSource>::new());
    let add = queue.clone();
    volumes.on_change(move |change| add.add(change.key.clone()));
    let sourceless: Arc<Mutex<BTreeSet<Key>>> = Arc::default();
    let (add, waiting) = (queue.clone(), sourceless.clone());
    sources.on_change(move |_| wake(&add, &waiting));
    let add = queue.clone();
    shared.classes.on_change(move |change| add.add(change.key.clone()));
    let (add, all, waiting) = (queue.clone(), volumes.clone(), sourceless.clone());
    shared.claims.on_change(move |change| {
        if all.get(change.key).is_some() || change.new.is_some_and(|claim| annotation(&claim.metadata, UPLOAD_TARGET).is_some()) {
            add.add(change.key.clone());
        }
        if change.old.is_none() {
            wake(&add, &waiting);
        }
    });
    let controller = Arc::new(Controller {
        shared: shared.clone(),
        reporter: Reporter::component("datavolume-controller"),
        volumes: volumes.clone(),
        sources: sources.clone(),
        runs: Mutex::default(),
        sourceless,
    });
    let shared = shared.clone();
    tokio::spawn(async move {
        shared.claims.synced().await;
        shared.classes.synced().await;
        spawn_watch(shared.client.clone(), sources.clone(), shared.stop.clone());
        spawn_watch(shared.client.clone(), volumes.clone(), shared.stop.clone());
        sources.synced().await;
        volumes.synced().await;
        if let Err(error) = controller.configuration(upload_proxy.as_deref()).await {
            tracing::debug!(%error, "configuration not written");
        }
        work(&shared, &queue, |key: Key| {
            let controller = controller.clone();
            async move { controller.reconcile(&key).await }
        })
        .await;
    });
}

/// Something appeared that may be the source of DataVolumes that wait.
fn wake(queue: &Queue<Key>, sourceless: &Mutex<BTreeSet<Key>>) {
    for key in lock(sourceless).iter() {
        queue.add(key.clone());
    }
}

fn is_final(volume: &DataVolume) -> bool {
    matches!(text(&volume.status, "/phase"), "Succeeded" | "Failed")
}

impl Controller {
    /// Writes the configuration that users look up.
    async fn configuration(&self, upload_proxy: Option<&str>) -> Answer<()> {
        let mut status = json!({"filesystemOverhead": {"global": "0.06"}});
        if let Some(url) = upload_proxy {
            status["uploadProxyURL"] = json!(url);
        }
        self.describe("CDIConfig", "cdiconfigs", "config", &status).await
    }

    /// Writes the profile of a storage class.
    async fn profile(&self, name: &str) -> Answer<()> {
        let Some(class) = self.shared.classes.get(&Key::new("", name)) else { return Ok(()) };
        let sets = json!([{"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem"}]);
        let status = json!({"storageClass": name, "provisioner": class.provisioner, "claimPropertySets": sets});
        self.describe("StorageProfile", "storageprofiles", name, &status).await
    }

    async fn describe(&self, kind: &str, plural: &str, name: &str, status: &Value) -> Answer<()> {
        let path = collection(objects::GROUP, "v1beta1", plural, "");
        let api_version = format!("{}/v1beta1", objects::GROUP);
        let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": {}});
        if existing_is_fine(self.shared.client.create(&path, &object).await)?.is_some() {
            self.shared.client.merge(&format!("{path}/{name}/status"), &json!({"status": status})).await?;
        }
        Ok(())
    }

    async fn tell(&self, volume: &DataVolume, kind: &str, reason: &str, message: &str) {
        self.shared.recorder.record(&self.reporter, volume, kind, reason, message).await;
    }

    /// Writes the status where it changed, with the event of a new phase.
    async fn write(
        &self,
        key: &Key,
        volume: &DataVolume,
        state: &State,
        claim: Option<&PersistentVolumeClaim>,
        complaint: Option<Complaint<'_>>,
    ) -> Answer<()> {
        let new = status::of(state, claim, complaint, &volume.status, &self.shared.timestamp());
        let same = new.as_object().into_iter().flatten().all(|(field, value)| {
            let known = volume.status.get(field);
            known == Some(value) || (value.is_null() && known.is_none())
        });
        if same {
            return Ok(());
        }
        let path = format!("{}/status", path_of::<DataVolume>(&key.namespace, &key.name));
        optional(self.shared.client.merge(&path, &json!({"status": new})).await).map(drop)
    }

    /// Cannot go on before something changes.
    async fn complain(
        &self,
        key: &Key,
        volume: &DataVolume,
        claim: Option<&PersistentVolumeClaim>,
        reason: &str,
        message: &str,
    ) -> Answer<Option<Duration>> {
        if text(&volume.status, "/conditions/0/message") != message {
            self.tell(volume, "Warning", reason, message).await;
        }
        self.write(key, volume, &State::idle("Pending"), claim, Some(Complaint { reason, message })).await?;
        Ok(None)
    }

    async fn reconcile(&self, key: &Key) -> Answer<Option<Duration>> {
        // What is in no namespace is a storage class.
        if key.namespace.is_empty() {
            return self.profile(&key.name).await.map(|()| None);
        }
        lock(&self.sourceless).remove(key);
        let Some(volume) = self.volumes.get(key).filter(|volume| volume.metadata.deletion_timestamp.is_none()) else {
            lock(&self.runs).remove(key);
            return match self.shared.claims.get(key) {
                Some(claim) => self.await_upload(key, &claim).await,
                None => Ok(None),
            };
        };
        if is_final(&volume) {
            return Ok(None);
        }
        let claim = self.shared.claims.get(key);
        let script = match Script::of(&volume.metadata) {
            Ok(script) => script,
            Err(message) => return self.complain(key, &volume, claim.as_deref(), "InvalidAnnotation", &message).await,
        };
        let source = match Source::of(&volume, &self.sources) {
            Ok(source) => source,
            Err(message) => {
                lock(&self.sourceless).insert(key.clone());
                return self.complain(key, &volume, claim.as_deref(), "ErrClaimNotValid", &message).await;
            }
        };
        let Some(claim) = claim else { return self.claim(key, &volume, &source).await };
        let mine = controller(&claim.metadata).is_some_and(|owner| Some(&owner.uid) == volume.metadata.uid.as_ref());
        if !mine {
            return self.adopt(key, &volume, &claim).await;
        }
        if has_data(&claim) {
            return self.finish(key, &volume, &source, &claim).await;
        }
        self.fill(key, &volume, &claim, &source, &script).await
    }

    /// Makes the claim.
    async fn claim(&self, key: &Key, volume: &DataVolume, source: &Source) -> Answer<Option<Duration>> {
        let origin = match source {
            Source::Claim { namespace, name } => {
                let from = Key::new(namespace.clone(), name.clone());
                let Some(found) = self.shared.claims.get(&from) else {
                    lock(&self.sourceless).insert(key.clone());
                    let text = format!("The source pvc {name} doesn't exist");
                    return self.complain(key, volume, None, "CloneWithoutSource", &text).await;
                };
                Some(found)
            }
            _ => None,
        };
        let populator = self.uses_populator(volume, source);
        let body = match claim::of(volume, source, origin.as_deref(), populator) {
            Ok(body) => body,
            Err(message) => return self.complain(key, volume, None, "ErrClaimNotValid", &message).await,
        };
        match self.shared.client.create(&collection_of::<PersistentVolumeClaim>(&key.namespace), &body).await {
            Ok(_) => self.write(key, volume, &State::idle("Pending"), None, None).await?,
            // The watch brings it.
            Err(error) if error.code() == 409 => {}
            Err(error) if (400..500).contains(&error.code()) => {
                let quota = error.to_string().contains("exceeded quota");
                let reason = if quota { "ErrExceededQuota" } else { "ErrClaimNotValid" };
                let text = error.to_string();
                self.complain(key, volume, None, reason, &text).await?;
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// Whether the data comes before the claim is bound.
    fn uses_populator(&self, volume: &DataVolume, source: &Source) -> bool {
        if *source == Source::External {
            return false;
        }
        if let Some(asked) = annotation(&volume.metadata, claim::USE_POPULATOR) {
            return asked == "true";
        }
        let section = |name: &str| text(&volume.spec, &format!("/{name}/storageClassName")).to_owned();
        let named = [section("storage"), section("pvc")].into_iter().find(|name| !name.is_empty());
        // Without a name it is the default class, which this cluster makes volumes for.
        named.is_none_or(|name| self.shared.classes.get(&Key::new("", name)).is_some_and(|class| class.provisioner == PROVISIONER))
    }

    /// A claim that somebody else made.
    async fn adopt(&self, key: &Key, volume: &DataVolume, claim: &PersistentVolumeClaim) -> Answer<Option<Duration>> {
        let allowed = annotation(&volume.metadata, ALLOW_ADOPTION) == Some("true");
        if !allowed || controller(&claim.metadata).is_some() {
            let text = format!("Resource {:?} already exists and is not managed by DataVolume", key.name);
            return self.complain(key, volume, None, "ErrResourceExists", &text).await;
        }
        let mut owners: Vec<Value> = claim.metadata.owner_references.iter().flatten().map(|owner| json!(owner)).collect();
        owners.push(claim::owner(volume));
        let body = json!({"metadata": {
            "resourceVersion": claim.metadata.resource_version, "ownerReferences": owners,
            // What is in it is what is wanted.
            "annotations": {claim::POD_PHASE: "Succeeded"}
        }});
        optional(self.shared.client.merge(&path_of::<PersistentVolumeClaim>(&key.namespace, &key.name), &body).await)?;
        Ok(None)
    }

    /// The data is there; what is left is the binding.
    async fn finish(&self, key: &Key, volume: &DataVolume, source: &Source, claim: &PersistentVolumeClaim) -> Answer<Option<Duration>> {
        let words = source.words();
        let restarts = u32::try_from(volume.status.get("restartCount").and_then(Value::as_u64).unwrap_or_default()).unwrap_or(u32::MAX);
        let bound = claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
        let phase = if bound { "Succeeded" } else { words.underway };
        let state = State { phase, progress: "100.0%".to_owned(), restarts, running: Running::completed(words.complete) };
        lock(&self.runs).remove(key);
        self.write(key, volume, &state, Some(claim), None).await?;
        if bound {
            self.tell(volume, "Normal", words.succeeded, &source.message(words.succeeded, key)).await;
        }
        Ok(None)
    }

    /// Waits for a consumer where it has to, then transfers.
    async fn fill(
        &self,
        key: &Key,
        volume: &DataVolume,
        claim: &PersistentVolumeClaim,
        source: &Source,
        script: &Script,
    ) -> Answer<Option<Duration>> {
        if *source == Source::External {
            let phase = if is_bound(claim) { "Succeeded" } else { "Pending" };
            self.write(key, volume, &State::idle(phase), Some(claim), None).await?;
            return Ok(None);
        }
        let populated = is_populated(claim);
        let class = class_name(claim).and_then(|name| self.shared.classes.get(&Key::new("", name)));
        let waits = class.as_ref().is_some_and(|class| waits_for_consumer(class));
        let chosen = annotation(&claim.metadata, ANNOTATION_SELECTED_NODE).is_some();
        if waits && !chosen && !is_bound(claim) {
            if annotation(&volume.metadata, BIND_IMMEDIATELY).is_some() {
                return self.choose(key).await;
            }
            let phase = if populated { "PendingPopulation" } else { "WaitForFirstConsumer" };
            self.write(key, volume, &State::idle(phase), Some(claim), None).await?;
            return Ok(None);
        }
        let bound = claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
        if !populated && !bound {
            let phase = if waits { "WaitForFirstConsumer" } else { "Pending" };
            self.write(key, volume, &State::idle(phase), Some(claim), None).await?;
            return Ok(None);
        }
        self.transfer(key, volume, claim, source, script).await
    }

    /// A claim of its own that somebody wants to upload to: once it is bound, it says that the data may come.
    async fn await_upload(&self, key: &Key, claim: &PersistentVolumeClaim) -> Answer<Option<Duration>> {
        let asked = annotation(&claim.metadata, UPLOAD_TARGET).is_some() && controller(&claim.metadata).is_none();
        if !asked || has_data(claim) || annotation(&claim.metadata, claim::POD_READY).is_some() {
            return Ok(None);
        }
        if is_bound(claim) {
            let body = json!({"metadata": {"annotations": {claim::POD_PHASE: "Running", claim::POD_READY: "true"}}});
            optional(self.shared.client.merge(&path_of::<PersistentVolumeClaim>(&key.namespace, &key.name), &body).await)?;
            return Ok(None);
        }
        let class = class_name(claim).and_then(|name| self.shared.classes.get(&Key::new("", name)));
        let waits = class.as_ref().is_some_and(|class| waits_for_consumer(class));
        let chosen = annotation(&claim.metadata, ANNOTATION_SELECTED_NODE).is_some();
        if waits && !chosen && annotation(&claim.metadata, BIND_IMMEDIATELY).is_some() {
            return self.choose(key).await;
        }
        Ok(None)
    }

    /// Consumes a claim that was not to wait: on the first node.
    async fn choose(&self, key: &Key) -> Answer<Option<Duration>> {
        let Some(node) = self.shared.nodes.keys().into_iter().next() else { return Ok(Some(BACK_OFF)) };
        let body = json!({"metadata": {"annotations": {ANNOTATION_SELECTED_NODE: node.name}}});
        optional(self.shared.client.merge(&path_of::<PersistentVolumeClaim>(&key.namespace, &key.name), &body).await)?;
        Ok(None)
    }

    /// One look at a transfer: begins it, tells its progress, ends it.
    async fn transfer(
        &self,
        key: &Key,
        volume: &DataVolume,
        claim: &PersistentVolumeClaim,
        source: &Source,
        script: &Script,
    ) -> Answer<Option<Duration>> {
        let (words, now) = (source.words(), Instant::now());
        let uid = volume.metadata.uid.clone().unwrap_or_default();
        let mut run = {
            let mut runs = lock(&self.runs);
            let run = runs.entry(key.clone()).or_insert_with(|| Run { uid: uid.clone(), began: now, tries: 0, resumes: None });
            if run.uid != uid {
                *run = Run { uid, began: now, tries: 0, resumes: None };
            }
            run.clone()
        };
        if let Some(resumes) = run.resumes {
            if now < resumes {
                return Ok(Some(resumes - now));
            }
            run = Run { began: resumes.checked_sub(SCHEDULING).unwrap_or(resumes), resumes: None, ..run };
            lock(&self.runs).insert(key.clone(), run.clone());
        }
        let elapsed = now.saturating_duration_since(run.began);
        let known = text(&volume.status, "/phase");
        if elapsed < SCHEDULING {
            let state = State { restarts: run.tries, running: Running::creating(), ..State::idle(words.scheduled) };
            self.enter(key, volume, claim, source, &state, known).await?;
            return Ok(Some(SCHEDULING.saturating_sub(elapsed)));
        }
        let done = elapsed.saturating_sub(SCHEDULING);
        let underway = |progress: String| State { phase: words.underway, progress, restarts: run.tries, running: Running::yes() };
        // An upload lasts until somebody has sent it.
        if *source == Source::Upload && !script.uploaded {
            self.enter(key, volume, claim, source, &underway("N/A".to_owned()), known).await?;
            return Ok(None);
        }
        if done < script.time {
            let step = (0..STEPS).rev().find(|step| done >= script.time * *step / STEPS).unwrap_or_default();
            let state = underway(format!("{}.00%", step * 100 / STEPS));
            self.enter(key, volume, claim, source, &state, known).await?;
            return Ok(Some((script.time * (step + 1) / STEPS).saturating_sub(done)));
        }
        if script.fails(run.tries) {
            return self.fail(key, volume, claim, source, script, run).await;
        }
        let body = json!({"metadata": {"annotations": {claim::POD_PHASE: "Succeeded"}}});
        optional(self.shared.client.merge(&path_of::<PersistentVolumeClaim>(&key.namespace, &key.name), &body).await)?;
        Ok(None)
    }

    /// Writes a state, with the event of its phase if that is new.
    async fn enter(
        &self,
        key: &Key,
        volume: &DataVolume,
        claim: &PersistentVolumeClaim,
        source: &Source,
        state: &State,
        known: &str,
    ) -> Answer<()> {
        self.write(key, volume, state, Some(claim), None).await?;
        if known != state.phase {
            self.tell(volume, "Normal", state.phase, &source.message(state.phase, key)).await;
        }
        Ok(())
    }

    /// A try failed: another follows, unless it is for good.
    async fn fail(
        &self,
        key: &Key,
        volume: &DataVolume,
        claim: &PersistentVolumeClaim,
        source: &Source,
        script: &Script,
        run: Run,
    ) -> Answer<Option<Duration>> {
        let words = source.words();
        let fatal = script.failures == Failures::Fatal;
        let tries = run.tries.saturating_add(1);
        let state = State {
            phase: if fatal { "Failed" } else { words.underway },
            progress: "N/A".to_owned(),
            restarts: if fatal { run.tries } else { tries },
            running: Running::error(&script.error),
        };
        self.write(key, volume, &state, Some(claim), None).await?;
        self.tell(volume, "Warning", "Error", &script.error).await;
        if fatal {
            lock(&self.runs).remove(key);
            self.tell(volume, "Warning", words.failed, &source.message(words.failed, key)).await;
            return Ok(None);
        }
        let pause = BACK_OFF.saturating_mul(1 << run.tries.min(5)).min(MOST_BACK_OFF);
        lock(&self.runs).insert(key.clone(), Run { tries, resumes: Some(Instant::now() + pause), ..run });
        Ok(Some(pause))
    }
}

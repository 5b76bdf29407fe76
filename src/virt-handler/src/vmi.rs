//! One pass over one VMI (node.md §6): observe, decide, carry out, write.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::config::ClusterConfig;
use api::v1::VirtualMachineInstance;
use api::v1::values::{vmi_condition, vmi_phase, volume_phase};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::ListParams;
use launcher_rpc::{Launcher, Result as RpcResult};
use planner::metadata;
use planner::node::conditions::{self, Agent, Facts};
use planner::node::io_error::IoErrors;
use planner::node::shutdown::{self, ShutdownStep};
use planner::node::status::{self, Inputs, SyncError};
use planner::node::{self, Decision, Domain, DomainStatus, Observed, Operation, Refusal, decide, phase};
use planner::plan::{EventType, ObjectRef, kinds};
use runtime::{Clock, EventRecorder, Executor, Next, ObjectKey, Store};
use tokio::time::Instant;

use crate::configuration::Configuration;
use crate::domains::{Domains, observed, unknown};
use crate::launchers::{Launchers, Owner, command, query, torn_down};
use crate::options;

/// The guest is not asked again to power off before this long.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Everything a pass needs.
pub(crate) struct Controller {
    pub(crate) node: String,
    pub(crate) client: kube::Client,
    pub(crate) clock: Clock,
    pub(crate) vmis: Store<VirtualMachineInstance>,
    pub(crate) configuration: Configuration,
    pub(crate) domains: Arc<Domains>,
    pub(crate) launchers: Arc<Launchers>,
    pub(crate) executor: Executor,
    pub(crate) recorder: EventRecorder,
    pub(crate) node_has_host_model: bool,
    pub(crate) memory: Mutex<BTreeMap<String, Memory>>,
}

/// What is remembered of one incarnation between passes, by its UID.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    io_errors: Option<IoErrors>,
    /// When its guest was last asked to power off.
    asked: Option<Instant>,
    /// Why its domain could not be brought in line, the last time this was tried.
    failed: Option<Failed>,
}

/// A domain that could not be brought in line. What the failure itself sets off (the domain's events, the written condition) brings the
/// key back at once: this is what keeps the next attempt waiting.
#[derive(Clone, Debug)]
struct Failed {
    message: String,
    /// How often in a row.
    times: u32,
    /// Not tried again before.
    until: Instant,
    /// The VMI that was tried: another spec is another attempt.
    subject: Option<Arc<VirtualMachineInstance>>,
}

/// One pass's subject.
struct Pass<'a> {
    key: &'a ObjectKey,
    uid: String,
    vmi: Option<Arc<VirtualMachineInstance>>,
    domain: Option<Domain>,
    launcher: node::Launcher,
    config: ClusterConfig,
}

impl Pass<'_> {
    fn owner(&self) -> Owner<'_> {
        Owner { namespace: &self.key.namespace, name: &self.key.name, uid: &self.uid }
    }

    /// The VMI as launchers get it; of one that is gone what is left is its identity.
    fn request(&self) -> Vec<u8> {
        let bare = || VirtualMachineInstance {
            metadata: ObjectMeta {
                namespace: Some(self.key.namespace.clone()),
                name: Some(self.key.name.clone()),
                uid: Some(self.uid.clone()),
                ..ObjectMeta::default()
            },
            ..VirtualMachineInstance::default()
        };
        let encoded = match &self.vmi {
            Some(vmi) => serde_json::to_vec(&**vmi),
            None => serde_json::to_vec(&bare()),
        };
        encoded.unwrap_or_default()
    }

    /// Whether that failure was about the spec as it is now. (A write of the status moves the generation.)
    fn is_subject_of(&self, failed: &Failed) -> bool {
        failed.subject.as_deref().map(|vmi| &vmi.spec) == self.vmi.as_deref().map(|vmi| &vmi.spec)
    }

    /// The object of events.
    fn regarding(&self) -> ObjectRef {
        match &self.vmi {
            Some(vmi) => ObjectRef::of(&kinds::VMI, &vmi.metadata),
            None => ObjectRef { uid: Some(self.uid.clone()), ..ObjectRef::new(&kinds::VMI, Some(&self.key.namespace), &self.key.name) },
        }
    }
}

/// What carrying out came to.
#[derive(Default)]
struct Done {
    error: Option<SyncError>,
    again: Option<Duration>,
}

impl Done {
    fn failed(error: &launcher_rpc::RpcError) -> Self {
        Self { error: Some(SyncError { message: error.to_string(), critical: is_critical(error), told: false }), again: None }
    }
}

/// Errors that no retry helps against (node.md §6.6).
fn is_critical(error: &launcher_rpc::RpcError) -> bool {
    let message = error.to_string();
    message.contains("EFI OVMF rom missing") || message.contains("EFI OVMF roms missing")
}

impl Controller {
    fn memory(&self) -> MutexGuard<'_, BTreeMap<String, Memory>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at one VMI.
    pub(crate) async fn pass(&self, key: ObjectKey) -> Next {
        match self.work(&key).await {
            Ok(None) => Next::Done,
            Ok(Some(again)) => Next::After(again),
            Err(error) => {
                tracing::debug!(vmi = %key, %error, "pass failed, trying again");
                Next::Retry
            }
        }
    }

    async fn work(&self, key: &ObjectKey) -> Result<Option<Duration>, PassError> {
        let vmi = match self.vmis.get(key) {
            Some(vmi) => Some(vmi),
            // The cache has the VMIs labelled for this node only: not to be in it proves nothing.
            None => self.ask_api(key).await?,
        };
        let known = self.domains.get(key);
        let vmi_uid = vmi.as_ref().and_then(|vmi| vmi.metadata.uid.clone());
        // The old incarnation's where there are two.
        let mut uid = known.as_ref().map(|domain| domain.uid.clone()).filter(|uid| !uid.is_empty());
        if uid.is_none() {
            uid = self.launchers.directory.record(&key.namespace, &key.name).await.map(|record| record.uid);
        }
        let Some(uid) = uid.or_else(|| vmi_uid.clone()) else { return Ok(None) };
        let owner = Owner { namespace: &key.namespace, name: &key.name, uid: &uid };
        let of_vmi = vmi.as_deref().filter(|_| vmi_uid.as_deref() == Some(&uid));
        let launcher = self.launchers.observe(owner, of_vmi).await;
        let mut pass = Pass { key, uid, vmi, domain: known, launcher, config: self.configuration.current() };
        if pass.domain.is_none() {
            pass.domain = self.ask_launcher(&pass, of_vmi_of(&pass)).await;
        }
        let observed = Observed {
            vmi: pass.vmi.as_deref(),
            domain: pass.domain.as_ref(),
            launcher,
            node: &self.node,
            io_errors: self.memory().get(&pass.uid).and_then(|memory| memory.io_errors),
            now: self.clock.now(),
        };
        match decide(&observed) {
            Decision::Refuse(refusal, again) => {
                tracing::trace!(vmi = %key, ?refusal, "nothing done");
                // Unreachable: ask again rather than wait for a word that may never come.
                if refusal == Refusal::Unreachable
                    && let Some(domain) = self.ask_launcher(&pass, of_vmi_of(&pass)).await
                {
                    self.domains.put(key, domain);
                }
                Ok(again)
            }
            Decision::CleanUpOldIncarnation { again } => {
                self.clean_up(key, &pass.uid).await;
                Ok(Some(again))
            }
            Decision::RetireSource => {
                self.delete(&pass).await;
                Ok(None)
            }
            Decision::Act { operation, again, io_errors } => {
                if io_errors.is_some() {
                    self.memory().entry(pass.uid.clone()).or_default().io_errors = io_errors;
                }
                self.act(&pass, operation, again).await
            }
        }
    }

    /// Whether the VMI exists, by the API server's word.
    async fn ask_api(&self, key: &ObjectKey) -> Result<Option<Arc<VirtualMachineInstance>>, PassError> {
        let vmis: Api<VirtualMachineInstance> = Api::namespaced(self.client.clone(), &key.namespace);
        let params = ListParams::default().fields(&format!("metadata.name={}", key.name));
        let found = vmis.list(&params).await.map_err(PassError::Ask)?;
        Ok(found.items.into_iter().find(|vmi| metadata::name(&vmi.metadata) == key.name).map(Arc::new))
    }

    /// The domain, by its launcher's word; none only where the launcher says so, or there is nobody to ask.
    async fn ask_launcher(&self, pass: &Pass<'_>, vmi: Option<&VirtualMachineInstance>) -> Option<Domain> {
        if pass.launcher != node::Launcher::FINE {
            return None;
        }
        let ours = pass.vmi.as_deref().is_none_or(|vmi| decide::is_ours(vmi, &self.node));
        if !ours {
            return None;
        }
        let answer = match self.launchers.connect(pass.owner(), vmi).await {
            Ok(launcher) => query(launcher.get_domain()).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(domain) => domain.as_ref().map(observed_alive),
            Err(error) => {
                tracing::warn!(vmi = %pass.key, %error, "the launcher does not say what the domain does");
                self.launchers.disconnect(&pass.uid);
                Some(unknown(&pass.uid))
            }
        }
    }

    async fn act(&self, pass: &Pass<'_>, operation: Operation, again: Option<Duration>) -> Result<Option<Duration>, PassError> {
        let is_final = pass.vmi.as_deref().is_none_or(|vmi| phase::is_final(phase::of(vmi)));
        // The end is written before its traces go: a handler that dies in between finds either the one or the other.
        if operation == Operation::Delete {
            let written = if is_final { None } else { self.write_status(pass, None).await? };
            self.delete(pass).await;
            return Ok(earliest([again, written]));
        }
        if operation == Operation::Update
            && let Some(failed) = self.held_back(pass)
        {
            let error = SyncError { message: failed.message, critical: false, told: true };
            let written = self.write_status(pass, Some(&error)).await?;
            return Ok(earliest([again, written, Some(failed.until.duration_since(Instant::now()))]));
        }
        let done = match operation {
            // A deletion was carried out above.
            Operation::Nothing | Operation::Delete => Done::default(),
            Operation::ShutDown => self.shut_down(pass).await,
            Operation::Destroy => self.destroy(pass, is_final).await,
            Operation::Update => self.update(pass).await,
        };
        if is_final {
            return match done.error {
                Some(error) => Err(PassError::Sync(error.message)),
                None => Ok(earliest([again, done.again])),
            };
        }
        // A start is told once it is one: until the domain is there, there is nothing new to say.
        let silent = done.error.is_none() && pass.is_starting();
        let written = if silent { None } else { self.write_status(pass, done.error.as_ref()).await? };
        match done.error {
            Some(error) if operation == Operation::Update && !error.critical => {
                let retry = self.hold_back(pass, error.message);
                Ok(earliest([again, written, Some(retry)]))
            }
            Some(error) if !error.critical => Err(PassError::Sync(error.message)),
            Some(_) | None => Ok(earliest([again, done.again, written])),
        }
    }

    /// Whether it is too early for another attempt at the VMI as it is.
    fn held_back(&self, pass: &Pass<'_>) -> Option<Failed> {
        let failed = self.memory().get(&pass.uid)?.failed.clone()?;
        (pass.is_subject_of(&failed) && Instant::now() < failed.until).then_some(failed)
    }

    /// Remembers a failed attempt; how long until the next one: as the queue's failures, doubling.
    fn hold_back(&self, pass: &Pass<'_>, message: String) -> Duration {
        let mut memory = self.memory();
        let known = &mut memory.entry(pass.uid.clone()).or_default().failed;
        let times = known.as_ref().filter(|failed| pass.is_subject_of(failed)).map_or(0, |failed| failed.times);
        let delay = runtime::retry_delay(times);
        tracing::debug!(vmi = %pass.key, %message, ?delay, "the domain could not be brought in line, trying again");
        let until = Instant::now() + delay;
        *known = Some(Failed { message, times: times.saturating_add(1), until, subject: pass.vmi.clone() });
        delay
    }

    async fn update(&self, pass: &Pass<'_>) -> Done {
        let Some(vmi) = pass.vmi.as_deref() else { return Done::default() };
        let options = options::sync_options(vmi, &pass.config);
        let synced = async {
            let launcher = self.launchers.connect(pass.owner(), Some(vmi)).await?;
            command(launcher.sync_virtual_machine(&pass.request(), &options)).await
        };
        match synced.await {
            Ok(()) => {
                if let Some(memory) = self.memory().get_mut(&pass.uid) {
                    memory.failed = None;
                }
                if pass.domain.is_none() {
                    self.event(pass, EventType::Normal, "Created", "VirtualMachineInstance defined.");
                }
                Done::default()
            }
            Err(error) => {
                if error.is_transient() {
                    self.launchers.disconnect(&pass.uid);
                }
                Done::failed(&error)
            }
        }
    }

    async fn shut_down(&self, pass: &Pass<'_>) -> Done {
        let Some(domain) = &pass.domain else { return Done::default() };
        let seconds = pass.vmi.as_deref().and_then(|vmi| vmi.spec.termination_grace_period_seconds);
        match shutdown::next(domain, seconds, self.clock.now()) {
            ShutdownStep::Wait => Done::default(),
            ShutdownStep::Kill => {
                let killed = self.verified(pass).await;
                let killed = match killed {
                    Ok(launcher) => torn_down(command(launcher.kill_virtual_machine(&pass.request())).await),
                    Err(error) => Err(error),
                };
                if let Err(error) = killed {
                    return Done::failed(&error);
                }
                self.event(pass, EventType::Normal, "Deleted", "VirtualMachineInstance stopping");
                Done::default()
            }
            ShutdownStep::Ask { first, again } => {
                let asked = self.memory().get(&pass.uid).and_then(|memory| memory.asked);
                let passed = asked.map(|asked| asked.elapsed());
                if let Some(passed) = passed.filter(|passed| *passed < again.min(ASK_AGAIN)) {
                    return Done { error: None, again: Some(again.min(ASK_AGAIN).saturating_sub(passed)) };
                }
                let asked = match self.verified(pass).await {
                    Ok(launcher) => torn_down(command(launcher.shutdown_virtual_machine(&pass.request())).await),
                    Err(error) => Err(error),
                };
                if let Err(error) = asked {
                    return Done::failed(&error);
                }
                self.memory().entry(pass.uid.clone()).or_default().asked = Some(Instant::now());
                if first {
                    self.event(pass, EventType::Normal, "ShuttingDown", "Signaled Graceful Shutdown");
                }
                Done { error: None, again: Some(again) }
            }
        }
    }

    async fn destroy(&self, pass: &Pass<'_>, is_final: bool) -> Done {
        let killed = match self.verified(pass).await {
            Ok(launcher) => torn_down(command(launcher.kill_virtual_machine(&pass.request())).await),
            Err(error) => Err(error),
        };
        match killed {
            Err(error) => Done::failed(&error),
            Ok(()) if is_final => Done::default(),
            Ok(()) => {
                let message = "VirtualMachineInstance is irrecoverable: its post-copy migration failed".to_owned();
                Done { error: Some(SyncError { message, critical: true, told: false }), again: None }
            }
        }
    }

    /// Has what is left of the domain removed, where somebody is there to do it, and cleans up.
    async fn delete(&self, pass: &Pass<'_>) {
        let exists = pass.domain.as_ref().is_some_and(|domain| !domain.deleted);
        if !exists && pass.domain.is_none() && !self.launchers.holds(pass.owner()).await {
            return;
        }
        if exists && let Ok(launcher) = self.verified(pass).await {
            self.event(pass, EventType::Normal, "Deleted", "Signaled Deletion");
            if let Err(error) = torn_down(command(launcher.delete_virtual_machine(&pass.request())).await) {
                tracing::warn!(vmi = %pass.key, %error, "the domain could not be removed");
            }
        }
        let failed = self.memory().get(&pass.uid).and_then(|memory| memory.failed.clone());
        self.clean_up(pass.key, &pass.uid).await;
        // A domain that did not start goes, its VMI stays: the patience learned is the VMI's.
        if let Some(failed) = failed.filter(|_| of_vmi_of(pass).is_some_and(|vmi| !phase::is_final(phase::of(vmi)))) {
            self.memory().entry(pass.uid.clone()).or_default().failed = Some(failed);
        }
    }

    /// Leaves no trace of an incarnation on this node.
    async fn clean_up(&self, key: &ObjectKey, uid: &str) {
        self.launchers.close(Owner { namespace: &key.namespace, name: &key.name, uid }).await;
        self.domains.remove(key, uid);
        self.memory().remove(uid);
    }

    /// A connection to a launcher that answers.
    async fn verified(&self, pass: &Pass<'_>) -> RpcResult<Arc<dyn Launcher>> {
        let launcher = self.launchers.connect(pass.owner(), of_vmi_of(pass)).await?;
        match query(launcher.ping()).await {
            Ok(()) => Ok(launcher),
            Err(error) => {
                self.launchers.disconnect(&pass.uid);
                Err(error)
            }
        }
    }

    /// Computes the status and writes it, if anything in it changed.
    async fn write_status(&self, pass: &Pass<'_>, error: Option<&SyncError>) -> Result<Option<Duration>, PassError> {
        let Some(vmi) = pass.vmi.as_deref() else { return Ok(None) };
        let agent = self.agent(pass).await?;
        let pods = self.launchers.pods(pass.owner(), Some(vmi)).await;
        let pod_ips = match pods.first() {
            Some(pod) => self.launchers.directory.addresses(pod).await,
            None => Vec::new(),
        };
        let now = self.clock.time();
        let facts = Facts {
            now: &now,
            config: &pass.config,
            node: &self.node,
            node_has_host_model: self.node_has_host_model,
            agent: agent.as_ref(),
        };
        let outcome = status::compute(&Inputs {
            vmi,
            domain: pass.domain.as_ref(),
            launcher: pass.launcher,
            facts,
            pod_ips: &pod_ips,
            mounted: &mounted(vmi),
            selinux_context: "none",
            sync_error: error,
        });
        let applied = self.executor.apply(&outcome.actions).await;
        for answer in applied.answers {
            if let Ok(vmi) = serde_json::from_value(answer.value) {
                self.vmis.record_write(vmi);
            }
        }
        match applied.failure {
            // Gone meanwhile: its deletion brings the key back.
            Some(failed) if failed.error.status() == Some(404) => Ok(outcome.again),
            Some(failed) => Err(PassError::Write(failed.message)),
            None => Ok(outcome.again),
        }
    }

    /// What the agent says about itself. That it cannot be asked blocks the status, as its condition would be wrong.
    async fn agent(&self, pass: &Pass<'_>) -> Result<Option<Agent>, PassError> {
        if !pass.domain.as_ref().is_some_and(|domain| domain.agent_connected && domain.is_alive()) {
            return Ok(None);
        }
        let told = async {
            let launcher = self.launchers.connect(pass.owner(), of_vmi_of(pass)).await?;
            query(launcher.get_guest_info()).await
        };
        let told = told.await.map_err(|error| PassError::Sync(error.to_string()))?;
        let report: serde_json::Value = serde_json::from_str(&told).unwrap_or_default();
        Ok(Some(status::agent_of(&report)))
    }

    fn event(&self, pass: &Pass<'_>, severity: EventType, reason: &str, message: &str) {
        self.recorder.record(&pass.regarding(), severity, reason, message);
    }
}

impl Pass<'_> {
    /// Whether the VMI waits for its domain, stays as it is, and has nothing to take back.
    fn is_starting(&self) -> bool {
        let Some(vmi) = self.vmi.as_deref() else { return false };
        let conditions = vmi.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        self.domain.is_none()
            && phase::of(vmi) == vmi_phase::SCHEDULED
            && phase::next(vmi, None, self.launcher) == vmi_phase::SCHEDULED
            && conditions::find(conditions, vmi_condition::SYNCHRONIZED).is_none()
    }
}

/// The VMI, where the pass is about its own incarnation.
fn of_vmi_of<'a>(pass: &'a Pass<'_>) -> Option<&'a VirtualMachineInstance> {
    pass.vmi.as_deref().filter(|vmi| vmi.metadata.uid.as_deref() == Some(&pass.uid))
}

/// A report asked for is never one of a deletion.
fn observed_alive(object: &launcher_rpc::DomainObject) -> Domain {
    let domain = observed(object);
    debug_assert!(domain.status != DomainStatus::Unknown, "launchers never say unknown");
    domain
}

/// Hotplugged volumes that are in the launcher's pod: where an attachment is mounted as soon as it is there.
fn mounted(vmi: &VirtualMachineInstance) -> Vec<String> {
    let in_spec = |name: &str| vmi.spec.volumes.iter().any(|volume| volume.name == name);
    let statuses = vmi.status.as_ref().map(|status| status.volume_status.as_slice()).unwrap_or_default();
    let there = [volume_phase::ATTACHED_TO_NODE, volume_phase::MOUNTED_TO_POD, volume_phase::READY];
    let attached = |phase: Option<&str>| phase.is_some_and(|phase| there.contains(&phase));
    let mounted = statuses.iter().filter(|status| in_spec(&status.name) && attached(status.phase.as_deref()));
    mounted.map(|status| status.name.clone()).collect()
}

fn earliest<const N: usize>(delays: [Option<Duration>; N]) -> Option<Duration> {
    delays.into_iter().flatten().min()
}

/// Why a pass is tried again.
#[derive(Debug, thiserror::Error)]
enum PassError {
    #[error("ask the API server for the VMI")]
    Ask(#[source] kube::Error),
    #[error("synchronize the domain: {0}")]
    Sync(String),
    #[error("write the status: {0}")]
    Write(String),
}

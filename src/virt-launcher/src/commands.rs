//! What the commands do to the domain (node.md §7).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use api::v1::VirtualMachineInstance;
use api::v1::values::{condition_status, start_strategy, vmi_condition, vmi_phase};
use hypervisor::{DomainState, ErrorCode, RebootMode, StartMode};
use launcher_rpc::cmd::VirtualMachineOptions;
use launcher_rpc::{Result, RpcError};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::facts::is_down;
use crate::launcher::{Inner, parse, refused};

/// How long a guest may take to shut down when its VMI does not say, in seconds.
const DEFAULT_GRACE_PERIOD: i64 = 30;
/// How often the guest's clock is tried to be set, once a second.
const TIME_SYNC_TRIES: u32 = 60;

#[derive(Deserialize)]
struct SpecOnly<'a> {
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
}

/// Tells two specs apart without reading them.
fn fingerprint(vmi: &[u8]) -> Option<u64> {
    let SpecOnly { spec } = serde_json::from_slice(vmi).ok()?;
    let mut hasher = DefaultHasher::new();
    spec?.get().hash(&mut hasher);
    Some(hasher.finish())
}

impl Inner {
    /// Brings the domain in line with the VMI.
    ///
    /// Flow: define it where there is none; start it where it is down and its VMI neither ran nor ended; let it go on where something else
    /// than the user paused it; then its devices, where the spec changed.
    ///
    /// Guarantees: repeating it changes nothing; a domain that ended is never started again for the same VMI's run; a pause by the user stays.
    ///
    /// Errors: the hypervisor's own, or what is wrong with the VMI.
    pub(crate) async fn sync(&self, request: &[u8], options: &VirtualMachineOptions) -> Result<()> {
        let vmi = parse(request)?;
        let _modify = self.modify.lock().await;
        let mut wanted = None;
        let domain = if let Some(domain) = self.domain().await? {
            domain
        } else {
            self.disks.find_images(&vmi).await.map_err(RpcError::Refused)?;
            let mut definition = self.convert(&vmi, options)?;
            self.disks.make(&vmi, &mut definition).await.map_err(RpcError::Refused)?;
            // Known before the event of the definition is told.
            self.records.set(|records| records.uid.clone_from(&self.identity.uid));
            self.remember_grace_period(&vmi);
            let domain = self.hypervisor.define(&definition).await.map_err(|error| refused(&error))?;
            wanted = Some(definition);
            domain
        };
        let state = domain.state().await.map_err(|error| refused(&error))?;
        let phase = vmi.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
        let ran = matches!(phase, vmi_phase::RUNNING | vmi_phase::SUCCEEDED | vmi_phase::FAILED);
        let mut started = false;
        if is_down(state) {
            if !ran {
                let paused = vmi.spec.start_strategy.as_deref() == Some(start_strategy::PAUSED);
                if paused {
                    self.state().paused_by_user = true;
                }
                self.disks.make_first_boot(&vmi, &*domain).await.map_err(RpcError::Refused)?;
                let mode = if paused { StartMode::Paused } else { StartMode::Running };
                domain.create(mode).await.map_err(|error| refused(&error))?;
                started = true;
            }
        } else if matches!(state, DomainState::Paused(_)) && !self.state().paused_by_user {
            domain.resume().await.map_err(|error| refused(&error))?;
        }
        let spec = fingerprint(request);
        let in_line = started || (self.state().synced_spec == spec && !has_hotplug(&vmi));
        if !in_line {
            let wanted = match wanted {
                Some(wanted) => wanted,
                None => self.convert(&vmi, options)?,
            };
            self.sync_devices(&*domain, &vmi, &wanted).await?;
        }
        self.state().synced_spec = spec;
        self.remember_grace_period(&vmi);
        self.state().probes_paused = vmi
            .metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(api::names::PAUSE_GUEST_AGENT_PROBES_ANNOTATION))
            .is_some_and(|value| value == "true");
        Ok(())
    }

    fn convert(&self, vmi: &VirtualMachineInstance, options: &VirtualMachineOptions) -> Result<domain::Domain> {
        (self.convert)(vmi, options).map_err(RpcError::Refused)
    }

    fn remember_grace_period(&self, vmi: &VirtualMachineInstance) {
        let seconds = vmi.spec.termination_grace_period_seconds.unwrap_or(DEFAULT_GRACE_PERIOD);
        self.records.update_grace_period(|grace| grace.deletion_grace_period_seconds = seconds);
    }

    pub(crate) async fn pause(&self) -> Result<()> {
        let _modify = self.modify.lock().await;
        let domain = self.existing().await?;
        if matches!(domain.state().await.map_err(|error| refused(&error))?, DomainState::Running(_)) {
            domain.suspend().await.map_err(|error| refused(&error))?;
            self.state().paused_by_user = true;
        }
        Ok(())
    }

    pub(crate) async fn unpause(this: &Arc<Self>) -> Result<()> {
        let _modify = this.modify.lock().await;
        let domain = this.existing().await?;
        if matches!(domain.state().await.map_err(|error| refused(&error))?, DomainState::Paused(_)) {
            domain.resume().await.map_err(|error| refused(&error))?;
            this.state().paused_by_user = false;
            if !std::mem::replace(&mut this.state().time_synced, true) {
                tokio::spawn(sync_time(Arc::downgrade(this)));
            }
        }
        Ok(())
    }

    pub(crate) async fn reset(&self) -> Result<()> {
        self.existing().await?.reset().await.map_err(|error| refused(&error))
    }

    pub(crate) async fn soft_reboot(&self, vmi: &VirtualMachineInstance) -> Result<()> {
        let conditions = vmi.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let agent = conditions
            .iter()
            .any(|condition| condition.r#type == vmi_condition::AGENT_CONNECTED && condition.status == condition_status::TRUE);
        let acpi =
            vmi.spec.domain.features.as_ref().and_then(|features| features.acpi.as_ref()).and_then(|acpi| acpi.enabled).unwrap_or(true);
        let mode = match (agent, acpi) {
            (true, _) => RebootMode::GuestAgent,
            (false, true) => RebootMode::AcpiPowerButton,
            (false, false) => {
                return Err(RpcError::Refused("VMI neither have the agent connected nor the ACPI feature enabled".to_owned()));
            }
        };
        match self.existing().await?.reboot(mode).await {
            Err(error) if error.code == ErrorCode::AGENT_UNRESPONSIVE => Ok(()),
            done => done.map_err(|error| refused(&error)),
        }
    }

    pub(crate) async fn shutdown(&self) -> Result<()> {
        let _modify = self.modify.lock().await;
        let Some(domain) = self.domain().await? else { return Ok(()) };
        let state = domain.state().await.map_err(|error| refused(&error))?;
        if matches!(state, DomainState::Running(_) | DomainState::Paused(_)) {
            domain.shutdown().await.map_err(|error| refused(&error))?;
            let now = self.timestamp();
            self.records.update_grace_period(|grace| {
                grace.deletion_timestamp.get_or_insert(now);
            });
        }
        Ok(())
    }

    pub(crate) async fn kill(&self) -> Result<()> {
        let Some(domain) = self.domain().await? else { return Ok(()) };
        let state = match domain.state().await {
            Err(error) if error.is_no_domain() => return Ok(()),
            state => state.map_err(|error| refused(&error))?,
        };
        match state {
            DomainState::Running(_) | DomainState::Paused(_) | DomainState::ShuttingDown(_) => match domain.destroy().await {
                Err(error) if error.is_no_domain() => Ok(()),
                done => done.map_err(|error| refused(&error)),
            },
            DomainState::NoState | DomainState::Blocked | DomainState::Shutoff(_) | DomainState::Crashed(_) | DomainState::PmSuspended => {
                Ok(())
            }
        }
    }

    pub(crate) async fn delete(&self) -> Result<()> {
        match self.domain().await? {
            Some(domain) => domain.undefine().await.map_err(|error| refused(&error)),
            None => Ok(()),
        }
    }
}

fn has_hotplug(vmi: &VirtualMachineInstance) -> bool {
    vmi.spec.volumes.iter().any(|volume| {
        volume.persistent_volume_claim.as_ref().is_some_and(|claim| claim.hotpluggable == Some(true))
            || volume.data_volume.as_ref().is_some_and(|data_volume| data_volume.hotpluggable == Some(true))
    })
}

/// Sets the guest's clock after a pause; a guest without an agent is left alone after a minute.
async fn sync_time(launcher: std::sync::Weak<Inner>) {
    for _ in 0..TIME_SYNC_TRIES {
        {
            let Some(launcher) = launcher.upgrade() else { return };
            let Ok(Some(domain)) = launcher.domain().await else { return };
            let now = launcher.clock.now();
            let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or_default();
            match domain.set_time(now.as_second(), nanoseconds).await {
                Ok(()) => break,
                Err(error) if matches!(error.code, ErrorCode::OPERATION_UNSUPPORTED | ErrorCode::ARGUMENT_UNSUPPORTED) => {
                    break;
                }
                Err(_) => {}
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    if let Some(launcher) = launcher.upgrade() {
        launcher.state().time_synced = false;
    }
}

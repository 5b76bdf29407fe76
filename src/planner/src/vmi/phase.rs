//! The phase transitions that are virt-controller's (spec controllers §2.7, §2.8).

use api::names::{self, reason};
use api::v1::values::vmi_condition;
use api::v1::{VirtualMachineInstance, VirtualMachineInstanceStatus};
use k8s_openapi::api::core::v1::{Pod, PodCondition};

use super::{Observed, Phase, interfaces, is_decentralized, is_receiver, pods, volumes};
use crate::conditions::{self, FALSE, TRUE};
use crate::metadata;
use crate::plan::{Action, PlanError};
use crate::storage::Progress;

/// The VMI's next state in the making.
pub(super) struct Next<'a> {
    /// What was observed.
    pub(super) observed: &'a Observed<'a>,
    /// The VMI's pod, with the one this reconciliation created.
    pub(super) pod: Option<&'a Pod>,
    /// The VMI as it is to be.
    pub(super) vmi: VirtualMachineInstance,
    /// What went wrong so far.
    pub(super) error: Option<PlanError>,
    /// Events on the way.
    pub(super) events: Vec<Action>,
}

impl Next<'_> {
    fn status(&mut self) -> &mut VirtualMachineInstanceStatus {
        self.vmi.status.get_or_insert_default()
    }

    fn enter(&mut self, phase: Phase) {
        self.status().phase = Some(phase.as_str().to_owned());
    }

    /// Where a VMI lands whose pod is lost: receivers wait for the next try of the migration.
    fn lose_pod(&mut self) {
        let receiver = is_receiver(self.observed.vmi);
        self.enter(if receiver { Phase::WaitingForSync } else { Phase::Failed });
    }

    /// The pod, unless it is a temporary one.
    fn launcher(&self) -> Option<&Pod> {
        self.pod.filter(|pod| !pods::is_temporary(pod))
    }

    /// Makes the transition for the phase the VMI was read in.
    pub(super) fn transition(&mut self) {
        match self.observed.phase() {
            Phase::Unset | Phase::Pending => self.unprocessed(),
            Phase::Scheduling => self.scheduling(),
            Phase::Scheduled => self.scheduled(),
            Phase::Running => self.running(),
            Phase::WaitingForSync => self.waiting_for_sync(),
            Phase::Succeeded | Phase::Failed => self.ended(),
            // Somebody else's: left alone until it becomes a known one.
            Phase::Unknown => {}
        }
    }

    fn unprocessed(&mut self) {
        let observed = self.observed;
        let data_volumes = observed.storage.data_volumes_of(&observed.vmi.spec.volumes);
        let has_failed = data_volumes.iter().any(|volume| volume.progress() == Progress::Failed);
        if self.launcher().is_some() {
            self.enter(Phase::Scheduling);
            return;
        }
        if observed.is_deleting() || has_failed {
            self.enter(Phase::Failed);
            return;
        }
        if is_receiver(observed.vmi) && metadata::label(&observed.vmi.metadata, names::MIGRATION_TARGET_NODE_NAME_LABEL).is_none() {
            self.enter(Phase::WaitingForSync);
            return;
        }
        self.enter(Phase::Pending);
        if data_volumes.iter().any(|volume| volume.progress() == Progress::WaitForFirstConsumer) {
            self.provision();
        }
        if let Some(error) = self.error.clone().filter(|error| error.reason == reason::FAILED_PVC_NOT_FOUND) {
            let conditions = &mut self.status().conditions;
            conditions::remove(conditions, vmi_condition::POD_SCHEDULED);
            conditions.push(conditions::vmi(vmi_condition::POD_SCHEDULED, FALSE, reason::UNSCHEDULABLE, &error.message));
        }
    }

    /// Claims wait for a first consumer: a temporary pod is it.
    fn provision(&mut self) {
        if !conditions::has(&self.status().conditions, vmi_condition::PROVISIONING) {
            self.status().conditions.push(conditions::vmi(vmi_condition::PROVISIONING, TRUE, "", ""));
        }
        let Some(pod) = self.pod.filter(|pod| pods::is_temporary(pod)) else { return };
        let failed = pods::is_failed_or_going_down(pod);
        self.mirror_scheduling();
        if failed {
            self.enter(Phase::Failed);
        }
    }

    /// Copies why the pod has no node; removes it once it has one.
    fn mirror_scheduling(&mut self) {
        let found = self.pod.and_then(|pod| pod.status.as_ref()?.conditions.as_ref());
        let scheduled = found.and_then(|found| conditions::get(found, vmi_condition::POD_SCHEDULED));
        let unscheduled: Option<PodCondition> = scheduled.filter(|condition| condition.status == FALSE).cloned();
        let conditions = &mut self.status().conditions;
        let Some(unscheduled) = unscheduled else {
            conditions::remove(conditions, vmi_condition::POD_SCHEDULED);
            return;
        };
        let mut condition = conditions::vmi(
            vmi_condition::POD_SCHEDULED,
            FALSE,
            unscheduled.reason.as_deref().unwrap_or_default(),
            unscheduled.message.as_deref().unwrap_or_default(),
        );
        condition.last_probe_time = unscheduled.last_probe_time;
        condition.last_transition_time = unscheduled.last_transition_time;
        if !conditions::is_because(conditions, vmi_condition::POD_SCHEDULED, FALSE, condition.reason.as_deref().unwrap_or_default()) {
            conditions::remove(conditions, vmi_condition::POD_SCHEDULED);
            conditions.push(condition);
        }
    }

    fn scheduling(&mut self) {
        conditions::remove(&mut self.status().conditions, vmi_condition::PROVISIONING);
        let Some(pod) = self.launcher().cloned() else {
            self.lose_pod();
            return;
        };
        self.status().qos_class = pod.status.as_ref().and_then(|status| status.qos_class.clone()).filter(|class| !class.is_empty());
        self.mirror_scheduling();
        if let Some((why, message)) = pods::image_error(&pod) {
            self.error = Some(PlanError::informal(why, message));
        }
        if pods::is_ready_for_hand_over(&pod) && !self.observed.is_deleting() {
            self.hand_over(&pod);
        } else if pods::is_down_or_going_down(&pod) {
            self.lose_pod();
        }
    }

    /// The pod is ready: virt-handler on its node takes over.
    fn hand_over(&mut self, pod: &Pod) {
        let qos_class = pod.status.as_ref().and_then(|status| status.qos_class.as_deref()).unwrap_or_default();
        if convert::vmi::has_dedicated_cpus(self.observed.vmi) && qos_class != "Guaranteed" {
            let text = "failed to guarantee pod resources";
            self.events.push(Action::warning(&self.observed.reference(), reason::FAILED_GUARANTEE_RESOURCES, text));
            self.error = Some(PlanError::new(reason::FAILED_GUARANTEE_RESOURCES, text));
            return;
        }
        let node = pods::node(pod).to_owned();
        self.refresh_volumes(pod);
        self.refresh_interfaces(pod);
        self.enter(Phase::Scheduled);
        metadata::set(&mut self.vmi.metadata.labels, names::NODE_NAME_LABEL, Some(&node));
        let unix = metadata::annotation(&pod.metadata, names::MIGRATION_TRANSPORT_UNIX_ANNOTATION).is_some();
        let vsock = self.observed.vmi.spec.domain.devices.autoattach_vsock == Some(true);
        let cid = self.observed.free_vsock_cid;
        let status = self.status();
        status.node_name = Some(node);
        if unix {
            status.migration_transport = Some("Unix".to_owned());
        }
        if vsock && status.vsockcid.is_none() {
            status.vsockcid = Some(cid);
        }
    }

    fn refresh_volumes(&mut self, pod: &Pod) {
        let volumes = volumes::status(self.observed, pod, &mut self.events);
        self.status().volume_status = volumes;
    }

    fn refresh_interfaces(&mut self, pod: &Pod) {
        self.status().interfaces = interfaces::status(self.observed.vmi, pod);
    }

    fn scheduled(&mut self) {
        let failed_migration =
            self.observed.stored().and_then(|status| status.migration_state.as_deref()).is_some_and(|state| state.failed == Some(true));
        let receiver = is_receiver(self.observed.vmi);
        match self.launcher().cloned() {
            None => self.lose_pod(),
            Some(pod) if receiver && (failed_migration || pods::is_down_or_going_down(&pod)) => self.enter(Phase::WaitingForSync),
            Some(pod) => self.refresh_volumes(&pod),
        }
    }

    fn running(&mut self) {
        let Some(pod) = self.launcher().cloned() else {
            self.enter(Phase::Failed);
            return;
        };
        let moved_away =
            self.observed.stored().and_then(|status| status.migration_state.as_deref()).is_some_and(|state| state.completed == Some(true));
        if is_decentralized(self.observed.vmi) && moved_away && pods::PodState::of(&pod) == pods::PodState::Succeeded {
            self.enter(Phase::Succeeded);
            return;
        }
        self.refresh_volumes(&pod);
        self.refresh_interfaces(&pod);
        self.raise_cpu_change();
        self.raise_memory_change();
        self.raise_volumes_change();
    }

    /// The spec asks for more vCPUs than the guest has: somebody has to migrate it.
    fn raise_cpu_change(&mut self) {
        let Some(cpu) = self.observed.vmi.spec.domain.cpu.as_ref().filter(|cpu| cpu.max_sockets.is_some_and(|most| most != 0)) else {
            return;
        };
        let Some(current) = self.observed.stored().and_then(|status| status.current_cpu_topology.as_ref()) else { return };
        let count =
            |factors: [Option<u32>; 3]| -> u64 { factors.into_iter().map(|factor| u64::from(factor.unwrap_or(1).max(1))).product() };
        if count([cpu.sockets, cpu.cores, cpu.threads]) != count([current.sockets, current.cores, current.threads]) {
            self.raise(vmi_condition::HOT_VCPU_CHANGE, "");
        }
    }

    /// The spec asks for another amount of memory than the guest has.
    fn raise_memory_change(&mut self) {
        let Some(memory) = self.observed.vmi.spec.domain.memory.as_ref().filter(|memory| memory.max_guest.is_some()) else { return };
        let requested = self.observed.stored().and_then(|status| status.memory.as_ref()).and_then(|memory| memory.guest_requested.as_ref());
        let (Some(wanted), Some(requested)) = (memory.guest.as_ref(), requested) else { return };
        if api::quantity::amount(wanted).value() == api::quantity::amount(requested).value() {
            return;
        }
        self.raise(vmi_condition::HOT_MEMORY_CHANGE, "");
        if let Some(ratio) = self.observed.config.memory_overhead_ratio() {
            metadata::set(&mut self.vmi.metadata.labels, names::MEMORY_HOTPLUG_OVERHEAD_RATIO_LABEL, Some(ratio));
        }
    }

    /// The spec names claims that the guest's data still has to move to.
    fn raise_volumes_change(&mut self) {
        let Some(status) = self.observed.stored().filter(|status| !status.migrated_volumes.is_empty()) else { return };
        let sources: Vec<&str> =
            status.migrated_volumes.iter().filter_map(|moved| moved.source_pvc_info.as_ref()?.claim_name.as_deref()).collect();
        let moved: Vec<&str> = status.migrated_volumes.iter().map(|moved| moved.volume_name.as_str()).collect();
        let pending = self.observed.vmi.spec.volumes.iter().any(|volume| {
            moved.contains(&volume.name.as_str()) && crate::storage::claim_name(volume).is_some_and(|claim| !sources.contains(&claim))
        });
        if pending {
            self.raise(vmi_condition::VOLUMES_CHANGE, "migrate volumes");
        }
    }

    fn raise(&mut self, kind: &str, message: &str) {
        let now = self.observed.now.clone();
        let conditions = &mut self.status().conditions;
        if !conditions::has(conditions, kind) {
            let mut condition = conditions::vmi(kind, TRUE, "", message);
            condition.last_transition_time = Some(now);
            conditions.push(condition);
        }
    }

    fn waiting_for_sync(&mut self) {
        if self.observed.is_deleting() {
            self.release();
            return;
        }
        let failed =
            self.observed.stored().and_then(|status| status.migration_state.as_deref()).is_some_and(|state| state.failed == Some(true));
        if self.launcher().is_some_and(|pod| !pods::is_down_or_going_down(pod)) && !failed && !self.observed.is_deleting() {
            self.enter(Phase::Scheduling);
        }
    }

    fn ended(&mut self) {
        if self.observed.own_pods().is_empty() {
            self.release();
            metadata::set(&mut self.vmi.metadata.labels, names::OUTDATED_LAUNCHER_IMAGE_LABEL, None);
            self.status().launcher_container_image_version = None;
        } else if !self.observed.owner_exists {
            metadata::remove_finalizer(&mut self.vmi.metadata, names::VM_FINALIZER);
        }
    }

    /// Lets the VMI go. Its VM's finalizer stays until that VM took note, unless there is no such VM any more.
    fn release(&mut self) {
        metadata::remove_finalizer(&mut self.vmi.metadata, names::VMI_FINALIZER);
        metadata::remove_finalizer(&mut self.vmi.metadata, names::LEGACY_VMI_FINALIZER);
        if !self.observed.owner_exists {
            metadata::remove_finalizer(&mut self.vmi.metadata, names::VM_FINALIZER);
        }
    }
}

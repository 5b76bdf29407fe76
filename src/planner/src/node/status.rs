//! The whole status of a VMI after a pass (node.md §6.8), and the one write that follows.

use std::time::Duration;

use api::quantity::Amount;
use api::v1::values::{vmi_condition, vmi_phase};
use api::v1::{
    Machine, MemoryStatus, VirtualMachineInstance, VirtualMachineInstancePhaseTransitionTimestamp, VirtualMachineInstanceStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions::{self, Agent, Facts};
use super::{Domain, Launcher, interfaces, phase, volumes};
use crate::plan::{Action, ObjectRef, OnFailure, kinds};

/// Why the domain could not be brought in line with the VMI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncError {
    /// What the condition and the event say.
    pub message: String,
    /// It will never be: the VMI has failed.
    pub critical: bool,
    /// It was told already, and nothing was tried since: a condition, no event.
    pub told: bool,
}

/// What a status is made of.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The VMI as it was at the start of the pass; not final.
    pub vmi: &'a VirtualMachineInstance,
    /// The domain as it is now; a domain that is marked as gone counts as none.
    pub domain: Option<&'a Domain>,
    /// How far the launcher can be reached.
    pub launcher: Launcher,
    /// What conditions depend on.
    pub facts: Facts<'a>,
    /// The addresses of the launcher's pod.
    pub pod_ips: &'a [String],
    /// Names of the hotplugged volumes that are in the launcher's pod.
    pub mounted: &'a [String],
    /// The process's SELinux context; `none` without SELinux.
    pub selinux_context: &'a str,
    /// What went wrong in this pass.
    pub sync_error: Option<&'a SyncError>,
}

/// What follows from a pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The writes: at most one of the VMI, before its events.
    pub actions: Vec<Action>,
    /// The phase afterwards.
    pub phase: String,
    /// Look again after this long.
    pub again: Option<Duration>,
}

/// Computes the status, and what is to be written: nothing where nothing changed but times.
pub fn compute(inputs: &Inputs<'_>) -> Outcome {
    let Inputs { vmi, launcher, facts, sync_error, .. } = *inputs;
    let domain = inputs.domain.filter(|domain| !domain.deleted);
    let before = vmi.status.clone().unwrap_or_default();
    let mut status = before.clone();
    let mut actions = Vec::new();
    let regarding = ObjectRef::of(&kinds::VMI, &vmi.metadata);

    status.selinux_context = Some(inputs.selinux_context.to_owned()).filter(|context| !context.is_empty());
    let volumes = volumes::compute(vmi, domain, |volume| inputs.mounted.iter().any(|mounted| mounted == volume));
    status.volume_status = volumes.statuses;
    if let Some(domain) = domain {
        of_domain(&mut status, vmi, domain, inputs.pod_ips);
    }
    let mut phase = phase::next(vmi, inputs.domain, launcher).to_owned();
    conditions::update(&mut status.conditions, &mut status.migration_method, vmi, domain, &facts);
    if sync_error.is_some_and(|error| error.critical) {
        vmi_phase::FAILED.clone_into(&mut phase);
    }
    conditions::synchronized(&mut status.conditions, sync_error.map(|error| error.message.as_str()), facts.now);
    if before.phase.as_deref().unwrap_or_default() != phase {
        status.phase = Some(phase.clone());
        enter(&mut status, &phase, facts.now);
    }

    if let Some(error) = sync_error.filter(|error| !error.told) {
        actions.push(Action::warning(&regarding, "SyncFailed", error.message.clone()));
    }
    actions.extend(credential_event(&before, &status, &regarding));
    let changed_phase = before.phase != status.phase;
    if status != before {
        let mut body = vmi.clone();
        body.status = Some(status);
        let replace = Action::Replace {
            object: regarding.clone(),
            subresource: None,
            body: serde_json::to_value(&body).unwrap_or_default(),
            on_failure: OnFailure::default(),
        };
        actions.insert(0, replace);
    }
    for event in volumes.events {
        actions.push(Action::normal(&regarding, event.reason, event.message));
    }
    if changed_phase {
        actions.extend(phase_event(&phase, &regarding));
    }
    Outcome { actions, phase, again: volumes.again }
}

fn of_domain(status: &mut VirtualMachineInstanceStatus, vmi: &VirtualMachineInstance, domain: &Domain, pod_ips: &[String]) {
    // Kept while the agent is away, replaced only by an answer with a name.
    if let Some(os) = domain.os.as_ref().filter(|os| os.name.as_deref().is_some_and(|name| !name.is_empty())) {
        let known = status.guest_os_info.as_ref().and_then(|os| os.name.as_deref());
        if known != os.name.as_deref() {
            status.guest_os_info = Some(os.clone());
        }
    }
    match domain.fs_freeze.as_deref() {
        Some("thawed") => status.fs_freeze_status = None,
        Some(frozen) => status.fs_freeze_status = Some(frozen.to_owned()),
        None => {}
    }
    if let Some(machine) = domain.machine.as_ref().filter(|machine| !machine.is_empty()) {
        status.machine = Some(Machine { r#type: Some(machine.clone()) });
    }
    if let Some(bytes) = domain.current_memory {
        let memory: &mut MemoryStatus = status.memory.get_or_insert_default();
        memory.guest_current = Some(Amount::bytes(i64::try_from(bytes).unwrap_or(i64::MAX)).quantity());
    }
    status.interfaces = interfaces::compute(vmi, domain, pod_ips);
}

fn enter(status: &mut VirtualMachineInstanceStatus, phase: &str, now: &Time) {
    let entries = &mut status.phase_transition_timestamps;
    if entries.iter().all(|entry| entry.phase.as_deref() != Some(phase)) {
        entries.push(VirtualMachineInstancePhaseTransitionTimestamp {
            phase: Some(phase.to_owned()),
            phase_transition_timestamp: Some(now.clone()),
        });
    }
}

fn phase_event(phase: &str, regarding: &ObjectRef) -> Option<Action> {
    match phase {
        vmi_phase::RUNNING => Some(Action::normal(regarding, "Started", "VirtualMachineInstance started.")),
        vmi_phase::SUCCEEDED => Some(Action::normal(regarding, "Stopped", "The VirtualMachineInstance was shut down.")),
        vmi_phase::FAILED => Some(Action::warning(regarding, "Stopped", "The VirtualMachineInstance crashed.")),
        _ => None,
    }
}

fn credential_event(before: &VirtualMachineInstanceStatus, after: &VirtualMachineInstanceStatus, regarding: &ObjectRef) -> Option<Action> {
    let kind = vmi_condition::ACCESS_CREDENTIALS_SYNCHRONIZED;
    let after = conditions::find(&after.conditions, kind)?;
    let before = conditions::find(&before.conditions, kind);
    if before.is_some_and(|before| before.status == after.status && before.message == after.message) {
        return None;
    }
    let message = after.message.clone().unwrap_or_default();
    Some(if after.status == "True" {
        Action::normal(regarding, "AccessCredentialsSyncSuccess", "Access credentials sync successful.".to_owned())
    } else {
        Action::warning(regarding, "AccessCredentialsSyncFailed", format!("Access credentials sync failed: {message}"))
    })
}

/// What the agent's own report says about it.
pub fn agent_of(report: &serde_json::Value) -> Agent {
    let commands = report.get("supportedCommands").and_then(serde_json::Value::as_array);
    let name = |command: &serde_json::Value| {
        let enabled = command.get("enabled").and_then(serde_json::Value::as_bool) == Some(true);
        command.get("name").and_then(serde_json::Value::as_str).filter(|_| enabled).map(str::to_owned)
    };
    Agent {
        version: report.get("guestAgentVersion").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned(),
        commands: commands.into_iter().flatten().filter_map(name).collect(),
    }
}

#[cfg(test)]
mod tests {
    use api::config::ClusterConfig;
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::node::DomainStatus;

    struct Case {
        vmi: VirtualMachineInstance,
        now: Time,
        config: ClusterConfig,
    }

    impl Case {
        fn new(phase: &str) -> Self {
            let mut vmi = VirtualMachineInstance::default();
            vmi.metadata.name = Some("vm".to_owned());
            vmi.metadata.namespace = Some("ns".to_owned());
            vmi.status.get_or_insert_default().phase = Some(phase.to_owned());
            let now = Time(Timestamp::from_second(1_000).expect("in range"));
            Self { vmi, now, config: ClusterConfig::from_kubevirt(None) }
        }

        fn run(&self, domain: Option<&Domain>, sync_error: Option<&SyncError>) -> Outcome {
            let facts = Facts { now: &self.now, config: &self.config, node: "node", node_has_host_model: true, agent: None };
            compute(&Inputs {
                vmi: &self.vmi,
                domain,
                launcher: Launcher::FINE,
                facts,
                pod_ips: &["10.0.0.1".to_owned()],
                mounted: &[],
                selinux_context: "none",
                sync_error,
            })
        }

        /// Takes the write in; what was written, in short.
        fn apply(&mut self, outcome: &Outcome) -> Vec<String> {
            let line = |action: &Action| match action {
                Action::Replace { body, .. } => format!("put {}", body["status"]["phase"].as_str().unwrap_or_default()),
                Action::Event { reason, message, severity, .. } => format!("{severity:?} {reason} {message}"),
                other => format!("{other:?}"),
            };
            if let Some(Action::Replace { body, .. }) = outcome.actions.first() {
                self.vmi = serde_json::from_value(body.clone()).expect("a VMI");
            }
            outcome.actions.iter().map(line).collect()
        }
    }

    fn running() -> Domain {
        Domain {
            status: DomainStatus::Running,
            reason: "Unknown".into(),
            machine: Some("pc-q35-rhel9.6.0".to_owned()),
            current_memory: Some(64 << 20),
            ..Domain::default()
        }
    }

    #[test]
    fn a_start_is_one_write_and_one_event_and_then_silence() {
        let mut case = Case::new("Scheduled");
        let outcome = case.run(Some(&running()), None);
        assert_eq!(case.apply(&outcome), ["put Running", "Normal Started VirtualMachineInstance started."]);
        let status = case.vmi.status.clone().unwrap_or_default();
        assert_eq!(status.machine.and_then(|machine| machine.r#type).as_deref(), Some("pc-q35-rhel9.6.0"));
        assert_eq!(status.memory.and_then(|memory| memory.guest_current.map(|current| current.0)), Some("64Mi".to_owned()));
        let entered: Vec<_> = status.phase_transition_timestamps.iter().filter_map(|entry| entry.phase.as_deref()).collect();
        assert_eq!(entered, ["Running"]);
        assert_eq!(case.run(Some(&running()), None).actions, []);
    }

    #[test]
    fn an_end_is_told_by_its_kind() {
        for (reason, expected) in [
            ("Shutdown", ["put Succeeded", "Normal Stopped The VirtualMachineInstance was shut down."]),
            ("Crashed", ["put Failed", "Warning Stopped The VirtualMachineInstance crashed."]),
        ] {
            let mut case = Case::new("Running");
            let domain = Domain { status: DomainStatus::Shutoff, reason: reason.into(), ..running() };
            let outcome = case.run(Some(&domain), None);
            assert_eq!(case.apply(&outcome), expected);
        }
    }

    #[test]
    fn a_sync_error_is_a_condition_and_an_event_until_it_is_over() {
        let mut case = Case::new("Scheduled");
        let error = SyncError { message: "no room".to_owned(), critical: false, told: false };
        let outcome = case.run(None, Some(&error));
        assert_eq!(case.apply(&outcome), ["put Scheduled", "Warning SyncFailed no room"]);
        let outcome = case.run(None, Some(&error));
        assert_eq!(case.apply(&outcome), ["Warning SyncFailed no room"]);
        let outcome = case.run(None, None);
        assert_eq!(case.apply(&outcome), ["put Scheduled"]);
        let critical = SyncError { critical: true, ..error };
        assert_eq!(case.run(None, Some(&critical)).phase, "Failed");
    }

    #[test]
    fn the_guests_system_stays_while_the_agent_is_away() {
        let mut case = Case::new("Running");
        let name = Some("Fedora Linux".to_owned());
        let os = Some(Box::new(api::v1::VirtualMachineInstanceGuestOSInfo { name, ..Default::default() }));
        let outcome = case.run(Some(&Domain { os, ..running() }), None);
        case.apply(&outcome);
        let outcome = case.run(Some(&running()), None);
        case.apply(&outcome);
        let os = case.vmi.status.as_ref().and_then(|status| status.guest_os_info.as_ref());
        assert_eq!(os.and_then(|os| os.name.as_deref()), Some("Fedora Linux"));
    }

    #[test]
    fn the_agents_report_is_read() {
        let report = serde_json::json!({
            "guestAgentVersion": "9", "supportedCommands": [{"name": "a", "enabled": true}, {"name": "b", "enabled": false}],
        });
        assert_eq!(agent_of(&report), Agent { version: "9".to_owned(), commands: vec!["a".to_owned()] });
    }
}

//! Subresources of a VirtualMachineInstance that its node carries out (spec/api.md §3.2).

use super::{Effect, Refusal, phase};
use api::v1::VirtualMachineInstance;

const VMI: &str = "virtualmachineinstance";

/// What virt-handler is asked to do, as in its URLs (spec/node.md §17).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeVerb {
    /// Suspend the guest.
    Pause,
    /// Resume it.
    Unpause,
    /// Freeze its file systems.
    Freeze,
    /// Thaw them.
    Unfreeze,
    /// Reset the machine.
    Reset,
    /// Reboot through the agent or the power button.
    SoftReboot,
    /// What the guest agent says of the operating system.
    GuestOsInfo,
    /// Who is logged in.
    UserList,
    /// Which file systems are mounted.
    FilesystemList,
    /// A picture of the screen.
    Screenshot,
    /// The certificates of an encrypted guest's platform.
    SevCertChain,
    /// What an encrypted guest's start measured.
    SevMeasurement,
    /// Put a secret into an encrypted guest.
    SevSecret,
    /// What the launcher says of the domain (ours: what `virtctl why` asks).
    DomainState,
}

impl NodeVerb {
    /// The verb of a URL, if it is one of these.
    pub fn parse(verb: &str) -> Option<Self> {
        Some(match verb {
            "pause" => Self::Pause,
            "unpause" => Self::Unpause,
            "freeze" => Self::Freeze,
            "unfreeze" => Self::Unfreeze,
            "reset" => Self::Reset,
            "softreboot" => Self::SoftReboot,
            "guestosinfo" => Self::GuestOsInfo,
            "userlist" => Self::UserList,
            "filesystemlist" => Self::FilesystemList,
            "vnc/screenshot" => Self::Screenshot,
            "sev/fetchcertchain" => Self::SevCertChain,
            "sev/querylaunchmeasurement" => Self::SevMeasurement,
            "sev/injectlaunchsecret" => Self::SevSecret,
            "domainstate" => Self::DomainState,
            _ => return None,
        })
    }

    /// The last segment of the URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Freeze => "freeze",
            Self::Unfreeze => "unfreeze",
            Self::Reset => "reset",
            Self::SoftReboot => "softreboot",
            Self::GuestOsInfo => "guestosinfo",
            Self::UserList => "userlist",
            Self::FilesystemList => "filesystemlist",
            Self::Screenshot => "vnc/screenshot",
            Self::SevCertChain => "sev/fetchcertchain",
            Self::SevMeasurement => "sev/querylaunchmeasurement",
            Self::SevSecret => "sev/injectlaunchsecret",
            Self::DomainState => "domainstate",
        }
    }

    /// Whether it is read (GET) rather than done (PUT).
    pub fn reads(self) -> bool {
        match self {
            Self::GuestOsInfo
            | Self::UserList
            | Self::FilesystemList
            | Self::Screenshot
            | Self::SevCertChain
            | Self::SevMeasurement
            | Self::DomainState => true,
            Self::Pause | Self::Unpause | Self::Freeze | Self::Unfreeze | Self::Reset | Self::SoftReboot | Self::SevSecret => false,
        }
    }
}

fn condition(vmi: &VirtualMachineInstance, kind: &str) -> bool {
    let conditions = vmi.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|condition| condition.r#type == kind && condition.status == "True")
}

/// What a request of that verb does; those of encrypted guests have [`super::sev`] asked before.
///
/// # Errors
/// 409 in the state the verb cannot work in, 403 where a pause would make a liveness probe kill the guest, 400 when no node
/// has the VMI.
pub fn node_verb(vmi: &VirtualMachineInstance, verb: NodeVerb) -> Result<Vec<Effect>, Refusal> {
    let name = vmi.metadata.name.as_deref().unwrap_or_default();
    let conflict = |why: &str| Err(Refusal::conflict(VMI, name, why));
    let running = phase(vmi) == "Running";
    let paused = condition(vmi, "Paused");
    match verb {
        NodeVerb::Pause | NodeVerb::Freeze if !running => return conflict("VM is not running"),
        NodeVerb::Unpause
        | NodeVerb::Unfreeze
        | NodeVerb::SoftReboot
        | NodeVerb::GuestOsInfo
        | NodeVerb::UserList
        | NodeVerb::FilesystemList
            if !running =>
        {
            return conflict("VMI is not running");
        }
        NodeVerb::Pause if vmi.spec.liveness_probe.as_ref().is_some_and(|probe| probe.guest_agent_ping.is_none()) => {
            return Err(Refusal::forbidden(VMI, name, "Pausing VMIs with a non-GuestAgentPing LivenessProbe is not supported"));
        }
        NodeVerb::Pause if paused => return conflict("VMI is already paused"),
        NodeVerb::Unpause if !paused => return conflict("VMI is not paused"),
        NodeVerb::SoftReboot if paused => return conflict("VMI is paused"),
        NodeVerb::SoftReboot if !condition(vmi, "AgentConnected") && !acpi(vmi) => {
            return conflict("VMI neither have the agent connected nor the ACPI feature enabled");
        }
        NodeVerb::Screenshot if vmi.spec.domain.devices.autoattach_graphics_device == Some(false) => {
            return Err(Refusal::bad_request("No graphics devices are present."));
        }
        NodeVerb::Screenshot if !running => return Err(Refusal::bad_request("VMI is not running")),
        NodeVerb::GuestOsInfo | NodeVerb::UserList | NodeVerb::FilesystemList if !condition(vmi, "AgentConnected") => {
            return conflict("VMI does not have guest agent connected");
        }
        _ => {}
    }
    on_a_node(vmi).map_err(|refusal| explained(vmi, verb, refusal))?;
    Ok(vec![Effect::CallNode(verb)])
}

/// A failed reset of a guest that does not run says so (spec/api.md §3.2).
pub fn explained(vmi: &VirtualMachineInstance, verb: NodeVerb, mut refusal: Refusal) -> Refusal {
    let phase = phase(vmi);
    if verb == NodeVerb::Reset && phase != "Running" {
        let said = "Internal error occurred: ";
        let (prefix, why) = refusal.message.strip_prefix(said).map_or(("", refusal.message.as_str()), |why| (said, why));
        refusal.message = format!("{prefix}Failed to reset non-running VMI with phase {phase}: {why}");
    }
    refusal
}

/// Whether the guest can be asked over ACPI; absent means yes.
fn acpi(vmi: &VirtualMachineInstance) -> bool {
    let features = vmi.spec.domain.features.as_ref();
    features.and_then(|features| features.acpi.as_ref()).and_then(|acpi| acpi.enabled).unwrap_or(true)
}

/// Whether a node has the VMI, so that virt-handler can be asked (spec/api.md §2.3).
pub(super) fn on_a_node(vmi: &VirtualMachineInstance) -> Result<(), Refusal> {
    match phase(vmi) {
        "Running" | "Scheduled" => Ok(()),
        phase => Err(Refusal::bad_request(format!(
            "Unable to connect to VirtualMachineInstance because phase is {phase} instead of Running or Scheduled"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn vmi(phase: &str, conditions: &[&str]) -> VirtualMachineInstance {
        let conditions: Vec<_> = conditions.iter().map(|kind| json!({"type": kind, "status": "True"})).collect();
        serde_json::from_value(json!({
            "metadata": {"name": "vm"}, "spec": {"domain": {"devices": {}}}, "status": {"phase": phase, "conditions": conditions},
        }))
        .unwrap()
    }

    #[rstest]
    #[case(NodeVerb::Pause, "Running", &[], None)]
    #[case(NodeVerb::Pause, "Scheduled", &[], Some("VM is not running"))]
    #[case(NodeVerb::Pause, "Running", &["Paused"], Some("VMI is already paused"))]
    #[case(NodeVerb::Unpause, "Running", &[], Some("VMI is not paused"))]
    #[case(NodeVerb::Unpause, "Running", &["Paused"], None)]
    #[case(NodeVerb::SoftReboot, "Running", &["Paused"], Some("VMI is paused"))]
    #[case(NodeVerb::SoftReboot, "Running", &[], None)]
    #[case(NodeVerb::UserList, "Running", &[], Some("VMI does not have guest agent connected"))]
    #[case(NodeVerb::Reset, "Pending", &[], Some("Failed to reset non-running VMI with phase Pending: Unable to connect to VirtualMachineInstance because phase is Pending instead of Running or Scheduled"))]
    #[case(NodeVerb::Screenshot, "Scheduled", &[], Some("VMI is not running"))]
    fn verbs_have_their_states(#[case] verb: NodeVerb, #[case] phase: &str, #[case] conditions: &[&str], #[case] refused: Option<&str>) {
        match (node_verb(&vmi(phase, conditions), verb), refused) {
            (Ok(effects), None) => assert_eq!(effects, [Effect::CallNode(verb)]),
            (Err(refusal), Some(why)) => assert!(refusal.message.ends_with(why), "{}", refusal.message),
            (got, expected) => panic!("{got:?}, not {expected:?}"),
        }
    }
}

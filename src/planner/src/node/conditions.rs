//! The conditions a node writes (node.md §6.9).

use api::config::ClusterConfig;
use api::names::reason;
use api::v1::values::{condition_status, migration_mode, vmi_condition};
use api::v1::{VirtualMachineInstance, VirtualMachineInstanceCondition as Condition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Domain, DomainStatus, migratable, reasons};

/// The reason of a sync that failed.
pub const SYNC_FAILED: &str = "Synchronizing with the Domain failed.";
/// Commands an agent must know (node.md §8.3).
const AGENT_COMMANDS: &[&str] = &[
    "guest-ping",
    "guest-get-time",
    "guest-info",
    "guest-shutdown",
    "guest-network-get-interfaces",
    "guest-get-fsinfo",
    "guest-get-host-name",
    "guest-get-users",
    "guest-get-timezone",
    "guest-get-osinfo",
];
/// Commands an agent must know to change users' SSH keys, in one of two ways.
const SSH_COMMANDS: [&[&str]; 2] = [
    &["guest-ssh-get-authorized-keys", "guest-ssh-add-authorized-keys", "guest-ssh-remove-authorized-keys"],
    &["guest-exec", "guest-exec-status", "guest-file-open", "guest-file-close", "guest-file-read", "guest-file-write"],
];
const PASSWORD_COMMAND: &str = "guest-set-user-password";

/// What the guest agent says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// Its version.
    pub version: String,
    /// The commands it knows and has enabled; empty where it does not say.
    pub commands: Vec<String>,
}

/// What conditions depend on, beside VMI and domain.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The present.
    pub now: &'a Time,
    /// The cluster's configuration.
    pub config: &'a ClusterConfig,
    /// This node's name.
    pub node: &'a str,
    /// The node tells what host-model means on it.
    pub node_has_host_model: bool,
    /// What the agent said, where it is connected and was asked.
    pub agent: Option<&'a Agent>,
}

/// The condition of a type.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.r#type == kind)
}

fn remove(conditions: &mut Vec<Condition>, kind: &str) {
    conditions.retain(|condition| condition.r#type != kind);
}

/// Sets a condition; its times stay while status, reason and message stay.
fn set(conditions: &mut Vec<Condition>, new: Condition) {
    match conditions.iter_mut().find(|condition| condition.r#type == new.r#type) {
        Some(old) if old.status == new.status && old.reason == new.reason && old.message == new.message => {}
        Some(old) => *old = new,
        None => conditions.push(new),
    }
}

fn condition(kind: &str, status: &str, reason: Option<&str>, message: Option<&str>) -> Condition {
    Condition {
        r#type: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.map(str::to_owned),
        message: message.map(str::to_owned),
        ..Condition::default()
    }
}

/// Brings the conditions in line with VMI and domain. `migration_method` gets what was found out on the way.
pub fn update(
    conditions: &mut Vec<Condition>,
    migration_method: &mut Option<String>,
    vmi: &VirtualMachineInstance,
    domain: Option<&Domain>,
    facts: &Facts<'_>,
) {
    access_credentials(conditions, domain, facts.now);
    migratability(conditions, migration_method, vmi, facts);
    agent(conditions, vmi, domain, facts);
    paused(conditions, vmi, domain, facts);
}

fn migratability(conditions: &mut Vec<Condition>, migration_method: &mut Option<String>, vmi: &VirtualMachineInstance, facts: &Facts<'_>) {
    let found = migratable::check(vmi, facts.config, facts.node_has_host_model);
    let live = match &found.obstacle {
        None => condition(vmi_condition::LIVE_MIGRATABLE, condition_status::TRUE, None, None),
        Some(obstacle) => {
            let (reason, message) = (Some(obstacle.reason), Some(obstacle.message.as_str()));
            condition(vmi_condition::LIVE_MIGRATABLE, condition_status::FALSE, reason, message)
        }
    };
    set(conditions, live);
    let storage = match &found.storage {
        None => condition(vmi_condition::STORAGE_LIVE_MIGRATABLE, condition_status::TRUE, None, None),
        Some(message) => {
            let reason = Some(reason::NOT_MIGRATABLE);
            condition(vmi_condition::STORAGE_LIVE_MIGRATABLE, condition_status::FALSE, reason, Some(message))
        }
    };
    set(conditions, storage);
    *migration_method = Some(found.method.to_owned());
}

fn agent(conditions: &mut Vec<Condition>, vmi: &VirtualMachineInstance, domain: Option<&Domain>, facts: &Facts<'_>) {
    if !domain.is_some_and(|domain| domain.agent_connected) {
        remove(conditions, vmi_condition::AGENT_CONNECTED);
        remove(conditions, vmi_condition::AGENT_VERSION_NOT_SUPPORTED);
        return;
    }
    let probed = |condition| Condition { last_probe_time: Some(facts.now.clone()), ..condition };
    set(conditions, probed(condition(vmi_condition::AGENT_CONNECTED, condition_status::TRUE, None, None)));
    let Some(agent) = facts.agent else { return };
    match unsupported(vmi, agent) {
        Some(missing) => {
            let kind = vmi_condition::AGENT_VERSION_NOT_SUPPORTED;
            set(conditions, probed(condition(kind, condition_status::TRUE, Some(missing), None)));
        }
        None => remove(conditions, vmi_condition::AGENT_VERSION_NOT_SUPPORTED),
    }
}

/// Why an agent will not do, if so. One that does not say what it knows is taken at its word that it runs.
fn unsupported(vmi: &VirtualMachineInstance, agent: &Agent) -> Option<&'static str> {
    if agent.commands.is_empty() {
        return None;
    }
    let knows = |command: &str| agent.commands.iter().any(|known| known == command);
    if !AGENT_COMMANDS.iter().all(|command| knows(command)) {
        return Some("This guest agent doesn't support required basic commands");
    }
    let credentials = &vmi.spec.access_credentials;
    let wants_ssh = credentials.iter().any(|credential| {
        let by_agent = |ssh: &api::v1::SSHPublicKeyAccessCredential| ssh.propagation_method.qemu_guest_agent.is_some();
        credential.ssh_public_key.as_ref().is_some_and(by_agent)
    });
    if wants_ssh && !SSH_COMMANDS.iter().any(|way| way.iter().all(|command| knows(command))) {
        return Some("This guest agent doesn't support required public key commands");
    }
    let wants_password = credentials.iter().any(|credential| credential.user_password.is_some());
    if wants_password && !knows(PASSWORD_COMMAND) {
        return Some("This guest agent doesn't support required password commands");
    }
    None
}

fn paused(conditions: &mut Vec<Condition>, vmi: &VirtualMachineInstance, domain: Option<&Domain>, facts: &Facts<'_>) {
    let Some(domain) = domain.filter(|domain| domain.status == DomainStatus::Paused) else {
        remove(conditions, vmi_condition::PAUSED);
        return;
    };
    // Not computed anew while present: who paused it first is what counts.
    if find(conditions, vmi_condition::PAUSED).is_some() {
        return;
    }
    let migration = vmi.status.as_ref().and_then(|status| status.migration_state.as_ref());
    let by_monitor = migration.is_some_and(|migration| {
        migration.source_node.as_deref() == Some(facts.node)
            && migration.mode.as_deref() == Some(migration_mode::PAUSED)
            && migration.completed != Some(true)
    });
    let (reason, message) = match domain.reason.as_ref() {
        reasons::USER => (reason::PAUSED_BY_USER, "VMI was paused by user"),
        reasons::IO_ERROR => (reason::PAUSED_IO_ERROR, "VMI was paused, low-level IO error detected"),
        reasons::MIGRATION if by_monitor => (reason::PAUSED_BY_MIGRATION_MONITOR, "VMI was paused by the migration monitor"),
        _ => return,
    };
    let at = Some(facts.now.clone());
    let new = condition(vmi_condition::PAUSED, condition_status::TRUE, Some(reason), Some(message));
    conditions.push(Condition { last_probe_time: at.clone(), last_transition_time: at, ..new });
}

fn access_credentials(conditions: &mut Vec<Condition>, domain: Option<&Domain>, now: &Time) {
    let Some(credentials) = domain.and_then(|domain| domain.credentials.as_deref()) else { return };
    let status = if credentials.succeeded { condition_status::TRUE } else { condition_status::FALSE };
    let message = Some(credentials.message.as_str()).filter(|message| !message.is_empty());
    let new = condition(vmi_condition::ACCESS_CREDENTIALS_SYNCHRONIZED, status, None, message);
    set(conditions, Condition { last_transition_time: Some(now.clone()), ..new });
}

/// Says that the domain could not be brought in line, or takes that back.
pub fn synchronized(conditions: &mut Vec<Condition>, error: Option<&str>, now: &Time) {
    match error {
        Some(message) => {
            let new = condition(vmi_condition::SYNCHRONIZED, condition_status::FALSE, Some(SYNC_FAILED), Some(message));
            set(conditions, Condition { last_transition_time: Some(now.clone()), ..new });
        }
        None => remove(conditions, vmi_condition::SYNCHRONIZED),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;
    use rstest::rstest;

    use super::*;

    fn run(conditions: &mut Vec<Condition>, domain: &Domain, agent: Option<&Agent>, second: i64) {
        let now = Time(Timestamp::from_second(second).expect("in range"));
        let config = ClusterConfig::from_kubevirt(None);
        let facts = Facts { now: &now, config: &config, node: "node", node_has_host_model: true, agent };
        update(conditions, &mut None, &VirtualMachineInstance::default(), Some(domain), &facts);
    }

    fn lines(conditions: &[Condition]) -> Vec<String> {
        conditions.iter().map(|c| format!("{} {} {}", c.r#type, c.status, c.reason.as_deref().unwrap_or("-"))).collect()
    }

    #[rstest]
    #[case("User", Some("PausedByUser"))]
    #[case("IOError", Some("PausedIOError"))]
    #[case("Migration", None)]
    #[case("Watchdog", None)]
    fn paused(#[case] why: &'static str, #[case] expected: Option<&str>) {
        let domain = Domain { status: DomainStatus::Paused, reason: why.into(), ..Domain::default() };
        let mut conditions = Vec::new();
        run(&mut conditions, &domain, None, 1);
        assert_eq!(find(&conditions, "Paused").and_then(|c| c.reason.as_deref()), expected);
        let before = conditions.clone();
        let other = Domain { reason: "User".into(), ..domain };
        if expected.is_some() {
            run(&mut conditions, &other, None, 2);
            assert_eq!(conditions, before, "not computed anew while present");
        }
        run(&mut conditions, &Domain { status: DomainStatus::Running, ..Domain::default() }, None, 3);
        assert_eq!(find(&conditions, "Paused"), None);
    }

    #[test]
    fn the_agent_comes_and_goes() {
        let connected = Domain { status: DomainStatus::Running, agent_connected: true, ..Domain::default() };
        let mut conditions = Vec::new();
        let poor = Agent { version: "1".to_owned(), commands: vec!["guest-ping".to_owned()] };
        run(&mut conditions, &connected, Some(&poor), 1);
        assert_eq!(
            lines(&conditions),
            [
                "LiveMigratable True -",
                "StorageLiveMigratable True -",
                "AgentConnected True -",
                "AgentVersionNotSupported True This guest agent doesn't support required basic commands"
            ]
        );
        let commands = AGENT_COMMANDS.iter().map(|command| (*command).to_owned()).collect();
        let good = Agent { version: "9".to_owned(), commands };
        run(&mut conditions, &connected, Some(&good), 2);
        assert_eq!(conditions.len(), 3);
        let before = conditions.clone();
        run(&mut conditions, &connected, Some(&good), 3);
        assert_eq!(conditions, before, "times stay while nothing changes");
        run(&mut conditions, &Domain { agent_connected: false, ..connected }, None, 4);
        assert_eq!(lines(&conditions), ["LiveMigratable True -", "StorageLiveMigratable True -"]);
    }

    #[test]
    fn a_failed_sync_is_said_and_taken_back() {
        let now = Time(Timestamp::UNIX_EPOCH);
        let mut conditions = Vec::new();
        synchronized(&mut conditions, Some("no"), &now);
        assert_eq!(lines(&conditions), ["Synchronized False Synchronizing with the Domain failed."]);
        synchronized(&mut conditions, None, &now);
        assert_eq!(conditions, []);
    }
}

//! What the guest agent told, and when it is asked again (node.md §8).

use std::time::Duration;

use hypervisor::{Domain, GuestInfo};
use launcher_rpc::{GuestAddresses, GuestOsFacts};
use serde_json::Value;
use tokio::time::Instant;

/// The first interval of a worker; it doubles up to the worker's own.
const FIRST_INTERVAL: Duration = Duration::from_secs(10);

/// What is asked for, and how often at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worker {
    /// Version and supported commands.
    Agent,
    /// Whether file systems are frozen.
    Freeze,
    /// Operating system, interfaces, host name, time zone, file systems, users, load.
    Guest,
}

impl Worker {
    const ALL: [Self; 3] = [Self::Agent, Self::Freeze, Self::Guest];

    const fn interval(self) -> Duration {
        match self {
            Self::Agent => Duration::from_mins(5),
            Self::Freeze => Duration::from_secs(5),
            Self::Guest => Duration::from_mins(2),
        }
    }
}

/// What the agent told last.
#[derive(Debug, Default)]
pub(crate) struct AgentStore {
    pub(crate) version: String,
    /// Names and whether they are enabled.
    pub(crate) commands: Vec<(String, bool)>,
    pub(crate) frozen: Option<String>,
    pub(crate) info: Option<Box<GuestInfo>>,
}

impl AgentStore {
    /// The interfaces as a report has them: no loopback, the first IPv4 address first of all.
    pub(crate) fn interfaces(&self) -> Vec<GuestAddresses> {
        let interfaces = self.info.as_ref().map(|info| info.interfaces.as_slice()).unwrap_or_default();
        interfaces
            .iter()
            .filter(|interface| interface.name != "lo")
            .map(|interface| {
                let first_v4 = interface.addresses.iter().find(|address| !address.contains(':'));
                GuestAddresses {
                    mac: interface.mac.clone(),
                    ip: first_v4.or(interface.addresses.first()).cloned().unwrap_or_default(),
                    ips: interface.addresses.clone(),
                    interface_name: interface.name.clone(),
                }
            })
            .collect()
    }

    /// The operating system as a report has it.
    pub(crate) fn os(&self) -> Option<Box<GuestOsFacts>> {
        let os = &self.info.as_ref()?.os;
        Some(Box::new(GuestOsFacts {
            name: os.name.clone(),
            kernel_release: os.kernel_release.clone(),
            version: os.version.clone(),
            pretty_name: os.pretty_name.clone(),
            version_id: os.version_id.clone(),
            kernel_version: os.kernel_version.clone(),
            machine: os.machine.clone(),
            id: os.id.clone(),
        }))
    }
}

/// When which worker asks next. Exists while the agent is connected and the guest runs.
#[derive(Debug)]
pub(crate) struct Poller {
    workers: [(Worker, Instant, Duration); 3],
}

impl Poller {
    /// Every worker asks at once.
    pub(crate) fn new(now: Instant) -> Self {
        Self { workers: Worker::ALL.map(|worker| (worker, now, FIRST_INTERVAL.min(worker.interval()))) }
    }

    /// When the next worker asks.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.workers.iter().map(|(_, due, _)| *due).min()
    }

    /// Asks what is due. A round that fails is skipped. `store` is handed what was learned; it answers whether the handler should know.
    pub(crate) async fn ask(&mut self, domain: &dyn Domain, now: Instant, mut store: impl FnMut(Learned) -> bool) -> bool {
        let mut news = false;
        for (worker, due, interval) in &mut self.workers {
            if *due > now {
                continue;
            }
            *due = now + *interval;
            *interval = (*interval * 2).min(worker.interval());
            let learned = match worker {
                Worker::Agent => agent(domain).await,
                Worker::Freeze => freeze_status(domain).await.map(Learned::Freeze),
                Worker::Guest => domain.guest_info().await.ok().map(|info| Learned::Guest(Box::new(info))),
            };
            if let Some(learned) = learned {
                news |= store(learned);
            }
        }
        news
    }
}

/// What an answer of the agent tells.
#[derive(Debug)]
pub(crate) enum Learned {
    Agent { version: String, commands: Vec<(String, bool)> },
    Freeze(String),
    Guest(Box<GuestInfo>),
}

impl AgentStore {
    /// Takes in what was learned; whether the handler should know (node.md §8.2).
    pub(crate) fn learn(&mut self, learned: Learned) -> bool {
        match learned {
            Learned::Agent { version, commands } => {
                self.version = version;
                self.commands = commands;
                false
            }
            Learned::Freeze(status) => {
                let news = self.frozen.as_ref() != Some(&status);
                self.frozen = Some(status);
                news
            }
            Learned::Guest(info) => {
                let news = self.info.as_ref().is_none_or(|known| known.os != info.os || known.interfaces != info.interfaces);
                self.info = Some(info);
                news
            }
        }
    }
}

/// The `return` of a command.
pub(crate) async fn ask(domain: &dyn Domain, command: &str) -> Result<Value, hypervisor::HypervisorError> {
    let answer = domain.agent_command(command).await?;
    let parsed: Value = serde_json::from_str(&answer).unwrap_or_default();
    Ok(parsed.get("return").cloned().unwrap_or_default())
}

async fn agent(domain: &dyn Domain) -> Option<Learned> {
    let info = ask(domain, r#"{"execute":"guest-info"}"#).await.ok()?;
    let commands = info.get("supported_commands").and_then(Value::as_array).cloned().unwrap_or_default();
    let command = |command: &Value| {
        let name = command.get("name").and_then(Value::as_str)?;
        Some((name.to_owned(), command.get("enabled").and_then(Value::as_bool).unwrap_or_default()))
    };
    Some(Learned::Agent {
        version: info.get("version").and_then(Value::as_str).unwrap_or_default().to_owned(),
        commands: commands.iter().filter_map(command).collect(),
    })
}

pub(crate) async fn freeze_status(domain: &dyn Domain) -> Option<String> {
    let status = ask(domain, r#"{"execute":"guest-fsfreeze-status"}"#).await.ok()?;
    status.as_str().map(str::to_owned)
}

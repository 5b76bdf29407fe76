//! The guest agent: its answers to commands and to libvirt's own agent calls (hypervisor.md §5).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hypervisor::{
    ErrorCode, GuestFilesystem, GuestInfo, GuestInterface, GuestLoad, GuestOs, GuestTimezone, GuestUser, HypervisorError, Result,
};
use serde_json::{Value, json};
use tokio::time::Instant;

/// The channel an agent listens on.
pub(crate) const CHANNEL: &str = "org.qemu.guest_agent.0";

const VERSION: &str = "9.1.0";

/// Commands the agent knows; the first ten are those KubeVirt wants (node.md §8.3).
const COMMANDS: &[&str] = &[
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
    "guest-set-time",
    "guest-set-user-password",
    "guest-ssh-get-authorized-keys",
    "guest-ssh-add-authorized-keys",
    "guest-ssh-remove-authorized-keys",
    "guest-exec",
    "guest-exec-status",
    "guest-fsfreeze-status",
    "guest-fsfreeze-freeze",
    "guest-fsfreeze-thaw",
    "guest-get-load",
    "guest-get-vcpus",
    "guest-get-disks",
];

/// Commands that work while the file systems are frozen.
const WHILE_FROZEN: &[&str] = &["guest-fsfreeze-status", "guest-fsfreeze-thaw", "guest-ping", "guest-info"];

/// The guest agent of one guest.
#[derive(Debug, Default)]
pub(crate) struct Agent {
    pub(crate) connected: bool,
    pub(crate) frozen: bool,
    /// What the guest's clock was set to, in nanoseconds since the epoch, and when.
    time: Option<(i128, Instant)>,
    executed: BTreeMap<i64, Executed>,
    pub(crate) passwords: BTreeMap<String, String>,
    pub(crate) keys: BTreeMap<String, Vec<String>>,
}

#[derive(Debug)]
struct Executed {
    exit_code: i32,
    output: String,
}

/// What the agent says about the guest it runs in.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) host: &'a str,
    pub(crate) domain: &'a domain::Domain,
    pub(crate) now: Instant,
}

impl Agent {
    /// Fails unless the agent is there.
    pub(crate) fn reach(&self) -> Result<()> {
        if self.connected { Ok(()) } else { Err(HypervisorError::agent_unresponsive()) }
    }

    pub(crate) fn set_time(&mut self, seconds: i64, nanoseconds: u32, now: Instant) {
        self.time = Some((i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds), now));
    }

    pub(crate) fn freeze(&mut self, filesystems: u32) -> Result<u32> {
        if self.frozen {
            return Err(refused("The command guest-fsfreeze-freeze has been disabled for this instance"));
        }
        self.frozen = true;
        Ok(filesystems)
    }

    pub(crate) fn thaw(&mut self, filesystems: u32) -> u32 {
        if std::mem::take(&mut self.frozen) { filesystems } else { 0 }
    }

    /// Answers a command.
    pub(crate) fn answer(&mut self, command: &str, around: &Surroundings<'_>) -> Result<String> {
        let parsed: Value = serde_json::from_str(command)
            .map_err(|error| HypervisorError::new(ErrorCode::INTERNAL_ERROR, format_args!("cannot parse json {command}: {error}")))?;
        let name = parsed.get("execute").and_then(Value::as_str).unwrap_or_default();
        if !COMMANDS.contains(&name) {
            return Err(refused(&format!("The command {name} has not been found")));
        }
        if self.frozen && !WHILE_FROZEN.contains(&name) {
            return Err(refused(&format!("Command {name} has been disabled: the agent is in frozen state")));
        }
        let arguments = parsed.get("arguments").cloned().unwrap_or_default();
        let info = guest_info(around);
        let answer = match name {
            "guest-info" => {
                let commands: Vec<Value> =
                    COMMANDS.iter().map(|name| json!({"enabled": true, "name": name, "success-response": true})).collect();
                json!({"version": VERSION, "supported_commands": commands})
            }
            "guest-get-time" => json!(self.guest_time(around.now)),
            "guest-fsfreeze-status" => json!(if self.frozen { "frozen" } else { "thawed" }),
            "guest-fsfreeze-freeze" => json!(self.freeze(filesystem_count(&info))?),
            "guest-fsfreeze-thaw" => json!(self.thaw(filesystem_count(&info))),
            "guest-get-host-name" => json!({"host-name": info.hostname}),
            "guest-get-osinfo" => json!({
                "id": info.os.id, "name": info.os.name, "pretty-name": info.os.pretty_name,
                "version": info.os.version, "version-id": info.os.version_id, "machine": info.os.machine,
                "kernel-release": info.os.kernel_release, "kernel-version": info.os.kernel_version,
            }),
            "guest-get-timezone" => json!({"zone": info.timezone.name, "offset": info.timezone.offset_seconds}),
            "guest-get-users" => info.users.iter().map(|user| json!({"user": user.name, "login-time": user.login_time})).collect(),
            "guest-network-get-interfaces" => info
                .interfaces
                .iter()
                .map(|interface| {
                    let addresses: Vec<Value> = interface
                        .addresses
                        .iter()
                        .map(|address| {
                            let kind = if address.contains(':') { "ipv6" } else { "ipv4" };
                            json!({"ip-address": address, "ip-address-type": kind, "prefix": 24})
                        })
                        .collect();
                    json!({"name": interface.name, "hardware-address": interface.mac, "ip-addresses": addresses})
                })
                .collect(),
            "guest-get-fsinfo" => info
                .filesystems
                .iter()
                .map(|fs| {
                    json!({
                        "name": fs.name, "mountpoint": fs.mountpoint, "type": fs.kind,
                        "used-bytes": fs.used_bytes, "total-bytes": fs.total_bytes, "disk": [],
                    })
                })
                .collect(),
            "guest-get-load" => json!({"load1m": 0.05, "load5m": 0.03, "load15m": 0.01}),
            "guest-exec" => json!({"pid": self.execute(&arguments, around)}),
            "guest-exec-status" => self.executed_status(&arguments)?,
            "guest-get-vcpus" | "guest-get-disks" => json!([]),
            _ => json!({}),
        };
        Ok(json!({ "return": answer }).to_string())
    }

    fn guest_time(&self, now: Instant) -> i64 {
        self.time.map_or(0, |(set, at)| {
            let passed = i128::try_from(now.saturating_duration_since(at).as_nanos()).unwrap_or_default();
            i64::try_from(set + passed).unwrap_or_default()
        })
    }

    /// Runs a command line; a guest knows `echo`, `true`, `false` and `hostname`.
    fn execute(&mut self, arguments: &Value, around: &Surroundings<'_>) -> i64 {
        let path = arguments.get("path").and_then(Value::as_str).unwrap_or_default();
        let words: Vec<&str> = arguments.get("arg").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let (exit_code, output) = match path.rsplit('/').next().unwrap_or_default() {
            "echo" => (0, format!("{}\n", words.join(" "))),
            "true" => (0, String::new()),
            "false" => (1, String::new()),
            "hostname" => (0, format!("{}\n", around.host)),
            _ => (127, String::new()),
        };
        let pid = 1000 + i64::try_from(self.executed.len()).unwrap_or_default();
        self.executed.insert(pid, Executed { exit_code, output });
        pid
    }

    fn executed_status(&self, arguments: &Value) -> Result<Value> {
        let pid = arguments.get("pid").and_then(Value::as_i64).unwrap_or_default();
        let done = self.executed.get(&pid).ok_or_else(|| refused("PID lookup failed"))?;
        let mut status = json!({"exited": true, "exitcode": done.exit_code});
        if !done.output.is_empty() {
            status["out-data"] = json!(BASE64_STANDARD.encode(&done.output));
        }
        Ok(status)
    }
}

fn refused(message: &str) -> HypervisorError {
    HypervisorError::new(ErrorCode::INTERNAL_ERROR, format_args!("unable to execute QEMU agent command: {message}"))
}

fn filesystem_count(info: &GuestInfo) -> u32 {
    u32::try_from(info.filesystems.len()).unwrap_or(u32::MAX)
}

/// What the agent reports of a guest: a small Fedora.
pub(crate) fn guest_info(around: &Surroundings<'_>) -> GuestInfo {
    let loopback = GuestInterface {
        name: "lo".to_owned(),
        mac: "00:00:00:00:00:00".to_owned(),
        addresses: vec!["127.0.0.1".to_owned(), "::1".to_owned()],
    };
    let nics = around.domain.devices.interfaces.iter().enumerate().map(|(index, nic)| GuestInterface {
        name: format!("eth{index}"),
        mac: nic.mac.as_ref().map(|mac| mac.address.clone()).unwrap_or_default(),
        addresses: vec![format!("10.0.2.{}", index + 2)],
    });
    let disk = around.domain.devices.disks.first().and_then(|disk| disk.target.dev.clone()).unwrap_or_else(|| "vda".to_owned());
    GuestInfo {
        hostname: around.host.to_owned(),
        os: GuestOs {
            id: "fedora".to_owned(),
            name: "Fedora Linux".to_owned(),
            pretty_name: "Fedora Linux 41 (Cloud Edition)".to_owned(),
            version: "41 (Cloud Edition)".to_owned(),
            version_id: "41".to_owned(),
            kernel_release: "6.11.4-301.fc41.x86_64".to_owned(),
            kernel_version: "#1 SMP PREEMPT_DYNAMIC Sun Oct 20 15:02:33 UTC 2024".to_owned(),
            machine: around.domain.os.kind.arch.clone().unwrap_or_else(|| "x86_64".to_owned()),
        },
        timezone: GuestTimezone { name: "UTC".to_owned(), offset_seconds: 0 },
        users: vec![GuestUser { name: "fedora".to_owned(), domain: String::new(), login_time: 0.0 }],
        interfaces: std::iter::once(loopback).chain(nics).collect(),
        filesystems: vec![GuestFilesystem {
            name: format!("{disk}1"),
            mountpoint: "/".to_owned(),
            kind: "ext4".to_owned(),
            used_bytes: 1 << 30,
            total_bytes: 4 << 30,
        }],
        load: Some(GuestLoad { one: 0.05, five: 0.03, fifteen: 0.01 }),
    }
}

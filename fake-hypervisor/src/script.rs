//! What a guest does, as data, and its form as annotations.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ports::{self, PortScript};

/// The prefix of every annotation this crate reads.
pub const PREFIX: &str = "fake.ferrovirt.io/";

const BOOT_TIME: &str = "boot-time";
const IGNORE_ACPI_SHUTDOWN: &str = "ignore-acpi-shutdown";
const SHUTDOWN_TIME: &str = "shutdown-time";
const EXIT_DELAY: &str = "exit-delay";
const POWER_OFF_AFTER: &str = "power-off-after";
const REBOOT_AFTER: &str = "reboot-after";
const CRASH_AFTER: &str = "crash-after";
const PANIC_AFTER: &str = "panic-after";
const AGENT: &str = "agent";
const SERIAL: &str = "serial";
const PORTS: &str = "ports";
const START_FAILS: &str = "start-fails";
const START_ERROR: &str = "start-error";
const IO_ERROR_AFTER: &str = "io-error-after";
const IO_ERROR_RESUMES: &str = "io-error-resumes";
const RELEASES_DEVICES: &str = "releases-devices";

/// All names, in the order of the documentation (docs/fake-guests.md).
const NAMES: &[&str] = &[
    BOOT_TIME,
    IGNORE_ACPI_SHUTDOWN,
    SHUTDOWN_TIME,
    EXIT_DELAY,
    POWER_OFF_AFTER,
    REBOOT_AFTER,
    CRASH_AFTER,
    PANIC_AFTER,
    AGENT,
    SERIAL,
    PORTS,
    START_FAILS,
    START_ERROR,
    IO_ERROR_AFTER,
    IO_ERROR_RESUMES,
    RELEASES_DEVICES,
];

/// How often something fails before it works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failures {
    /// It works.
    #[default]
    Never,
    /// The first so many times.
    First(u32),
    /// Every time.
    Always,
}

impl Failures {
    /// Whether attempt number `attempt`, counted from 0, fails.
    pub(crate) fn hits(self, attempt: u32) -> bool {
        match self {
            Self::Never => false,
            Self::First(count) => attempt < count,
            Self::Always => true,
        }
    }
}

/// Whether the guest runs an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AgentScript {
    /// It has none.
    #[default]
    Off,
    /// It connects so long after each boot.
    ConnectsAfter(Duration),
}

/// A disk that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskFault {
    /// So long after boot; the first disk, out of space.
    pub after: Duration,
    /// How many resumes it takes until there is space again.
    pub resumes: u32,
}

/// What a guest does. Durations are guest time: they stand still while the domain is paused.
///
/// As annotations (on the VMI, or its template; a VMI's annotations reach its pod), each with the prefix `fake.ferrovirt.io/`;
/// durations are written as Go and Kubernetes do, `500ms`, `2s`, `1m30s`:
///
/// | annotation | value | default | meaning |
/// |---|---|---|---|
/// | `boot-time` | duration | `0s` | from start until the guest is up: before that it does not see the power button |
/// | `ignore-acpi-shutdown` | `true`, `false`, or a count | `false` | ignores the power button, always or the first so many times |
/// | `shutdown-time` | duration | `0s` | from the power button until the guest is off |
/// | `exit-delay` | duration | `0s` | from the guest being off until its process is gone |
/// | `power-off-after` | duration | never | powers itself off so long after boot |
/// | `reboot-after` | duration | never | reboots itself so long after boot, once |
/// | `crash-after` | duration | never | its process dies so long after boot |
/// | `panic-after` | duration | never | its kernel panics so long after boot |
/// | `agent` | `off`, `on`, or a duration | `off` | the guest agent connects with boot, or so long after it |
/// | `serial` | text | `\r\n<name> login: ` | what the guest prints on its serial console once booted |
/// | `ports` | `PORT=TEXT,…` | `7=echo,22=SSH-2.0-OpenSSH_9.8` | what answers at its ports: a text first, then, or with `echo` only, an echo |
/// | `start-fails` | `true`, `false`, or a count | `false` | the domain cannot be started, ever or the first so many times |
/// | `start-error` | text | a QEMU error | what the hypervisor says then |
/// | `io-error-after` | duration | never | the first disk runs out of space so long after boot, and the domain is paused |
/// | `io-error-resumes` | count | `1` | how many resumes it takes until there is space |
/// | `releases-devices` | `true`, `false` | `true` | lets go of a device that is detached |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestScript {
    /// From start until the guest is up.
    pub boot_time: Duration,
    /// Requests to power off that the guest ignores.
    pub ignores_shutdown: Failures,
    /// From the power button until the guest is off.
    pub shutdown_time: Duration,
    /// From the guest being off until its process is gone.
    pub exit_delay: Duration,
    /// Powers itself off so long after boot.
    pub power_off_after: Option<Duration>,
    /// Reboots itself so long after its first boot.
    pub reboot_after: Option<Duration>,
    /// Its process dies so long after boot.
    pub crash_after: Option<Duration>,
    /// Its kernel panics so long after boot.
    pub panic_after: Option<Duration>,
    /// The guest agent.
    pub agent: AgentScript,
    /// What it prints on its serial console once booted, instead of a login prompt.
    pub serial: Option<String>,
    /// What answers at its ports.
    pub ports: BTreeMap<u16, PortScript>,
    /// Starts that fail.
    pub start_fails: Failures,
    /// What the hypervisor says when a start fails.
    pub start_error: String,
    /// A disk that fails.
    pub io_error: Option<DiskFault>,
    /// Lets go of a device that is detached.
    pub releases_devices: bool,
}

impl Default for GuestScript {
    fn default() -> Self {
        Self {
            boot_time: Duration::ZERO,
            ignores_shutdown: Failures::Never,
            shutdown_time: Duration::ZERO,
            exit_delay: Duration::ZERO,
            power_off_after: None,
            reboot_after: None,
            crash_after: None,
            panic_after: None,
            agent: AgentScript::Off,
            serial: None,
            ports: ports::usual(),
            start_fails: Failures::Never,
            start_error: "process exited while connecting to monitor".to_owned(),
            io_error: None,
            releases_devices: true,
        }
    }
}

/// An annotation that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationError {
    /// No such annotation.
    #[error("annotation {PREFIX}{name} is not known; known are {}", NAMES.join(", "))]
    Unknown {
        /// The name after the prefix.
        name: String,
    },
    /// The value is not of the annotation's kind.
    #[error("annotation {PREFIX}{name}: {value:?} is not {wanted}")]
    Value {
        /// The name after the prefix.
        name: &'static str,
        /// The value.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
}

impl GuestScript {
    /// The script that annotations describe; others than ours are passed over.
    ///
    /// # Errors
    /// An annotation with our prefix and an unknown name, or with a value that is not of its kind.
    pub fn from_annotations(annotations: &BTreeMap<String, String>) -> Result<Self, AnnotationError> {
        Self::default().annotated(annotations)
    }

    /// This script with what annotations say laid over it.
    ///
    /// # Errors
    /// As [`GuestScript::from_annotations`].
    pub fn annotated(mut self, annotations: &BTreeMap<String, String>) -> Result<Self, AnnotationError> {
        let mut resumes = None;
        for (key, value) in annotations {
            let Some(name) = key.strip_prefix(PREFIX) else { continue };
            match name {
                BOOT_TIME => self.boot_time = duration(BOOT_TIME, value)?,
                IGNORE_ACPI_SHUTDOWN => self.ignores_shutdown = failures(IGNORE_ACPI_SHUTDOWN, value)?,
                SHUTDOWN_TIME => self.shutdown_time = duration(SHUTDOWN_TIME, value)?,
                EXIT_DELAY => self.exit_delay = duration(EXIT_DELAY, value)?,
                POWER_OFF_AFTER => self.power_off_after = Some(duration(POWER_OFF_AFTER, value)?),
                REBOOT_AFTER => self.reboot_after = Some(duration(REBOOT_AFTER, value)?),
                CRASH_AFTER => self.crash_after = Some(duration(CRASH_AFTER, value)?),
                PANIC_AFTER => self.panic_after = Some(duration(PANIC_AFTER, value)?),
                AGENT => self.agent = agent(value)?,
                SERIAL => self.serial = Some(value.clone()),
                PORTS => {
                    self.ports = ports::parse(value).ok_or_else(|| wrong(PORTS, value, "a list such as 22=SSH-2.0-OpenSSH_9.8,7=echo"))?;
                }
                START_FAILS => self.start_fails = failures(START_FAILS, value)?,
                START_ERROR => self.start_error.clone_from(value),
                IO_ERROR_AFTER => {
                    let after = duration(IO_ERROR_AFTER, value)?;
                    self.io_error = Some(DiskFault { after, resumes: self.io_error.map_or(1, |fault| fault.resumes) });
                }
                IO_ERROR_RESUMES => resumes = Some(count(IO_ERROR_RESUMES, value)?),
                RELEASES_DEVICES => self.releases_devices = truth(RELEASES_DEVICES, value)?,
                _ => return Err(AnnotationError::Unknown { name: name.to_owned() }),
            }
        }
        if let (Some(fault), Some(resumes)) = (&mut self.io_error, resumes) {
            fault.resumes = resumes;
        }
        Ok(self)
    }
}

fn wrong(name: &'static str, value: &str, wanted: &'static str) -> AnnotationError {
    AnnotationError::Value { name, value: value.to_owned(), wanted }
}

fn duration(name: &'static str, value: &str) -> Result<Duration, AnnotationError> {
    parse_duration(value).ok_or_else(|| wrong(name, value, "a duration such as 500ms, 2s or 1m30s"))
}

fn count(name: &'static str, value: &str) -> Result<u32, AnnotationError> {
    value.parse().map_err(|_| wrong(name, value, "a count"))
}

fn truth(name: &'static str, value: &str) -> Result<bool, AnnotationError> {
    value.parse().map_err(|_| wrong(name, value, "true or false"))
}

fn failures(name: &'static str, value: &str) -> Result<Failures, AnnotationError> {
    match value {
        "true" => Ok(Failures::Always),
        "false" | "0" => Ok(Failures::Never),
        _ => value.parse().map(Failures::First).map_err(|_| wrong(name, value, "true, false or a count")),
    }
}

fn agent(value: &str) -> Result<AgentScript, AnnotationError> {
    match value {
        "off" | "false" => Ok(AgentScript::Off),
        "on" | "true" => Ok(AgentScript::ConnectsAfter(Duration::ZERO)),
        _ => parse_duration(value).map(AgentScript::ConnectsAfter).ok_or_else(|| wrong(AGENT, value, "off, on or a duration such as 5s")),
    }
}

/// A duration as Go writes it: decimal numbers, each with a unit; `0` needs none.
fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| (format!("{PREFIX}{name}"), (*value).to_owned())).collect()
    }

    #[rstest]
    #[case("500ms", Some(500))]
    #[case("2s", Some(2_000))]
    #[case("1m30s", Some(90_000))]
    #[case("1.5s", Some(1_500))]
    #[case("1h", Some(3_600_000))]
    #[case("0", Some(0))]
    #[case("", None)]
    #[case("5", None)]
    #[case("s", None)]
    #[case("-1s", None)]
    #[case("1d", None)]
    #[case("9999999999999999999h", None)]
    fn durations(#[case] text: &str, #[case] milliseconds: Option<u64>) {
        assert_eq!(parse_duration(text), milliseconds.map(Duration::from_millis));
    }

    #[test]
    fn every_annotation_is_followed() {
        let script = GuestScript::from_annotations(&annotations(&[
            (BOOT_TIME, "2s"),
            (IGNORE_ACPI_SHUTDOWN, "2"),
            (SHUTDOWN_TIME, "3s"),
            (EXIT_DELAY, "1s"),
            (POWER_OFF_AFTER, "1m"),
            (REBOOT_AFTER, "7s"),
            (CRASH_AFTER, "2m"),
            (PANIC_AFTER, "3m"),
            (AGENT, "5s"),
            (SERIAL, "hello"),
            (START_FAILS, "true"),
            (START_ERROR, "no"),
            (IO_ERROR_AFTER, "4s"),
            (IO_ERROR_RESUMES, "2"),
            (RELEASES_DEVICES, "false"),
        ]));
        let seconds = Duration::from_secs;
        let expected = GuestScript {
            ports: ports::usual(),
            boot_time: seconds(2),
            ignores_shutdown: Failures::First(2),
            shutdown_time: seconds(3),
            exit_delay: seconds(1),
            power_off_after: Some(seconds(60)),
            reboot_after: Some(seconds(7)),
            crash_after: Some(seconds(120)),
            panic_after: Some(seconds(180)),
            agent: AgentScript::ConnectsAfter(seconds(5)),
            serial: Some("hello".to_owned()),
            start_fails: Failures::Always,
            start_error: "no".to_owned(),
            io_error: Some(DiskFault { after: seconds(4), resumes: 2 }),
            releases_devices: false,
        };
        assert_eq!(script, Ok(expected));
    }

    #[test]
    fn annotations_of_others_are_passed_over() {
        let foreign = BTreeMap::from([("example.org/boot-time".to_owned(), "soon".to_owned())]);
        assert_eq!(GuestScript::from_annotations(&foreign), Ok(GuestScript::default()));
    }

    #[rstest]
    #[case(BOOT_TIME, "soon", r#"annotation fake.ferrovirt.io/boot-time: "soon" is not a duration such as 500ms, 2s or 1m30s"#)]
    #[case(AGENT, "maybe", r#"annotation fake.ferrovirt.io/agent: "maybe" is not off, on or a duration such as 5s"#)]
    #[case(START_FAILS, "-1", r#"annotation fake.ferrovirt.io/start-fails: "-1" is not true, false or a count"#)]
    #[case(RELEASES_DEVICES, "yes", r#"annotation fake.ferrovirt.io/releases-devices: "yes" is not true or false"#)]
    fn bad_values_are_named(#[case] name: &str, #[case] value: &str, #[case] message: &str) {
        let error = GuestScript::from_annotations(&annotations(&[(name, value)])).expect_err("refused");
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn unknown_names_are_named() {
        let error = GuestScript::from_annotations(&annotations(&[("boottime", "2s")])).expect_err("refused");
        assert!(error.to_string().starts_with("annotation fake.ferrovirt.io/boottime is not known; known are boot-time, "));
    }
}

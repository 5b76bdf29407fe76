//! The suite every backend passes, the fake and the real one (hypervisor.md §9.1, §14): what a launcher may rely on.
//!
//! A backend's tests implement [`Bench`] and call [`run`]; it answers with a [`Report`], one [`Verdict`] a check. Checks wait on
//! events, for at most [`PATIENCE`] of tokio's time, so that the fake runs them on a paused clock in no time.
//!
//! [`sequences`] plays any sequence of calls and notes what can be observed, so that two backends can be held against each other.

mod agent;
mod case;
mod devices;
mod display;
mod facts;
mod guests;
mod lifecycle;
pub mod sequences;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::Hypervisor;
use case::Case;

/// How long a check waits for an event.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The guest a check needs. Every guest but the last boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guest {
    /// Powers off when asked, releases devices, and sends back what is typed at its serial console.
    Obedient,
    /// Ignores the power button, releases no device.
    Deaf,
    /// Powers itself off.
    PowersOff,
    /// Reboots itself, once or again and again.
    Reboots,
    /// Its process dies.
    Dies,
    /// Its kernel panics.
    Panics,
    /// Its disk has no space left.
    OutOfSpace,
    /// Its agent connects.
    WithAgent,
    /// Cannot be started.
    Stillborn,
}

/// What a backend may lack without deviating.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ability {
    /// Disks are files that are looked at.
    Files,
    /// Disks can be attached and detached.
    DiskHotplug,
    /// Network interfaces can be attached and detached.
    InterfaceHotplug,
    /// Processors can be plugged.
    CpuHotplug,
    /// Memory can be plugged.
    MemoryHotplug,
    /// Guests have a serial console.
    Console,
    /// Guests have a screen.
    Screen,
    /// The rate at which guests dirty their memory can be measured.
    DirtyRate,
}

/// A backend under test.
#[async_trait]
pub trait Bench: Sync {
    /// A connection without domains whose guests are as asked.
    ///
    /// # Errors
    /// Why the backend cannot have such a guest; the check is skipped then.
    async fn connect(&self, guest: Guest) -> Result<Arc<dyn Hypervisor>, String>;

    /// A small definition with this name that the backend can start: a q35 machine with one of two processors and room for
    /// memory, an empty CD-ROM drive `sdc`, a serial port and a screen on sockets, an agent's channel, and free PCI ports.
    fn definition(&self, guest: Guest, name: &str) -> domain::Domain;

    /// The path of a raw disk image of so many bytes, all zero.
    fn image(&self, name: &str, bytes: u64) -> String;

    /// Why the backend lacks an ability; nothing when it has it.
    fn lacks(&self, ability: Ability) -> Option<String>;

    /// Told of each check as it ends, for who waits for a slow backend.
    fn ended(&self, _verdict: &Verdict) {}

    /// How long it has to stay silent until nothing is taken to happen.
    fn silence(&self) -> Duration {
        PATIENCE
    }
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The check's name.
    pub check: &'static str,
    /// What happened.
    pub result: Finding,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// As it must be.
    Conforms,
    /// The backend cannot do or have what the check needs: why.
    Skipped(String),
    /// Not as it must be: how.
    Deviates(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Finding::Conforms => write!(f, "{}: conforms", self.check),
            Finding::Skipped(why) => write!(f, "{}: skipped: {why}", self.check),
            Finding::Deviates(how) => write!(f, "{}: {how}", self.check),
        }
    }
}

/// What all checks found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report(pub Vec<Verdict>);

impl Report {
    /// How many checks passed.
    pub fn passed(&self) -> usize {
        self.0.iter().filter(|verdict| verdict.result == Finding::Conforms).count()
    }

    /// What was skipped, and why.
    pub fn skipped(&self) -> Vec<&Verdict> {
        self.0.iter().filter(|verdict| matches!(verdict.result, Finding::Skipped(_))).collect()
    }

    /// What deviates, and how.
    pub fn deviations(&self) -> Vec<&Verdict> {
        self.0.iter().filter(|verdict| matches!(verdict.result, Finding::Deviates(_))).collect()
    }
}

/// `N passed, M skipped, K failed`, and below it each check that did not pass.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (skipped, deviations) = (self.skipped(), self.deviations());
        write!(f, "{} passed, {} skipped, {} failed", self.passed(), skipped.len(), deviations.len())?;
        skipped.iter().chain(&deviations).try_for_each(|verdict| write!(f, "\n  {verdict}"))
    }
}

/// Of a check: how the backend deviates.
type Check = Result<(), String>;

/// Runs every check, each on a connection of its own.
pub async fn run(bench: &dyn Bench) -> Report {
    run_some(bench, |_| true).await
}

/// Runs the checks whose names are `wanted`.
pub async fn run_some(bench: &dyn Bench, wanted: impl Fn(&str) -> bool) -> Report {
    let mut verdicts = Vec::new();
    for check in CHECKS.iter().filter(|check| wanted(check.name)) {
        let result = match check.ability.and_then(|ability| bench.lacks(ability)) {
            Some(why) => Finding::Skipped(why),
            None => match bench.connect(check.guest).await {
                Err(why) => Finding::Skipped(why),
                Ok(hypervisor) => {
                    let outcome = (check.run)(Case::new(bench, check.guest, hypervisor));
                    match tokio::time::timeout(PATIENCE * 3, outcome).await {
                        Ok(Ok(())) => Finding::Conforms,
                        Ok(Err(how)) => Finding::Deviates(how),
                        Err(_) => Finding::Deviates("it does not end".to_owned()),
                    }
                }
            },
        };
        let verdict = Verdict { check: check.name, result };
        bench.ended(&verdict);
        verdicts.push(verdict);
    }
    Report(verdicts)
}

struct Entry {
    name: &'static str,
    guest: Guest,
    ability: Option<Ability>,
    run: for<'a> fn(Case<'a>) -> BoxFuture<'a, Check>,
}

macro_rules! ability {
    () => {
        None
    };
    ($ability:ident) => {
        Some(Ability::$ability)
    };
}

macro_rules! checks {
    ($($module:ident { $($guest:ident $([$ability:ident])? $name:ident,)+ })+) => {
        &[ $( $( Entry {
            name: stringify!($name),
            guest: Guest::$guest,
            ability: ability!($($ability)?),
            run: |case| Box::pin($module::$name(case)),
        }, )+ )+ ]
    };
}

const CHECKS: &[Entry] = checks! {
    lifecycle {
        Obedient defines_and_finds,
        Obedient refuses_a_name_of_another_uuid,
        Obedient refuses_what_is_no_definition,
        Obedient starts_cold,
        Obedient starts_paused,
        Obedient resumes_what_started_paused,
        Obedient refuses_what_needs_a_process,
        Obedient knows_nothing_of_the_undefined,
        Obedient suspends_and_resumes,
        Obedient shuts_down_when_the_guest_wants,
        Deaf outlives_a_shutdown_the_guest_ignores,
        Deaf destroys,
        Deaf destroys_the_paused,
        Obedient refuses_a_shutdown_while_paused,
        Obedient vanishes_when_undefined_while_running,
        Obedient is_kept_when_defined_again_while_running,
        Deaf resets_and_reboots_in_place,
        Deaf resets_while_paused,
    Deaf takes_a_reboot_while_paused,
        Obedient reboots_by_the_power_button,
        Obedient starts_again_after_it_stopped,
        Deaf tells_domains_apart,
        Deaf replays_nothing_to_a_second_listener,
    }
    guests {
        PowersOff announces_a_power_off,
        Reboots reboots_in_its_process,
        Reboots stops_instead_of_rebooting,
        Dies announces_the_death_of_a_process,
        Panics announces_a_panic,
        Panics preserves_a_crashed_guest,
        OutOfSpace pauses_when_a_disk_is_full,
        Stillborn says_failed_when_it_cannot_start,
    }
    devices {
        Obedient [DiskHotplug] attaches_and_releases_a_disk,
        Obedient [DiskHotplug] attaches_a_disk_to_the_running_domain_only,
        Obedient [Files] refuses_a_disk_without_a_file,
        Deaf [DiskHotplug] keeps_a_disk_the_guest_does_not_release,
        Obedient [InterfaceHotplug] attaches_and_releases_an_interface,
        Obedient [InterfaceHotplug] sets_the_state_of_a_link,
        Deaf changes_a_medium,
        Deaf [CpuHotplug] plugs_processors,
        Deaf [MemoryHotplug] plugs_memory,
        Deaf [DiskHotplug] resizes_a_disk,
        Deaf refuses_device_changes_while_off,
    Deaf refuses_to_change_a_configuration_that_is_gone,
    }
    facts {
        Deaf tells_live_from_inactive,
        Deaf defines_the_next_start_while_running,
        Deaf measures_what_runs,
        Deaf [DirtyRate] measures_the_dirty_rate,
        Deaf has_no_job,
        Deaf has_no_disk_errors,
        Deaf knows_its_host,
    }
    display {
        Obedient [Console] carries_the_serial_console,
        Obedient [Console] lets_consoles_come_and_go,
        Deaf [Console] refuses_a_console_while_off,
        Deaf [Screen] takes_a_screenshot,
        Deaf [Screen] serves_the_framebuffer,
    }
    agent {
        Deaf refuses_the_agent_while_it_is_away,
        Deaf refuses_the_agent_without_a_channel,
    WithAgent refuses_the_agent_while_paused,
        WithAgent answers_the_agents_ping,
        WithAgent freezes_and_thaws,
        WithAgent tells_about_the_guest,
        WithAgent loses_the_agent_with_the_domain,
    }
};

//! The handle of a domain: libvirt's calls on the fake's records.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hypervisor::{
    AgentState, BlockStats, BoxGuestStream, CpuStats, Device, DirtyRate, DiskError, Domain, DomainState, DomainStats, ErrorCode,
    ErrorDomain, EventKind, GuestInfo, HypervisorError, JobInfo, MemoryStats, NetStats, RebootMode, Result, Scope, Screenshot,
    SevMeasurement, StartMode, VcpuState, VcpuStats, View,
};
use lifecycle::{Outcome, Stimulus};
use tokio::time::Instant;

use crate::agenda::GuestEvent;
use crate::agent::{self, Surroundings};
use crate::backend::{FakeHypervisor, Machine, has_agent_channel, is_agent_channel, not_running};
use crate::console::{self, Order};
use crate::control::answering;
use crate::devices::{
    add_device, alias_of, changeable, duplicated, find_device, missing_device, remove_device, taken_alias, taken_target, update_device,
};
use crate::guest::{Guest, Phase};
use crate::ports::PortScript;
use crate::rfb;
use crate::screen::Screen;

/// Bytes a console or framebuffer buffers between guest and client.
const STREAM_BUFFER: usize = 64 * 1024;

pub(crate) struct FakeDomain {
    hypervisor: FakeHypervisor,
    name: Arc<str>,
    uuid: Arc<str>,
}

impl FakeDomain {
    pub(crate) fn new(hypervisor: FakeHypervisor, name: &str, uuid: Arc<str>) -> Self {
        Self { hypervisor, name: name.into(), uuid }
    }

    /// Applies a call's stimulus, then lets the guest react.
    fn call(&self, stimulus: Stimulus) -> Result<Outcome> {
        let mut inner = self.hypervisor.shared.lock();
        inner.machine(&self.name, &self.uuid)?;
        inner.stimulate(&self.name, stimulus)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Machine) -> Result<T>) -> Result<T> {
        act(self.hypervisor.shared.lock().machine(&self.name, &self.uuid)?)
    }

    fn with_guest<T>(&self, act: impl FnOnce(&mut Guest, &domain::Domain) -> Result<T>) -> Result<T> {
        self.with(|machine| {
            let guest = machine.guest.as_mut().ok_or_else(not_running)?;
            act(guest, &machine.live)
        })
    }

    /// A guest whose agent answers.
    fn with_agent<T>(&self, act: impl FnOnce(&mut Guest, &domain::Domain) -> Result<T>) -> Result<T> {
        self.with(|machine| {
            // A halted guest has no ears, whatever its agent was.
            if !matches!(machine.record.state, DomainState::Running(_)) {
                return Err(not_running());
            }
            let guest = machine.guest.as_mut().ok_or_else(not_running)?;
            if !has_agent_channel(&machine.live) {
                return Err(HypervisorError::new(ErrorCode::ARGUMENT_UNSUPPORTED, "QEMU guest agent is not configured"));
            }
            guest.agent.reach()?;
            act(guest, &machine.live)
        })
    }

    fn host(&self) -> &str {
        self.name.split_once('_').map_or(&*self.name, |(_, host)| host)
    }
}

#[async_trait]
impl Domain for FakeDomain {
    fn name(&self) -> &str {
        &self.name
    }

    fn uuid(&self) -> &str {
        &self.uuid
    }

    async fn create(&self, mode: StartMode) -> Result<()> {
        let created = {
            let mut inner = self.hypervisor.shared.lock();
            inner.machine(&self.name, &self.uuid)?;
            inner.create(&self.name, mode == StartMode::Paused, Instant::now())
        };
        self.hypervisor.drive();
        created
    }

    async fn shutdown(&self) -> Result<()> {
        if self.call(Stimulus::Shutdown)? == Outcome::Delivered {
            let mut inner = self.hypervisor.shared.lock();
            let script = inner.script()?;
            let machine = inner.machine(&self.name, &self.uuid)?;
            let guest = machine.guest.as_mut().ok_or_else(not_running)?;
            let heard = guest.phase == Phase::Up && machine.live.features.as_ref().is_some_and(|f| f.acpi.is_some());
            if heard {
                let request = guest.requests;
                guest.requests += 1;
                if !script.ignores_shutdown.hits(request) {
                    guest.phase = Phase::PoweringOff;
                    let now = Instant::now();
                    inner.agenda.drop_entries(&self.name, |event| *event == GuestEvent::PowersOff);
                    inner.agenda.enter(now + script.shutdown_time, &self.name, GuestEvent::PowersOff);
                }
            }
        }
        self.hypervisor.drive();
        Ok(())
    }

    async fn destroy(&self) -> Result<()> {
        self.call(Stimulus::Destroy).map(drop)
    }

    async fn suspend(&self) -> Result<()> {
        self.call(Stimulus::Suspend).map(drop)
    }

    async fn resume(&self) -> Result<()> {
        self.call(Stimulus::Resume)?;
        {
            let mut inner = self.hypervisor.shared.lock();
            let guest = inner.machine(&self.name, &self.uuid)?.guest.as_mut();
            if let Some(guest) = guest
                && let Some(left) = guest.out_of_space
            {
                let left = left.saturating_sub(1);
                guest.out_of_space = (left > 0).then_some(left);
                if left > 0 {
                    inner.agenda.enter(Instant::now(), &self.name, GuestEvent::RunsOutOfSpace);
                }
            }
        }
        self.hypervisor.drive();
        Ok(())
    }

    async fn reset(&self) -> Result<()> {
        if self.call(Stimulus::Reset)? == Outcome::Delivered {
            let now = Instant::now();
            let mut inner = self.hypervisor.shared.lock();
            inner.boot_again(&self.name, now)?;
            if matches!(inner.machine(&self.name, &self.uuid)?.record.state, DomainState::Paused(_)) {
                inner.agenda.halt(&self.name, now);
            }
        }
        self.hypervisor.drive();
        Ok(())
    }

    async fn reboot(&self, mode: RebootMode) -> Result<()> {
        if mode == RebootMode::GuestAgent {
            self.with_agent(|_, _| Ok(()))?;
        }
        if self.call(Stimulus::Reboot)? == Outcome::Delivered {
            let up = self.with_guest(|guest, _| Ok(guest.phase == Phase::Up))?;
            if up {
                let now = Instant::now();
                let mut inner = self.hypervisor.shared.lock();
                inner.agenda.enter(now, &self.name, GuestEvent::Reboots);
                if matches!(inner.machine(&self.name, &self.uuid)?.record.state, DomainState::Paused(_)) {
                    inner.agenda.halt(&self.name, now);
                }
            }
        }
        self.hypervisor.drive();
        Ok(())
    }

    async fn undefine(&self) -> Result<()> {
        self.call(Stimulus::Undefine).map(drop)
    }

    async fn state(&self) -> Result<DomainState> {
        self.with(|machine| Ok(machine.record.state))
    }

    async fn description(&self, view: View) -> Result<Arc<domain::Domain>> {
        self.with(|machine| match (view, &machine.guest) {
            (View::Inactive, _) | (View::Live, None) => Ok(machine.inactive.clone()),
            (View::Live, Some(guest)) => {
                let mut live = domain::Domain::clone(&machine.live);
                live.id = Some(machine.id);
                let state = match guest.channel() {
                    AgentState::Connected => "connected",
                    AgentState::Disconnected => "disconnected",
                };
                for channel in live.devices.channels.iter_mut().filter(|channel| is_agent_channel(channel)) {
                    if let Some(target) = &mut channel.target {
                        target.state = Some(state.to_owned());
                    }
                }
                Ok(Arc::new(live))
            }
        })
    }

    async fn attach_device(&self, device: &Device, scope: Scope) -> Result<()> {
        let alias = alias_of(device).unwrap_or_default();
        let mut inner = self.hypervisor.shared.lock();
        let machine = inner.machine(&self.name, &self.uuid)?;
        changeable(machine, scope)?;
        if let Some(taken) = taken_alias(&machine.live, device) {
            return Err(HypervisorError {
                domain: ErrorDomain::DOMAIN,
                ..HypervisorError::new(ErrorCode::CONFIG_UNSUPPORTED, format_args!("non unique alias detected: {taken}"))
            });
        }
        if scope == Scope::LiveAndConfig
            && let Some(taken) = taken_target(&machine.inactive, device)
        {
            return Err(HypervisorError::new(ErrorCode::OPERATION_INVALID, format_args!("target {taken} already exists")));
        }
        if let Some(taken) = taken_target(&machine.live, device) {
            return Err(duplicated(&machine.live, device, taken));
        }
        add_device(Arc::make_mut(&mut machine.live), device);
        if scope == Scope::LiveAndConfig {
            add_device(Arc::make_mut(&mut machine.inactive), device);
        }
        inner.announce(&self.name, &EventKind::DeviceAdded { alias });
        Ok(())
    }

    async fn detach_device(&self, device: &Device, scope: Scope) -> Result<()> {
        {
            let mut inner = self.hypervisor.shared.lock();
            let script = inner.script()?;
            let machine = inner.machine(&self.name, &self.uuid)?;
            changeable(machine, scope)?;
            if let (Scope::LiveAndConfig, Device::Disk(disk)) = (scope, device) {
                let target = disk.target.dev.as_deref();
                if !machine.inactive.devices.disks.iter().any(|disk| disk.target.dev.as_deref() == target) {
                    let target = target.unwrap_or_default();
                    return Err(HypervisorError::new(ErrorCode::DEVICE_MISSING, format_args!("no target device {target}")));
                }
            }
            let (alias, what) = find_device(&machine.live, device);
            let Some(alias) = alias else {
                return Err(missing_device(device, &what));
            };
            if scope == Scope::LiveAndConfig {
                remove_device(Arc::make_mut(&mut machine.inactive), &alias);
            }
            let release = GuestEvent::ReleasesDevice { alias };
            if script.releases_devices && !inner.agenda.holds(&self.name, &release) {
                inner.agenda.enter(Instant::now(), &self.name, release);
            }
        }
        self.hypervisor.drive();
        Ok(())
    }

    async fn update_device(&self, device: &Device, scope: Scope) -> Result<()> {
        self.with(|machine| {
            changeable(machine, scope)?;
            if let (Scope::LiveAndConfig, Device::Disk(disk)) = (scope, device) {
                let target = disk.target.dev.as_deref();
                if !machine.inactive.devices.disks.iter().any(|disk| disk.target.dev.as_deref() == target) {
                    let target = target.unwrap_or_default();
                    return Err(HypervisorError::new(ErrorCode::INVALID_ARG, format_args!("target {target} doesn't exist.")));
                }
            }
            update_device(Arc::make_mut(&mut machine.live), device)?;
            if scope == Scope::LiveAndConfig {
                update_device(Arc::make_mut(&mut machine.inactive), device)?;
            }
            Ok(())
        })
    }

    async fn set_vcpus(&self, count: u32) -> Result<()> {
        self.with(|machine| {
            if count == 0 {
                return Err(HypervisorError::new(ErrorCode::INVALID_ARG, "nvcpus in virDomainSetVcpusFlags must not be zero"));
            }
            changeable(machine, Scope::LiveAndConfig)?;
            let maximum = machine.live.vcpu.as_ref().map_or(1, |vcpu| vcpu.count);
            if count > maximum {
                return Err(HypervisorError::new(
                    ErrorCode::INVALID_ARG,
                    format_args!("requested vcpus is greater than max allowable vcpus for the live domain: {count} > {maximum}"),
                ));
            }
            for description in [&mut machine.live, &mut machine.inactive] {
                Arc::make_mut(description).vcpu.get_or_insert_default().current = Some(count);
            }
            Ok(())
        })
    }

    async fn block_resize(&self, path: &str, bytes: u64) -> Result<()> {
        self.with(|machine| {
            if machine.guest.is_none() {
                return Err(not_running());
            }
            let live = Arc::make_mut(&mut machine.live);
            match live.devices.disks.iter_mut().find(|disk| disk.source.path() == Some(path)) {
                Some(disk) => {
                    disk.capacity = Some(bytes);
                    Ok(())
                }
                None => Err(HypervisorError::new(ErrorCode::INVALID_ARG, format_args!("invalid path: {path}"))),
            }
        })
    }

    async fn disk_errors(&self) -> Result<Vec<DiskError>> {
        self.with_guest(|guest, live| {
            let target = live.devices.disks.first().and_then(|disk| disk.target.dev.clone());
            Ok(match (guest.out_of_space, target) {
                (Some(_), Some(target)) => vec![DiskError { target, no_space: true }],
                (None, _) | (_, None) => Vec::new(),
            })
        })
    }

    async fn job_info(&self) -> Result<JobInfo> {
        self.with_guest(|_, _| Ok(JobInfo { operation: None, elapsed_ms: 0 }))
    }

    async fn abort_job(&self) -> Result<()> {
        self.with_guest(|_, _| Err(HypervisorError::new(ErrorCode::OPERATION_INVALID, "no job is active on the domain")))
    }

    async fn dirty_rate(&self, seconds: u32) -> Result<DirtyRate> {
        self.with_guest(|_, _| Ok(()))?;
        if !(1..=60).contains(&seconds) {
            return Err(HypervisorError::new(
                ErrorCode::CONFIG_UNSUPPORTED,
                format_args!("seconds={seconds} is invalid, please choose value within [1, 60]."),
            ));
        }
        tokio::time::sleep(Duration::from_secs(u64::from(seconds))).await;
        self.with_guest(|_, _| Ok(DirtyRate { mib_per_second: 0, period_seconds: seconds }))
    }

    async fn agent_command(&self, command: &str) -> Result<String> {
        let (now, host) = (Instant::now(), self.host());
        self.with_agent(|guest, live| guest.agent.answer(command, &Surroundings { host, domain: live, now }))
    }

    async fn guest_info(&self) -> Result<GuestInfo> {
        let (now, host) = (Instant::now(), self.host());
        self.with_agent(|_, live| Ok(agent::guest_info(&Surroundings { host, domain: live, now })))
    }

    async fn fs_freeze(&self) -> Result<u32> {
        self.with_agent(|guest, _| guest.agent.freeze(1))
    }

    async fn fs_thaw(&self) -> Result<u32> {
        self.with_agent(|guest, _| Ok(guest.agent.thaw(1)))
    }

    async fn set_time(&self, seconds: i64, nanoseconds: u32) -> Result<()> {
        self.with_agent(|guest, _| {
            guest.agent.set_time(seconds, nanoseconds, Instant::now());
            Ok(())
        })
    }

    async fn set_user_password(&self, user: &str, password: &str) -> Result<()> {
        self.with_agent(|guest, _| {
            guest.agent.passwords.insert(user.to_owned(), password.to_owned());
            Ok(())
        })
    }

    async fn set_authorized_ssh_keys(&self, user: &str, keys: &[String]) -> Result<()> {
        self.with_agent(|guest, _| {
            guest.agent.keys.insert(user.to_owned(), keys.to_vec());
            Ok(())
        })
    }

    async fn screenshot(&self) -> Result<Screenshot> {
        self.with_guest(|guest, live| {
            if live.devices.videos.is_empty() {
                return Err(no_screen());
            }
            Ok(Screenshot { mime: "image/x-portable-pixmap".to_owned(), data: screen(self.host(), guest.phase).pixmap() })
        })
    }

    async fn console(&self) -> Result<BoxGuestStream> {
        let output = self.with_guest(|guest, _| Ok(guest.console.connect()))?;
        let (client, server) = tokio::io::duplex(STREAM_BUFFER);
        let (hypervisor, name) = (self.hypervisor.clone(), self.name.clone());
        tokio::spawn(console::serve(server, output, move |typed| {
            let now = Instant::now();
            {
                let mut inner = hypervisor.shared.lock();
                let guest = inner.domains.get_mut(&*name).and_then(|machine| machine.guest.as_mut());
                for order in guest.map(|guest| guest.console.input(typed)).unwrap_or_default() {
                    let event = match order {
                        Order::PowerOff => GuestEvent::PowersOff,
                        Order::Reboot => GuestEvent::Reboots,
                    };
                    inner.agenda.enter(now, &name, event);
                }
            }
            hypervisor.drive();
        }));
        Ok(Box::new(client))
    }

    async fn framebuffer(&self) -> Result<BoxGuestStream> {
        self.with_guest(|_, live| if live.devices.graphics.is_empty() { Err(no_screen()) } else { Ok(()) })?;
        let (client, server) = tokio::io::duplex(STREAM_BUFFER);
        let (hypervisor, name) = (self.hypervisor.clone(), self.name.clone());
        let title = self.host().to_owned();
        let host = title.clone();
        let shown = move || {
            let inner = hypervisor.shared.lock();
            let phase = inner.domains.get(&*name).and_then(|machine| machine.guest.as_ref()).map_or(Phase::Off, |guest| guest.phase);
            screen(&host, phase)
        };
        tokio::spawn(async move {
            // Ends when the client goes; there is nobody left to tell.
            let _ = rfb::serve(server, title, shown).await;
        });
        Ok(Box::new(client))
    }

    /// The guest's USB host sends back what the device says.
    async fn usb_redirection(&self, slot: u32) -> Result<BoxGuestStream> {
        self.with_guest(|_, live| {
            let slots = live.devices.redirdevs.len();
            if usize::try_from(slot).is_ok_and(|slot| slot < slots) { Ok(()) } else { Err(invalid(format!("no USB redirection {slot}"))) }
        })?;
        Ok(answering(PortScript::Echo))
    }

    /// What answers at a port of the guest's network answers at the same port here.
    async fn vsock(&self, port: u32) -> Result<BoxGuestStream> {
        self.with_guest(|_, live| if live.devices.vsock.is_some() { Ok(()) } else { Err(invalid("no vsock device")) })?;
        let stream = u16::try_from(port).ok().and_then(|port| self.hypervisor.dial(&self.name, port));
        stream.ok_or_else(|| invalid(format!("vsock port {port}: connection reset by peer")))
    }

    async fn sev_measurement(&self) -> Result<SevMeasurement> {
        self.with_guest(|_, live| {
            let encrypted = live.launch_security.as_ref().is_some_and(|security| security.kind == "sev");
            if !encrypted {
                return Err(invalid("launch security is not enabled"));
            }
            let measurement = BASE64_STANDARD.encode(&live.name);
            Ok(SevMeasurement { measurement, api_major: 1, api_minor: 55, build_id: 21, policy: 1, ..SevMeasurement::default() })
        })
    }

    async fn inject_sev_secret(&self, _header: &str, _secret: &str) -> Result<()> {
        self.with(|machine| match machine.record.state {
            DomainState::Paused(_) => Ok(()),
            _ => Err(invalid("domain must be in a paused state")),
        })
    }
}

fn invalid(why: impl std::fmt::Display) -> HypervisorError {
    HypervisorError::new(ErrorCode::OPERATION_INVALID, why)
}

fn no_screen() -> HypervisorError {
    HypervisorError::new(ErrorCode::OPERATION_INVALID, "no screens to take screenshot from")
}

/// What the screen shows: who the guest is and what it does; grey while booting, blue when up, black when off.
fn screen(host: &str, phase: Phase) -> Screen {
    let (ground, state) = match phase {
        Phase::Booting => (0x0080_8080, "booting"),
        Phase::Up => (0x0020_4080, "running"),
        Phase::PoweringOff => (0x0020_4080, "powering off"),
        Phase::Off => (0, "off"),
    };
    Screen { ground, lines: vec![host.to_owned(), state.to_owned()] }
}

/// What the host measures of an active domain: a quiet guest that has all its processors a tenth of the time.
pub(crate) fn stats(name: &str, machine: &Machine, now: Instant) -> Option<DomainStats> {
    let guest = machine.guest.as_ref()?;
    let live = &machine.live;
    let lived = u64::try_from(now.saturating_duration_since(guest.started).as_nanos()).unwrap_or(u64::MAX);
    let vcpus = live.vcpu.as_ref().map_or(1, |vcpu| vcpu.current.unwrap_or(vcpu.count)).max(1);
    let used = lived / 10;
    let memory = live.current_memory.as_ref().unwrap_or(&live.memory).to_bytes().unwrap_or_default() / 1024;
    Some(DomainStats {
        name: name.to_owned(),
        uuid: machine.uuid.to_string(),
        cpu: CpuStats { time: used * u64::from(vcpus), user: used / 2, system: used / 4 },
        memory: MemoryStats {
            actual_balloon: memory,
            unused: memory / 2,
            available: memory,
            usable: memory / 2,
            cached: memory / 8,
            rss: memory / 2,
            ..MemoryStats::default()
        },
        vcpus: (0..vcpus).map(|_| VcpuStats { state: VcpuState::Running, time: used, wait: 0, delay: 0 }).collect(),
        net: live
            .devices
            .interfaces
            .iter()
            .enumerate()
            .map(|(index, nic)| NetStats {
                name: nic.target.as_ref().map_or_else(|| format!("tap{index}"), |target| target.dev.clone()),
                ..NetStats::default()
            })
            .collect(),
        block: live
            .devices
            .disks
            .iter()
            .map(|disk| BlockStats {
                name: disk.target.dev.clone().unwrap_or_default(),
                path: disk.source.path().unwrap_or_default().to_owned(),
                capacity: disk.capacity.unwrap_or_default(),
                ..BlockStats::default()
            })
            .collect(),
    })
}

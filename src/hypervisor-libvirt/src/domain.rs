//! The handle of a domain.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hypervisor::{
    BoxGuestStream, Device, DirtyRate, DiskError, Domain, DomainState, ErrorCode, GuestInfo, HypervisorError, JobInfo, RebootMode, Result,
    Scope, Screenshot, StartMode, View,
};
use tokio::net::UnixStream;

use crate::connection::Shared;
use crate::guest;
use crate::sys::{self, AttachFlags, Connection, DomainXml};

/// Between two looks at a measurement of the dirty rate, and how many looks it gets beyond its time (hypervisor.md §2.2).
const MEASURING: (Duration, u32) = (Duration::from_millis(100), 10);

/// libvirt's number of a measurement that is done (`virDomainDirtyRateStatus`).
const MEASURED: u64 = 2;

/// One domain by name and UUID. libvirt is asked for it at each call, so that the handle outlives connections.
pub(crate) struct LibvirtDomain {
    shared: Arc<Shared>,
    name: String,
    uuid: String,
}

impl LibvirtDomain {
    pub(crate) fn new(shared: Arc<Shared>, name: String, uuid: String) -> Self {
        Self { shared, name, uuid }
    }

    async fn call<T: Send + 'static>(&self, call: impl FnOnce(&Connection, &sys::Domain) -> Result<T> + Send + 'static) -> Result<T> {
        let (name, uuid) = (self.name.clone(), self.uuid.clone());
        self.shared
            .call(move |connection| {
                let domain = connection.lookup(&name)?;
                if domain.uuid()? != uuid {
                    return Err(HypervisorError::no_domain(&name));
                }
                call(connection, &domain)
            })
            .await
    }

    async fn act(&self, call: impl FnOnce(&sys::Domain) -> Result<()> + Send + 'static) -> Result<()> {
        self.call(move |_, domain| call(domain)).await
    }

    /// The running domain's description.
    async fn live(&self) -> Result<domain::Domain> {
        let (state, xml) = self.call(|_, domain| Ok((domain.state()?, domain.xml(DomainXml::Live)?))).await?;
        if DomainState::from_numbers(state.0, state.1).is_some_and(DomainState::is_active) {
            parse(&xml)
        } else {
            Err(HypervisorError::new(ErrorCode::OPERATION_INVALID, "domain is not running"))
        }
    }
}

fn parse(xml: &str) -> Result<domain::Domain> {
    domain::Domain::from_xml(xml).map_err(|error| HypervisorError::new(ErrorCode::XML_ERROR, error))
}

fn element(device: &Device) -> String {
    match device {
        Device::Disk(disk) => disk.to_xml(),
        Device::Interface(interface) => interface.to_xml(),
        Device::HostDevice(host_device) => host_device.to_xml(),
        Device::Memory(memory) => memory.to_xml(),
    }
}

fn flags(scope: Scope) -> AttachFlags {
    match scope {
        Scope::Live => AttachFlags::Live,
        Scope::LiveAndConfig => AttachFlags::LiveAndConfig,
    }
}

async fn dial(path: PathBuf) -> Result<BoxGuestStream> {
    match UnixStream::connect(&path).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => {
            Err(HypervisorError::new(ErrorCode::SYSTEM_ERROR, format_args!("Failed to connect socket to '{}': {error}", path.display())))
        }
    }
}

#[async_trait]
impl Domain for LibvirtDomain {
    fn name(&self) -> &str {
        &self.name
    }

    fn uuid(&self) -> &str {
        &self.uuid
    }

    async fn create(&self, mode: StartMode) -> Result<()> {
        self.act(move |domain| domain.create(mode == StartMode::Paused)).await
    }

    async fn shutdown(&self) -> Result<()> {
        self.act(sys::Domain::shutdown).await
    }

    async fn destroy(&self) -> Result<()> {
        self.act(sys::Domain::destroy).await
    }

    async fn suspend(&self) -> Result<()> {
        self.act(sys::Domain::suspend).await
    }

    async fn resume(&self) -> Result<()> {
        self.act(sys::Domain::resume).await
    }

    async fn reset(&self) -> Result<()> {
        self.act(sys::Domain::reset).await
    }

    async fn reboot(&self, mode: RebootMode) -> Result<()> {
        self.act(move |domain| match mode {
            RebootMode::AcpiPowerButton => domain.reboot_by_button(),
            RebootMode::GuestAgent => domain.reboot_by_agent(),
        })
        .await
    }

    async fn undefine(&self) -> Result<()> {
        self.act(sys::Domain::undefine).await
    }

    async fn state(&self) -> Result<DomainState> {
        let (state, reason) = self.call(|_, domain| domain.state()).await?;
        DomainState::from_numbers(state, reason)
            .ok_or_else(|| HypervisorError::new(ErrorCode::INTERNAL_ERROR, format_args!("unknown state {state} of the domain")))
    }

    async fn description(&self, view: View) -> Result<Arc<domain::Domain>> {
        let which = match view {
            View::Live => DomainXml::Live,
            View::Inactive => DomainXml::Inactive,
        };
        let xml = self.call(move |_, domain| domain.xml(which)).await?;
        parse(&xml).map(Arc::new)
    }

    async fn attach_device(&self, device: &Device, scope: Scope) -> Result<()> {
        let xml = element(device);
        self.act(move |domain| domain.attach(&xml, flags(scope))).await
    }

    async fn detach_device(&self, device: &Device, scope: Scope) -> Result<()> {
        let xml = element(device);
        self.act(move |domain| domain.detach(&xml, flags(scope))).await
    }

    async fn update_device(&self, device: &Device, scope: Scope) -> Result<()> {
        let xml = element(device);
        self.act(move |domain| domain.update(&xml, flags(scope))).await
    }

    async fn set_vcpus(&self, count: u32) -> Result<()> {
        self.act(move |domain| domain.set_vcpus(count)).await
    }

    async fn block_resize(&self, path: &str, bytes: u64) -> Result<()> {
        let path = path.to_owned();
        self.act(move |domain| domain.block_resize(&path, bytes)).await
    }

    async fn disk_errors(&self) -> Result<Vec<DiskError>> {
        self.call(|_, domain| domain.disk_errors()).await
    }

    async fn job_info(&self) -> Result<JobInfo> {
        let job = self.call(|_, domain| domain.job()).await?;
        Ok(job.map_or(JobInfo { operation: None, elapsed_ms: 0 }, |params| JobInfo {
            operation: params.number("operation").and_then(sys::operation),
            elapsed_ms: params.number("time_elapsed").unwrap_or_default(),
        }))
    }

    async fn abort_job(&self) -> Result<()> {
        self.act(sys::Domain::abort_job).await
    }

    async fn dirty_rate(&self, seconds: u32) -> Result<DirtyRate> {
        self.act(move |domain| domain.start_dirty_rate(seconds)).await?;
        tokio::time::sleep(Duration::from_secs(u64::from(seconds))).await;
        for _ in 0..MEASURING.1 {
            let params = self.call(|_, domain| domain.dirty_rate()).await?;
            if params.number("dirtyrate.calc_status") == Some(MEASURED) {
                return Ok(DirtyRate {
                    mib_per_second: params.number("dirtyrate.megabytes_per_second").unwrap_or_default(),
                    period_seconds: params.number("dirtyrate.calc_period").and_then(|s| u32::try_from(s).ok()).unwrap_or(seconds),
                });
            }
            tokio::time::sleep(MEASURING.0).await;
        }
        Err(HypervisorError::new(ErrorCode::OPERATION_TIMEOUT, "the dirty rate was not measured"))
    }

    async fn agent_command(&self, command: &str) -> Result<String> {
        let command = command.to_owned();
        self.call(move |_, domain| domain.agent_command(&command)).await
    }

    async fn guest_info(&self) -> Result<GuestInfo> {
        let params = self.call(|_, domain| domain.guest_info()).await?;
        Ok(guest::read(&params))
    }

    async fn fs_freeze(&self) -> Result<u32> {
        self.call(|_, domain| domain.fs_freeze()).await
    }

    async fn fs_thaw(&self) -> Result<u32> {
        self.call(|_, domain| domain.fs_thaw()).await
    }

    async fn set_time(&self, seconds: i64, nanoseconds: u32) -> Result<()> {
        self.act(move |domain| domain.set_time(seconds, nanoseconds)).await
    }

    async fn set_user_password(&self, user: &str, password: &str) -> Result<()> {
        let (user, password) = (user.to_owned(), password.to_owned());
        self.act(move |domain| domain.set_user_password(&user, &password)).await
    }

    async fn set_authorized_ssh_keys(&self, user: &str, keys: &[String]) -> Result<()> {
        let (user, keys) = (user.to_owned(), keys.to_vec());
        self.act(move |domain| domain.set_authorized_ssh_keys(&user, &keys)).await
    }

    async fn screenshot(&self) -> Result<Screenshot> {
        let (mime, data) = self.call(|connection, domain| connection.screenshot(domain)).await?;
        Ok(Screenshot { mime, data })
    }

    async fn console(&self) -> Result<BoxGuestStream> {
        let live = self.live().await?;
        let socket = live.devices.serials.first().filter(|serial| serial.kind == "unix");
        let path = socket.and_then(|serial| serial.source.as_ref()?.path.clone());
        match path {
            Some(path) => dial(path.into()).await,
            None => Err(HypervisorError::new(ErrorCode::INTERNAL_ERROR, "cannot find character device <null>")),
        }
    }

    async fn framebuffer(&self) -> Result<BoxGuestStream> {
        let live = self.live().await?;
        let display = live.devices.graphics.iter().find(|graphics| graphics.kind == "vnc");
        let path = display.and_then(|graphics| {
            let listens = graphics.listen.as_ref().filter(|listen| listen.kind == "socket");
            listens.and_then(|listen| listen.socket.clone()).or_else(|| graphics.socket.clone())
        });
        match path {
            Some(path) => dial(path.into()).await,
            None => Err(HypervisorError::new(ErrorCode::INTERNAL_ERROR, "No graphics backend with index 0")),
        }
    }
}

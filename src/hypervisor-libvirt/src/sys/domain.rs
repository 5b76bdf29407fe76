//! A domain of libvirt's.

use std::ffi::{c_char, c_int, c_uint};
use std::ptr::{NonNull, null_mut};

use hypervisor::{DiskError, ErrorCode, HypervisorError, Result};
use virt_sys::{virDomain, virDomainDiskError, virDomainPtr, virDomainStatsRecordPtr, virStreamPtr, virTypedParameterPtr};

use super::connection::stats_records;
use super::params::Params;
use super::text::{argument, borrowed, checked, last_error, owned};

/// A reference to a domain.
pub(crate) struct Domain(NonNull<virDomain>);

// SAFETY: libvirt's domains may be used and freed from any thread.
unsafe impl Send for Domain {}
// SAFETY: libvirt locks its domains.
unsafe impl Sync for Domain {}

/// Which of a domain's descriptions.
#[derive(Clone, Copy)]
pub(crate) enum DomainXml {
    /// The running domain's, else the configuration.
    Live,
    /// The configuration of the next start.
    Inactive,
}

/// What a device change applies to.
#[derive(Clone, Copy)]
pub(crate) enum AttachFlags {
    /// The running domain.
    Live,
    /// The running domain and its configuration.
    LiveAndConfig,
}

impl AttachFlags {
    fn bits(self) -> c_uint {
        let live = virt_sys::VIR_DOMAIN_AFFECT_LIVE;
        match self {
            Self::Live => live,
            Self::LiveAndConfig => live | virt_sys::VIR_DOMAIN_AFFECT_CONFIG,
        }
    }
}

/// A call that takes nothing but the domain.
macro_rules! plain {
    ($($(#[$meta:meta])* $name:ident = $function:ident($($argument:expr),*);)+) => { $(
        $(#[$meta])*
        pub(crate) fn $name(&self) -> Result<()> {
            // SAFETY: the domain is alive.
            checked(unsafe { virt_sys::$function(self.as_ptr() $(, $argument)*) }).map(drop)
        }
    )+ };
}

impl Domain {
    /// Takes over a reference that libvirt made for the caller; null means that the call failed.
    ///
    /// # Safety
    /// `pointer` is null, or a reference that nobody else gives back.
    pub(super) unsafe fn from_new(pointer: virDomainPtr) -> Result<Self> {
        NonNull::new(pointer).map(Self).ok_or_else(last_error)
    }

    pub(super) fn as_ptr(&self) -> virDomainPtr {
        self.0.as_ptr()
    }

    pub(crate) fn name(&self) -> String {
        // SAFETY: the domain is alive, and so is its name.
        unsafe { borrowed(virt_sys::virDomainGetName(self.as_ptr())) }.unwrap_or_default()
    }

    pub(crate) fn uuid(&self) -> Result<String> {
        let mut uuid: [c_char; virt_sys::VIR_UUID_STRING_BUFLEN as usize] = [0; virt_sys::VIR_UUID_STRING_BUFLEN as usize];
        // SAFETY: the domain is alive, the buffer as long as libvirt wants it.
        checked(unsafe { virt_sys::virDomainGetUUIDString(self.as_ptr(), uuid.as_mut_ptr()) })?;
        // SAFETY: libvirt ended it with a NUL.
        Ok(unsafe { borrowed(uuid.as_ptr()) }.unwrap_or_default())
    }

    /// The numbers of state and reason.
    pub(crate) fn state(&self) -> Result<(i32, i32)> {
        let (mut state, mut reason) = (0, 0);
        // SAFETY: the domain is alive, the numbers are ours.
        checked(unsafe { virt_sys::virDomainGetState(self.as_ptr(), &raw mut state, &raw mut reason, 0) })?;
        Ok((state, reason))
    }

    pub(crate) fn create(&self, paused: bool) -> Result<()> {
        let flags = if paused { virt_sys::VIR_DOMAIN_START_PAUSED } else { virt_sys::VIR_DOMAIN_NONE };
        // SAFETY: the domain is alive.
        checked(unsafe { virt_sys::virDomainCreateWithFlags(self.as_ptr(), flags) }).map(drop)
    }

    plain! {
        shutdown = virDomainShutdownFlags(virt_sys::VIR_DOMAIN_SHUTDOWN_DEFAULT);
        /// By a signal that lets the process flush.
        destroy = virDomainDestroyFlags(virt_sys::VIR_DOMAIN_DESTROY_GRACEFUL);
        suspend = virDomainSuspend();
        resume = virDomainResume();
        reset = virDomainReset(0);
        reboot_by_button = virDomainReboot(virt_sys::VIR_DOMAIN_REBOOT_ACPI_POWER_BTN);
        reboot_by_agent = virDomainReboot(virt_sys::VIR_DOMAIN_REBOOT_GUEST_AGENT);
        /// Keeps the NVRAM, forgets checkpoints.
        undefine = virDomainUndefineFlags(virt_sys::VIR_DOMAIN_UNDEFINE_KEEP_NVRAM | virt_sys::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA);
        abort_job = virDomainAbortJob();
    }

    pub(crate) fn xml(&self, which: DomainXml) -> Result<String> {
        let flags = match which {
            DomainXml::Live => 0,
            DomainXml::Inactive => virt_sys::VIR_DOMAIN_XML_INACTIVE,
        };
        // SAFETY: the domain is alive; the answer is for the caller to free.
        unsafe { owned(virt_sys::virDomainGetXMLDesc(self.as_ptr(), flags)) }
    }

    pub(crate) fn attach(&self, xml: &str, flags: AttachFlags) -> Result<()> {
        let xml = argument(xml)?;
        // SAFETY: the domain is alive, the string lives during the call.
        checked(unsafe { virt_sys::virDomainAttachDeviceFlags(self.as_ptr(), xml.as_ptr(), flags.bits()) }).map(drop)
    }

    pub(crate) fn detach(&self, xml: &str, flags: AttachFlags) -> Result<()> {
        let xml = argument(xml)?;
        // SAFETY: the domain is alive, the string lives during the call.
        checked(unsafe { virt_sys::virDomainDetachDeviceFlags(self.as_ptr(), xml.as_ptr(), flags.bits()) }).map(drop)
    }

    pub(crate) fn update(&self, xml: &str, flags: AttachFlags) -> Result<()> {
        let xml = argument(xml)?;
        // SAFETY: the domain is alive, the string lives during the call.
        checked(unsafe { virt_sys::virDomainUpdateDeviceFlags(self.as_ptr(), xml.as_ptr(), flags.bits()) }).map(drop)
    }

    pub(crate) fn set_vcpus(&self, count: u32) -> Result<()> {
        // SAFETY: the domain is alive.
        checked(unsafe { virt_sys::virDomainSetVcpusFlags(self.as_ptr(), count, AttachFlags::LiveAndConfig.bits()) }).map(drop)
    }

    pub(crate) fn block_resize(&self, path: &str, bytes: u64) -> Result<()> {
        let path = argument(path)?;
        // SAFETY: the domain is alive, the string lives during the call.
        checked(unsafe { virt_sys::virDomainBlockResize(self.as_ptr(), path.as_ptr(), bytes, virt_sys::VIR_DOMAIN_BLOCK_RESIZE_BYTES) })
            .map(drop)
    }

    pub(crate) fn disk_errors(&self) -> Result<Vec<DiskError>> {
        // SAFETY: the domain is alive; without an array libvirt answers how many there can be.
        let most = checked(unsafe { virt_sys::virDomainGetDiskErrors(self.as_ptr(), null_mut(), 0, 0) })?;
        let empty = virDomainDiskError { disk: null_mut(), error: 0 };
        let mut errors = vec![empty; usize::try_from(most).unwrap_or(0)];
        if errors.is_empty() {
            return Ok(Vec::new());
        }
        // SAFETY: the domain is alive, the array ours and as long as said.
        let count = checked(unsafe { virt_sys::virDomainGetDiskErrors(self.as_ptr(), errors.as_mut_ptr(), most, 0) })?;
        let filled = errors.iter().take(usize::try_from(count).unwrap_or(0));
        Ok(filled
            .filter_map(|error| {
                // SAFETY: a name libvirt allocated for the caller, used once.
                let target = unsafe { owned(error.disk) }.ok()?;
                Some(DiskError { target, no_space: c_uint::try_from(error.error) == Ok(virt_sys::VIR_DOMAIN_DISK_ERROR_NO_SPACE) })
            })
            .collect())
    }

    /// What the domain is busy with: nothing when it is not.
    pub(crate) fn job(&self) -> Result<Option<Params>> {
        let mut kind: c_int = 0;
        let params = params_of(|params, count| {
            // SAFETY: the domain is alive, the numbers and pointers are the caller's.
            unsafe { virt_sys::virDomainGetJobStats(self.as_ptr(), &raw mut kind, params, count, 0) }
        })?;
        Ok((c_uint::try_from(kind) != Ok(virt_sys::VIR_DOMAIN_JOB_NONE)).then_some(params))
    }

    pub(crate) fn start_dirty_rate(&self, seconds: u32) -> Result<()> {
        let seconds = c_int::try_from(seconds)
            .map_err(|_| HypervisorError::new(ErrorCode::INVALID_ARG, format_args!("{seconds} seconds are too many")))?;
        // SAFETY: the domain is alive.
        checked(unsafe { virt_sys::virDomainStartDirtyRateCalc(self.as_ptr(), seconds, 0) }).map(drop)
    }

    /// Statistics of the dirty rate: state, period and rate.
    pub(crate) fn dirty_rate(&self) -> Result<Params> {
        let mut domains = [self.as_ptr(), null_mut()];
        let mut array: *mut virDomainStatsRecordPtr = null_mut();
        // SAFETY: the domains' array ends with null and lives during the call; libvirt sets the other one.
        let count = checked(unsafe {
            virt_sys::virDomainListGetStats(domains.as_mut_ptr(), virt_sys::VIR_DOMAIN_STATS_DIRTYRATE, &raw mut array, 0)
        })?;
        // SAFETY: libvirt's array of so many records, alive until it is freed below.
        let records = unsafe { stats_records(array, count) };
        // SAFETY: the array belongs to the caller and is not used any more; null is fine.
        unsafe { virt_sys::virDomainStatsRecordListFree(array) };
        Ok(records.into_iter().next().map(|record| record.params).unwrap_or_default())
    }

    /// Sends the agent a command, and waits for its answer as long as libvirt finds proper.
    pub(crate) fn agent_command(&self, command: &str) -> Result<String> {
        let command = argument(command)?;
        let timeout = virt_sys::VIR_DOMAIN_QEMU_AGENT_COMMAND_DEFAULT;
        // SAFETY: the domain is alive, the string lives during the call; the answer is for the caller to free.
        unsafe { owned(virt_sys::virDomainQemuAgentCommand(self.as_ptr(), command.as_ptr(), timeout, 0)) }
    }

    /// Everything the agent knows about the guest.
    pub(crate) fn guest_info(&self) -> Result<Params> {
        params_of(|params, count| {
            // SAFETY: the domain is alive, number and pointer are the caller's.
            unsafe { virt_sys::virDomainGetGuestInfo(self.as_ptr(), 0, params, count, 0) }
        })
    }

    pub(crate) fn fs_freeze(&self) -> Result<u32> {
        // SAFETY: the domain is alive; no mount points stand for all.
        checked(unsafe { virt_sys::virDomainFSFreeze(self.as_ptr(), null_mut(), 0, 0) })
    }

    pub(crate) fn fs_thaw(&self) -> Result<u32> {
        // SAFETY: the domain is alive; no mount points stand for all.
        checked(unsafe { virt_sys::virDomainFSThaw(self.as_ptr(), null_mut(), 0, 0) })
    }

    pub(crate) fn set_time(&self, seconds: i64, nanoseconds: u32) -> Result<()> {
        // SAFETY: the domain is alive.
        checked(unsafe { virt_sys::virDomainSetTime(self.as_ptr(), seconds, nanoseconds, 0) }).map(drop)
    }

    pub(crate) fn set_user_password(&self, user: &str, password: &str) -> Result<()> {
        let (user, password) = (argument(user)?, argument(password)?);
        // SAFETY: the domain is alive, the strings live during the call.
        checked(unsafe { virt_sys::virDomainSetUserPassword(self.as_ptr(), user.as_ptr(), password.as_ptr(), 0) }).map(drop)
    }

    pub(crate) fn set_authorized_ssh_keys(&self, user: &str, keys: &[String]) -> Result<()> {
        let user = argument(user)?;
        let keys = keys.iter().map(|key| argument(key)).collect::<Result<Vec<_>>>()?;
        let mut pointers: Vec<*const c_char> = keys.iter().map(|key| key.as_ptr()).collect();
        let count = c_uint::try_from(pointers.len()).unwrap_or(c_uint::MAX);
        // SAFETY: the domain is alive, strings and array live during the call.
        let answer = unsafe { virt_sys::virDomainAuthorizedSSHKeysSet(self.as_ptr(), user.as_ptr(), pointers.as_mut_ptr(), count, 0) };
        checked(answer).map(drop)
    }

    /// Sends a picture of the first screen into a stream; its type.
    pub(super) fn screenshot_to(&self, stream: virStreamPtr) -> Result<String> {
        // SAFETY: domain and stream are alive; the answer is for the caller to free.
        unsafe { owned(virt_sys::virDomainScreenshot(self.as_ptr(), stream, 0, 0)) }
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        // SAFETY: our reference, not used any more.
        unsafe { virt_sys::virDomainFree(self.as_ptr()) };
    }
}

/// Typed parameters that a call allocates for the caller.
fn params_of(call: impl FnOnce(*mut virTypedParameterPtr, *mut c_int) -> c_int) -> Result<Params> {
    let (mut array, mut count): (virTypedParameterPtr, c_int) = (null_mut(), 0);
    checked(call(&raw mut array, &raw mut count))?;
    // SAFETY: libvirt's array of so many parameters.
    let params = unsafe { Params::copied(array, count) };
    // SAFETY: the array belongs to the caller and is not used any more; null is fine.
    unsafe { virt_sys::virTypedParamsFree(array, count) };
    Ok(params)
}

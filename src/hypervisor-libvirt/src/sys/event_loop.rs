//! libvirt's event loop: one thread a process, which all connections share.

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use hypervisor::{ErrorCode, HypervisorError, Result};

use super::text::{checked, last_error};

static STARTED: OnceLock<Result<()>> = OnceLock::new();

/// How long the loop rests after a failed round, so that a broken loop does not eat a processor.
const REST: Duration = Duration::from_millis(100);

extern "C" fn silent(_data: *mut std::ffi::c_void, _error: virt_sys::virErrorPtr) {}

/// Sees to it that the loop runs; libvirt wants that before the first connection.
///
/// # Errors
/// libvirt's, or that no thread could be had; the answer is the same ever after.
pub(super) fn ensure() -> Result<()> {
    STARTED.get_or_init(start).clone()
}

fn start() -> Result<()> {
    // SAFETY: takes nothing, may be called more than once.
    checked(unsafe { virt_sys::virInitialize() })?;
    // SAFETY: the handler takes any argument, and lives as long as the program. Without one libvirt prints every error.
    unsafe { virt_sys::virSetErrorFunc(std::ptr::null_mut(), Some(silent)) };
    // SAFETY: called once, by way of the `OnceLock`, before any connection is opened.
    checked(unsafe { virt_sys::virEventRegisterDefaultImpl() })?;
    let run = || {
        loop {
            // SAFETY: the default implementation is registered, and only this thread runs it.
            if unsafe { virt_sys::virEventRunDefaultImpl() } < 0 {
                tracing::error!(error = %last_error(), "libvirt's event loop");
                thread::park_timeout(REST);
            }
        }
    };
    let spawned = thread::Builder::new().name("libvirt-events".to_owned()).spawn(run);
    spawned
        .map(drop)
        .map_err(|error| HypervisorError::new(ErrorCode::SYSTEM_ERROR, format_args!("no thread for libvirt's events: {error}")))
}

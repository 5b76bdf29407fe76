//! libvirt's event callbacks, turned into values.

use std::ffi::{c_char, c_int, c_ulonglong, c_void};
use std::mem::transmute;

use hypervisor::{AgentState, DomainEvent, EventKind, JobOperation, JobOutcome, LifecycleEvent, Result};
use virt_sys::{
    VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
    VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE,
    virConnectDomainEventGenericCallback, virConnectPtr, virDomainEventID, virDomainPtr, virTypedParameterPtr,
};

use super::params::{Params, Value};
use super::text::{borrowed, checked};

/// Takes the events of a connection; called on the event loop's thread, must not block.
pub(crate) type Sink = std::sync::Arc<dyn Fn(DomainEvent) + Send + Sync>;

/// The prefix of aliases that users chose.
const USER_ALIAS: &str = "ua-";

type Generic = unsafe extern "C" fn(virConnectPtr, virDomainPtr, *mut c_void);

/// Registers every callback for all domains of a connection; the numbers to deregister them by.
///
/// # Safety
/// `connection` is a connection of libvirt's that is alive.
///
/// # Errors
/// libvirt's; what was registered until then goes with the connection.
pub(super) unsafe fn register(connection: virConnectPtr, sink: &Sink) -> Result<Vec<c_int>> {
    // SAFETY: libvirt's way: it calls the function as the one the event's number stands for, each written for its number here.
    // Function pointers have one representation.
    let callbacks: [(virDomainEventID, Generic); 6] = unsafe {
        [
            (
                VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                transmute::<unsafe extern "C" fn(virConnectPtr, virDomainPtr, c_int, c_int, *mut c_void) -> c_int, Generic>(lifecycle),
            ),
            (
                VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE,
                transmute::<unsafe extern "C" fn(virConnectPtr, virDomainPtr, c_int, c_int, *mut c_void), Generic>(agent),
            ),
            (
                VIR_DOMAIN_EVENT_ID_DEVICE_ADDED,
                transmute::<unsafe extern "C" fn(virConnectPtr, virDomainPtr, *const c_char, *mut c_void), Generic>(device_added),
            ),
            (
                VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
                transmute::<unsafe extern "C" fn(virConnectPtr, virDomainPtr, *const c_char, *mut c_void), Generic>(device_removed),
            ),
            (
                VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE,
                transmute::<unsafe extern "C" fn(virConnectPtr, virDomainPtr, *const c_char, c_ulonglong, *mut c_void), Generic>(
                    memory_size,
                ),
            ),
            (
                VIR_DOMAIN_EVENT_ID_JOB_COMPLETED,
                transmute::<unsafe extern "C" fn(virConnectPtr, virDomainPtr, virTypedParameterPtr, c_int, *mut c_void), Generic>(
                    job_completed,
                ),
            ),
        ]
    };
    let mut registered = Vec::with_capacity(callbacks.len());
    for (id, callback) in callbacks {
        let callback: virConnectDomainEventGenericCallback = Some(callback);
        let number = c_int::try_from(id).unwrap_or(c_int::MAX);
        let opaque = Box::into_raw(Box::new(sink.clone())).cast::<c_void>();
        // SAFETY: the connection is alive (the caller's promise); null stands for all domains; `opaque` is a boxed `Sink`, which
        // every callback takes it for, and which `forget` frees when libvirt is done with it.
        let answer =
            unsafe { virt_sys::virConnectDomainEventRegisterAny(connection, std::ptr::null_mut(), number, callback, opaque, Some(forget)) };
        match checked(answer) {
            Ok(_) => registered.push(answer),
            Err(error) => {
                // SAFETY: libvirt did not take it, so that nobody else has it.
                drop(unsafe { Box::from_raw(opaque.cast::<Sink>()) });
                return Err(error);
            }
        }
    }
    Ok(registered)
}

unsafe extern "C" fn forget(opaque: *mut c_void) {
    // SAFETY: made by `register` from a box; libvirt calls this once, after the last callback.
    drop(unsafe { Box::from_raw(opaque.cast::<Sink>()) });
}

/// Hands an event on.
///
/// # Safety
/// Called by libvirt with a domain that lives during the call, and with what `register` gave it.
unsafe fn deliver(domain: virDomainPtr, opaque: *mut c_void, kind: EventKind) {
    // SAFETY: the caller's promise: the domain is alive, its name is its own.
    let Some(name) = (unsafe { borrowed(virt_sys::virDomainGetName(domain)) }) else { return };
    // SAFETY: a boxed `Sink` that lives until `forget`.
    let sink = unsafe { &*opaque.cast::<Sink>() };
    sink(DomainEvent { domain: name, kind });
}

unsafe extern "C" fn lifecycle(_: virConnectPtr, domain: virDomainPtr, event: c_int, detail: c_int, opaque: *mut c_void) -> c_int {
    match LifecycleEvent::from_numbers(event, detail) {
        // SAFETY: called by libvirt.
        Some(event) => unsafe { deliver(domain, opaque, EventKind::Lifecycle(event)) },
        None => tracing::warn!(event, detail, "lifecycle event of an unknown kind"),
    }
    0
}

unsafe extern "C" fn agent(_: virConnectPtr, domain: virDomainPtr, state: c_int, _reason: c_int, opaque: *mut c_void) {
    if let Some(state) = AgentState::from_number(state) {
        // SAFETY: called by libvirt.
        unsafe { deliver(domain, opaque, EventKind::Agent(state)) };
    }
}

/// # Safety
/// `alias` is null or a string that lives during the call.
unsafe fn plain_alias(alias: *const c_char) -> String {
    // SAFETY: the caller's promise.
    let alias = unsafe { borrowed(alias) }.unwrap_or_default();
    // Of a memory device that came libvirt names QEMU's object, which has a prefix of its own.
    let device = alias.strip_prefix("mem").filter(|rest| rest.starts_with(USER_ALIAS)).unwrap_or(&alias);
    device.strip_prefix(USER_ALIAS).unwrap_or(device).to_owned()
}

unsafe extern "C" fn device_added(_: virConnectPtr, domain: virDomainPtr, alias: *const c_char, opaque: *mut c_void) {
    // SAFETY: called by libvirt with a string of its own.
    unsafe { deliver(domain, opaque, EventKind::DeviceAdded { alias: plain_alias(alias) }) };
}

unsafe extern "C" fn device_removed(_: virConnectPtr, domain: virDomainPtr, alias: *const c_char, opaque: *mut c_void) {
    // SAFETY: called by libvirt with a string of its own.
    unsafe { deliver(domain, opaque, EventKind::DeviceRemoved { alias: plain_alias(alias) }) };
}

unsafe extern "C" fn memory_size(_: virConnectPtr, domain: virDomainPtr, alias: *const c_char, kib: c_ulonglong, opaque: *mut c_void) {
    // SAFETY: called by libvirt with a string of its own.
    unsafe { deliver(domain, opaque, EventKind::MemoryDeviceSizeChange { alias: plain_alias(alias), bytes: kib.saturating_mul(1024) }) };
}

unsafe extern "C" fn job_completed(
    _: virConnectPtr,
    domain: virDomainPtr,
    params: virTypedParameterPtr,
    count: c_int,
    opaque: *mut c_void,
) {
    // SAFETY: called by libvirt with parameters of its own.
    let params = unsafe { Params::copied(params, count) };
    let Some(operation) = params.number("operation").and_then(operation) else { return };
    // SAFETY: called by libvirt.
    unsafe { deliver(domain, opaque, EventKind::JobCompleted { operation, outcome: outcome(&params) }) };
}

/// libvirt's `virDomainJobOperation`, as far as callers tell them apart.
pub(crate) fn operation(number: u64) -> Option<JobOperation> {
    Some(match number {
        1 => JobOperation::Start,
        4 => JobOperation::MigrationIn,
        5 => JobOperation::MigrationOut,
        8 => JobOperation::Dump,
        9 => JobOperation::Backup,
        _ => return None,
    })
}

/// libvirt says whether a job succeeded, and leaves an error's text; one that was called off says so there, or says nothing.
fn outcome(params: &Params) -> JobOutcome {
    match params.get("success") {
        Some(Value::Boolean(false)) => {
            let message = params.text("errmsg");
            let cancelled = message.is_empty() || message.contains("cancel") || message.contains("abort");
            if cancelled { JobOutcome::Cancelled } else { JobOutcome::Failed }
        }
        _ => JobOutcome::Completed,
    }
}

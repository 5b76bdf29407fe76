//! A connection to libvirt.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::{NonNull, null, null_mut};
use std::sync::Arc;

use hypervisor::Result;
use virt_sys::{virConnect, virConnectPtr, virDomainPtr, virDomainStatsRecord, virDomainStatsRecordPtr};

use super::domain::Domain;
use super::event_loop;
use super::events::{self, Sink};
use super::params::Params;
use super::text::{argument, borrowed, checked, last_error, owned, release};

/// Told once that a connection broke; called on the event loop's thread, must not block.
pub(crate) type OnClose = Arc<dyn Fn() + Send + Sync>;

/// Seconds between two signs of life, and how many may be missing before a daemon counts as dead.
const KEEPALIVE: (c_int, u32) = (5, 6);

/// An open connection whose events go to its sink. Closed when dropped.
pub(crate) struct Connection {
    pointer: NonNull<virConnect>,
    callbacks: Vec<c_int>,
    close_callback: bool,
}

// SAFETY: libvirt's connections may be used and closed from any thread.
unsafe impl Send for Connection {}
// SAFETY: libvirt locks its connections.
unsafe impl Sync for Connection {}

/// Statistics of one domain.
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) params: Params,
}

impl Connection {
    /// Connects, and registers for all events before anything else is asked.
    pub(crate) fn open(uri: &str, sink: &Sink, on_close: &OnClose) -> Result<Self> {
        event_loop::ensure()?;
        let uri = argument(uri)?;
        // SAFETY: libvirt is initialised; the string lives during the call.
        let pointer = unsafe { virt_sys::virConnectOpen(uri.as_ptr()) };
        let pointer = NonNull::new(pointer).ok_or_else(last_error)?;
        let mut connection = Self { pointer, callbacks: Vec::new(), close_callback: false };
        connection.watch(on_close);
        // SAFETY: the connection is alive.
        connection.callbacks = unsafe { events::register(connection.as_ptr(), sink) }?;
        Ok(connection)
    }

    /// Has the end of the connection announced, where there can be one: the embedded driver does not go away.
    fn watch(&mut self, on_close: &OnClose) {
        let opaque = Box::into_raw(Box::new(on_close.clone())).cast::<c_void>();
        // SAFETY: the connection is alive; `opaque` is a boxed `OnClose`, which the callbacks take it for.
        let answer = unsafe { virt_sys::virConnectRegisterCloseCallback(self.as_ptr(), Some(closed), opaque, Some(forget)) };
        self.close_callback = answer == 0;
        if !self.close_callback {
            // SAFETY: libvirt did not take it, so that nobody else has it.
            drop(unsafe { Box::from_raw(opaque.cast::<OnClose>()) });
        }
        // SAFETY: the connection is alive. A driver without a daemon answers that it cannot, which is as good.
        unsafe { virt_sys::virConnectSetKeepAlive(self.as_ptr(), KEEPALIVE.0, KEEPALIVE.1) };
    }

    pub(super) fn as_ptr(&self) -> virConnectPtr {
        self.pointer.as_ptr()
    }

    /// Whether the connection still works.
    pub(crate) fn is_alive(&self) -> bool {
        // SAFETY: the connection is alive as an object, whatever became of its peer.
        unsafe { virt_sys::virConnectIsAlive(self.as_ptr()) == 1 }
    }

    /// Major, minor and micro version of the hypervisor as one number.
    pub(crate) fn hypervisor_version(&self) -> Result<u64> {
        let mut version = 0;
        // SAFETY: the connection is alive; the number is ours.
        checked(unsafe { virt_sys::virConnectGetVersion(self.as_ptr(), &raw mut version) })?;
        Ok(version)
    }

    /// The host's capabilities as XML.
    pub(crate) fn capabilities(&self) -> Result<String> {
        // SAFETY: the connection is alive; the answer is for the caller to free.
        unsafe { owned(virt_sys::virConnectGetCapabilities(self.as_ptr())) }
    }

    /// The capabilities of domains of a kind as XML.
    pub(crate) fn domain_capabilities(&self, arch: &str, kind: &str) -> Result<String> {
        let (arch, kind) = (argument(arch)?, argument(kind)?);
        // SAFETY: the connection is alive, the strings live during the call; the answer is for the caller to free.
        unsafe { owned(virt_sys::virConnectGetDomainCapabilities(self.as_ptr(), null(), arch.as_ptr(), null(), kind.as_ptr(), 0)) }
    }

    /// A processor with all its features, from one (`<cpu>`) that names a model and some.
    pub(crate) fn expanded_cpu(&self, arch: &str, kind: &str, cpu: &str) -> Result<String> {
        let (arch, kind, cpu) = (argument(arch)?, argument(kind)?, argument(cpu)?);
        let mut cpus = [cpu.as_ptr()];
        // SAFETY: the connection is alive, strings and array live during the call; the answer is for the caller to free.
        unsafe {
            owned(virt_sys::virConnectBaselineHypervisorCPU(
                self.as_ptr(),
                null(),
                arch.as_ptr(),
                null(),
                kind.as_ptr(),
                cpus.as_mut_ptr(),
                1,
                virt_sys::VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES,
            ))
        }
    }

    /// Gives a domain a configuration.
    pub(crate) fn define(&self, xml: &str) -> Result<Domain> {
        let xml = argument(xml)?;
        // SAFETY: the connection is alive, the string lives during the call.
        let domain = unsafe { virt_sys::virDomainDefineXML(self.as_ptr(), xml.as_ptr()) };
        // SAFETY: a reference for the caller, or null.
        unsafe { Domain::from_new(domain) }
    }

    /// The domain with this name.
    pub(crate) fn lookup(&self, name: &str) -> Result<Domain> {
        let name = argument(name)?;
        // SAFETY: the connection is alive, the string lives during the call.
        let domain = unsafe { virt_sys::virDomainLookupByName(self.as_ptr(), name.as_ptr()) };
        // SAFETY: a reference for the caller, or null.
        unsafe { Domain::from_new(domain) }
    }

    /// All domains, active and inactive.
    pub(crate) fn domains(&self) -> Result<Vec<Domain>> {
        let mut array: *mut virDomainPtr = null_mut();
        // SAFETY: the connection is alive; libvirt sets the array.
        let count = checked(unsafe { virt_sys::virConnectListAllDomains(self.as_ptr(), &raw mut array, 0) })?;
        // SAFETY: so many references for the caller, in an array for the caller to free.
        Ok(unsafe { taken(array, count, |domain| Domain::from_new(domain).ok()) })
    }

    /// Statistics of the running and paused domains; groups that would have to wait are left out.
    pub(crate) fn stats(&self) -> Result<Vec<Record>> {
        use virt_sys::{
            VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT, VIR_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED, VIR_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING,
            VIR_DOMAIN_STATS_BALLOON, VIR_DOMAIN_STATS_BLOCK, VIR_DOMAIN_STATS_CPU_TOTAL, VIR_DOMAIN_STATS_INTERFACE,
            VIR_DOMAIN_STATS_VCPU,
        };
        let groups = VIR_DOMAIN_STATS_BALLOON
            | VIR_DOMAIN_STATS_CPU_TOTAL
            | VIR_DOMAIN_STATS_VCPU
            | VIR_DOMAIN_STATS_INTERFACE
            | VIR_DOMAIN_STATS_BLOCK;
        let flags =
            VIR_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING | VIR_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED | VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT;
        let mut array: *mut virDomainStatsRecordPtr = null_mut();
        // SAFETY: the connection is alive; libvirt sets the array.
        let count = checked(unsafe { virt_sys::virConnectGetAllDomainStats(self.as_ptr(), groups, &raw mut array, flags) })?;
        // SAFETY: libvirt's array of so many records, alive until it is freed below.
        let records = unsafe { stats_records(array, count) };
        // SAFETY: the array belongs to the caller and is not used any more; null is fine.
        unsafe { virt_sys::virDomainStatsRecordListFree(array) };
        Ok(records)
    }

    /// A picture of a domain's first screen: its type, its bytes.
    pub(crate) fn screenshot(&self, domain: &Domain) -> Result<(String, Vec<u8>)> {
        // SAFETY: the connection is alive.
        let stream = NonNull::new(unsafe { virt_sys::virStreamNew(self.as_ptr(), 0) }).ok_or_else(last_error)?;
        let received = domain.screenshot_to(stream.as_ptr()).and_then(|mime| {
            let mut data = Vec::new();
            let mut buffer = vec![0_u8; 64 * 1024];
            loop {
                // SAFETY: the stream is alive, the buffer is ours and as long as said.
                let count = unsafe { virt_sys::virStreamRecv(stream.as_ptr(), buffer.as_mut_ptr().cast::<c_char>(), buffer.len()) };
                let count = usize::try_from(count).map_err(|_| last_error())?;
                if count == 0 {
                    break;
                }
                data.extend_from_slice(buffer.get(..count).unwrap_or_default());
            }
            // SAFETY: the stream is alive and at its end.
            checked(unsafe { virt_sys::virStreamFinish(stream.as_ptr()) })?;
            Ok((mime, data))
        });
        // SAFETY: our reference, not used any more; a stream that was not finished is aborted first.
        unsafe {
            if received.is_err() {
                virt_sys::virStreamAbort(stream.as_ptr());
            }
            virt_sys::virStreamFree(stream.as_ptr());
        }
        received
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Callbacks hold references: without this the connection would never close.
        for callback in &self.callbacks {
            // SAFETY: the connection is alive, the number was given by it.
            unsafe { virt_sys::virConnectDomainEventDeregisterAny(self.as_ptr(), *callback) };
        }
        if self.close_callback {
            // SAFETY: the connection is alive, and this callback registered.
            unsafe { virt_sys::virConnectUnregisterCloseCallback(self.as_ptr(), Some(closed)) };
        }
        // SAFETY: our reference, not used any more.
        unsafe { virt_sys::virConnectClose(self.as_ptr()) };
    }
}

unsafe extern "C" fn closed(_: virConnectPtr, reason: c_int, opaque: *mut c_void) {
    // 3: closed by us.
    if reason != 3 {
        // SAFETY: a boxed `OnClose`, alive until `forget`.
        (unsafe { &*opaque.cast::<OnClose>() })();
    }
}

unsafe extern "C" fn forget(opaque: *mut c_void) {
    // SAFETY: made from a box; libvirt calls this once, after the last callback.
    drop(unsafe { Box::from_raw(opaque.cast::<OnClose>()) });
}

/// Takes over the elements of an array, and frees the array.
///
/// # Safety
/// `array` is null or holds `count` elements and belongs to the caller, as they do.
unsafe fn taken<T, U>(array: *mut *mut T, count: u32, take: impl Fn(*mut T) -> Option<U>) -> Vec<U> {
    if array.is_null() {
        return Vec::new();
    }
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: not null, and the caller's promise.
    let elements = unsafe { std::slice::from_raw_parts(array, count) }.iter().filter_map(|element| take(*element)).collect();
    // SAFETY: the caller's promise; the elements are taken.
    unsafe { release(array) };
    elements
}

/// # Safety
/// `array` is null or holds `count` records that live during the call.
pub(super) unsafe fn stats_records(array: *mut *mut virDomainStatsRecord, count: u32) -> Vec<Record> {
    if array.is_null() {
        return Vec::new();
    }
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: not null, and the caller's promise.
    let records = unsafe { std::slice::from_raw_parts(array, count) };
    let copied = records.iter().filter_map(|record| {
        // SAFETY: null, or a record alive during the call, as are its domain and its parameters.
        let record = unsafe { record.as_ref() }?;
        let mut uuid: [c_char; virt_sys::VIR_UUID_STRING_BUFLEN as usize] = [0; virt_sys::VIR_UUID_STRING_BUFLEN as usize];
        // SAFETY: as above; the buffer is as long as libvirt wants it, and ends with a NUL.
        unsafe {
            virt_sys::virDomainGetUUIDString(record.dom, uuid.as_mut_ptr());
            Some(Record {
                name: borrowed(virt_sys::virDomainGetName(record.dom))?,
                uuid: borrowed(uuid.as_ptr())?,
                params: Params::copied(record.params, record.nparams),
            })
        }
    });
    copied.collect()
}

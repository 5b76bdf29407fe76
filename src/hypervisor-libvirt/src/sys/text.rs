//! Strings across the border, and libvirt's last error.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use hypervisor::{ErrorCode, ErrorDomain, HypervisorError, Result};

unsafe extern "C" {
    /// The C library's, with which libvirt allocates what callers have to free.
    fn free(pointer: *mut c_void);
}

/// An argument for libvirt.
pub(super) fn argument(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| HypervisorError::new(ErrorCode::INVALID_ARG, "a string argument contains a NUL character"))
}

/// Gives back what libvirt allocated.
///
/// # Safety
/// `pointer` is null or was allocated for the caller by libvirt, and is not used any more.
pub(super) unsafe fn release<T>(pointer: *mut T) {
    // SAFETY: the caller's promise; `free` takes null.
    unsafe { free(pointer.cast()) }
}

/// Copies a string that libvirt allocated for the caller, and frees it; null means that the call failed.
///
/// # Safety
/// `pointer` is null or a NUL-terminated string allocated for the caller, and is not used any more.
pub(super) unsafe fn owned(pointer: *mut c_char) -> Result<String> {
    // SAFETY: the caller's promise.
    let text = unsafe { borrowed(pointer) };
    // SAFETY: the caller's promise; the copy is made.
    unsafe { release(pointer) };
    text.ok_or_else(last_error)
}

/// Copies a string that stays libvirt's.
///
/// # Safety
/// `pointer` is null or a NUL-terminated string that lives during the call.
pub(super) unsafe fn borrowed(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: not null, and the caller's promise.
    Some(unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}

/// The error of the call that just failed on this thread.
pub(super) fn last_error() -> HypervisorError {
    // SAFETY: takes nothing; the record it answers with belongs to this thread and lives until its next libvirt call.
    let error = unsafe { virt_sys::virGetLastError() };
    // SAFETY: null, or a record as above that nobody writes meanwhile.
    let Some(error) = (unsafe { error.as_ref() }) else {
        return HypervisorError::new(ErrorCode::INTERNAL_ERROR, "an unknown libvirt error occurred");
    };
    HypervisorError {
        code: ErrorCode(error.code),
        domain: ErrorDomain(error.domain),
        // SAFETY: the record's own text, or null.
        message: unsafe { borrowed(error.message) }.unwrap_or_default(),
    }
}

/// The number a call answered with; negative means that it failed.
pub(super) fn checked(answer: c_int) -> Result<u32> {
    u32::try_from(answer).map_err(|_| last_error())
}

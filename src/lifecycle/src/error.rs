//! libvirt's error codes and texts, as far as the domain's life needs them.

use std::fmt;

/// A libvirt error code (`virErrorNumber`). A number, not an enum: backends pass on codes this crate has no name for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(pub i32);

impl ErrorCode {
    /// Something broke inside the hypervisor.
    pub const INTERNAL_ERROR: Self = Self(1);
    /// The driver has no such function.
    pub const NO_SUPPORT: Self = Self(3);
    /// The connection is not usable.
    pub const INVALID_CONN: Self = Self(6);
    /// An argument has an illegal value.
    pub const INVALID_ARG: Self = Self(8);
    /// The operation was tried and failed.
    pub const OPERATION_FAILED: Self = Self(9);
    /// The XML names nothing.
    pub const NO_NAME: Self = Self(21);
    /// The XML is well-formed, but not a domain.
    pub const XML_ERROR: Self = Self(27);
    /// An error of the operating system.
    pub const SYSTEM_ERROR: Self = Self(38);
    /// The connection to the daemon failed.
    pub const RPC: Self = Self(39);
    /// There is no such domain.
    pub const NO_DOMAIN: Self = Self(42);
    /// The domain's state does not allow the operation.
    pub const OPERATION_INVALID: Self = Self(55);
    /// The configuration asks for what this host does not have.
    pub const CONFIG_UNSUPPORTED: Self = Self(67);
    /// The operation ran into its time limit.
    pub const OPERATION_TIMEOUT: Self = Self(68);
    /// The argument is not supported in this configuration.
    pub const ARGUMENT_UNSUPPORTED: Self = Self(74);
    /// The operation was cancelled.
    pub const OPERATION_ABORTED: Self = Self(78);
    /// The migration would endanger the guest's data.
    pub const MIGRATE_UNSAFE: Self = Self(81);
    /// The operation is not supported for this domain.
    pub const OPERATION_UNSUPPORTED: Self = Self(84);
    /// The guest agent does not answer.
    pub const AGENT_UNRESPONSIVE: Self = Self(86);
    /// There is no such device in the domain.
    pub const DEVICE_MISSING: Self = Self(99);

    /// The words libvirt puts before the message of an error with this code; empty where it puts none.
    pub const fn preamble(self) -> &'static str {
        match self {
            Self::INTERNAL_ERROR => "internal error: ",
            Self::NO_SUPPORT => "this function is not supported by the connection driver: ",
            Self::INVALID_CONN => "invalid connection pointer in ",
            Self::INVALID_ARG => "invalid argument: ",
            Self::OPERATION_FAILED => "operation failed: ",
            Self::XML_ERROR => "XML error: ",
            Self::NO_DOMAIN => "Domain not found: ",
            Self::OPERATION_INVALID => "Requested operation is not valid: ",
            Self::CONFIG_UNSUPPORTED => "unsupported configuration: ",
            Self::OPERATION_TIMEOUT => "Timed out during operation: ",
            Self::ARGUMENT_UNSUPPORTED => "argument unsupported: ",
            Self::OPERATION_ABORTED => "operation aborted: ",
            Self::MIGRATE_UNSAFE => "Unsafe migration: ",
            Self::OPERATION_UNSUPPORTED => "Operation not supported: ",
            Self::AGENT_UNRESPONSIVE => "Guest agent is not responding: ",
            Self::DEVICE_MISSING => "device not found: ",
            _ => "",
        }
    }
}

/// The part of libvirt an error comes from (`virErrorDomain`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorDomain(pub i32);

impl ErrorDomain {
    /// No part in particular.
    pub const NONE: Self = Self(0);
    /// The RPC layer.
    pub const RPC: Self = Self(7);
    /// The QEMU driver.
    pub const QEMU: Self = Self(10);
    /// The handling of domain configurations.
    pub const DOMAIN: Self = Self(20);
}

/// An operation that the domain's state does not allow. It changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct LifecycleError {
    /// libvirt's code.
    pub code: ErrorCode,
    /// libvirt's text, preamble included.
    pub message: String,
}

impl LifecycleError {
    /// An error with libvirt's preamble of the code before `message`.
    pub fn new(code: ErrorCode, message: impl fmt::Display) -> Self {
        Self { code, message: format!("{}{message}", code.preamble()) }
    }

    pub(crate) fn invalid(message: &str) -> Self {
        Self::new(ErrorCode::OPERATION_INVALID, message)
    }
}

impl fmt::Display for LifecycleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

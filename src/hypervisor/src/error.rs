//! The error of every call, with libvirt's numbers.

use lifecycle::{ErrorCode, ErrorDomain, LifecycleError};

/// What the hypervisor refused or failed to do.
///
/// `Display` is the text libvirt's bindings give, which clients of KubeVirt know; [`HypervisorError::rpc_text`] is the one the
/// launcher sends to the handler (node.md §3.4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("virError(Code={}, Domain={}, Message='{message}')", code.0, domain.0)]
pub struct HypervisorError {
    /// libvirt's error code.
    pub code: ErrorCode,
    /// The part of libvirt it comes from.
    pub domain: ErrorDomain,
    /// libvirt's text.
    pub message: String,
}

impl HypervisorError {
    /// An error of the driver, with libvirt's preamble of the code before `message`.
    pub fn new(code: ErrorCode, message: impl std::fmt::Display) -> Self {
        Self { code, domain: ErrorDomain::QEMU, message: format!("{}{message}", code.preamble()) }
    }

    /// There is no domain with this name.
    pub fn no_domain(name: &str) -> Self {
        Self::new(ErrorCode::NO_DOMAIN, format_args!("no domain with matching name '{name}'"))
    }

    /// The guest agent is not there.
    pub fn agent_unresponsive() -> Self {
        Self::new(ErrorCode::AGENT_UNRESPONSIVE, "QEMU guest agent is not connected")
    }

    /// Whether the domain does not exist.
    pub fn is_no_domain(&self) -> bool {
        self.code == ErrorCode::NO_DOMAIN
    }

    /// Whether the connection to the hypervisor is lost, judged by the codes that upstream reconnects on (hypervisor.md §1).
    /// Meaningful for calls of the connection only, not for those of a domain.
    pub fn is_connection_lost(&self) -> bool {
        matches!(self.code.0, 1 | 2 | 6 | 38 | 39 | 45 | 79)
    }

    /// The text in answers of the launcher.
    pub fn rpc_text(&self) -> String {
        format!("LibvirtError(Code={}, Domain={}, Message='{}')", self.code.0, self.domain.0, self.message)
    }
}

impl From<LifecycleError> for HypervisorError {
    fn from(error: LifecycleError) -> Self {
        Self { code: error.code, domain: ErrorDomain::QEMU, message: error.message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_clients_know() {
        let error = HypervisorError::no_domain("default_vm");
        let message = "Domain not found: no domain with matching name 'default_vm'";
        assert_eq!(error.to_string(), format!("virError(Code=42, Domain=10, Message='{message}')"));
        assert_eq!(error.rpc_text(), format!("LibvirtError(Code=42, Domain=10, Message='{message}')"));
        assert!(error.is_no_domain() && !error.is_connection_lost());
    }
}

//! From the VMI to the domain, with the facts of this host.

use std::fmt;
use std::sync::Arc;

use api::v1::VirtualMachineInstance;
use hypervisor::Capabilities;
use launcher_rpc::cmd::VirtualMachineOptions;

/// Makes the domain of a VMI; the error is its text.
pub type Conversion = Arc<dyn Fn(&VirtualMachineInstance, &VirtualMachineOptions) -> Result<domain::Domain, String> + Send + Sync>;

/// What the launcher knows about its host.
#[derive(Clone)]
pub struct HostFacts {
    /// What host and hypervisor can do.
    pub capabilities: Arc<Capabilities>,
    /// Whether guests may be emulated where there is no hardware acceleration.
    pub allow_emulation: bool,
}

impl fmt::Debug for HostFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostFacts")
            .field("arch", &self.capabilities.arch)
            .field("kvm", &self.capabilities.kvm)
            .field("allow_emulation", &self.allow_emulation)
            .finish()
    }
}

//! What a launcher does for its node's handler.

use async_trait::async_trait;

use crate::cmd::VirtualMachineOptions;
use crate::{DomainObject, Result, RpcError};

/// What a command in the guest came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    /// Its exit code.
    pub exit_code: i32,
    /// What it printed.
    pub stdout: String,
}

/// An image of the guest's screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// Its media type.
    pub mime: String,
    /// The image.
    pub data: Vec<u8>,
}

fn unimplemented<T>(method: &str) -> Result<T> {
    Err(RpcError::Unimplemented(format!("unknown method {method} for service kubevirt.cmd.v1.Cmd")))
}

/// A launcher (node.md §3.2, §7). `vmi` is the whole VirtualMachineInstance as JSON.
///
/// Every command may be repeated: what is so already counts as done.
#[async_trait]
pub trait Launcher: Send + Sync {
    /// Brings the domain in line with the VMI: defines, starts, resumes it, adds and removes its devices.
    async fn sync_virtual_machine(&self, vmi: &[u8], options: &VirtualMachineOptions) -> Result<()>;

    /// Halts the guest, until unpaused.
    async fn pause_virtual_machine(&self, vmi: &[u8]) -> Result<()>;

    /// Lets the guest go on.
    async fn unpause_virtual_machine(&self, vmi: &[u8]) -> Result<()>;

    /// Freezes the guest's file systems; thaws them after so many seconds unless that is 0.
    async fn freeze_virtual_machine(&self, vmi: &[u8], unfreeze_timeout_seconds: i32) -> Result<()>;

    /// Thaws the guest's file systems.
    async fn unfreeze_virtual_machine(&self, vmi: &[u8]) -> Result<()>;

    /// Resets the guest.
    async fn reset_virtual_machine(&self, vmi: &[u8]) -> Result<()>;

    /// Asks the guest to reboot.
    async fn soft_reboot_virtual_machine(&self, vmi: &[u8]) -> Result<()>;

    /// Asks the guest to power off, and notes when that was first done.
    async fn shutdown_virtual_machine(&self, vmi: &[u8]) -> Result<()>;

    /// Ends the guest.
    async fn kill_virtual_machine(&self, vmi: &[u8]) -> Result<()>;

    /// Removes the domain.
    async fn delete_virtual_machine(&self, vmi: &[u8]) -> Result<()>;

    /// Begins to move the guest elsewhere; `options` are the migration's, as JSON.
    async fn migrate_virtual_machine(&self, vmi: &[u8], options: &[u8]) -> Result<()> {
        let _ = (vmi, options);
        unimplemented("MigrateVirtualMachine")
    }

    /// Prepares to take a guest in.
    async fn sync_migration_target(&self, vmi: &[u8], options: &VirtualMachineOptions) -> Result<()> {
        let _ = (vmi, options);
        unimplemented("SyncMigrationTarget")
    }

    /// Calls a migration off.
    async fn cancel_virtual_machine_migration(&self, vmi: &[u8]) -> Result<()> {
        let _ = vmi;
        unimplemented("CancelVirtualMachineMigration")
    }

    /// The migration this launcher was to take in will not come.
    async fn signal_target_pod_cleanup(&self, vmi: &[u8]) -> Result<()> {
        let _ = vmi;
        unimplemented("SignalTargetPodCleanup")
    }

    /// Cares for the guest after it arrived.
    async fn finalize_virtual_machine_migration(&self, vmi: &[u8], options: &VirtualMachineOptions) -> Result<()> {
        let _ = (vmi, options);
        unimplemented("FinalizeVirtualMachineMigration")
    }

    /// Attaches host devices.
    async fn hotplug_host_devices(&self, vmi: &[u8]) -> Result<()> {
        let _ = vmi;
        unimplemented("HotplugHostDevices")
    }

    /// The domain, if there is one.
    async fn get_domain(&self) -> Result<Option<DomainObject>>;

    /// Statistics of the domain, JSON.
    async fn get_domain_stats(&self) -> Result<String>;

    /// What the guest agent says about the guest, JSON.
    async fn get_guest_info(&self) -> Result<String>;

    /// Users that are logged in, JSON.
    async fn get_users(&self) -> Result<String>;

    /// Mounted file systems, JSON.
    async fn get_filesystems(&self) -> Result<String>;

    /// Answers.
    async fn ping(&self) -> Result<()>;

    /// Runs a command in the guest and waits for it; a non-zero exit code is a success of the call.
    async fn exec(&self, domain: &str, command: &str, args: &[String], timeout_seconds: i32) -> Result<Executed>;

    /// Asks the guest agent for a sign of life.
    async fn guest_ping(&self, domain: &str, timeout_seconds: i32) -> Result<()>;

    /// Dumps the guest's memory to a file.
    async fn virtual_machine_memory_dump(&self, vmi: &[u8], path: &str) -> Result<()> {
        let _ = (vmi, path);
        unimplemented("VirtualMachineMemoryDump")
    }

    /// The emulator's version, `QEMU 9.1.0`.
    async fn get_qemu_version(&self) -> Result<String>;

    /// Brings the number of processors in line with the VMI.
    async fn sync_virtual_machine_cpus(&self, vmi: &[u8], options: &VirtualMachineOptions) -> Result<()>;

    /// Brings the guest's memory in line with the VMI.
    async fn sync_virtual_machine_memory(&self, vmi: &[u8], options: &VirtualMachineOptions) -> Result<()>;

    /// MiB the guest dirties a second.
    async fn get_domain_dirty_rate(&self) -> Result<i64>;

    /// A picture of the screen.
    async fn get_screenshot(&self, vmi: &[u8]) -> Result<Picture>;

    /// What the platform that encrypts guests shows of itself, JSON.
    async fn get_sev_info(&self) -> Result<String> {
        unimplemented("GetSEVInfo")
    }

    /// What was measured when the encrypted guest was set up, JSON.
    async fn get_launch_measurement(&self, vmi: &[u8]) -> Result<String> {
        let _ = vmi;
        unimplemented("GetLaunchMeasurement")
    }

    /// Puts a secret into the encrypted guest; `options` are header and secret, as JSON.
    async fn inject_launch_secret(&self, vmi: &[u8], options: &[u8]) -> Result<()> {
        let _ = (vmi, options);
        unimplemented("InjectLaunchSecret")
    }
}

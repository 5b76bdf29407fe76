//! kubevirt.io/v1: virtual machines, their instances and migrations, replica sets, presets, and KubeVirt itself.

mod kubevirt;
mod migration;
mod replicaset;
pub mod values;
mod vm;
mod vmi;

pub use self::kubevirt::*;
pub use self::migration::*;
pub use self::replicaset::*;
pub use self::vm::*;
pub use self::vmi::*;
pub use crate::cdi::{DataVolumeSpec, StorageSpec};
use crate::kind::kind;

kind!(
    /// A virtual machine: exists whether it runs or not, and has an instance made from its template while it runs.
    VirtualMachine, "kubevirt.io", "v1", "virtualmachines", NamespaceResourceScope, VirtualMachineSpec, VirtualMachineStatus
);
kind!(
    /// A running (or about to run) virtual machine.
    VirtualMachineInstance, "kubevirt.io", "v1", "virtualmachineinstances", NamespaceResourceScope, VirtualMachineInstanceSpec, VirtualMachineInstanceStatus
);
kind!(
    /// The request to move an instance to another node, and its progress.
    VirtualMachineInstanceMigration, "kubevirt.io", "v1", "virtualmachineinstancemigrations", NamespaceResourceScope, VirtualMachineInstanceMigrationSpec, VirtualMachineInstanceMigrationStatus
);
kind!(
    /// Keeps a number of equal instances.
    VirtualMachineInstanceReplicaSet, "kubevirt.io", "v1", "virtualmachineinstancereplicasets", NamespaceResourceScope, VirtualMachineInstanceReplicaSetSpec, VirtualMachineInstanceReplicaSetStatus
);
kind!(
    /// Settings merged into new instances with matching labels (deprecated upstream).
    VirtualMachineInstancePreset, "kubevirt.io", "v1", "virtualmachineinstancepresets", NamespaceResourceScope, VirtualMachineInstancePresetSpec
);
kind!(
    /// The installation of KubeVirt and its configuration.
    KubeVirt, "kubevirt.io", "v1", "kubevirts", NamespaceResourceScope, KubeVirtSpec, KubeVirtStatus
);

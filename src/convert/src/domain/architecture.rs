//! What differs by the guest's architecture. Source: spec/domain-xml.md §4.

use api::v1::VirtualMachineInstance;

/// A guest's architecture, by Kubernetes' name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Architecture {
    /// x86-64.
    #[default]
    Amd64,
    /// ARM, 64 bits.
    Arm64,
    /// IBM Z.
    S390x,
}

impl Architecture {
    /// The architecture of that name; an unknown one counts as amd64.
    pub fn parse(name: &str) -> Self {
        match name {
            "arm64" => Self::Arm64,
            "s390x" => Self::S390x,
            _ => Self::Amd64,
        }
    }

    /// libvirt's name.
    pub fn libvirt(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
            Self::S390x => "s390x",
        }
    }

    /// The machine of a guest that names none.
    pub(super) fn default_machine(self) -> &'static str {
        match self {
            Self::Amd64 => "q35",
            Self::Arm64 => "virt",
            Self::S390x => "s390-ccw-virtio",
        }
    }

    /// QEMU's program for guests of another architecture than the host's.
    pub(super) fn emulator(self) -> &'static str {
        match self {
            Self::Amd64 => "/usr/bin/qemu-system-x86_64",
            Self::Arm64 => "/usr/bin/qemu-system-aarch64",
            Self::S390x => "/usr/bin/qemu-system-s390x",
        }
    }

    /// The model of virtio devices.
    pub(super) fn virtio_model(self, vmi: &VirtualMachineInstance) -> &'static str {
        if self == Self::S390x {
            "virtio"
        } else if vmi.spec.domain.devices.use_virtio_transitional == Some(true) {
            "virtio-transitional"
        } else {
            "virtio-non-transitional"
        }
    }

    pub(super) fn has_cpu_hotplug(self) -> bool {
        self != Self::Arm64
    }

    pub(super) fn has_smbios(self) -> bool {
        self != Self::S390x
    }

    pub(super) fn has_vmport(self) -> bool {
        self == Self::Amd64
    }

    pub(super) fn tunes_roms(self) -> bool {
        self != Self::S390x
    }

    /// Whether guest memory can be a file without a name, and so be shared.
    pub(super) fn has_memfd(self) -> bool {
        self != Self::S390x
    }

    pub(super) fn has_pcie(self) -> bool {
        self != Self::S390x
    }
}

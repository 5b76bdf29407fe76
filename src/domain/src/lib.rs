//! libvirt's domain XML as Rust types: render and parse.
//!
//! [`Domain`] mirrors `<domain>`: an element is a struct, an attribute or child a field, in the order in which they are
//! written (spec/domain-xml.md §3). What libvirt adds when a domain is read back (addresses, aliases, expanded CPU models,
//! security labels) is modelled too; what it adds beyond that is ignored on parse, so a newer libvirt does not break the
//! reader. The same types are rendered alone as fragments for device hotplug.
//!
//! No value can leave its element: see [`Domain::to_xml`].

mod cpu;
mod devices;
mod element;
mod features;
mod metadata;
mod os;
mod security;
mod values;
mod xml;

pub use cpu::*;
pub use devices::*;
pub use features::*;
pub use metadata::*;
pub use os::*;
pub use security::*;
pub use values::*;
pub use xml::ParseError;

use element::element;

/// The namespace of `qemu:commandline`.
pub const QEMU_NAMESPACE: &str = "http://libvirt.org/schemas/domain/qemu/1.0";

element! {
    /// `<domain>`: a virtual machine as libvirt defines it.
    Domain {
        /// `kvm`, `qemu` or `hyperv`.
        req "@type" kind: String,
        /// The number of a running domain.
        opt "@id" id: i32,
        /// The `qemu` namespace, [`QEMU_NAMESPACE`].
        #[serde(alias = "@qemu")]
        opt "@xmlns:qemu" xmlns_qemu: String,
        /// `NAMESPACE_NAME` of the VMI.
        req "name" name: String,
        opt "uuid" uuid: String,
        opt "title" title: String,
        req "memory" memory: Memory,
        opt "currentMemory" current_memory: Memory,
        opt "maxMemory" max_memory: MaxMemory,
        opt "memoryBacking" memory_backing: MemoryBacking,
        req "os" os: Os,
        opt "sysinfo" sysinfo: Sysinfo,
        req "devices" devices: Devices,
        opt "clock" clock: Clock,
        opt "resource" resource: Resource,
        ns "qemu:commandline" "commandline" qemu_commandline: QemuCommandline,
        opt "metadata" metadata: Metadata,
        opt "features" features: Features,
        req "cpu" cpu: Cpu,
        opt "vcpu" vcpu: VcpuCount,
        opt "vcpus" vcpus: Vcpus,
        opt "cputune" cpu_tune: CpuTune,
        opt "numatune" numa_tune: NumaTune,
        /// The number of I/O threads.
        opt "iothreads" iothreads: u32,
        opt "launchSecurity" launch_security: LaunchSecurity,
        opt "on_poweroff" on_poweroff: String,
        opt "on_reboot" on_reboot: String,
        opt "on_crash" on_crash: String,
        opt "iommufd" iommufd: Iommufd,
        list "seclabel" sec_labels: SecLabel,
    }
}

impl Domain {
    /// The domain as XML, tab-indented, in a fixed order.
    ///
    /// # Guarantees
    /// - The same domain gives the same bytes.
    /// - Whatever a value contains, it stays inside its attribute or element: markup is escaped, line breaks and tabs become
    ///   character references, characters XML cannot carry become U+FFFD.
    /// - [`Domain::from_xml`] reads the same domain back, but for such replaced characters and for white space at the ends
    ///   of an element's text, which XML readers do not keep.
    pub fn to_xml(&self) -> String {
        xml::render("domain", self)
    }

    /// Reads what we rendered or what libvirt returned. Unknown elements and attributes are ignored.
    ///
    /// # Errors
    /// [`ParseError`] when it is not XML, or a number or switch in it is not one.
    pub fn from_xml(text: &str) -> Result<Self, ParseError> {
        xml::parse(text)
    }
}

macro_rules! fragment {
    ($($name:ident $tag:literal),* $(,)?) => { $(
        impl $name {
            #[doc = concat!("The device alone, as `<", $tag, ">`: what attach, detach and update calls take.")]
            pub fn to_xml(&self) -> String {
                xml::render($tag, self)
            }

            #[doc = concat!("Reads one `<", $tag, ">`.")]
            ///
            /// # Errors
            /// As [`Domain::from_xml`].
            pub fn from_xml(text: &str) -> Result<Self, ParseError> {
                xml::parse(text)
            }
        }
    )* };
}

fragment!(Disk "disk", Interface "interface", HostDevice "hostdev", MemoryDevice "memory", Controller "controller");

#[cfg(test)]
mod tests;

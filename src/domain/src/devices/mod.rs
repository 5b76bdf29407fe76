//! Devices, one file a family.

mod address;
mod chardev;
mod controller;
mod disk;
mod graphics;
mod hostdev;
mod interface;
mod peripherals;

pub use address::*;
pub use chardev::*;
pub use controller::*;
pub use disk::*;
pub use graphics::*;
pub use hostdev::*;
pub use interface::*;
pub use peripherals::*;

use crate::cpu::MemoryDevice;
use crate::element::element;

element! {
    /// `<devices>`. Within a kind the order is significant: libvirt assigns addresses in it.
    Devices {
        opt "emulator" emulator: String,
        list "interface" interfaces: Interface,
        list "channel" channels: Channel,
        list "hostdev" host_devices: HostDevice,
        list "panic" panics: Panic,
        list "controller" controllers: Controller,
        list "video" videos: Video,
        list "graphics" graphics: Graphics,
        opt "memballoon" mem_balloon: MemBalloon,
        list "disk" disks: Disk,
        list "input" inputs: Input,
        list "serial" serials: Serial,
        list "console" consoles: Console,
        list "watchdog" watchdogs: Watchdog,
        opt "rng" rng: Rng,
        list "filesystem" filesystems: Filesystem,
        list "redirdev" redirdevs: RedirDev,
        list "sound" sounds: Sound,
        list "audio" audios: Audio,
        list "tpm" tpms: Tpm,
        opt "vsock" vsock: Vsock,
        list "memory" memories: MemoryDevice,
        list "iommu" iommus: Iommu,
    }
}

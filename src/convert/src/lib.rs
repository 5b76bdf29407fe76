//! From a VirtualMachineInstance to its launcher pod, its libvirt domain and its guest payloads.
//!
//! Everything here is a pure function of the VMI and a context of facts: no I/O, no clock, no randomness; random values come
//! in through the context. [`pod`] is virt-controller's part, [`domain`](mod@domain) virt-launcher's.

pub mod cloudinit;
pub mod domain;
pub mod host_disk;
pub mod paths;
pub mod pod;
pub mod settings;
pub mod vmi;

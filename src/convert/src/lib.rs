//! From a VirtualMachineInstance to its launcher pod, its libvirt domain and its guest payloads; pure.

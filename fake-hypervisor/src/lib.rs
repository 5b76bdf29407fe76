//! An in-process hypervisor with libvirt's semantics and scripted guests, on virtual time.

//! virt-launcher: one domain of one VMI pod, on whichever hypervisor is given.

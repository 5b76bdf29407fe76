//! virt-controller: reconciles VirtualMachines and VirtualMachineInstances, leader-elected.

Feature: Deletion
  Nothing is left behind, nothing is taken that should stay, and a guest gets its grace.

  Scenario: Deleting a VM deletes its VMI and pod
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always"
    Then the VM "vm" shows "Running"
    When the client deletes the VM "vm"
    Then the VM "vm" is gone
    And the VMI "vm" is gone
    And the pod of the VMI "vm" is gone

  Scenario: While it goes, it says so
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always", whose guest takes 10s to shut down
    Then the VM "vm" shows "Running"
    When the client deletes the VM "vm"
    Then the VM "vm" shows "Terminating"
    And the VM "vm" is gone

  Scenario: Orphan deletion leaves the VMI running, and a recreated VM adopts it
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always"
    Then the VM "vm" shows "Running"
    And the UID of the VMI "vm" is noted
    When the client deletes the VM "vm" with propagation policy "Orphan"
    Then the VM "vm" is gone
    And the VMI "vm" is still Running
    And the VMI "vm" has no owner
    When the client creates the VM "vm" with run strategy "Always"
    Then the VMI "vm" is owned by the VM "vm"
    And the VM "vm" shows "Running"
    And the UID of the VMI "vm" is the one noted

  Scenario: A guest that shuts down within its grace period succeeds
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "vmi" with:
      | spec.terminationGracePeriodSeconds                      | 30 |
      | metadata.annotations.fake.ferrovirt.io/shutdown-time    | 3s |
    And the VMI "vmi" becomes Running
    And the client deletes the VMI "vmi"
    Then the VMI "vmi" becomes Succeeded
    And the VMI "vmi" is gone

  Scenario: A guest that ignores the shutdown request is destroyed after its grace period
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "vmi" with:
      | spec.terminationGracePeriodSeconds                           | 10   |
      | metadata.annotations.fake.ferrovirt.io/ignore-acpi-shutdown  | true |
    And the VMI "vmi" becomes Running
    And the client deletes the VMI "vmi"
    Then the VMI "vmi" becomes Failed after 10s at the earliest
    And the VMI "vmi" is gone
    And an event of VirtualMachineInstance "vmi" says "Normal Deleted VirtualMachineInstance stopping"

  Scenario: Without a grace period there is no waiting
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "vmi" with:
      | spec.terminationGracePeriodSeconds                           | 0    |
      | metadata.annotations.fake.ferrovirt.io/ignore-acpi-shutdown  | true |
    And the VMI "vmi" becomes Running
    And the client deletes the VMI "vmi"
    Then the VMI "vmi" is gone within 5s

  Scenario: A VMI that was never scheduled is deleted at once
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "vmi" with:
      | spec.nodeSelector.color | blue |
    And the VMI "vmi" becomes Scheduling
    And the client deletes the VMI "vmi"
    Then the VMI "vmi" is gone within 5s

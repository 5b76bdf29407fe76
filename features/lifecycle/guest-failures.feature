Feature: Guests that end by themselves
  A power-off is not a failure; a crash is. Crash loops are slowed down with upstream's numbers.

  Scenario: A guest that powers itself off
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "vmi" with:
      | metadata.annotations.fake.ferrovirt.io/power-off-after | 60s |
    Then the VMI "vmi" becomes Running
    And the VMI "vmi" becomes Succeeded
    And an event of VirtualMachineInstance "vmi" says "Normal Stopped The VirtualMachineInstance was shut down."

  Scenario: A guest that crashes
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "vmi" with:
      | metadata.annotations.fake.ferrovirt.io/crash-after | 60s |
    Then the VMI "vmi" becomes Running
    And the VMI "vmi" becomes Failed
    And an event of VirtualMachineInstance "vmi" says "Warning Stopped The VirtualMachineInstance crashed."

  Scenario: A guest that panics
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "vmi" with:
      | metadata.annotations.fake.ferrovirt.io/panic-after | 60s |
    Then the VMI "vmi" becomes Running
    And the VMI "vmi" becomes Failed

  Scenario: A VMI that never reaches Running is retried ever more slowly
    Given a cluster with 1 node whose launchers cannot start
    When the client creates the VM "vm" with run strategy "Always"
    Then the VM "vm" shows "CrashLoopBackOff"
    And the start failures of the VM "vm" reach 1 with the next try in 10s to 15s
    And the start failures of the VM "vm" reach 2 with the next try in 40s to 60s
    And the start failures of the VM "vm" reach 3 with the next try in 90s to 135s
    When the launchers of the cluster can start again
    Then the VM "vm" shows "Running"
    And the VM "vm" has no start failures

Feature: Watches that cannot go on
  A client is told to list again rather than left with a gap, and one that leaves takes nothing with it.

  Scenario: A version that the server has forgotten
    Given a cluster with 1 node
    When the client watches VirtualMachines from version 1
    Then the watch ends with 410 and "too old resource version: 1 ("

  Scenario: Clients that hang up while VMs start
    Given a cluster with 1 node
    When 100 clients watch VirtualMachineInstances
    And the client posts the VirtualMachineInstance "vmi"
    And every other one of them hangs up
    Then the VMI "vmi" becomes Running
    And each of those left has seen the VMI "vmi" become Running

  Scenario: Ten thousand watches
    Given a cluster with 1 node
    When 10000 clients watch VirtualMachines
    And the client creates the VM "vm" with run strategy "Halted"
    Then each of those left has seen the VM "vm"

Feature: Requests to move an instance
  What a migration is told and what becomes of it, around the move itself.

  Scenario: A migration is asked for, and called off
    Given a cluster with 2 nodes
    When the client creates the VM "vm" with run strategy "Always"
    And the VM "vm" is Running
    And condition "LiveMigratable" of the VMI "vm" is "True"
    And the user runs "virtctl migrate vm"
    Then virtctl prints "VM vm was scheduled to migrate"
    And a migration of the VMI "vm" is Pending
    When the user runs "virtctl migrate-cancel vm"
    Then virtctl prints "VM vm was scheduled to migrate-cancel"
    And there are exactly 0 migrations of the VMI "vm"
    And the VM "vm" has had exactly 1 VMI

  Scenario: A migration does not outlive its instance
    Given a cluster with 2 nodes
    When the client posts the VirtualMachineInstance "vm"
    And the VMI "vm" becomes Running
    And condition "LiveMigratable" of the VMI "vm" is "True"
    And the client posts:
      """
      {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration", "metadata": {"name": "move"}, "spec": {"vmiName": "vm"}}
      """
    And a migration of the VMI "vm" is Pending
    And the guest of "vm" powers off
    Then a migration of the VMI "vm" is Failed
    And an event of the migration of the VMI "vm" says "Warning FailedMigration Migration failed because vmi shutdown during migration."

  Scenario: An instance that is gone leaves no migration behind
    Given a cluster with 2 nodes
    When the client posts the VirtualMachineInstance "vm"
    And the VMI "vm" becomes Running
    And condition "LiveMigratable" of the VMI "vm" is "True"
    And the client posts:
      """
      {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration", "metadata": {"name": "move"}, "spec": {"vmiName": "vm"}}
      """
    And a migration of the VMI "vm" is Pending
    And the client deletes the VMI "vm"
    And virt-controller restarts
    Then the VMI "vm" is gone
    And there are exactly 0 migrations of the VMI "vm"

  Scenario: Of the finished migrations the last five are kept
    Given a cluster with 2 nodes
    When the client creates the VM "vm" with run strategy "Always"
    And the VM "vm" is Running
    And condition "LiveMigratable" of the VMI "vm" is "True"
    And 7 migrations of the VM "vm" fail
    Then there are exactly 5 migrations of the VMI "vm"

Feature: Any one component may restart at any step
  The outcome is the same: nothing lost, nothing twice.

  Scenario Outline: <component> restarts while a VM is <state>
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always", whose guest takes 5s to shut down
    And the VM "vm" is <state>
    And <component> restarts
    Then the VM "vm" shows "Running"
    And the VM "vm" has had exactly 1 VMI
    When the client deletes the VM "vm"
    And the VMI "vm" is being shut down
    And <component> restarts
    Then the VM "vm" is gone
    And the VMI "vm" is gone
    And no domain is left

    Examples:
      | component       | state      |
      | virt-controller | accepted   |
      | virt-controller | Scheduled  |
      | virt-controller | Running    |
      | virt-handler    | accepted   |
      | virt-handler    | Scheduled  |
      | virt-handler    | Running    |
      | virt-api        | accepted   |
      | virt-api        | Scheduled  |
      | virt-api        | Running    |

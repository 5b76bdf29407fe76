Feature: A user with pod rights only gains nothing through VMs
  VMs are no way around what the cluster's owner granted.

  Scenario: Pod rights are not VM rights
    Given a cluster with 1 node
    And the user "pat" who may do everything with pods
    When "pat" tries to post the VirtualMachineInstance "vmi"
    Then it is refused with 403 and "cannot create resource \"virtualmachineinstances\" in API group \"kubevirt.io\""

  Scenario Outline: What <role> gives
    Given a cluster with 1 node
    And the user "pat" with the cluster role "<role>"
    When the client creates the VM "vm" with run strategy "Halted"
    Then "pat" <reads> read the VM "vm"
    And "pat" <writes> start the VM "vm"
    And "pat" <deletes> delete the VM "vm"

    Examples:
      | role  | reads | writes | deletes |
      | view  | may   | may not | may not |
      | edit  | may   | may    | may     |
      | admin | may   | may    | may     |

  Scenario: A VM owner gets nothing that a pod owner lacks
    Given a cluster with 1 node
    And the user "pat" with the cluster role "edit"
    When "pat" creates the VM "vm" with run strategy "Always"
    And the VM "vm" shows "Running"
    Then "pat" may not delete the node "node01"
    And "pat" may not read secrets of the namespace "kubevirt"

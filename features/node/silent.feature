Feature: Nodes that fall silent
  A node whose virt-handler is not heard of takes no new instances; what it runs is not given up before its pods are gone.

  Scenario: No heartbeat, no new instances; and back again
    Given a cluster with 2 nodes
    When the client posts the VirtualMachineInstance "vm"
    And the VMI "vm" becomes Running
    And the node of the VMI "vm" is lost
    Then the lost node does not take instances
    And an event of the lost node says "Normal NodeUnresponsive virt-handler is not responsive, marking node as unresponsive"
    And the VMI "vm" is still Running
    When the lost node is back
    Then the lost node takes instances

  Scenario: The instances of a node that is gone for good are given up
    Given a cluster with 2 nodes
    When the client posts the VirtualMachineInstance "vm"
    And the VMI "vm" becomes Running
    And the node of the VMI "vm" is lost
    And 10 minutes pass
    Then the VMI "vm" is still Running
    When the client deletes the lost node
    Then the VMI "vm" becomes Failed

  Scenario: A replica set makes up for a lost node
    Given a cluster with 2 nodes
    And a replica set "web" with 1 ready replica
    When the node of a VMI of the replica set "web" is lost
    Then there are exactly 2 VMIs labelled "app=web"
    And the replica set "web" has 1 replica, 1 ready
    When the client deletes the lost node
    Then that VMI is replaced
    And there are exactly 1 VMIs labelled "app=web"

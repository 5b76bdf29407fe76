Feature: Whose instances are a replica set's
  By labels, as for pods; what somebody else owns is never touched.

  Scenario: An orphan that matches is taken in, and counts
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "alone" with:
      | metadata.labels.app | web |
    And the VMI "alone" becomes Running
    And the client creates the replica set "web" with 2 replicas
    Then the replica set "web" has 2 replicas, 2 ready
    And the VMI "alone" is owned by the replica set "web"
    And there are exactly 2 VMIs labelled "app=web"

  Scenario: An instance that no longer matches is let go, and replaced
    Given a cluster with 1 node
    And a replica set "web" with 2 ready replicas
    When the client labels a VMI of the replica set "web" with "app=examined"
    Then that VMI is nobody's and runs on
    And the replica set "web" has 2 replicas, 2 ready
    And there are exactly 2 VMIs labelled "app=web"

  Scenario: The instance of a VM is the VM's
    Given a cluster with 1 node
    When the client creates the VM "web" with run strategy "Always"
    And the VM "web" is Running
    And the client creates the replica set "web" with 1 replica
    Then the replica set "web" has 1 replica, 1 ready
    And there are exactly 2 VMIs labelled "app=web"
    And the VMI "web" is owned by the VM "web"

  Scenario: A replica set takes its instances with it
    Given a cluster with 1 node
    And a replica set "web" with 2 ready replicas
    When the client deletes the replica set "web"
    Then there are exactly 0 VMIs labelled "app=web"
    And no domain is left

  Scenario: A replica set that leaves its instances, and one that finds them
    Given a cluster with 1 node
    And a replica set "web" with 2 ready replicas
    When the oldest VMI of the replica set "web" is noted
    And the client deletes the replica set "web" with propagation policy "Orphan"
    Then that VMI is nobody's and runs on
    When the client creates the replica set "web" with 2 replicas
    Then the replica set "web" has 2 replicas, 2 ready
    And there are still exactly 2 VMIs labelled "app=web"

Feature: How a pool stands
  What holds it up is in its conditions and events.

  Scenario: A paused pool does nothing
    Given a cluster with 1 node
    And a pool "db" with 1 ready replica
    When the client patches the pool "db" with:
      """
      {"spec": {"paused": true}}
      """
    Then condition "ReplicaPaused" of the pool "db" is "True" because "SuccessfulPaused"
    And an event of the pool "db" says "Normal SuccessfulPaused Pool is paused"
    When the client scales the pool "db" to 3
    And 10 minutes pass
    Then there are still exactly 1 VMs labelled "app=db"
    When the client patches the pool "db" with:
      """
      {"spec": {"paused": false}}
      """
    Then the pool "db" has 3 replicas, 3 ready
    And the pool "db" has no condition "ReplicaPaused"
    And an event of the pool "db" says "Normal SuccessfulResume Pool is unpaused"

  Scenario: VMs that cannot be made
    Given a cluster with 1 node
    And a pool "db" with 1 ready replica
    And virt-api is down
    When the client scales the pool "db" to 3
    Then condition "ReplicaFailure" of the pool "db" is "True" because "FailedScaleOut"
    And an event of the pool "db" says "Warning FailedCreate Error creating VM: "
    And an event of the pool "db" says "Warning FailedScaleOut error during scale out: "
    When virt-api is up again
    Then the pool "db" has 3 replicas, 3 ready
    And the pool "db" has no condition "ReplicaFailure"

  Scenario: A VM that cannot start is replaced, where the pool heals itself
    Given a cluster with 1 node
    When the client creates the pool "db" with 1 replica and:
      | spec.autohealing.minFailingToStartDuration                                  | 10m  |
      | spec.virtualMachineTemplate.spec.template.spec.nodeSelector.color           | blue |
    Then the VM "db-0" shows "ErrorUnschedulable"
    Then the UID of the VMI "db-0" is noted
    When 5 minutes pass
    Then the UID of the VMI "db-0" is the one noted
    And the VMI "db-0" is replaced by another one
    And an event of the pool "db" says "Normal SuccessfulDelete Deleted VM default/db-0"

  Scenario: A selector stays what it is
    Given a cluster with 1 node
    And a pool "db" with 1 ready replica
    When the client posts:
      """
      {"apiVersion": "pool.kubevirt.io/v1beta1", "kind": "VirtualMachinePool", "metadata": {"name": "other"},
       "spec": {"selector": {"matchLabels": {"app": "x"}}, "virtualMachineTemplate": {"metadata": {"labels": {"app": "y"}},
         "spec": {"runStrategy": "Halted", "template": {"spec": {"domain": {"devices": {}}}}}}}}
      """
    Then it is refused with 422 and "selector does not match labels."

Feature: How a replica set stands
  What holds it up is in its conditions and events.

  Scenario: A paused replica set does nothing
    Given a cluster with 1 node
    And a replica set "web" with 1 ready replica
    When the client patches the replica set "web" with:
      """
      {"spec": {"paused": true}}
      """
    Then condition "ReplicaPaused" of the replica set "web" is "True" because "Paused"
    And an event of the replica set "web" says "Normal SuccessfulPaused Paused"
    When the client scales the replica set "web" to 3
    And 10 minutes pass
    Then there are still exactly 1 VMIs labelled "app=web"
    When the client patches the replica set "web" with:
      """
      {"spec": {"paused": false}}
      """
    Then the replica set "web" has 3 replicas, 3 ready
    And the replica set "web" has no condition "ReplicaPaused"
    And an event of the replica set "web" says "Normal SuccessfulResumed Resumed"

  Scenario: Instances that are refused
    Given a cluster with 1 node
    When the client posts:
      """
      {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"},
       "spec": {"hard": {"count/virtualmachineinstances.kubevirt.io": "1"}}}
      """
    And 10 seconds pass
    And the client creates the replica set "web" with 2 replicas
    Then condition "ReplicaFailure" of the replica set "web" is "True" because "FailedCreate"
    And an event of the replica set "web" says "Warning FailedCreate Error creating virtual machine instance: virtualmachineinstances.kubevirt.io "web"
    And the replica set "web" has 1 replica, 1 ready
    When the client scales the replica set "web" to 1
    Then the replica set "web" has no condition "ReplicaFailure"

  Scenario: Instances wait for virt-api, and are made once
    Given a cluster with 1 node
    And a replica set "web" with 1 ready replica
    And virt-api is down
    When the client scales the replica set "web" to 3
    Then an event of the replica set "web" says "Warning FailedCreate Error creating virtual machine instance: "
    When virt-api is up again
    Then the replica set "web" has 3 replicas, 3 ready
    And there are exactly 3 VMIs labelled "app=web"
    And the replica set "web" has no condition "ReplicaFailure"

  Scenario: A selector that does not fit the template
    Given a cluster with 1 node
    When the client posts:
      """
      {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceReplicaSet", "metadata": {"name": "web"},
       "spec": {"selector": {"matchLabels": {"app": "other"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"domain": {"devices": {}}}}}}
      """
    Then it is refused with 422 and "selector does not match labels."

Feature: Replica sets
  A VirtualMachineInstanceReplicaSet keeps a number of equal instances.

  Scenario: So many instances as are wanted
    Given a cluster with 2 nodes
    When the client creates the replica set "web" with 3 replicas and:
      | spec.template.metadata.annotations.team | blue |
    Then the replica set "web" has 3 replicas, 3 ready
    And there are exactly 3 VMIs labelled "app=web"
    And every VMI of the replica set "web" is named "web" with a suffix and carries "team=blue"
    And an event of the replica set "web" says "Normal SuccessfulCreate Started the virtual machine by creating the new virtual machine instance web"

  Scenario: Names come from the template
    Given a cluster with 1 node
    When the client creates the replica set "web" with 1 replica and:
      | spec.template.metadata.generateName | front- |
    Then the replica set "web" has 1 replica, 1 ready
    And every VMI of the replica set "web" is named "front-" with a suffix and carries "kubevirt.io/latest-observed-api-version=v1"

  Scenario: One replica where nobody says how many
    Given a cluster with 1 node
    When the client creates the replica set "web" with 1 replica and:
      | spec.replicas | null |
    Then the replica set "web" has 1 replica, 1 ready

  Scenario: Scaling out and in, as kubectl scale does it
    Given a cluster with 2 nodes
    And a replica set "web" with 2 ready replicas
    When the client scales the replica set "web" to 4
    Then the replica set "web" has 4 replicas, 4 ready
    When the client scales the replica set "web" to 1
    Then the replica set "web" has 1 replica, 1 ready
    And there are exactly 1 VMIs labelled "app=web"
    And an event of the replica set "web" says "Normal SuccessfulDelete Stopped the virtual machine by deleting the virtual machine instance"
    When the client scales the replica set "web" to 0
    Then there are exactly 0 VMIs labelled "app=web"
    And the scale of the replica set "web" is 0 of 0, selected by "app=web"

  Scenario: What an autoscaler reads
    Given a cluster with 1 node
    And a replica set "web" with 2 ready replicas
    Then the scale of the replica set "web" is 2 of 2, selected by "app=web"

  Scenario: The old stay
    Given a cluster with 2 nodes
    And a replica set "web" with 1 ready replica
    When the oldest VMI of the replica set "web" is noted
    And 5 seconds pass
    And the client scales the replica set "web" to 3
    And the replica set "web" has 3 replicas, 3 ready
    And the client scales the replica set "web" to 1
    Then the only VMI left of the replica set "web" is that one

  Scenario: Who never got ready goes first
    Given a cluster with 1 node
    And a replica set "web" with 1 ready replica
    When the oldest VMI of the replica set "web" is noted
    And the client patches the replica set "web" with:
      """
      {"spec": {"replicas": 3, "template": {"spec": {"nodeSelector": {"color": "blue"}}}}}
      """
    And the replica set "web" has 3 replicas, 1 ready
    And the client scales the replica set "web" to 1
    Then the only VMI left of the replica set "web" is that one

  Scenario: An instance that is deleted is replaced
    Given a cluster with 1 node
    And a replica set "web" with 2 ready replicas
    When the client deletes a VMI of the replica set "web"
    Then that VMI is replaced
    And the replica set "web" has 2 replicas, 2 ready

  Scenario Outline: An instance that <ends> is replaced, and does not stay
    Given a cluster with 1 node
    And a replica set "web" with 2 ready replicas
    When a guest of the replica set "web" <ends>
    Then that VMI is replaced
    And the replica set "web" has 2 replicas, 2 ready
    And there are exactly 2 VMIs labelled "app=web"
    And an event of the replica set "web" says "Normal SuccessfulDelete Deleted finished virtual machine: "

    Examples:
      | ends       |
      | powers off |
      | crashes    |

  Scenario: A changed template is for instances to come
    Given a cluster with 1 node
    And a replica set "web" with 1 ready replica
    When the client patches the replica set "web" with:
      """
      {"spec": {"template": {"metadata": {"annotations": {"team": "red"}}}}}
      """
    And the client deletes a VMI of the replica set "web"
    Then that VMI is replaced
    And the replica set "web" has 1 replica, 1 ready
    And every VMI of the replica set "web" is named "web" with a suffix and carries "team=red"

  Scenario: virt-controller restarts while a replica set scales
    Given a cluster with 2 nodes
    When the client creates the replica set "web" with 5 replicas
    And virt-controller restarts
    Then the replica set "web" has 5 replicas, 5 ready
    And there are exactly 5 VMIs labelled "app=web"

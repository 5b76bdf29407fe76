Feature: Pools
  A VirtualMachinePool keeps a number of VMs made from one template, each with a number of its own.

  Scenario: VMs by ordinal
    Given a cluster with 2 nodes
    When the client creates the pool "db" with 3 replicas
    Then the pool "db" has 3 replicas, 3 ready
    And the VMs labelled "app=db" are "db-0, db-1, db-2"
    And the VM "db-1" is owned by the pool "db"
    And the VM "db-1" has "db-1" in metadata/labels/kubevirt.io~1vm-pool-revision-name
    And the VM "db-1" has "db-1" in spec/template/metadata/labels/kubevirt.io~1vm-pool-revision-name
    And the VM "db-1" has "pool.kubevirt.io/finalizer" in metadata/finalizers/0
    And the revisions of the pool "db" are "db-1"
    And an event of the pool "db" says "Normal SuccessfulCreate Created VM default/db-2"

  Scenario: Scaling out and in, as kubectl scale does it
    Given a cluster with 2 nodes
    And a pool "db" with 2 ready replicas
    When the client scales the pool "db" to 4
    Then the VMs labelled "app=db" are "db-0, db-1, db-2, db-3"
    And the pool "db" has 4 replicas, 4 ready
    When the client scales the pool "db" to 1
    Then the pool "db" has 1 replica, 1 ready
    And there are exactly 1 VMIs labelled "app=db"
    And an event of the pool "db" says "Normal SuccessfulDelete Deleted VM default/db-"
    When the client scales the pool "db" to 0
    Then there are exactly 0 VMs labelled "app=db"
    And the scale of the pool "db" is 0 of 0, selected by "app=db"
    And the revisions of the pool "db" are ""

  Scenario Outline: Who goes first: <policy>
    Given a cluster with 2 nodes
    And a pool "db" with 3 ready replicas and:
      | spec.scaleInStrategy.proactive.selectionPolicy.sortPolicy | <policy> |
    When the client scales the pool "db" to 2
    Then the pool "db" has 2 replicas, 2 ready
    And the VMs labelled "app=db" are "<left>"

    Examples:
      | policy          | left       |
      | AscendingOrder  | db-1, db-2 |
      | DescendingOrder | db-0, db-1 |

  Scenario: The newest goes first
    Given a cluster with 2 nodes
    And a pool "db" with 2 ready replicas and:
      | spec.scaleInStrategy.proactive.selectionPolicy.sortPolicy | Newest |
    When the client deletes the VM "db-0"
    And 1 minutes pass
    Then the pool "db" has 2 replicas, 2 ready
    When the client scales the pool "db" to 1
    Then the VMs labelled "app=db" are "db-1"

  Scenario: Only those that are selected go
    Given a cluster with 2 nodes
    And a pool "db" with 3 ready replicas and:
      | spec.scaleInStrategy.proactive.selectionPolicy.selectors.labelSelector | {"matchLabels": {"idle": "yes"}} |
    When the client patches the VM "db-1" with:
      """
      {"spec": {"template": {"metadata": {"labels": {"idle": "yes"}}}}}
      """
    And the client scales the pool "db" to 1
    Then the VMs labelled "app=db" are "db-0, db-2"

  Scenario: A VM that is deleted is replaced under its name
    Given a cluster with 1 node
    And a pool "db" with 2 ready replicas
    When the client deletes the VM "db-0"
    Then the VMI "db-0" is replaced by another one
    And the pool "db" has 2 replicas, 2 ready
    And the VMs labelled "app=db" are "db-0, db-1"

  Scenario Outline: A pool that leaves scaling in to others: <strategy>
    Given a cluster with 1 node
    And a pool "db" with 2 ready replicas and:
      | spec.scaleInStrategy.<strategy> | {} |
    When the client scales the pool "db" to 1
    And 10 minutes pass
    Then there are still exactly 2 VMs labelled "app=db"
    When the client deletes the VM "db-0"
    Then the VMs labelled "app=db" are "db-1"
    And the pool "db" has 1 replica, 1 ready

    Examples:
      | strategy      |
      | unmanaged     |
      | opportunistic |

  Scenario: A VM that is taken from its pool
    Given a cluster with 1 node
    And a pool "db" with 2 ready replicas
    When the client labels the VM "db-0" with "app=examined"
    Then the VM "db-0" is nobody's
    And the VMs labelled "app=db" are "db-1, db-2"
    And the pool "db" has 2 replicas, 2 ready
    When the client deletes the VM "db-0"
    Then the VM "db-0" is gone

  Scenario: A VM whose owner was taken away by hand can be deleted
    Given a cluster with 1 node
    And a pool "db" with 1 ready replica
    When the client patches the VM "db-0" with:
      """
      {"metadata": {"ownerReferences": null}}
      """
    And the client deletes the VM "db-0"
    Then the VM "db-0" is gone

  Scenario: A pool takes its VMs with it
    Given a cluster with 1 node
    And a pool "db" with 2 ready replicas
    When the client deletes the pool "db"
    Then there are exactly 0 VMs labelled "app=db"
    And there are exactly 0 VMIs labelled "app=db"
    And no domain is left

  Scenario: virt-controller restarts while a pool scales
    Given a cluster with 2 nodes
    When the client creates the pool "db" with 4 replicas
    And virt-controller restarts
    Then the pool "db" has 4 replicas, 4 ready
    And the VMs labelled "app=db" are "db-0, db-1, db-2, db-3"

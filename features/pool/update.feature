Feature: How a changed template reaches a pool's VMs
  Proactively, at the VM's next start, or not at all.

  Scenario: Proactively: VMs change, and their instances are restarted
    Given a cluster with 2 nodes
    And a pool "db" with 2 ready replicas
    When the client patches the pool "db" with:
      """
      {"spec": {"virtualMachineTemplate": {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 7}}}}}}
      """
    Then the VM "db-0" has "7" in spec/template/spec/terminationGracePeriodSeconds
    And the VMI "db-0" is replaced by another one
    And the VMI "db-1" is replaced by another one
    And the pool "db" has 2 replicas, 2 ready
    And the revisions of the pool "db" are "db-2"
    And the VM "db-1" has "db-2" in metadata/labels/kubevirt.io~1vm-pool-revision-name
    And an event of the pool "db" says "Normal SuccessfulUpdate Updated VM default/db-0"
    And an event of the pool "db" says "Normal SuccessfulDelete Successfully updated resource default/db-1"

  Scenario: The guest stays the machine it is
    Given a cluster with 1 node
    And a pool "db" with 1 ready replica
    Then the firmware UUID of the VMI "db-0" is noted
    When the client patches the pool "db" with:
      """
      {"spec": {"virtualMachineTemplate": {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 7}}}}}}
      """
    Then the VMI "db-0" is replaced by another one
    And the pool "db" has 1 replica, 1 ready
    And the firmware UUID of the VMI "db-0" is the one noted

  Scenario Outline: No more at a time than may be unavailable: <limit>
    Given a cluster with 2 nodes
    And a pool "db" with 4 ready replicas and:
      | spec.maxUnavailable | <limit> |
    When the client patches the pool "db" with:
      """
      {"spec": {"virtualMachineTemplate": {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 7}}}}}}
      """
    Then the VMI "db-0" is replaced by another one
    And the VMI "db-1" is replaced by another one
    And the VMI "db-2" is replaced by another one
    And the VMI "db-3" is replaced by another one
    And the revisions of the pool "db" are "db-2"
    And the pool "db" has 4 replicas, 4 ready
    And at no time were more than <most> VMIs labelled "app=db" not ready

    Examples:
      | limit | most |
      | 1     | 1    |
      | "50%" | 2    |
      | "10%" | 1    |

  Scenario: Opportunistically: VMs change, and their instances when they start anew
    Given a cluster with 1 node
    And a pool "db" with 1 ready replica and:
      | spec.updateStrategy.opportunistic | {} |
    Then the UID of the VMI "db-0" is noted
    When the client patches the pool "db" with:
      """
      {"spec": {"virtualMachineTemplate": {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 7}}}}}}
      """
    Then the VM "db-0" has "7" in spec/template/spec/terminationGracePeriodSeconds
    When 10 minutes pass
    Then the UID of the VMI "db-0" is the one noted
    And the revisions of the pool "db" are "db-1, db-2"
    When the client restarts the VM "db-0"
    Then the VMI "db-0" is replaced by another one
    And the revisions of the pool "db" are "db-2"

  Scenario: Not at all
    Given a cluster with 1 node
    And a pool "db" with 1 ready replica and:
      | spec.updateStrategy.unmanaged | {} |
    When the client patches the pool "db" with:
      """
      {"spec": {"virtualMachineTemplate": {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 7}}}}}}
      """
    And 10 minutes pass
    Then the VM "db-0" has "30" in spec/template/spec/terminationGracePeriodSeconds
    When the client scales the pool "db" to 2
    Then the VM "db-1" has "7" in spec/template/spec/terminationGracePeriodSeconds

  Scenario: A change that no instance needs restarts none
    Given a cluster with 1 node
    And a pool "db" with 1 ready replica
    Then the UID of the VMI "db-0" is noted
    When the client patches the pool "db" with:
      """
      {"spec": {"virtualMachineTemplate": {"metadata": {"annotations": {"team": "blue"}}}}}
      """
    Then the VM "db-0" has "blue" in metadata/annotations/team
    And the revisions of the pool "db" are "db-2"
    And the UID of the VMI "db-0" is the one noted

  Scenario: Other disks make other VMs
    Given a cluster with 1 node
    When the client posts:
      """
      {"apiVersion": "pool.kubevirt.io/v1beta1", "kind": "VirtualMachinePool", "metadata": {"name": "db"},
       "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "db"}}, "virtualMachineTemplate": {
         "metadata": {"labels": {"app": "db"}}, "spec": {"runStrategy": "Always",
           "dataVolumeTemplates": [{"metadata": {"name": "root"}, "spec": {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}}}],
           "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"domain": {"memory": {"guest": "64Mi"}, "devices": {"disks": [{"name": "root", "disk": {"bus": "virtio"}}]}},
             "volumes": [{"name": "root", "dataVolume": {"name": "root"}}]}}}}}}
      """
    And the pool "db" has 1 replica, 1 ready
    And the client patches the pool "db" with:
      """
      {"spec": {"virtualMachineTemplate": {"spec": {"dataVolumeTemplates": [
        {"metadata": {"name": "root"}, "spec": {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "2Gi"}}}}}]}}}}
      """
    Then the VMI "db-0" is replaced by another one
    And the pool "db" has 1 replica, 1 ready
    And the DataVolume "root-0" is owned by the VM "db-0"

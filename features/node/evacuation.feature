Feature: Leaving a node
  An eviction asks an instance to move. Whether it may go, has to move or has to stay is its eviction strategy's to say.

  Scenario: An eviction is answered by a migration
    Given a cluster with 2 nodes
    When the client posts the VirtualMachineInstance "vm" with:
      | spec.evictionStrategy | LiveMigrate |
    And the VMI "vm" becomes Running
    And condition "LiveMigratable" of the VMI "vm" is "True"
    And the pod of the VMI "vm" is evicted
    Then it is refused with 429 and "Eviction triggered evacuation of VMI \"default/vm\""
    And the VMI "vm" has to leave its node
    And condition "EvictionRequested" of the VMI "vm" is "True"
    And the VMI "vm" is to be moved off its node with the priority "system-critical"
    And an event of VirtualMachineInstance "vm" says "Normal SuccessfulCreate Created Migration kubevirt-evacuation-"
    When the pod of the VMI "vm" is evicted
    Then it is refused with 429 and "Evacuation in progress: Eviction triggered evacuation of VMI \"default/vm\""
    When 10 minutes pass
    Then there is still exactly 1 migration of the VMI "vm"
    And the VMI "vm" is still Running

  Scenario: The Descheduler can wait
    Given a cluster with 2 nodes
    When the client posts the VirtualMachineInstance "vm" with:
      | spec.evictionStrategy | LiveMigrate |
    And the VMI "vm" becomes Running
    And condition "LiveMigratable" of the VMI "vm" is "True"
    And the Descheduler evicts the pod of the VMI "vm"
    Then it is refused with 429 and "Eviction triggered evacuation of VMI \"default/vm\""
    And the VMI "vm" is to be moved off its node with the priority "system-maintenance"

  Scenario: Somebody else moves it
    Given a cluster with 2 nodes
    When the client posts the VirtualMachineInstance "vm" with:
      | spec.evictionStrategy | External |
    And the VMI "vm" becomes Running
    And the pod of the VMI "vm" is evicted
    Then it is refused with 429 and "Eviction triggered evacuation"
    And the VMI "vm" has to leave its node
    When 10 minutes pass
    Then there are still exactly 0 migrations of the VMI "vm"

  Scenario: A refused eviction costs a budget nothing
    Given a cluster with 2 nodes
    When the client posts the VirtualMachineInstance "vm" with:
      | spec.evictionStrategy   | LiveMigrate |
      | metadata.labels.app     | web         |
    And condition "LiveMigratable" of the VMI "vm" is "True"
    And there is a PodDisruptionBudget "own" for the pods labelled "app=web"
    Then the PodDisruptionBudget "own" allows 1 disruption
    When the pod of the VMI "vm" is evicted
    Then it is refused with 429 and "Eviction triggered evacuation of VMI"
    When 1 minutes pass
    Then the PodDisruptionBudget "own" allows 1 disruption
    And the pod of the VMI "vm" does not say that it goes

  Scenario: An instance without a strategy goes
    Given a cluster with 2 nodes
    When the client creates the VM "vm" with run strategy "Always"
    And the VM "vm" is Running
    And the pod of the VMI "vm" is evicted
    Then the VMI "vm" is replaced by another one
    And there are still exactly 0 migrations of the VMI "vm"

  Scenario: An evacuation that is called off
    Given a cluster with 2 nodes
    When the client creates the VM "vm" with run strategy "Always" and:
      | spec.template.spec.evictionStrategy | LiveMigrate |
    And the VM "vm" is Running
    And condition "LiveMigratable" of the VMI "vm" is "True"
    And the pod of the VMI "vm" is evicted
    And a migration of the VMI "vm" is Pending
    And the user runs "virtctl evacuate-cancel vm vm"
    Then the VMI "vm" may stay on its node
    And there are exactly 0 migrations of the VMI "vm"
    And an event of VirtualMachineInstance "vm" says "Normal SuccessfulDelete Deleted Migration kubevirt-evacuation-"
    And the VM "vm" has had exactly 1 VMI

  Scenario: A tainted node is left by all who can
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "one" with:
      | spec.evictionStrategy | LiveMigrate |
    And the client posts the VirtualMachineInstance "two" with:
      | spec.evictionStrategy | LiveMigrateIfPossible |
    And the client posts the VirtualMachineInstance "three"
    And the VMI "three" becomes Running
    And condition "LiveMigratable" of the VMI "one" is "True"
    And condition "LiveMigratable" of the VMI "two" is "True"
    And the node of the VMI "one" gets the taint "kubevirt.io/drain:NoSchedule"
    Then the VMI "one" is to be moved off its node with the priority "system-critical"
    And the VMI "two" is to be moved off its node with the priority "system-critical"
    And there are still exactly 0 migrations of the VMI "three"
    When the node of the VMI "one" has no taints
    Then there are exactly 0 migrations of the VMI "one"
    And there are exactly 0 migrations of the VMI "two"

  Scenario: Budgets that older versions made for instances go
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "vm"
    And there is a PodDisruptionBudget "own" that nobody controls
    And there is a PodDisruptionBudget "kubevirt-disruption-budget-abcde" that the VMI "vm" controls
    Then the PodDisruptionBudget "kubevirt-disruption-budget-abcde" is gone
    And an event of VirtualMachineInstance "vm" says "Normal SuccessfulDelete Deleted PodDisruptionBudget kubevirt-disruption-budget-abcde"
    And the PodDisruptionBudget "own" is still there

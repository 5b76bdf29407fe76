Feature: The documented life of a VirtualMachineInstance
  The workflow that KubeVirt documents, each sentence a step: who acts, on what, and what is to be seen afterwards.

  Scenario: From posting a manifest to its deletion
    Given a cluster with 2 nodes
    When the client posts the VirtualMachineInstance "testvmi"
    Then the API server validates and stores it
    And virt-controller creates a pod for the VMI "testvmi"
    And the pod of the VMI "testvmi" is scheduled to a node
    And virt-controller sets nodeName on the VMI "testvmi" to the node of its pod
    And the responsibility for the VMI "testvmi" passes to virt-handler
    And virt-handler has the domain of the VMI "testvmi" created through the launcher
    And the VMI "testvmi" becomes Running
    When the client deletes the VMI "testvmi"
    Then virt-handler shuts the domain of the VMI "testvmi" down
    And the VMI "testvmi" is gone
    And the pod of the VMI "testvmi" is gone
    And these happened in this order:
      | VirtualMachineInstance testvmi ADDED                              |
      | Pod virt-launcher-testvmi ADDED                                   |
      | Pod virt-launcher-testvmi spec.nodeName                           |
      | VirtualMachineInstance testvmi phase Scheduled                    |
      | VirtualMachineInstance testvmi phase Running                      |
      | VirtualMachineInstance testvmi metadata.deletionTimestamp         |
      | VirtualMachineInstance testvmi phase Succeeded                    |
      | VirtualMachineInstance testvmi DELETED                            |

  Scenario: What the events of a short life say
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "testvmi"
    And the VMI "testvmi" becomes Running
    And the client deletes the VMI "testvmi"
    And the VMI "testvmi" is gone
    Then the events of VirtualMachineInstance "testvmi" are, in order:
      | Normal | SuccessfulCreate | Created virtual machine pod virt-launcher-testvmi- |
      | Normal | Created          | VirtualMachineInstance defined.                    |
      | Normal | Started          | VirtualMachineInstance started.                    |
      | Normal | ShuttingDown     | Signaled Graceful Shutdown                         |
      | Normal | SuccessfulDelete | Deleted virtual machine pod virt-launcher-testvmi- |
      | Normal | Stopped          | The VirtualMachineInstance was shut down.          |
      | Normal | Deleted          | Signaled Deletion                                  |

  Scenario: The labels and fields that the hand-off rests on
    Given a cluster with 2 nodes
    When the client posts the VirtualMachineInstance "testvmi"
    And the VMI "testvmi" becomes Running
    Then the VMI "testvmi" has the label "kubevirt.io/nodeName" of its node
    And the pod of the VMI "testvmi" has the label "kubevirt.io/created-by" of the VMI's UID
    And the pod of the VMI "testvmi" has the label "kubevirt.io" = "virt-launcher"
    And the VMI "testvmi" lists its pod in status.activePods
    And the VMI "testvmi" has the finalizer "kubevirt.io/foregroundDeleteVirtualMachine"
    And condition "Ready" of the VMI "testvmi" is "True"
    And condition "LiveMigratable" of the VMI "testvmi" is "True"

  Scenario: VMs run beside native pods
    Given a cluster with 2 nodes
    When the client runs the pod "web"
    And the client posts the VirtualMachineInstance "testvmi"
    Then the pod "web" becomes Running
    And the VMI "testvmi" becomes Running
    When the client deletes the VMI "testvmi"
    Then the VMI "testvmi" is gone
    And the pod "web" is still Running

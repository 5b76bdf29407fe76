Feature: What a VM waits for
  Every state that is not the end says why.

  Scenario: No node fits
    Given a cluster with 2 nodes
    When the client creates the VM "vm" with run strategy "Always" and:
      | spec.template.spec.nodeSelector.color | blue |
    Then the VM "vm" shows "ErrorUnschedulable"
    And condition "PodScheduled" of the VMI "vm" is "False" because "Unschedulable"
    And an event of the pod of the VMI "vm" says "Warning FailedScheduling 0/2 nodes are available"
    When the client labels the node "node01" with "color=blue"
    Then the VM "vm" shows "Running"

  Scenario: Not enough memory on any node
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always" and:
      | spec.template.spec.domain.memory.guest | 4Ti |
    Then the VM "vm" shows "ErrorUnschedulable"
    And an event of the pod of the VMI "vm" says "Warning FailedScheduling Insufficient memory"

  Scenario: The image cannot be pulled
    Given a cluster with 1 node on which the image "example.com/missing" cannot be pulled
    When the client creates the VM "vm" with run strategy "Always" and the container disk "example.com/missing"
    Then the VM "vm" shows "ErrImagePull" or "ImagePullBackOff"

  Scenario: The claim does not exist
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always" and the claim "data"
    Then the VM "vm" shows "ErrorPvcNotFound"
    When the client creates the claim "data" of 1Gi
    Then the VM "vm" shows "Running"

  Scenario: A domain that cannot be started is tried again, and says why
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always" and:
      | spec.template.metadata.annotations.fake.ferrovirt.io/start-fails | true |
    Then the VM "vm" shows "Starting"
    And an event of VirtualMachineInstance "vm" says "Warning SyncFailed process exited while connecting to monitor"
    When 2 minutes pass
    Then the VM "vm" shows "Starting"
    And the VM "vm" has had exactly 1 VMI

  Scenario: The node is lost
    A VM whose node is silent may still run there: it is not started elsewhere before somebody says that the node is gone.
    Given a cluster with 2 nodes
    When the client creates the VM "vm" with run strategy "Always"
    Then the VM "vm" shows "Running"
    When the node of the VMI "vm" is lost
    Then condition "Ready" of the VMI "vm" is "False"
    When 15 minutes pass
    Then the VM "vm" has had exactly 1 VMI
    When the client deletes the lost node
    Then the VMI "vm" is replaced by another one within 15 minutes
    And the VM "vm" shows "Running"

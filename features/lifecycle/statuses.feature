Feature: What a VM shows
  One word says where a VM is and, if it is not where it should be, why. The words are KubeVirt's. Those that are not here are
  shown in the features of what leads to them: waiting, guest failures, deletion, start and stop.

  Scenario: Provisioning, while its disks are imported
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always" and a template of the DataVolume "disk" with:
      | metadata.annotations.sim.ferrovirt.io/import-time | 1m |
    Then the VM "vm" shows "Provisioning"
    And the DataVolume "disk" reaches "50.00%"
    And there is no VMI "vm"
    And an event of DataVolume "disk" says "Normal ImportInProgress Import into disk in progress"
    And the VM "vm" shows "Running"
    And the DataVolume "disk" becomes Succeeded
    And an event of VirtualMachine "vm" says "Normal SuccessfulDataVolumeCreate Created DataVolume disk"
    When the client deletes the VM "vm"
    Then the VM "vm" is gone
    And the DataVolume "disk" is gone
    And the claim "disk" is gone

  Scenario: Provisioning, while a disk that it did not make itself is imported
    Given a cluster with 1 node
    When the client creates the DataVolume "disk" with:
      | metadata.annotations.sim.ferrovirt.io/import-time | 1m |
    And the client creates the VM "vm" with run strategy "Always" and the DataVolume "disk"
    Then the VM "vm" shows "Provisioning"
    And the VM "vm" shows "Running"
    When the client deletes the VM "vm"
    Then the VM "vm" is gone
    And the DataVolume "disk" becomes Succeeded

  Scenario: DataVolumeError, until an import succeeds
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always" and a template of the DataVolume "disk" with:
      | metadata.annotations.sim.ferrovirt.io/import-fails | 1                |
      | metadata.annotations.sim.ferrovirt.io/import-error | no route to host |
    Then the VM "vm" shows "DataVolumeError"
    And an event of DataVolume "disk" says "Warning Error no route to host"
    And there is no VMI "vm"
    And the VM "vm" shows "Running"

  Scenario: DataVolumeError, for good
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always" and a template of the DataVolume "disk" with:
      | metadata.annotations.sim.ferrovirt.io/import-fails | fatal |
    Then the VM "vm" shows "DataVolumeError"
    And the DataVolume "disk" becomes Failed
    And an event of VirtualMachine "vm" says "Warning FailedDataVolumeImport DataVolume disk failed to import disk image"
    When 30 minutes pass
    Then the VM "vm" shows "DataVolumeError"
    And there is no VMI "vm"

  Scenario: WaitingForVolumeBinding, until somebody makes a volume for its claim
    Given a cluster with 1 node
    And a storage class "slow" whose provisioner does not run
    When the client creates the claim "data" of 1Gi in the class "slow"
    And the client creates the VM "vm" with run strategy "Always" and the claim "data"
    Then the VM "vm" shows "WaitingForVolumeBinding"
    When 10 minutes pass
    Then the VM "vm" shows "WaitingForVolumeBinding"
    When the administrator makes a volume of 1Gi in the class "slow"
    Then the VM "vm" shows "Running"

  Scenario: Provisioning, where the scheduler has to choose a node before a disk is imported
    Given a cluster with 2 nodes
    When the client creates the VM "vm" with run strategy "Always" and a template of the DataVolume "disk" with:
      | spec.storage.storageClassName                     | local |
      | metadata.annotations.sim.ferrovirt.io/import-time | 1m    |
    Then the VM "vm" shows "Provisioning"
    And the VM "vm" shows "Running"

  Scenario: A claim that a first consumer has to bind before it is filled
    A pod that does nothing is that consumer; the VM's own comes when the data is there.
    Given a cluster with 2 nodes
    When the client creates the VM "vm" with run strategy "Always" and a template of the DataVolume "disk" with:
      | spec.storage.storageClassName                              | local |
      | metadata.annotations.cdi.kubevirt.io/storage.usePopulator  | false |
      | metadata.annotations.sim.ferrovirt.io/import-time          | 1m    |
    Then the VM "vm" shows "Provisioning"
    And the VM "vm" shows "Running"

  Scenario: A disk that is a clone of what a DataSource names
    Given a cluster with 1 node
    When the client creates the DataVolume "golden"
    And the client creates the DataSource "images" of the claim "golden"
    And the client creates the VM "vm" with run strategy "Always" and a template of the DataVolume "disk" with:
      | spec | {"sourceRef": {"kind": "DataSource", "name": "images"}, "storage": {}} |
    Then the VM "vm" shows "Running"
    And the DataVolume "disk" is cloned from the claim "golden"
    And an event of DataVolume "disk" says "Normal CloneSucceeded Successfully cloned from default/golden into default/disk"

  Scenario: A clone whose source comes later
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Halted" and a template of the DataVolume "disk" with:
      | spec | {"source": {"pvc": {"namespace": "default", "name": "golden"}}, "storage": {}} |
    Then an event of VirtualMachine "vm" says "Warning SourcePVCNotAvailabe Source PVC golden not available: Target PVC disk will remain unpopulated until source is created"
    When the client creates the DataVolume "golden"
    Then the DataVolume "disk" becomes Succeeded
    And the VM "vm" shows "Stopped"

  Scenario: A disk that was left behind is taken over by the VM whose template it is
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Halted" and a template of the DataVolume "disk"
    Then the DataVolume "disk" becomes Succeeded
    And the VM "vm" shows "Stopped"
    When the client deletes the VM "vm" with propagation policy "Orphan"
    Then the VM "vm" is gone
    And the DataVolume "disk" has no owner
    When the client creates the VM "vm" with run strategy "Always" and a template of the DataVolume "disk"
    Then the DataVolume "disk" is owned by the VM "vm"
    And the VM "vm" shows "Running"

  Scenario: Starting, while its pod cannot start
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always" and the Secret "config" as a disk
    Then the VM "vm" shows "Starting"
    And an event of the pod of the VMI "vm" says "Warning FailedMount MountVolume.SetUp failed for volume"
    When the client creates the Secret "config"
    Then the VM "vm" shows "Running"

  Scenario: ErrImagePull, then ImagePullBackOff
    Given a cluster with 1 node on which the image "example.com/missing" cannot be pulled
    When the client creates the VM "vm" with run strategy "Always" and the container disk "example.com/missing"
    Then the VM "vm" shows "ImagePullBackOff"
    And the VM "vm" has shown "ErrImagePull"

  Scenario: Paused, and Running again
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always"
    Then the VM "vm" shows "Running"
    When the client pauses the VMI "vm"
    Then the VM "vm" shows "Paused"
    When the client unpauses the VMI "vm"
    Then the VM "vm" shows "Running"

  Scenario: Stopping, while the guest takes its time
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Manual", whose guest takes 20s to shut down
    And the client starts the VM "vm"
    Then the VM "vm" shows "Running"
    When the client stops the VM "vm"
    Then the VM "vm" shows "Stopping"
    And the VM "vm" shows "Stopped"

  Scenario: Migrating, while a migration of its VMI is recorded as under way
    Who moves the guest is no matter here: the record is what the VM's status follows.
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always"
    Then the VM "vm" shows "Running"
    When virt-controller records that a migration of the VMI "vm" began
    Then the VM "vm" shows "Migrating"
    When virt-controller records that the migration of the VMI "vm" ended
    Then the VM "vm" shows "Running"

  Scenario: WaitingForReceiver, as the target of a migration from another cluster
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "WaitAsReceiver"
    Then the VM "vm" shows "WaitingForReceiver"
    And the VMI "vm" becomes WaitingForSync

  Scenario: Unknown, when it waits as a receiver without being meant to
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "WaitAsReceiver"
    Then the VM "vm" shows "WaitingForReceiver"
    When the client sets the run strategy of the VM "vm" to "Always"
    Then the VM "vm" shows "Unknown"

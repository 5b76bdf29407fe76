Feature: The volumes of a machine, day to day

  Scenario: A disk that is made with the VM and goes with it
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always" and a template of the DataVolume "disk"
    Then the DataVolume "disk" becomes Succeeded
    And the DataVolume "disk" is owned by the VM "vm"
    And the VM "vm" shows "Running"
    When the client deletes the VM "vm"
    Then the VM "vm" is gone
    And the DataVolume "disk" is gone
    And the claim "disk" is gone

  Scenario: A disk that stays when the VM goes
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Halted" and a template of the DataVolume "disk"
    And the DataVolume "disk" becomes Succeeded
    And the client deletes the VM "vm" with propagation policy "Orphan"
    Then the VM "vm" is gone
    And the DataVolume "disk" has no owner

  Scenario: Why a VM waits for its disk
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always" and a template of the DataVolume "disk" with:
      | metadata.annotations.sim.ferrovirt.io/import-time | 10m |
    And the DataVolume "disk" becomes ImportInProgress
    And the user runs "virtctl why vm/vm"
    Then virtctl shows "DataVolume/disk is ImportInProgress"

  Scenario: A volume is plugged and unplugged
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always"
    And the client creates the claim "extra" of 1Gi
    And the VM "vm" is Running
    And the user runs "virtctl addvolume vm --volume-name=extra --serial=S1"
    Then virtctl prints "Successfully submitted add volume request to VM vm for volume extra"
    And the VM "vm" has "extra" in spec/template/spec/volumes/1/name
    And the VM "vm" has "S1" in spec/template/spec/domain/devices/disks/1/serial
    When the user runs "virtctl addvolume vm --volume-name=extra"
    Then virtctl fails with "Unable to add volume [extra] because volume with that name already exists"
    When the user runs "virtctl removevolume vm --volume-name=extra"
    Then virtctl prints "Successfully submitted remove volume request to VM vm for volume extra"
    When the user runs "virtctl removevolume vm --volume-name=extra"
    Then virtctl fails with "Unable to remove volume [extra] because it does not exist"

  Scenario: Requests wait in the status where the old feature gate is on
    Given a cluster with 1 node
    And the feature gate HotplugVolumes is on
    When the client creates the VM "vm" with run strategy "Halted"
    And the client creates the claim "extra" of 1Gi
    And the user runs "virtctl addvolume vm --volume-name=extra"
    Then virtctl prints "Successfully submitted add volume request to VM vm for volume extra"
    And the VM "vm" gets "extra" in spec/template/spec/volumes/1/name

  Scenario: A memory dump is asked for, once
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Always"
    And the VM "vm" is Running
    And the client creates the claim "small" of 10Mi
    And the client creates the claim "dump" of 1Gi
    And the user runs "virtctl memory-dump get vm --claim-name=small"
    Then virtctl fails with "Operation cannot be fulfilled on persistentvolumeclaim.kubevirt.io "small": pvc size [10486k] should be bigger then ["
    When the user runs "virtctl memory-dump get vm --claim-name=dump"
    Then virtctl prints "Successfully submitted memory dump request of VM vm"
    When the user runs "virtctl memory-dump get vm --claim-name=small"
    Then virtctl fails with "can't request memory dump for pvc [small] while pvc [dump] is still associated as the memory dump pvc"
    When the user runs "virtctl memory-dump get vm"
    Then virtctl fails with "memory dump request for pvc [dump] already in progress"

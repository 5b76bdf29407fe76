Feature: What is guarded once it exists
  Objects that describe a piece of work do not change under it; the state of a guest is written by KubeVirt alone; a guest that
  cannot leave its node is not evicted from it.

  Scenario: The status of an instance is KubeVirt's to write
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "vmi"
    And the VMI "vmi" becomes Running
    And the client tries to patch the VMI "vmi" with:
      """
      {"status": {"phase": "Failed", "nodeName": "node99"}, "metadata": {"annotations": {"mine": "yes"}}}
      """
    Then it is not refused
    And the VMI "vmi" is still Running
    And the VMI "vmi" has "yes" in metadata.annotations.mine
    When the client tries to patch the VMI "vmi" with:
      """
      {"metadata": {"labels": {"kubevirt.io/nodeName": "node99"}}}
      """
    Then it is refused with 422 and "modification of the following reserved kubevirt.io/ labels on a VMI object is prohibited"

  Scenario: The status of a machine has a form
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Halted"
    And the client tries to patch the status of the VM "vm" with:
      """
      {"status": {"volumeRequests": [{}]}}
      """
    Then it is refused with 422 and "VolumeRequests require one of either addVolumeOptions or removeVolumeOptions to be set"

  Scenario: Work that is described does not change
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "vm"
    And the VMI "vm" becomes Running
    And the client creates a VirtualMachineInstanceMigration "move" with:
      """
      {}
      """
    Then these changes to the VirtualMachineInstanceMigration "move" are refused:
      | change | code | message |
      | {"spec": {"vmiName": "other"}} | 422 | update of Migration object's spec is restricted |
    And these changes to a sound VirtualMachineInstanceMigration are refused:
      | change | code | message |
      | {"metadata": {"name": "again"}} | 400 | in-flight migration detected. Active migration job |
    When the client creates a VirtualMachineSnapshot "snap" with:
      """
      {}
      """
    And the client creates a VirtualMachineRestore "back" with:
      """
      {}
      """
    And the client creates a VirtualMachineExport "out" with:
      """
      {}
      """
    Then these changes to the VirtualMachineSnapshot "snap" are refused:
      | change | code | message |
      | {"spec": {"source": {"name": "other"}}} | 422 | spec in immutable after creation |
    And these changes to the VirtualMachineRestore "back" are refused:
      | change | code | message |
      | {"spec": {"virtualMachineSnapshotName": "other"}} | 422 | spec in immutable after creation |
    And these changes to the VirtualMachineExport "out" are refused:
      | change | code | message |
      | {"spec": {"ttlDuration": "1h"}} | 422 | spec in immutable after creation |
    And these changes to a sound VirtualMachineRestore are refused:
      | change | code | message |
      | {"metadata": {"name": "again"}} | 422 | VirtualMachineRestore "back" in progress |

  Scenario: What may change, and how
    Given a cluster with 1 node
    When the client creates a VirtualMachineInstanceReplicaSet "rs" with:
      """
      {"spec": {"replicas": 0}}
      """
    And the client creates a VirtualMachinePool "pool" with:
      """
      {"spec": {"replicas": 0}}
      """
    And the client creates a VirtualMachineInstancetype "it" with:
      """
      {}
      """
    And the client creates a VirtualMachinePreference "pref" with:
      """
      {}
      """
    And the client creates a MigrationPolicy "policy" with:
      """
      {}
      """
    Then these changes to the VirtualMachineInstanceReplicaSet "rs" are accepted:
      | change |
      | {"spec": {"replicas": 3, "template": {"spec": {"domain": {"memory": {"guest": "128Mi"}}}}}} |
    And these changes to the VirtualMachineInstanceReplicaSet "rs" are refused:
      | change | code | message |
      | {"spec": {"template": {"metadata": {"labels": {"app": "other"}}}}} | 422 | selector does not match labels. |
    And these changes to the VirtualMachinePool "pool" are accepted:
      | change |
      | {"spec": {"virtualMachineTemplate": {"spec": {"runStrategy": "Always"}}}} |
    And these changes to the VirtualMachinePool "pool" are refused:
      | change | code | message |
      | {"spec": {"selector": {"matchLabels": {"app": "b"}}, "virtualMachineTemplate": {"metadata": {"labels": {"app": "b"}}}}} | 422 | selector is immutable after creation. |
    And these changes to the VirtualMachineInstancetype "it" are accepted:
      | change |
      | {"spec": {"cpu": {"guest": 8}}} |
    And these changes to the VirtualMachineInstancetype "it" are refused:
      | change | code | message |
      | {"spec": {"memory": {"overcommitPercent": 15, "hugepages": {"pageSize": "2Mi"}}}} | 422 | should not be requested together. |
    And these changes to the VirtualMachinePreference "pref" are accepted:
      | change |
      | {"spec": {"cpu": {"preferredCPUTopology": "cores"}}} |
    And these changes to the MigrationPolicy "policy" are refused:
      | change | code | message |
      | {"spec": {"bandwidthPerMigration": "-1"}} | 422 | must not be negative |

  Scenario: Backups need their feature gate
    Given a cluster with 1 node
    Then these changes to a sound VirtualMachineBackup are refused:
      | change | code | message |
      | {} | 400 | IncrementalBackup feature gate not enabled |
    Given the feature gate IncrementalBackup is on
    Then a sound VirtualMachineBackup is accepted
    And a sound VirtualMachineBackupTracker is accepted
    And these changes to a sound VirtualMachineBackup are refused:
      | change | code | message |
      | {"spec": {"pvcName": null}} | 422 | pvcName is required |
      | {"spec": {"mode": "Pull"}} | 422 | tokenSecretRef is required when mode is Pull |
      | {"spec": {"source": {"apiGroup": "apps"}}} | 422 | apiGroup must be kubevirt.io or backup.kubevirt.io |
      | {"spec": {"source": {"kind": "VirtualMachinePool"}}} | 422 | kind must be VirtualMachine for kubevirt.io or VirtualMachineBackupTracker for backup.kubevirt.io |
    When the client creates a VirtualMachineBackup "first" with:
      """
      {}
      """
    Then these changes to a sound VirtualMachineBackup are refused:
      | change | code | message |
      | {"metadata": {"name": "second"}} | 422 | VirtualMachineBackup "first" in progress for source |
    And these changes to the VirtualMachineBackup "first" are refused:
      | change | code | message |
      | {"spec": {"pvcName": "other"}} | 422 | spec is immutable after creation |
    And these changes to a sound VirtualMachineBackupTracker are refused:
      | change | code | message |
      | {"spec": {"source": {"apiGroup": "apps"}}} | 422 | apiGroup must be kubevirt.io |

  Scenario: A guest that may go is evicted with its pod
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "vmi"
    And the VMI "vmi" becomes Running
    And the client evicts the pod of the VMI "vmi"
    Then it is not refused

  Scenario: A guest that is to migrate is not evicted, but sent on its way
    Given a cluster with 2 nodes
    When the client posts the VirtualMachineInstance "vmi" with:
      | spec.evictionStrategy | LiveMigrate |
    And the VMI "vmi" becomes Running
    Then condition "LiveMigratable" of the VMI "vmi" is "True"
    When the client evicts the pod of the VMI "vmi"
    Then it is refused with 429 and "Eviction triggered evacuation of VMI \"default/vmi\""
    And the VMI "vmi" is marked for evacuation
    When the client evicts the pod of the VMI "vmi"
    Then it is refused with 429 and "Evacuation in progress: Eviction triggered evacuation of VMI \"default/vmi\""

  Scenario: Other pods are not KubeVirt's business
    Given a cluster with 1 node
    When the client runs the pod "web"
    Then the pod "web" becomes Running
    When the client evicts the pod "web"
    Then it is not refused

  Scenario: There is one installation
    Given a cluster with 1 node
    When the client posts a second KubeVirt
    Then it is refused with 400 and "Kubevirt is already created"

  Scenario: An installation is not removed under its guests
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Halted"
    And the installation is deployed with the uninstall strategy "BlockUninstallIfWorkloadsExist"
    And the administrator tries to delete the installation
    Then it is refused with 400 and "Rejecting the uninstall request, since there are still Virtual Machines present."

Feature: What is left out is filled in
  What KubeVirt fills in is what its users see in every object they read back; controllers and backups compare with it.

  Scenario: Virtual machines
    Given a cluster with 1 node
    Then a sound VirtualMachine with {} is stored with:
      | /spec/template/spec/architecture                                      | "amd64" |
      | /spec/template/spec/domain/machine/type                               | "q35"   |
      | /spec/template/spec/domain/firmware/uuid                              | ...     |
      | /spec/template/spec/domain/firmware/serial                            | ...     |
      | /spec/template/metadata/annotations/kubevirt.io~1pci-topology-version | "v3"    |
      | /spec/template/spec/domain/cpu                                        | null    |
      | /spec/template/spec/evictionStrategy                                  | null    |

  Scenario: Virtual machines with a preference
    Given a cluster with 1 node
    When the client creates a VirtualMachineClusterPreference "arm" with:
      """
      {"spec": {"preferredArchitecture": "arm64", "machine": {"preferredMachineType": "virt-9.0"}}}
      """
    Then a sound VirtualMachine with {"spec": {"preference": {"name": "arm"}}} is stored with:
      | /spec/template/spec/architecture        | "arm64"    |
      | /spec/template/spec/domain/machine/type | "virt-9.0" |
    And a sound VirtualMachine with {"spec": {"preference": {"name": "nowhere"}}} is stored with:
      | /spec/template/spec/architecture        | "amd64" |
      | /spec/template/spec/domain/machine/type | "q35"   |

  Scenario: Instances
    Given a cluster with 1 node
    Then a sound VirtualMachineInstance with {"spec": {"networks": null, "domain": {"devices": {"disks": null, "interfaces": null}}}} is stored with:
      | /spec/architecture                               | "amd64"       |
      | /spec/domain/machine/type                        | "q35"         |
      | /spec/domain/cpu/cores                           | 1             |
      | /spec/domain/cpu/sockets                         | 1             |
      | /spec/domain/cpu/threads                         | 1             |
      | /spec/domain/cpu/maxSockets                      | 4             |
      | /spec/domain/cpu/model                           | "host-model"  |
      | /spec/domain/features/acpi/enabled               | true          |
      | /spec/domain/firmware/uuid                       | ...           |
      | /spec/domain/devices/interfaces/0/name           | "default"     |
      | /spec/domain/devices/interfaces/0/bridge         | {}            |
      | /spec/networks/0/pod                             | {}            |
      | /spec/domain/devices/disks/0/name                | "containerdisk" |
      | /spec/domain/devices/disks/0/disk/bus            | "sata"        |
      | /spec/volumes/0/containerDisk/imagePullPolicy    | "Always"      |
      | /spec/evictionStrategy                           | "None"        |
      | /metadata/finalizers/0                           | "kubevirt.io/foregroundDeleteVirtualMachine" |
      | /status/phase                                    | "Pending"     |
      | /status/runtimeUser                              | 107           |
      | /status/memory/guestAtBoot                       | "64Mi"        |

  Scenario: An instance's devices, by architecture
    Given a cluster with 1 node
    Then a sound VirtualMachineInstance with {"spec": {"architecture": "arm64", "domain": {"devices": {"disks": [{"name": "containerdisk"}]}}}} is stored with:
      | /spec/domain/machine/type               | "virt"             |
      | /spec/domain/cpu/model                  | "host-passthrough" |
      | /spec/domain/devices/disks/0/disk/bus   | "virtio"           |
      | /spec/domain/firmware/bootloader/efi/secureBoot | false      |
    And a sound VirtualMachineInstance with {"spec": {"domain": {"devices": {"watchdog": {"name": "dog"}}}}} is stored with:
      | /spec/domain/devices/watchdog/i6300esb/action | "reset" |

  Scenario: Presets fill what an instance leaves open
    Given a cluster with 1 node
    When the client creates a VirtualMachineInstancePreset "large" with:
      """
      {"spec": {"domain": {"cpu": {"cores": 8}}}}
      """
    Then a sound VirtualMachineInstance with {"metadata": {"labels": {"app": "a"}}} is stored with:
      | /spec/domain/cpu/cores                                            | 8                |
      | /metadata/annotations/virtualmachinepreset.kubevirt.io~1large     | "kubevirt.io/v1" |
    And a sound VirtualMachineInstance with {"metadata": {"labels": {"app": "a"}}, "spec": {"domain": {"cpu": {"cores": 2}}}} is stored with:
      | /spec/domain/cpu/cores | 2    |
      | /metadata/annotations/virtualmachinepreset.kubevirt.io~1large | null |
    When the client creates a VirtualMachineInstancePreset "small" with:
      """
      {"spec": {"domain": {"cpu": {"cores": 1}}}}
      """
    Then these changes to a sound VirtualMachineInstance are refused:
      | change | code | message |
      | {"metadata": {"labels": {"app": "a"}}} | 422 | VirtualMachinePresets cannot be applied due to conflicts: presets 'small' and 'large' conflict: spec.cpu: &{1 0 0 0  [] false <nil> false <nil>} != &{8 0 0 0  [] false <nil> false <nil>} |

  Scenario: Migrations and clones
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "vm"
    And the VMI "vm" becomes Running
    Then a sound VirtualMachineInstanceMigration with {} is stored with:
      | /metadata/labels/kubevirt.io~1vmi-name | "vm" |
      | /metadata/finalizers/0 | "kubevirt.io/migrationJobFinalize" |
    And a sound VirtualMachineClone with {} is stored with:
      | /spec/target/kind     | "VirtualMachine" |
      | /spec/target/apiGroup | "kubevirt.io"    |
      | /spec/target/name     | ...              |

  Scenario: Folders of the launcher's own container, shared with the guest
    Given a cluster with 1 node
    And the feature gate ContainerPathVolumes is on
    When the client posts the VirtualMachineInstance "vmi" with:
      | spec.volumes | [{"name": "config", "containerPath": {"path": "/var/run/secrets/tokens"}}, {"name": "map", "configMap": {"name": "m"}}, {"name": "containerdisk", "containerDisk": {"image": "registry.example/alpine-container-disk"}}] |
      | spec.domain.devices.filesystems | [{"name": "config", "virtiofs": {}}, {"name": "map", "virtiofs": {}}] |
    Then virt-controller creates a pod for the VMI "vmi"
    And the pod of the VMI "vmi" has no container "virtiofs-config"
    And these launcher pods of the VMI "vmi" get the container "virtiofs-config", or not:
      | mount                                                         | volume                                 | container |
      | {"name": "tokens", "mountPath": "/var/run/secrets/tokens"}    | {"name": "tokens", "emptyDir": {}}     | yes       |
      | {"name": "tokens", "mountPath": "/var/run/secrets"}           | {"name": "tokens", "secret": {"secretName": "s"}} | yes |
      | {"name": "tokens", "mountPath": "/var/run/secrets"}           | {"name": "tokens", "hostPath": {"path": "/"}} | no   |
      | {"name": "tokens", "mountPath": "/elsewhere"}                 | {"name": "tokens", "emptyDir": {}}     | no        |

Feature: The rules users meet most
  A manifest that breaks a rule is refused with the rule's sentence; nothing is stored.

  Scenario: Instances
    Given a cluster with 1 node
    Then a sound VirtualMachineInstance is accepted
    And these changes to a sound VirtualMachineInstance are refused:
      | change | code | message |
      | {"spec": {"hostname": "a.b"}} | 422 | spec.hostname does not conform to the kubernetes DNS_LABEL rules : must not contain dots |
      | {"spec": {"evictionStrategy": "Sometimes"}} | 422 | spec.evictionStrategy is set with an unrecognized option: Sometimes |
      | {"spec": {"domain": {"machine": {"type": "pc"}}}} | 422 | spec.domain.machine.type is not supported: pc (allowed values: [q35* pc-q35*]) |
      | {"spec": {"domain": {"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}}}} | 422 | spec.domain.resources.requests.memory '2Gi' is greater than spec.domain.resources.limits.memory '1Gi' |
      | {"spec": {"domain": {"cpu": {"dedicatedCpuPlacement": true, "threads": 3}}}} | 422 | Not more than two threads must be provided at spec.domain.cpu.threads (got 3) when DedicatedCPUPlacement is true |
      | {"spec": {"domain": {"cpu": {"isolateEmulatorThread": true}}}} | 422 | IsolateEmulatorThread should be only set in combination with DedicatedCPUPlacement |
      | {"spec": {"domain": {"firmware": {"bootloader": {"efi": {}}}}}} | 422 | spec.domain has EFI SecureBoot enabled. SecureBoot requires SMM, which is currently disabled. |
      | {"spec": {"domain": {"devices": {"disks": [{"name": "containerdisk", "disk": {"bus": "ide"}}]}}}} | 422 | IDE bus is not supported |
      | {"spec": {"domain": {"devices": {"disks": [{"name": "other"}]}}}} | 422 | spec.domain.devices.disks[0].Name 'other' not found. |
      | {"spec": {"domain": {"devices": {"interfaces": [{"name": "default", "masquerade": {}, "model": "fast"}]}}}} | 422 | interface spec.domain.devices.interfaces[0].name uses model fast that is not supported. |
      | {"spec": {"domain": {"devices": {"interfaces": [{"name": "default", "masquerade": {}, "macAddress": "x"}]}}}} | 422 | has malformed MAC address (x). |
      | {"spec": {"networks": [{"name": "red", "pod": {}}]}} | 422 | spec.networks[0].name 'red' not found. |
      | {"spec": {"volumes": [{"name": "containerdisk"}]}} | 422 | spec.volumes[0] must have exactly one source type set |
      | {"spec": {"volumes": [{"name": "containerdisk", "hostDisk": {"path": "/d", "type": "Disk"}}]}} | 422 | HostDisk feature gate is not enabled |
      | {"spec": {"volumes": [{"name": "containerdisk", "cloudInitNoCloud": {}}]}} | 422 | must have at least one userdatasource or one networkdatasource set. |
      | {"spec": {"dnsPolicy": "None"}} | 422 | must provide `dnsConfig` when `dnsPolicy` is None |
      | {"spec": {"livenessProbe": {}}} | 422 | must be set if a spec.livenessProbe is specified |
      | {"spec": {"architecture": "riscv64"}} | 422 | unsupported architecture: riscv64 |
      | {"metadata": {"labels": {"kubevirt.io/nodeName": "node01"}}} | 422 | creation of the following reserved kubevirt.io/ labels on a VMI object is prohibited |
    And these changes to a sound VirtualMachineInstance are accepted:
      | change |
      | {"spec": {"domain": {"cpu": {"cores": 2, "model": "host-passthrough"}, "memory": {"guest": "1Gi"}}}} |
      | {"spec": {"domain": {"firmware": {"bootloader": {"efi": {"secureBoot": false}}}}}} |
      | {"spec": {"evictionStrategy": "LiveMigrate", "hostname": "web", "subdomain": "site.example"}} |

  Scenario: Virtual machines
    Given a cluster with 1 node
    Then a sound VirtualMachine is accepted
    And these changes to a sound VirtualMachine are refused:
      | change | code | message |
      | {"spec": {"running": true}} | 422 | Running and RunStrategy are mutually exclusive. Note that Running is deprecated, please use RunStrategy instead |
      | {"spec": {"runStrategy": "Whenever"}} | 422 | Invalid RunStrategy (Whenever) |
      | {"spec": {"instancetype": {}}} | 422 | Either Name or InferFromVolume should be provided within the InstancetypeMatcher |
      | {"spec": {"instancetype": {"name": "a", "inferFromVolume": "v"}}} | 422 | Name already set, should be cleared before setting inferFromVolume |
      | {"spec": {"instancetype": {"inferFromVolume": "v"}}} | 400 | unable to find volume v to infer defaults |
      | {"spec": {"dataVolumeTemplates": [{"metadata": {"name": "d"}, "spec": {"source": {"blank": {}}}}]}} | 422 | Missing Data volume PVC or Storage |
      | {"spec": {"dataVolumeTemplates": [{"metadata": {"name": "d"}, "spec": {"storage": {}, "source": {"blank": {}}}}]}} | 422 | must be referenced in the VMI template's 'volumes' list |
      | {"spec": {"template": {"spec": {"domain": {"cpu": {"sockets": 4, "maxSockets": 2}}}}}} | 422 | Number of sockets in CPU topology is greater than the maximum sockets allowed |
      | {"spec": {"template": {"spec": {"domain": {"memory": {"maxGuest": "1Gi"}}}}}} | 422 | Memory hotplug is only available for VMs with at least 1Gi of guest memory |
      | {"spec": {"template": {"spec": {"domain": {"devices": {"disks": [{"name": "containerdisk", "lun": {}}]}}}}}} | 422 | spec.template.spec.domain.devices.disks[0].lun can only be mapped to a DataVolume or PersistentVolumeClaim volume. |
      | {"spec": {"template": {"spec": {"domain": {"devices": {"interfaces": [{"name": "default", "slirp": {}}]}}}}}} | 422 | Slirp interface support has been discontinued since v1.3 |
    And these changes to a sound VirtualMachine are accepted:
      | change |
      | {"spec": {"instancetype": {"name": "not-there"}}} |
      | {"spec": {"runStrategy": "WaitAsReceiver"}} |

  Scenario: Instance types, preferences, and machines that refer to them
    Given a cluster with 1 node
    Then a sound VirtualMachineClusterInstancetype is accepted
    And these changes to a sound VirtualMachineInstancetype are refused:
      | change | code | message |
      | {"spec": {"memory": {"overcommitPercent": 101}}} | 422 | spec.memory.overcommitPercent |
      | {"spec": {"memory": {"overcommitPercent": 10, "hugepages": {"pageSize": "2Mi"}}}} | 422 | spec.memory.overcommitPercent and spec.memory.hugepages should not be requested together. |
    And these changes to a sound VirtualMachinePreference are refused:
      | change | code | message |
      | {"spec": {"cpu": {"preferredCPUTopology": "diagonal"}}} | 422 | unknown preferredCPUTopology diagonal |
      | {"spec": {"cpu": {"preferredCPUTopology": "spread", "spreadOptions": {"across": "CoresThreads", "ratio": 3}}}} | 422 | only a ratio of 2 (1 core 2 threads) is allowed when spreading vCPUs over cores and threads |
    When the client creates a VirtualMachineClusterInstancetype "small" with:
      """
      {"spec": {"cpu": {"guest": 2}, "memory": {"guest": "128Mi"}}}
      """
    Then these changes to a sound VirtualMachine are refused:
      | change | code | message |
      | {"spec": {"instancetype": {"name": "small"}}} | 422 | VM field(s) spec.template.spec.domain.memory.guest conflicts with selected instance type |

  Scenario: What an instance type and a preference stand for
    Given a cluster with 1 node
    When the client creates a VirtualMachineClusterInstancetype "small" with:
      """
      {"spec": {"cpu": {"guest": 2}, "memory": {"guest": "128Mi"}}}
      """
    And the client creates a VirtualMachinePreference "tidy" with:
      """
      {"spec": {"cpu": {"preferredCPUTopology": "cores"}, "devices": {"preferredDiskBus": "scsi"}}}
      """
    And the client creates a VirtualMachine "web" with:
      """
      {"spec": {"instancetype": {"name": "small"}, "preference": {"name": "tidy", "kind": "VirtualMachinePreference"},
                "template": {"spec": {"domain": {"memory": null, "devices": {"disks": [{"name": "containerdisk"}]}}}}}}
      """
    Then the VM "web" expanded has:
      | /spec/instancetype                                | null    |
      | /spec/preference                                  | null    |
      | /spec/template/spec/domain/cpu/cores              | 2       |
      | /spec/template/spec/domain/cpu/sockets            | 1       |
      | /spec/template/spec/domain/memory/guest           | "128Mi" |
      | /spec/template/spec/domain/devices/disks/0/disk/bus | "scsi" |
    And a VirtualMachine of instance type "small" expands to one with:
      | /spec/template/spec/domain/cpu/sockets  | 2       |
      | /spec/template/spec/domain/memory/guest | "128Mi" |
    When the client asks what a VirtualMachine with these fields expands to:
      """
      {"spec": {"instancetype": {"name": "small"}}}
      """
    Then it is refused with 400 and "VM field(s) spec.template.spec.domain.memory.guest conflicts with selected instance type"
    When the client asks what a VirtualMachine with these fields expands to:
      """
      {"spec": {"template": null}}
      """
    Then it is refused with 400 and "Object is not a valid VirtualMachine"

  Scenario: Sets of guests, presets
    Given a cluster with 1 node
    Then a sound VirtualMachineInstanceReplicaSet is accepted
    And a sound VirtualMachinePool is accepted
    And a sound VirtualMachineInstancePreset is accepted
    And these changes to a sound VirtualMachineInstanceReplicaSet are refused:
      | change | code | message |
      | {"spec": {"selector": {"matchLabels": {"app": "b"}}}} | 422 | selector does not match labels. |
      | {"spec": {"selector": {"matchExpressions": [{"key": "app", "operator": "In"}]}}} | 422 | values set can't be empty |
    And these changes to a sound VirtualMachinePool are refused:
      | change | code | message |
      | {"spec": {"selector": {"matchLabels": {"app": "b"}}}} | 422 | selector does not match labels. |
      | {"spec": {"maxUnavailable": "20"}} | 422 | maxUnavailable percentage must end with % |
      | {"spec": {"maxUnavailable": 0}} | 422 | maxUnavailable must be greater than 0 |
      | {"spec": {"updateStrategy": {"unmanaged": {}, "proactive": {}}}} | 422 | only one strategy can be configured at a time |
    And these changes to a sound VirtualMachineInstancePreset are refused:
      | change | code | message |
      | {"spec": {"domain": null}} | 422 | missing domain. |

  Scenario: Migrations and their policies
    Given a cluster with 1 node
    Then a sound MigrationPolicy is accepted
    And these changes to a sound VirtualMachineInstanceMigration are refused:
      | change | code | message |
      | {"spec": {"vmiName": null}} | 422 | vmiName is missing |
      | {"spec": {"vmiName": "nobody"}} | 400 | the VMI "default/nobody" does not exist |
      | {"spec": {"priority": "system-critical"}} | 422 | Migration priority queue, only virt-controller is allowed to set priority field |
    And these changes to a sound MigrationPolicy are refused:
      | change | code | message |
      | {"spec": {"completionTimeoutPerGiB": -1}} | 422 | must not be negative |
      | {"spec": {"maxDowntimeMs": 5}} | 422 | maxDowntimeMs cannot be modified without enabling the MigrationStallDetection or MigrationDowntimeTuning feature gate |

  Scenario: Snapshots, restores, clones, exports
    Given a cluster with 1 node
    Then a sound VirtualMachineSnapshot is accepted
    And a sound VirtualMachineRestore is accepted
    And a sound VirtualMachineClone is accepted
    And a sound VirtualMachineExport is accepted
    And these changes to a sound VirtualMachineSnapshot are refused:
      | change | code | message |
      | {"spec": {"source": {"apiGroup": null}}} | 422 | missing apiGroup |
      | {"spec": {"source": {"kind": "VirtualMachinePool"}}} | 422 | invalid kind |
    And these changes to a sound VirtualMachineRestore are refused:
      | change | code | message |
      | {"spec": {"target": {"apiGroup": "apps"}}} | 422 | invalid apiGroup |
      | {"spec": {"volumeRestorePolicy": "Everywhere"}} | 422 | volume restore policy "Everywhere" doesn't exist |
    And these changes to a sound VirtualMachineClone are refused:
      | change | code | message |
      | {"spec": {"target": {"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": "vm"}}} | 422 | Target name cannot be equal to source name when both are VirtualMachines |
      | {"spec": {"labelFilters": ["a!"]}} | 422 | NegationChar can be only used at the beginning of the filter |
      | {"spec": {"newMacAddresses": {"default": "x"}}} | 422 | interface default has malformed MAC address (x). |
      | {"spec": {"patches": ["{"]}} | 422 | patch is not valid JSON ({) |
    And these changes to a sound VirtualMachineExport are refused:
      | change | code | message |
      | {"spec": {"source": {"kind": "Pod"}}} | 422 | invalid kind |
      | {"spec": {"source": {"apiGroup": "apps"}}} | 422 | VM API group must be kubevirt.io |

  Scenario: The installation
    Given a cluster with 1 node
    Then these changes to the installation are refused:
      | change | code | message |
      | {"spec": {"infra": {"replicas": 0}}} | 422 | infra replica count can't be 0 |
      | {"spec": {"configuration": {"additionalGuestMemoryOverheadRatio": "0.5"}}} | 422 | ratio provided, 0.5, cannot be smaller than 1.0 |
      | {"spec": {"configuration": {"developerConfiguration": {"featureGates": ["HostDisk"], "disabledFeatureGates": ["HostDisk"]}}}} | 422 | feature gate "HostDisk" exists on both "FeatureGates" and "DisabledFeatureGates" |
      | {"spec": {"certificateRotateStrategy": {"selfSigned": {"ca": {"duration": "1h", "renewBefore": "2h"}}}}} | 422 | CA RenewBefore cannot exceed Duration |
      | {"spec": {"certificateRotateStrategy": {"selfSigned": {"ca": {"duration": "1d"}}}}} | 400 | time: unknown unit "d" in duration "1d" |
      | {"spec": {"configuration": {"tlsConfiguration": {"minTLSVersion": "VersionTLS12", "ciphers": ["ROT13"]}}}} | 422 | ROT13 is not a valid cipher |
      | {"spec": {"infra": {"nodePlacement": {"nodeSelector": {"no key": "x"}}}}} | 422 | Deployment.apps "placement-validation-webhook" is invalid: spec.template.spec.nodeSelector |
      | {"spec": {"workloads": {"nodePlacement": {"nodeSelector": {"kubernetes.io/os": "no value"}}}}} | 422 | DaemonSet.apps "placement-validation-webhook" is invalid: spec.template.spec.nodeSelector |
    And these changes to the installation are accepted:
      | change |
      | {"spec": {"infra": {"replicas": 2, "nodePlacement": {"nodeSelector": {"kubernetes.io/os": "linux"}}}}} |
      | {"spec": {"workloads": {"nodePlacement": {"tolerations": [{"key": "vm", "operator": "Exists"}]}}}} |
      | {"spec": {"configuration": {"developerConfiguration": {"featureGates": ["NotInvented"]}}}} |

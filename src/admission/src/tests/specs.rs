//! Rules of a specification (spec/admission.md §5).

use rstest::rstest;
use serde_json::{Value, json};

use super::{cluster, lines, merged, read, sound_spec};
use crate::{SpecContext, validate_spec};

fn causes_with(patch: &Value, gates: &[&str], configuration: Value) -> Vec<String> {
    let spec = read(merged(sound_spec(), patch));
    let config = cluster(gates, configuration);
    lines(&validate_spec(&SpecContext { base: "spec", spec: &spec, config: &config }))
}

fn causes(patch: &Value) -> Vec<String> {
    causes_with(patch, &[], json!({}))
}

fn domain(patch: &Value) -> Value {
    json!({"domain": patch})
}

fn disk(patch: &Value) -> Value {
    let disk = merged(json!({"name": "root", "disk": {"bus": "virtio"}}), patch);
    json!({"domain": {"devices": {"disks": [disk]}}})
}

fn interface(patch: &Value) -> Value {
    let interface = merged(json!({"name": "default", "bridge": {}}), patch);
    json!({"domain": {"devices": {"interfaces": [interface]}}})
}

fn volume(source: &Value) -> Value {
    json!({"volumes": [merged(json!({"name": "root"}), source)]})
}

#[test]
fn a_sound_specification_has_no_causes() {
    assert_eq!(causes(&json!({})), Vec::<String>::new());
}

#[rstest]
#[case::s4(json!({"resources": {"requests": {"memory": "10"}}}), "spec.domain.resources.requests.memory: spec.domain.resources.requests.memory '10': must be greater than or equal to 1M.")]
#[case::s5(json!({"resources": {"limits": {"memory": "-1Gi"}}}), "spec.domain.resources.limits.memory: spec.domain.resources.limits.memory '-1Gi': must be greater than or equal to 0.")]
#[case::s6(json!({"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}}), "spec.domain.resources.requests.memory: spec.domain.resources.requests.memory '2Gi' is greater than spec.domain.resources.limits.memory '1Gi'")]
#[case::s8(json!({"memory": {"guest": "1Gi", "hugepages": {"pageSize": "2Gi"}}}), "spec.domain.resources.requests.memory: spec.domain.resources.requests.memory '0' must be equal to or larger than page size spec.domain.memory.hugepages.pageSize '2Gi'")]
#[case::s9(json!({"memory": {"guest": "1025Mi", "hugepages": {"pageSize": "2Mi"}}}), "spec.domain.resources.requests.memory: spec.domain.resources.requests.memory '0' is not a multiple of the page size spec.domain.memory.hugepages.pageSize '2Mi'")]
#[case::s11(json!({"machine": {"type": "pc-i440fx"}}), "spec.domain.machine.type: spec.domain.machine.type is not supported: pc-i440fx (allowed values: [q35* pc-q35*])")]
#[case::s12(json!({"firmware": {"acpi": {}}}), "spec.acpi: ACPI was set but no SLIC nor MSDM volume reference was set")]
#[case::s13(json!({"firmware": {"acpi": {"slicNameRef": "root"}}}), "spec.acpi.slicNameRef: spec.acpi refers to Volume of unsupported type.")]
#[case::s14(json!({"firmware": {"acpi": {"msdmNameRef": "none"}}}), "spec.acpi.msdmNameRef: spec.acpi does not have a matching Volume.")]
#[case::s17(json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}), "spec.domain.resources.requests.cpu: spec.domain.resources.requests.cpu '2' is greater than spec.domain.resources.limits.cpu '1'")]
#[case::s19(json!({"cpu": {"dedicatedCpuPlacement": true, "cores": null, "sockets": null, "threads": null}, "resources": {"requests": {"cpu": "1500m"}}}), "spec.domain.resources.requests.cpu: provided resources CPU requests must be an interger")]
#[case::s24(json!({"cpu": {"dedicatedCpuPlacement": true, "cores": 4}, "resources": {"requests": {"cpu": "2"}}}), "spec.domain.cpu.dedicatedCpuPlacement: spec.domain.resources.requests.cpu or spec.domain.resources.limits.cpu must not be provided at the same time with spec.domain.cpu.cores when DedicatedCPUPlacement is true ")]
#[case::s26(json!({"cpu": {"dedicatedCpuPlacement": true, "threads": 3}}), "spec.domain.cpu.dedicatedCpuPlacement: Not more than two threads must be provided at spec.domain.cpu.threads (got 3) when DedicatedCPUPlacement is true")]
#[case::s30(json!({"cpu": {"isolateEmulatorThread": true}}), "spec.domain.cpu.isolateEmulatorThread: IsolateEmulatorThread should be only set in combination with DedicatedCPUPlacement")]
#[case::s31(json!({"cpu": {"features": [{"name": "apic", "policy": "maybe"}]}}), "spec.domain.cpu.features[0].policy: CPU feature apic uses policy maybe that is not supported.")]
#[case::s32(json!({"cpu": {"sockets": 4, "maxSockets": 2}}), "spec.domain.cpu.sockets: Number of sockets in CPU topology is greater than the maximum sockets allowed")]
#[case::b10(json!({"devices": {"inputs": [{"name": "i", "bus": "usb", "type": "keyboard"}]}}), "spec.domain.devices.inputs[0].type: Input device can have only tablet type.")]
#[case::b11(json!({"ioThreadsPolicy": "many"}), "spec.domain.ioThreadsPolicy: Invalid IOThreadsPolicy (many)")]
#[case::f1(json!({"features": {"smm": {}}, "firmware": {"bootloader": {"efi": {}, "bios": {}}}}), "spec.domain.firmware.bootloader: spec.domain.firmware.bootloader has both EFI and BIOS configured, but they are mutually exclusive.")]
#[case::f2(json!({"firmware": {"bootloader": {"efi": {}}}}), "spec.domain: spec.domain has EFI SecureBoot enabled. SecureBoot requires SMM, which is currently disabled.")]
#[case::k1(json!({"firmware": {"kernelBoot": {"kernelArgs": "quiet"}}}), "spec.domain.firmware.kernelBoot.kernelArgs: kernel arguments cannot be provided without an external kernel")]
#[case::k4(json!({"firmware": {"kernelBoot": {"container": {"image": "i", "kernelPath": "/"}}}}), "spec.domain.firmware.kernelBoot.container.kernelPath: spec.domain.firmware.kernelBoot.container.kernelPath must not point to root")]
#[case::h1(json!({"devices": {"hostDevices": [{"name": "d", "deviceName": "vendor/d"}]}}), "spec.HostDevices: Host Devices feature gate is not enabled in kubevirt-config")]
#[case::so2(json!({"devices": {"sound": {"name": ""}}}), "spec.Sound: Sound device requires a name field.")]
#[case::ls1(json!({"launchSecurity": {"sev": {}, "snp": {}}}), "spec.launchSecurity: One and only one launchSecurity type can be set")]
#[case::ls2(json!({"launchSecurity": {"tdx": {}}}), "spec.launchSecurity: WorkloadEncryptionTDX feature gate is not enabled in kubevirt-config")]
#[case::ls4(json!({"launchSecurity": {"sev": {}}}), "spec.launchSecurity: SEV requires OVMF (UEFI)")]
#[case::vs1(json!({"devices": {"autoattachVSOCK": true}}), "spec.domain.devices.autoattachVSOCK: VSOCK feature gate is not enabled in kubevirt-config")]
#[case::pd2(json!({"devices": {"panicDevices": [{"model": "red"}]}}), "spec.domain.devices.panicDevices[0].model: invalid PanicDeviceModel(red)")]
#[case::d9(json!({"devices": {"gpus": [{"name": "g"}]}}), "spec.domain.devices.gpus: vmi.spec.domain.devices.gpus contains GPUs without deviceName or claimRequest; each GPU must specify either a deviceName or a claimRequest")]
fn of_the_domain(#[case] patch: Value, #[case] cause: &str) {
    assert_eq!(causes(&domain(&patch)), [cause]);
}

#[rstest]
#[case::b1(json!({"name": "other"}), "spec.domain.devices.disks[0].name: spec.domain.devices.disks[0].Name 'other' not found.")]
#[case::b3(json!({"disk": null, "lun": {"bus": "scsi"}}), "spec.domain.devices.disks[0].lun: spec.domain.devices.disks[0].lun can only be mapped to a DataVolume or PersistentVolumeClaim volume.")]
#[case::st2(json!({"cdrom": {"bus": "sata"}}), "spec.domain.devices.disks[0]: spec.domain.devices.disks[0] can only have a single target type defined")]
#[case::st3(json!({"disk": {"bus": "scsi", "pciAddress": "0000:81:01.0"}}), "spec.domain.devices.disks.domain.devices.disks.disk[0].pciAddress: disk spec.domain.devices.disks.domain.devices.disks.disk[0].name - setting a PCI address is only possible with bus type virtio.")]
#[case::st5(json!({"bootOrder": 0}), "spec.domain.devices.disks[0].bootOrder: spec.domain.devices.disks[0] must have a boot order > 0, if supplied")]
#[case::st6(json!({"disk": {"bus": "ide"}}), "spec.domain.devices.disks[0].disk.bus: IDE bus is not supported")]
#[case::st7(json!({"disk": null, "cdrom": {"bus": "virtio"}}), "spec.domain.devices.disks[0].cdrom.bus: Bus type virtio is invalid for CD-ROM device")]
#[case::st8(json!({"disk": {"bus": "sata", "readonly": true}}), "spec.domain.devices.disks[0].disk.bus: sata hard-disks do not support read-only.")]
#[case::st9(json!({"disk": {"bus": "floppy"}}), "spec.domain.devices.disks[0].disk.bus: spec.domain.devices.disks[0] is set with an unrecognized bus floppy, must be one of: [virtio scsi sata usb]")]
#[case::st10(json!({"disk": {"bus": "sata"}, "dedicatedIOThread": true}), "spec.domain.devices.disks.domain.devices.disks[0]: IOThreads are not supported for disks on a sata bus")]
#[case::st11(json!({"serial": "a b"}), "spec.domain.devices.disks[0].serial: spec.domain.devices.disks[0] must be made up of the following characters [A-Za-z0-9_.+-], if specified")]
#[case::st13(json!({"cache": "fast"}), "spec.domain.devices.disks[0].cache: spec.domain.devices.disks[0].cache has invalid value fast")]
#[case::st15(json!({"errorPolicy": "shrug"}), "spec.domain.devices.disks[0].errorPolicy: spec.domain.devices.disks[0].errorPolicy has invalid value \"shrug\"")]
#[case::st17(json!({"blockSize": {"custom": {"logical": 512, "physical": 512}, "matchVolume": {}}}), "spec.domain.devices.disks[0].blockSize: Block size matching can't be enabled together with a custom value")]
#[case::st18(json!({"blockSize": {"custom": {"logical": 4096, "physical": 512}}}), "spec.domain.devices.disks[0].blockSize.custom.logical: Logical size 4096 must be the same or less than the physical size of 512")]
#[case::st20(json!({"blockSize": {"custom": {"logical": 512, "physical": 512, "discardGranularity": 700}}}), "spec.domain.devices.disks[0].blockSize.custom.discardGranularity: Discard granularity 700 must be multiples of logical size 512")]
#[case::st23(json!({"blockSize": {"custom": {"logical": 512, "physical": 1000}}}), "spec.domain.devices.disks[0].blockSize.custom.physical: Provided size of 1000 is not a power of 2")]
fn of_disks(#[case] patch: Value, #[case] cause: &str) {
    assert_eq!(causes(&disk(&patch)), [cause]);
}

#[test]
fn disks_with_the_same_name_or_boot_order() {
    let patch = json!({"domain": {"devices": {"disks": [
        {"name": "root", "disk": {"bus": "virtio"}, "bootOrder": 1}, {"name": "root", "disk": {"bus": "virtio"}, "bootOrder": 1}]}}});
    let wanted = [
        "spec.domain.devices.disks[1].bootOrder: Boot order for spec.domain.devices.disks[1].bootOrder already set for a different device.",
        "spec.domain.devices.disks[1].name: spec.domain.devices.disks[1] and spec.domain.devices.disks[0] must not have the same Name.",
    ];
    assert_eq!(causes(&patch), wanted);
}

#[rstest]
#[case::n7(json!({"state": "sideways"}), "spec.domain.devices.interfaces[0].state: logical default interface state value is unsupported: sideways")]
#[case::n10(json!({"state": "absent"}), "spec.domain.devices.interfaces[0].state: \"default\" interface's state \"absent\" is not supported on default networks")]
#[case::n11(json!({"masquerade": {}}), "spec.domain.devices.interfaces[0]: logical default interface must have exactly one binding method or binding plugin")]
#[case::n13(json!({"bridge": null, "masquerade": {}, "macAddress": "02:00:00:00:00:00"}), "spec.domain.devices.interfaces[0].macAddress: The requested MAC address is reserved for the in-pod bridge. Please choose another one.")]
#[case::n29(json!({"model": "ne2000"}), "spec.domain.devices.interfaces[0].model: interface spec.domain.devices.interfaces[0].name uses model ne2000 that is not supported.")]
#[case::n30(json!({"macAddress": "zz:zz"}), "spec.domain.devices.interfaces[0].macAddress: interface spec.domain.devices.interfaces[0].name has malformed MAC address (zz:zz).")]
#[case::n31(json!({"macAddress": "02:00:00:00:00:00:00:01"}), "spec.domain.devices.interfaces[0].macAddress: interface spec.domain.devices.interfaces[0].name has too long MAC address (02:00:00:00:00:00:00:01).")]
#[case::n32(json!({"pciAddress": "81:01"}), "spec.domain.devices.interfaces[0].pciAddress: interface spec.domain.devices.interfaces[0].name has malformed PCI address (81:01).")]
#[case::n34(json!({"ports": [{"name": "Web", "port": 80}]}), "spec.domain.devices.interfaces[0].ports[0].name: Invalid name of the port: Web")]
#[case::n35(json!({"ports": [{"name": "web"}]}), "spec.domain.devices.interfaces[0].ports[0].port: Port field is mandatory.")]
#[case::n36(json!({"ports": [{"port": 70000}]}), "spec.domain.devices.interfaces[0].ports[0].port: Port field must be in range 0 < x < 65536.")]
#[case::n37(json!({"ports": [{"port": 80, "protocol": "SCTP"}]}), "spec.domain.devices.interfaces[0].ports[0].protocol: Unknown protocol, only TCP or UDP allowed")]
#[case::n47(json!({"dhcpOptions": {"privateOptions": [{"option": 240, "value": "a"}, {"option": 240, "value": "b"}]}}), "spec: Found Duplicates: you have provided duplicate DHCPPrivateOptions")]
#[case::n49(json!({"dhcpOptions": {"ntpServers": ["::1"]}}), "spec.domain.devices.interfaces[0].dhcpOptions.ntpServers[0]: NTP servers must be a list of valid IPv4 addresses.")]
#[case::b7(json!({"bootOrder": 0}), "spec[0].bootOrder: spec[0] must have a boot order > 0, if supplied")]
fn of_interfaces(#[case] patch: Value, #[case] cause: &str) {
    assert_eq!(causes(&interface(&patch)), [cause]);
}

#[test]
fn interfaces_and_networks_go_together() {
    let patch = json!({"networks": [{"name": "other", "pod": {}}]});
    let wanted = [
        "spec.networks[0].name: spec.networks[0].name 'other' not found.",
        "spec.domain.devices.interfaces[0].name: spec.domain.devices.interfaces[0].name 'default' not found.",
    ];
    assert_eq!(causes(&patch), wanted);
}

#[rstest]
#[case::off(&[], &["spec.domain.devices.interfaces[0].name: portRanges is specified on interface but the PortRangesSpec feature gate is not enabled"])]
#[case::on(&["PortRangesSpec"], &[])]
fn port_ranges_need_their_gate(#[case] gates: &[&str], #[case] wanted: &[&str]) {
    let patch = interface(&json!({"bridge": null, "masquerade": {}, "portRanges": [{"protocol": "TCP", "start": 1, "end": 9}]}));
    assert_eq!(causes_with(&patch, gates, json!({})), wanted);
}

#[rstest]
#[case::v3(json!({"containerDisk": {"image": "i"}, "emptyDisk": {"capacity": "1Gi"}}), &["spec.volumes[0]: spec.volumes[0] must have exactly one source type set"])]
#[case::v2(json!({"dataVolume": {"name": ""}}), &["spec.volumes[0].name: DataVolume 'name' must be set"])]
#[case::v4(json!({"cloudInitNoCloud": {"userDataBase64": "!"}}), &["spec.volumes[0].cloudInitNoCloud.userDataBase64: spec.volumes[0].cloudInitNoCloud.userDataBase64.cloudInitNoCloud.userDataBase64 is not a valid base64 value."])]
#[case::v5(json!({"cloudInitNoCloud": {"userDataBase64": "YQ==", "userData": "a"}}), &["spec.volumes[0].cloudInitNoCloud: spec.volumes[0].cloudInitNoCloud must have only one userdatasource set."])]
#[case::v10(json!({"cloudInitConfigDrive": {}}), &["spec.volumes[0].cloudInitConfigDrive: spec.volumes[0].cloudInitConfigDrive must have at least one userdatasource or one networkdatasource set."])]
#[case::v12(json!({"hostDisk": {"path": "/d", "type": "Disk"}}), &["spec.volumes[0]: HostDisk feature gate is not enabled"])]
#[case::v17(json!({"secret": {}}), &["spec.volumes[0].secret.secretName: spec.volumes[0].secret.secretName is a required field"])]
#[case::cd1(json!({"containerDisk": {"image": "i", "path": "/"}}), &["spec.volumes[0].containerDisk: spec.volumes[0].containerDisk must not point to root"])]
#[case::cd2(json!({"containerDisk": {"image": "i", "path": "a/b"}}), &["spec.volumes[0].containerDisk: spec.volumes[0].containerDisk must be an absolute path to a file without relative components"])]
fn of_volumes(#[case] source: Value, #[case] wanted: &[&str]) {
    assert_eq!(causes(&volume(&source)), wanted);
}

#[test]
fn user_data_has_a_limit() {
    let patch = volume(&json!({"cloudInitNoCloud": {"userData": "x".repeat(2049)}}));
    let wanted = "spec.volumes[0].cloudInitNoCloud: spec.volumes[0].cloudInitNoCloud userdata exceeds 2048 byte limit. Should use UserDataSecretRef for larger data.";
    assert_eq!(causes(&patch), [wanted]);
}

#[rstest]
#[case::s1(json!({"hostname": "a.b"}), &["spec.hostname: spec.hostname does not conform to the kubernetes DNS_LABEL rules : must not contain dots"])]
#[case::s33(json!({"startStrategy": "Running"}), &["spec.startStrategy: spec.startStrategy is set with an unrecognized option: Running"])]
#[case::e1(json!({"evictionStrategy": "Panic"}), &["spec.evictionStrategy: spec.evictionStrategy is set with an unrecognized option: Panic"])]
#[case::p1(json!({"readinessProbe": {"exec": {}, "guestAgentPing": {}}}), &["spec.readinessProbe: spec.readinessProbe must have exactly one probe type set"])]
#[case::p2(json!({"livenessProbe": {}}), &["spec.livenessProbe: either spec.livenessProbe.tcpSocket, spec.livenessProbe.exec or spec.livenessProbe.httpGet must be set if a spec.livenessProbe is specified"])]
#[case::dn2(json!({"dnsPolicy": "None"}), &["spec.dnsConfig: must provide `dnsConfig` when `dnsPolicy` is None"])]
#[case::dn4(json!({"dnsConfig": {"nameservers": ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"]}}), &["nameservers: must not have more than 3 nameservers: [1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4]"])]
#[case::c8(json!({"accessCredentials": [{}]}), &["spec.accessCredentials[0]: spec.accessCredentials[0] must have exactly one access credential type set"])]
#[case::t1(json!({"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]}), &["spec.topologySpreadConstraints[0].maxSkew: spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero"])]
#[case::a1(json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}}), &["spec.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: spec.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term"])]
#[case::d5(json!({"resourceClaims": [{"name": "c"}]}), &["spec.resourceClaims[0]: must specify one of: resourceClaimName, resourceClaimTemplateName"])]
#[case::sa2(json!({"serviceAccountName": "a", "volumes": [{"name": "root", "serviceAccount": {"serviceAccountName": "b"}}]}), &["spec.serviceAccountName: spec.serviceAccountName \"a\" and serviceAccount volume \"b\" must reference the same service account"])]
#[case::u1(json!({"utilityVolumes": [{"name": "u", "claimName": "c"}]}), &["spec.utilityVolumes: cannot create VMI with utility volumes in spec, utility volumes can only be added via hotplug"])]
fn of_everything_else(#[case] patch: Value, #[case] wanted: &[&str]) {
    assert_eq!(causes(&patch), wanted);
}

#[rstest]
#[case::stage("Stage", 1)]
#[case::live("LiveUpdate", 0)]
fn the_memory_limit_binds_guests_that_cannot_grow(#[case] rollout: &str, #[case] wanted: usize) {
    let patch = domain(&json!({"memory": {"guest": "2Gi"}, "resources": {"limits": {"memory": "1Gi"}}}));
    assert_eq!(causes_with(&patch, &[], json!({"vmRolloutStrategy": rollout})).len(), wanted);
}

#[rstest]
#[case::arm64("arm64", "virt", Some("spec.architecture: No launchSecurity support for architecture: arm64"))]
#[case::s390x("s390x", "s390-ccw-virtio", None)]
fn launch_security_by_architecture(#[case] architecture: &str, #[case] machine: &str, #[case] wanted: Option<&str>) {
    let patch = json!({"architecture": architecture, "domain": {"machine": {"type": machine}, "launchSecurity": {"sev": {}}}});
    assert_eq!(causes(&patch), wanted.into_iter().collect::<Vec<_>>());
}

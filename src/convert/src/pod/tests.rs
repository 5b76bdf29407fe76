use std::collections::BTreeMap;

use api::v1::KubeVirt;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn vmi(domain: Value) -> VirtualMachineInstance {
    let mut domain = domain;
    domain.as_object_mut().unwrap().entry("devices").or_insert_with(|| json!({"interfaces": [{"name": "default", "bridge": {}}]}));
    serde_json::from_value(json!({
        "metadata": {"name": "vm", "namespace": "default", "uid": "u"},
        "spec": {"architecture": "amd64", "domain": domain, "networks": [{"name": "default", "pod": {}}]},
        "status": {"runtimeUser": 107},
    }))
    .unwrap()
}

fn config(configuration: &Value) -> ClusterConfig {
    let kubevirt: KubeVirt = serde_json::from_value(json!({"spec": {"configuration": configuration}})).unwrap();
    ClusterConfig::try_from_kubevirt(&kubevirt).unwrap()
}

/// Runs `act` with a context for a cluster.
fn with_context<T>(config: &ClusterConfig, namespace: &Namespace, act: impl FnOnce(&Context<'_>) -> T) -> T {
    let (claims, none) = (BTreeMap::new(), BTreeMap::new());
    act(&Context {
        config,
        launcher_image: "launcher",
        sidecar_shim_image: "shim",
        image_pull_secret: Some("pull"),
        qemu_timeout_seconds: QEMU_TIMEOUT_SECONDS,
        qemu_timeout_jitter_seconds: 0,
        claims: &claims,
        backend_storage_claim: None,
        namespace,
        network_resources: &none,
        pinned_images: &none,
        temporary: false,
    })
}

fn spec(vmi: &VirtualMachineInstance, config: &ClusterConfig) -> PodSpec {
    with_context(config, &Namespace::default(), |cx| launcher_pod(vmi, cx)).unwrap().spec.unwrap()
}

/// Requests and limits of `compute`, without the hypervisor's devices.
fn resources(vmi: &VirtualMachineInstance, config: &ClusterConfig, namespace: &Namespace) -> [BTreeMap<String, String>; 2] {
    let pod = with_context(config, namespace, |cx| launcher_pod(vmi, cx)).unwrap();
    let resources = pod.spec.unwrap().containers[0].resources.clone().unwrap();
    [resources.requests, resources.limits].map(|side| {
        let side = side.unwrap_or_default().into_iter().filter(|(name, _)| !name.starts_with("devices."));
        side.map(|(name, quantity)| (name, quantity.0)).collect()
    })
}

fn amounts(text: &str) -> BTreeMap<String, String> {
    text.split_whitespace().map(|pair| pair.split_once('=').unwrap()).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// spec/pod.md §5.6.
#[rstest]
#[case(json!({"cpu": {"cores": 3}, "resources": {"requests": {"memory": "64M"}}}), 318_892_104)]
#[case(json!({"resources": {"requests": {"memory": "1Gi"}}}), 304_087_040)]
#[case(json!({"cpu": {"cores": 1}, "memory": {"guest": "512Mi"}}), 301_989_888)]
fn overhead_vectors(#[case] domain: Value, #[case] bytes: i64) {
    let config = ClusterConfig::default();
    assert_eq!(memory_overhead(&vmi(domain), Settings::new(&config)).value(), bytes);
}

#[rstest]
#[case("amd64", true, 382_892_104)]
#[case("amd64", false, 349_337_672)]
#[case("arm64", true, 517_109_832)]
#[case("arm64", false, 483_555_400)]
fn memory_request_by_architecture(#[case] architecture: &str, #[case] graphics: bool, #[case] bytes: i64) {
    let mut vmi = vmi(json!({"cpu": {"cores": 3}, "resources": {"requests": {"memory": "64M"}}}));
    vmi.spec.architecture = Some(architecture.to_owned());
    vmi.spec.domain.devices.autoattach_graphics_device = Some(graphics);
    let [requests, _] = resources(&vmi, &ClusterConfig::default(), &Namespace::default());
    assert_eq!(requests["memory"], bytes.to_string());
}

#[rstest]
#[case(json!({"devices": {"tpm": {}}}), json!({}), 53)]
#[case(json!({"devices": {"gpus": [{"name": "g", "deviceName": "d"}], "hostDevices": [{"name": "h", "deviceName": "e"}]}}), json!({}), 1024)]
#[case(json!({"launchSecurity": {"snp": {}}}), json!({}), 256)]
#[case(json!({"launchSecurity": {"tdx": {}}}), json!({}), 0)]
#[case(json!({"memory": {"guest": "1Gi", "reservedOverhead": {"addedOverhead": "7Mi"}}}), json!({}), 7)]
#[case(json!({"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "1", "memory": "1Gi"}}}), json!({}), 100)]
#[case(json!({}), json!({"additionalGuestMemoryOverheadRatio": "two"}), 0)]
fn overhead_of_parts(#[case] domain: Value, #[case] configuration: Value, #[case] more: i64) {
    let config = config(&configuration);
    let plain = memory_overhead(&vmi(json!({})), Settings::new(&config)).value();
    assert_eq!(memory_overhead(&vmi(domain), Settings::new(&config)).value() - plain, more << 20);
}

#[test]
fn the_overhead_ratio_is_applied_last() {
    let (plain, more) = (config(&json!({})), config(&json!({"additionalGuestMemoryOverheadRatio": "1.5"})));
    let guest = vmi(json!({"memory": {"guest": "1Gi"}}));
    let [plain, more] = [plain, more].map(|c| memory_overhead(&guest, Settings::new(&c)).value());
    assert_eq!(more - plain, 150_995_000);
}

/// spec/pod.md §5.8.
#[rstest]
#[case::shared(json!({"cpu": {"cores": 2}, "memory": {"guest": "1Gi"}}), json!({}), false, "cpu=200m memory=1320Mi", "")]
#[case::dedicated(
    json!({"cpu": {"cores": 4, "dedicatedCpuPlacement": true, "isolateEmulatorThread": true},
           "resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "2Gi"}}}),
    json!({}), false, "cpu=5 memory=2464Mi", "cpu=5 memory=2464Mi"
)]
#[case::hugepages(
    json!({"cpu": {"cores": 1}, "memory": {"guest": "1Gi", "hugepages": {"pageSize": "2Mi"}}}),
    json!({}), false, "cpu=100m hugepages-2Mi=1Gi memory=288Mi", "hugepages-2Mi=1Gi"
)]
#[case::hugepages_and_more(
    json!({"cpu": {"cores": 1}, "memory": {"guest": "512Mi", "hugepages": {"pageSize": "2Mi"}},
           "resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}}}),
    json!({}), false, "cpu=100m hugepages-2Mi=512Mi memory=802Mi", "hugepages-2Mi=512Mi memory=1826Mi"
)]
#[case::overcommit(
    json!({"cpu": {"cores": 1}, "memory": {"guest": "1500Mi"}}),
    json!({"developerConfiguration": {"memoryOvercommit": 150}}), false, "cpu=100m memory=1288Mi", ""
)]
#[case::quota(json!({"cpu": {"cores": 1}, "memory": {"guest": "1Gi"}}), json!({}), true, "cpu=100m memory=1312Mi", "cpu=1 memory=2624Mi")]
#[case::overcommitted_overhead(
    json!({"cpu": {"cores": 1}, "resources": {"overcommitGuestOverhead": true, "requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}}}),
    json!({}), false, "cpu=100m memory=1Gi", "memory=2338Mi"
)]
#[case::function_passed_through(
    json!({"cpu": {"cores": 1}, "memory": {"guest": "1Gi"}, "devices": {"interfaces": [{"name": "default", "sriov": {}}]}}),
    json!({}), false, "cpu=100m memory=2336Mi", ""
)]
#[case::small_share(
    json!({"cpu": {"cores": 3}, "memory": {"guest": "1Gi"}}),
    json!({"developerConfiguration": {"cpuAllocationRatio": 16}}), false, "cpu=187500u memory=1328Mi", ""
)]
#[case::own_cpu_request_wins(
    json!({"cpu": {"cores": 3}, "memory": {"guest": "1Gi"}, "resources": {"requests": {"cpu": "2500m"}}}),
    json!({}), false, "cpu=2500m memory=1328Mi", ""
)]
fn resource_vectors(
    #[case] domain: Value,
    #[case] configuration: Value,
    #[case] quota: bool,
    #[case] requests: &str,
    #[case] limits: &str,
) {
    let namespace = Namespace { memory_limits_required: quota, cpu_limits_required: quota, ..Namespace::default() };
    let [got_requests, got_limits] = resources(&vmi(domain), &config(&configuration), &namespace);
    let mut wanted = amounts(requests);
    wanted.insert("ephemeral-storage".to_owned(), "50M".to_owned());
    assert_eq!(got_requests, wanted);
    assert_eq!(got_limits, amounts(limits));
}

#[test]
fn even_parity_adds_a_second_emulator_cpu() {
    let domain = json!({"cpu": {"cores": 4, "dedicatedCpuPlacement": true, "isolateEmulatorThread": true}, "memory": {"guest": "1Gi"}});
    let mut vmi = vmi(domain);
    vmi.metadata.annotations = Some(BTreeMap::from([("alpha.kubevirt.io/EmulatorThreadCompleteToEvenParity".to_owned(), String::new())]));
    let [requests, limits] = resources(&vmi, &ClusterConfig::default(), &Namespace::default());
    assert_eq!((requests["cpu"].as_str(), limits["cpu"].as_str()), ("6", "6"));
}

#[test]
fn emulation_needs_no_hypervisor_device() {
    let config = config(&json!({"developerConfiguration": {"useEmulation": true}}));
    let spec = spec(&vmi(json!({"memory": {"guest": "1Gi"}})), &config);
    let compute = &spec.containers[0];
    let limits: Vec<_> = compute.resources.as_ref().unwrap().limits.as_ref().unwrap().keys().cloned().collect();
    assert_eq!(limits, ["devices.kubevirt.io/tun"]);
    assert_eq!(compute.args.as_ref().unwrap().last().unwrap(), "--allow-emulation");
}

#[rstest]
#[case(json!({"pciHostDevices": [{"pciVendorSelector": "1:2", "resourceName": "ok"}]}), None)]
#[case(json!({}), Some("GPU ok is not permitted in permittedHostDevices configuration HostDevice ok is not permitted in permittedHostDevices configuration"))]
fn devices_must_be_permitted(#[case] permitted: Value, #[case] error: Option<&str>) {
    let devices = json!({"gpus": [{"name": "g", "deviceName": "ok"}], "hostDevices": [{"name": "h", "deviceName": "ok"}]});
    let config = config(&json!({"permittedHostDevices": permitted}));
    let pod = with_context(&config, &Namespace::default(), |cx| launcher_pod(&vmi(json!({"devices": devices})), cx));
    assert_eq!(pod.err().map(|e| e.to_string()).as_deref(), error);
}

#[test]
fn a_missing_claim_is_told_apart() {
    let mut vmi = vmi(json!({}));
    vmi.spec.volumes = serde_json::from_value(json!([{"name": "root", "persistentVolumeClaim": {"claimName": "gone"}}])).unwrap();
    let pod = |vmi: &VirtualMachineInstance| {
        with_context(&ClusterConfig::default(), &Namespace::default(), |cx| launcher_pod(vmi, cx)).map(|p| p.spec.unwrap())
    };
    assert_eq!(pod(&vmi).unwrap_err(), PodError::ClaimNotFound("gone".to_owned()));
    // A volume that is plugged in later is not this pod's.
    let hotplugged = json!([{"name": "root", "target": "", "hotplugVolume": {}}]);
    vmi.status.as_mut().unwrap().volume_status = serde_json::from_value(hotplugged).unwrap();
    assert!(pod(&vmi).unwrap().volumes.unwrap().iter().all(|v| v.name != "root"));
}

#[test]
fn classic_container_disks_run_beside_compute() {
    let config = config(&json!({"developerConfiguration": {"disabledFeatureGates": ["ImageVolume"]}}));
    let mut vmi = vmi(json!({}));
    vmi.spec.volumes = serde_json::from_value(json!([{"name": "root", "containerDisk": {"image": "a:1"}}])).unwrap();
    let spec = spec(&vmi, &config);
    let names = |containers: &[k8s_openapi::api::core::v1::Container]| containers.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&spec.containers), ["compute", "volumeroot"]);
    assert_eq!(names(spec.init_containers.as_ref().unwrap()), ["guest-console-log", "container-disk-binary", "volumeroot-init"]);
    let args = spec.containers[1].args.as_ref().unwrap();
    assert_eq!(args, &["--copy-path", "/var/run/kubevirt-ephemeral-disks/container-disk-data/u/disk_0"]);
    let mounts = spec.containers[0].volume_mounts.as_ref().unwrap();
    let disks = mounts.iter().find(|m| m.name == "container-disks").unwrap();
    assert_eq!(
        (disks.mount_path.as_str(), disks.mount_propagation.as_deref()),
        ("/var/run/kubevirt/container-disks", Some("HostToContainer"))
    );
    assert!(!spec.containers[0].args.as_ref().unwrap().contains(&"--image-volume".to_owned()));
}

#[test]
fn probes_go_through_the_agent() {
    let mut vmi = vmi(json!({}));
    vmi.spec.liveness_probe = serde_json::from_value(json!({"guestAgentPing": {}, "timeoutSeconds": 4})).unwrap();
    vmi.spec.readiness_probe = serde_json::from_value(json!({"exec": {"command": ["cat", "/x"]}, "initialDelaySeconds": 5})).unwrap();
    let spec = spec(&vmi, &ClusterConfig::default());
    let compute = &spec.containers[0];
    let alive = compute.liveness_probe.as_ref().unwrap();
    assert_eq!((alive.timeout_seconds, alive.initial_delay_seconds, alive.period_seconds), (Some(5), Some(10), Some(10)));
    let command = alive.exec.as_ref().unwrap().command.as_ref().unwrap();
    assert_eq!(command, &["virt-probe", "--domainName", "default_vm", "--timeoutSeconds", "4", "--guestAgentPing"]);
    let ready = compute.readiness_probe.as_ref().unwrap();
    assert_eq!((ready.timeout_seconds, ready.initial_delay_seconds), (Some(2), Some(15)));
    let command = ready.exec.as_ref().unwrap().command.as_ref().unwrap();
    let wanted = ["virt-probe", "--domainName", "default_vm", "--timeoutSeconds", "1", "--command", "cat", "--", "/x"];
    assert_eq!(command, &wanted);
}

#[test]
fn a_launcher_of_root_has_more() {
    let mut vmi = vmi(json!({}));
    vmi.status = None;
    let spec = spec(&vmi, &ClusterConfig::default());
    let pod = spec.security_context.unwrap();
    assert_eq!((pod.run_as_user, pod.run_as_non_root, pod.fs_group), (Some(0), None, Some(107)));
    let compute = &spec.containers[0];
    let added = compute.security_context.as_ref().unwrap().capabilities.as_ref().unwrap().add.clone().unwrap();
    assert_eq!(added, ["NET_BIND_SERVICE", "SYS_NICE"]);
    assert_eq!(compute.env.as_ref().unwrap().len(), 1);
}

#[test]
fn a_temporary_pod_only_binds() {
    let config = ClusterConfig::default();
    let namespace = Namespace::default();
    let pod = with_context(&config, &namespace, |cx| launcher_pod(&vmi(json!({})), &Context { temporary: true, ..cx.clone() })).unwrap();
    assert_eq!(pod.metadata.annotations.unwrap()["kubevirt.io/ephemeral-provisioning"], "true");
    let compute = &pod.spec.unwrap().containers[0];
    assert_eq!(compute.command.as_ref().unwrap(), &["/bin/bash"]);
    assert_eq!(compute.args.as_ref().unwrap(), &["-c", "echo", "bound PVCs"]);
}

#[test]
fn verbosity_is_a_number() {
    let mut vmi = vmi(json!({}));
    vmi.metadata.labels = Some(BTreeMap::from([("logVerbosity".to_owned(), "loud".to_owned())]));
    let pod = with_context(&ClusterConfig::default(), &Namespace::default(), |cx| launcher_pod(&vmi, cx));
    assert_eq!(pod.unwrap_err().to_string(), "verbosity loud cannot cast to int: strconv.Atoi: parsing \"loud\": invalid syntax");
    vmi.metadata.labels.as_mut().unwrap().insert("logVerbosity".to_owned(), "6".to_owned());
    let spec = spec(&vmi, &ClusterConfig::default());
    let names: Vec<_> = spec.containers[0].env.iter().flatten().skip(3).map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["VIRT_LAUNCHER_LOG_VERBOSITY", "LIBVIRT_DEBUG_LOGS", "VIRTIOFSD_DEBUG_LOGS", "POD_NAME"]);
}

#[test]
fn networks_are_named_for_multus() {
    let mut vmi = vmi(json!({"devices": {"interfaces": [
        {"name": "default", "bridge": {}}, {"name": "red", "bridge": {}, "macAddress": "02:00:00:00:00:01"}, {"name": "off", "bridge": {}, "state": "absent"},
    ]}}));
    vmi.spec.networks = serde_json::from_value(json!([
        {"name": "default", "multus": {"networkName": "infra/main", "default": true}}, {"name": "red", "multus": {"networkName": "infra/red"}},
        {"name": "off", "multus": {"networkName": "off"}},
    ]))
    .unwrap();
    let annotations = with_context(&ClusterConfig::default(), &Namespace::default(), |cx| network_annotations(&vmi, cx)).unwrap();
    assert_eq!(
        annotations["k8s.v1.cni.cncf.io/networks"],
        format!(r#"[{{"name":"red","namespace":"infra","mac":"02:00:00:00:00:01","interface":"{}"}}]"#, vmi::pod_interface_name("red"))
    );
    assert_eq!(annotations["v1.multus-cni.io/default-network"], "infra/main");
}

#[test]
fn the_hash_of_a_network_names_its_interface() {
    // The first digits of SHA-256 over "red".
    assert_eq!(vmi::pod_interface_name("red"), "podb1f51a511f1");
}

#[test]
fn plugins_must_be_registered_and_bring_a_sidecar() {
    let guest = vmi(json!({"devices": {"interfaces": [{"name": "default", "binding": {"name": "net"}}]}}));
    let pod = |config: &ClusterConfig| with_context(config, &Namespace::default(), |cx| launcher_pod(&guest, cx));
    assert_eq!(pod(&ClusterConfig::default()).unwrap_err(), PodError::BindingNotRegistered("net".to_owned()));
    let plugin = json!({"sidecarImage": "side:1", "networkAttachmentDefinition": "infra/def", "downwardAPI": "device-info",
                        "computeResourceOverhead": {"requests": {"memory": "10Mi"}}});
    let registered = pod(&config(&json!({"network": {"binding": {"net": plugin}}}))).unwrap();
    let annotations = registered.metadata.annotations.unwrap();
    assert_eq!(
        annotations["k8s.v1.cni.cncf.io/networks"],
        r#"[{"name":"def","namespace":"infra","cni-args":{"logicNetworkName":"default"}}]"#
    );
    let spec = registered.spec.unwrap();
    let sidecar = spec.containers.last().unwrap();
    assert_eq!((sidecar.name.as_str(), sidecar.image.as_deref()), ("hook-sidecar-0", Some("side:1")));
    assert!(sidecar.volume_mounts.iter().flatten().any(|m| m.mount_path == "/etc/podinfo"));
    assert!(spec.containers[0].args.as_ref().unwrap().windows(2).any(|w| w == ["--hook-sidecars", "1"]));
    let plain = vmi(json!({}));
    let overhead = |vmi: &VirtualMachineInstance| {
        network_overhead(vmi, Settings::new(&config(&json!({"network": {"binding": {"net": plugin}}})))).value()
    };
    assert_eq!(overhead(&guest) - overhead(&plain), 10 << 20);
}

#[test]
fn backup_hooks_can_be_declined() {
    let mut vmi = vmi(json!({}));
    assert_eq!(storage_annotations(&vmi, &ClusterConfig::default()).len(), 5);
    vmi.metadata.annotations = Some(BTreeMap::from([("kubevirt.io/skip-backup-hooks".to_owned(), "t".to_owned())]));
    assert!(storage_annotations(&vmi, &ClusterConfig::default()).is_empty());
}

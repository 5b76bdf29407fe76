//! Every manifest of deploy/examples: it is admitted as it stands, and its launcher pod and its domain are what the reviewed
//! snapshots say.
//!
//! A manifest says in comments what it needs of the cluster: `# Feature gates: A, B`, `# Host devices: RESOURCE`.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use admission::{Requester, Seeds, default_vmi, validate_vmi_create};
use api::config::ClusterConfig;
use api::v1::{KubeVirt, VirtualMachine, VirtualMachineInstance};
use convert::domain::host_devices::Pools;
use convert::domain::{Architecture, ContainerDiskFormat, HostCell, HostCpu, HostTopology, Smbios};
use convert::pod::{Claim, Namespace};
use ferrovirt_convert as convert;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

const UID: &str = "0f3c7c4e-6a56-4a3f-9d8f-0d5b8a1f7c11";
const FIRMWARE_UUID: &str = "8a2b5f0e-3c1d-4e9a-b7f6-2d4c6e8a0b13";

/// A manifest, admitted.
struct Example {
    vmi: VirtualMachineInstance,
    config: ClusterConfig,
    claims: BTreeMap<String, Claim>,
    host_devices: Vec<String>,
}

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    files
}

/// The values of a comment `# KEY: A, B`.
fn comment(text: &str, key: &str) -> Vec<String> {
    let prefix = format!("# {key}: ");
    text.lines().filter_map(|l| l.strip_prefix(&prefix)).flat_map(|l| l.split(", ")).map(ToOwned::to_owned).collect()
}

fn load(file: &Path) -> Example {
    let text = std::fs::read_to_string(file).unwrap();
    let host_devices = comment(&text, "Host devices");
    let config = config(&comment(&text, "Feature gates"), &host_devices);
    let mut claims = BTreeMap::new();
    let mut vmi = None;
    for document in text.split("\n---\n") {
        let value: Value = serde_saphyr::from_str(document).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        match value["kind"].as_str().unwrap() {
            "PersistentVolumeClaim" => {
                let claim: PersistentVolumeClaim = serde_json::from_value(value).unwrap();
                let spec = claim.spec.unwrap();
                let facts = Claim {
                    uid: claim.metadata.uid.unwrap_or_default(),
                    block: spec.volume_mode.as_deref() == Some("Block"),
                    read_write_many: spec.access_modes.unwrap().contains(&"ReadWriteMany".to_owned()),
                };
                claims.insert(claim.metadata.name.unwrap(), facts);
            }
            "VirtualMachine" => {
                let vm: VirtualMachine = serde_json::from_value(value).unwrap();
                let templates = vm.spec.data_volume_templates.iter().filter_map(|t| t.metadata.as_ref()?.name.clone());
                claims.extend(templates.map(|name| (name, Claim::default())));
                let template = vm.spec.template;
                let mut metadata = template.metadata.unwrap_or_default();
                metadata.name = vm.metadata.name;
                vmi = Some(VirtualMachineInstance { metadata: *metadata, spec: *template.spec.unwrap_or_default(), status: None });
            }
            "VirtualMachineInstance" => vmi = Some(serde_json::from_value(value).unwrap()),
            _ => {}
        }
    }
    let mut vmi = vmi.unwrap_or_else(|| panic!("{}: no virtual machine", file.display()));
    vmi.metadata.namespace = Some("default".to_owned());
    vmi.metadata.uid = Some(UID.to_owned());
    let mut uuid = || FIRMWARE_UUID.to_owned();
    let mut seeds = Seeds { uuid: &mut uuid, now: Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH) };
    default_vmi(&mut vmi, &[], &config, &mut seeds).unwrap_or_else(|e| panic!("{}: {e:?}", file.display()));
    validate_vmi_create(&vmi, &Requester::default(), &config).unwrap_or_else(|e| panic!("{}: {e:?}", file.display()));
    Example { vmi, config, claims, host_devices }
}

fn config(gates: &[String], host_devices: &[String]) -> ClusterConfig {
    let permitted = host_devices.iter().map(|r| json!({"pciVendorSelector": "10DE:1EB8", "resourceName": r}));
    let mut configuration = json!({"developerConfiguration": {"featureGates": gates}});
    if !host_devices.is_empty() {
        configuration["permittedHostDevices"] = json!({"pciHostDevices": permitted.collect::<Vec<_>>()});
    }
    let kubevirt = json!({"metadata": {"name": "kubevirt", "namespace": "kubevirt"}, "spec": {"configuration": configuration}});
    ClusterConfig::from_kubevirt(Some(&serde_json::from_value::<KubeVirt>(kubevirt).unwrap()))
}

fn pod(example: &Example) -> String {
    let claim = format!("persistent-state-for-{}-x7k2p", example.vmi.metadata.name.as_deref().unwrap());
    let pod = convert::pod::launcher_pod(
        &example.vmi,
        &convert::pod::Context {
            config: &example.config,
            launcher_image: "registry.example/virt-launcher:v1",
            sidecar_shim_image: "registry.example/sidecar-shim:v1",
            image_pull_secret: None,
            qemu_timeout_seconds: convert::pod::QEMU_TIMEOUT_SECONDS,
            qemu_timeout_jitter_seconds: 42,
            claims: &example.claims,
            backend_storage_claim: Some(&claim),
            namespace: &Namespace::default(),
            network_resources: &BTreeMap::new(),
            pinned_images: &BTreeMap::new(),
            temporary: false,
        },
    )
    .unwrap();
    let value = serde_json::to_value(pod).unwrap();
    serde_saphyr::to_string(&value).unwrap()
}

/// Two cells of two cores with two threads each.
fn topology() -> HostTopology {
    let cpu = |id: u32| HostCpu { id, siblings: vec![id % 4, id % 4 + 4] };
    let cell = |id: u32, cpus: [u32; 4]| HostCell {
        id,
        cpus: cpus.map(cpu).to_vec(),
        distances: (0..2).map(|other| (other, if other == id { 10 } else { 21 })).collect(),
    };
    HostTopology { cells: vec![cell(0, [0, 1, 4, 5]), cell(1, [2, 3, 6, 7])] }
}

fn domain(example: &Example) -> String {
    let vmi = &example.vmi;
    let block_volumes = vmi.spec.volumes.iter().filter(|v| {
        let claim = v.persistent_volume_claim.as_ref().and_then(|p| example.claims.get(&p.claim_name));
        claim.is_some_and(|c| c.block)
    });
    let architecture = Architecture::parse(vmi.spec.architecture.as_deref().unwrap_or_default());
    let (directory, files) = match architecture {
        Architecture::Arm64 => ("/usr/share/AAVMF", vec!["AAVMF_CODE.fd", "AAVMF_VARS.fd"]),
        _ => (
            "/usr/share/edk2/ovmf",
            vec!["OVMF_CODE.fd", "OVMF_VARS.fd", "OVMF_CODE.secboot.fd", "OVMF_VARS.secboot.fd", "OVMF_CODE.cc.fd"],
        ),
    };
    let present: BTreeSet<String> = files.into_iter().map(ToOwned::to_owned).collect();
    let environment: Vec<(String, String)> = example
        .host_devices
        .iter()
        .map(|r| (format!("PCI_RESOURCE_{}", r.to_uppercase().replace(['/', '.'], "_")), "0000:3b:00.0".to_owned()))
        .collect();
    let mut pools = Pools::from_environment(environment.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    let cx = convert::domain::Context {
        architecture,
        cpuset: (0..8).collect(),
        topology: topology(),
        block_volumes: block_volumes.map(|v| v.name.clone()).collect(),
        container_disk_formats: vmi.spec.volumes.iter().map(|v| (v.name.clone(), ContainerDiskFormat::Qcow2)).collect(),
        smbios: Some(Smbios {
            manufacturer: "KubeVirt".to_owned(),
            family: "KubeVirt".to_owned(),
            product: "None".to_owned(),
            ..Smbios::default()
        }),
        mem_balloon_stats_period: 10,
        efi: convert::domain::efi::firmware(vmi, architecture, directory, &present, false).unwrap(),
        interface_attachments: convert::domain::interface_attachments(vmi, &example.config),
        host_devices: convert::domain::host_devices::generic(vmi, &mut pools).unwrap(),
        gpus: convert::domain::host_devices::gpus(vmi, &mut pools).unwrap(),
        ..convert::domain::Context::default()
    };
    convert::domain::domain(vmi, &cx).unwrap().to_xml()
}

#[test]
fn pods_and_domains_are_as_reviewed() {
    let files = examples();
    assert!(files.len() >= 12, "{} manifests", files.len());
    insta::with_settings!({
        snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/../../snapshots/convert"),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        for file in files {
            let name = file.file_stem().unwrap().to_str().unwrap();
            let example = load(&file);
            insta::assert_snapshot!(format!("{name}.pod"), pod(&example));
            insta::assert_snapshot!(format!("{name}.domain"), domain(&example));
        }
    });
}

/// What libvirt is given it can give back: every domain is read as it was rendered.
#[test]
fn domains_round_trip() {
    for file in examples() {
        let xml = domain(&load(&file));
        assert_eq!(::domain::Domain::from_xml(&xml).unwrap().to_xml(), xml, "{}", file.display());
    }
}

/// No snapshot outlives its manifest.
#[test]
fn every_snapshot_has_a_manifest() {
    let names: BTreeSet<String> = examples().iter().map(|f| f.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../snapshots/convert");
    let mut stale = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(example) = name.strip_suffix(".pod.snap").or_else(|| name.strip_suffix(".domain.snap")) else { continue };
        if !names.contains(example) {
            writeln!(stale, "{name}").unwrap();
        }
    }
    assert_eq!(stale, "");
}

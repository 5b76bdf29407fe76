//! Any VMI that can be decoded gives a pod and a domain, or an error: never a panic, and never a value outside of its place.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::collections::{BTreeMap, BTreeSet};

use api::config::ClusterConfig;
use api::v1::VirtualMachineInstance;
use convert::domain::{ContainerDiskFormat, HostCell, HostCpu, HostTopology};
use convert::pod::{Claim, Namespace};
use ferrovirt_convert as convert;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Text with markup, separators and control characters likelier than by chance.
fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        3 => "[a-z0-9]{1,6}",
        1 => Just("../".to_owned()),
        1 => Just("..".to_owned()),
        1 => Just("<x/>".to_owned()),
        1 => Just("\"'&".to_owned()),
        1 => Just("\n\t".to_owned()),
        1 => Just("\u{0}\u{1}".to_owned()),
        1 => Just("]]>".to_owned()),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
}

/// A name as the API lets it pass, or rarely anything.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![12 => "[a-z][a-z0-9]{0,4}", 1 => text()]
}

fn quantity() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (1_u32..64).prop_map(|n| json!(format!("{n}Gi"))),
        2 => (1_u32..4096).prop_map(|n| json!(format!("{n}Mi"))),
        1 => Just(json!("1500m")),
        1 => Just(json!("-1")),
        1 => Just(json!("9223372036854775807")),
        1 => prop::sample::select(vec!["0", "0.5Gi", "1e3", "1n", "999E"]).prop_map(Value::from),
    ]
}

fn maybe(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
    prop_oneof![Just(Value::Null), value].boxed()
}

fn one_of(values: &'static [&'static str]) -> BoxedStrategy<Value> {
    maybe(prop::sample::select(values).prop_map(Value::from))
}

fn flag() -> BoxedStrategy<Value> {
    maybe(any::<bool>().prop_map(Value::from))
}

fn number() -> BoxedStrategy<Value> {
    maybe(prop_oneof![4 => 0_u32..9, 1 => any::<u32>()].prop_map(Value::from))
}

/// An object of some of the fields.
fn object(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let (names, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    values
        .prop_map(move |values| {
            let set = names.iter().zip(values).filter(|(_, v)| !v.is_null());
            Value::Object(set.map(|(name, value)| ((*name).to_owned(), value)).collect())
        })
        .boxed()
}

fn list(item: BoxedStrategy<Value>, most: usize) -> BoxedStrategy<Value> {
    prop::collection::vec(item, 0..=most).prop_map(Value::from).boxed()
}

const BUSES: &[&str] = &["virtio", "sata", "scsi", "usb", "ide"];

fn disk() -> BoxedStrategy<Value> {
    let target = || {
        object(vec![
            ("bus", one_of(BUSES)),
            ("readonly", flag()),
            ("tray", one_of(&["open", "closed"])),
            ("pciAddress", one_of(&["0000:81:00.1", "x"])),
            ("reservation", flag()),
        ])
    };
    let kind = prop::sample::select(vec!["disk", "lun", "cdrom"]);
    let rest = object(vec![
        ("bootOrder", number()),
        ("serial", maybe(text().prop_map(Value::from))),
        ("dedicatedIOThread", flag()),
        ("cache", one_of(&["none", "writeback", "writethrough"])),
        ("io", one_of(&["native", "threads"])),
        ("shareable", flag()),
        ("errorPolicy", one_of(&["stop", "report", "x"])),
        (
            "blockSize",
            maybe(object(vec![
                ("custom", maybe(object(vec![("logical", number()), ("physical", number())]))),
                ("matchVolume", maybe(object(vec![("enabled", flag())]))),
            ])),
        ),
    ]);
    (kind, target(), rest)
        .prop_map(|(kind, target, mut disk)| {
            let target: Value = Value::Object(
                target
                    .as_object()
                    .unwrap()
                    .iter()
                    .filter(|(k, _)| kind == "cdrom" || *k != "tray")
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect(),
            );
            disk[kind] = target;
            disk
        })
        .boxed()
}

fn source() -> BoxedStrategy<Value> {
    prop_oneof![
        3 => Just(json!({"containerDisk": {"image": "a/b:1"}})),
        2 => name().prop_map(|c| json!({"persistentVolumeClaim": {"claimName": c}})),
        1 => name().prop_map(|c| json!({"dataVolume": {"name": c}})),
        1 => text().prop_map(|t| json!({"cloudInitNoCloud": {"userData": t}})),
        1 => text().prop_map(|p| json!({"hostDisk": {"path": p, "type": "DiskOrCreate"}})),
        1 => Just(json!({"emptyDisk": {"capacity": "1Gi"}})),
        1 => Just(json!({"configMap": {"name": "c"}})),
        1 => Just(json!({"sysprep": {}})),
        1 => Just(json!({"serviceAccount": {"serviceAccountName": "s"}})),
        1 => Just(json!({"downwardMetrics": {}})),
        1 => Just(json!({})),
    ]
    .boxed()
}

fn interface() -> BoxedStrategy<Value> {
    let binding = prop::sample::select(vec![
        json!({"bridge": {}}),
        json!({"masquerade": {}}),
        json!({"sriov": {}}),
        json!({"passtBinding": {}}),
        json!({"binding": {"name": "x"}}),
    ]);
    let rest = object(vec![
        ("model", one_of(&["virtio", "e1000e", "<"])),
        ("macAddress", maybe(text().prop_map(Value::from))),
        ("pciAddress", one_of(&["0000:81:00.1", "y"])),
        ("bootOrder", number()),
        ("acpiIndex", number()),
        ("state", one_of(&["up", "down", "absent"])),
    ]);
    (binding, rest)
        .prop_map(|(binding, mut interface)| {
            interface.as_object_mut().unwrap().extend(binding.as_object().unwrap().clone());
            interface
        })
        .boxed()
}

fn cpu() -> BoxedStrategy<Value> {
    object(vec![
        ("cores", number()),
        ("sockets", number()),
        ("threads", number()),
        ("maxSockets", number()),
        ("model", maybe(prop_oneof![Just("host-model".to_owned()), text()].prop_map(Value::from))),
        ("dedicatedCpuPlacement", flag()),
        ("isolateEmulatorThread", flag()),
        ("numa", maybe(Just(json!({"guestMappingPassthrough": {}})))),
        ("realtime", maybe(Just(json!({})))),
        ("features", list(name().prop_map(|n| json!({"name": n, "policy": "require"})).boxed(), 2)),
    ])
}

/// Features, firmware, memory: what a guest has one of.
fn domain_spec() -> BoxedStrategy<Value> {
    let state = || maybe(object(vec![("enabled", flag())]));
    object(vec![
        ("cpu", maybe(cpu())),
        (
            "memory",
            maybe(object(vec![
                ("guest", maybe(quantity())),
                ("maxGuest", maybe(quantity())),
                (
                    "hugepages",
                    maybe(prop_oneof![Just("2Mi".to_owned()), Just("1Gi".to_owned()), text()].prop_map(|s| json!({"pageSize": s}))),
                ),
            ])),
        ),
        (
            "resources",
            maybe(object(vec![
                ("requests", maybe(object(vec![("memory", maybe(quantity())), ("cpu", maybe(quantity()))]))),
                ("limits", maybe(object(vec![("memory", maybe(quantity())), ("cpu", maybe(quantity()))]))),
                ("overcommitGuestOverhead", flag()),
            ])),
        ),
        ("machine", maybe(object(vec![("type", maybe(text().prop_map(Value::from)))]))),
        (
            "firmware",
            maybe(object(vec![
                ("serial", maybe(text().prop_map(Value::from))),
                (
                    "bootloader",
                    maybe(object(vec![
                        ("efi", maybe(object(vec![("secureBoot", flag()), ("persistent", flag())]))),
                        ("bios", maybe(Just(json!({"useSerial": true})))),
                    ])),
                ),
                (
                    "kernelBoot",
                    maybe((text(), text()).prop_map(|(a, k)| json!({"kernelArgs": a, "container": {"image": "i", "kernelPath": k}}))),
                ),
                ("acpi", maybe(name().prop_map(|n| json!({"slicNameRef": n})))),
            ])),
        ),
        (
            "features",
            maybe(object(vec![
                ("acpi", state()),
                ("smm", state()),
                ("pvspinlock", state()),
                (
                    "hyperv",
                    maybe(object(vec![
                        ("vapic", state()),
                        ("reenlightenment", state()),
                        ("vendorid", maybe(text().prop_map(|t| json!({"vendorid": t})))),
                    ])),
                ),
            ])),
        ),
        ("clock", maybe(object(vec![("timezone", maybe(text().prop_map(Value::from))), ("utc", maybe(Just(json!({}))))]))),
        ("launchSecurity", maybe(prop::sample::select(vec![json!({"sev": {}}), json!({"snp": {}}), json!({"tdx": {}}), json!({})]))),
        ("ioThreadsPolicy", one_of(&["shared", "auto", "supplementalPool"])),
        ("ioThreads", maybe((0_u32..5).prop_map(|n| json!({"supplementalPoolThreadCount": n})))),
        ("chassis", maybe(text().prop_map(|t| json!({"asset": t})))),
    ])
}

fn vmi() -> impl Strategy<Value = Value> {
    let devices = object(vec![
        ("blockMultiQueue", flag()),
        ("networkInterfaceMultiqueue", flag()),
        ("autoattachGraphicsDevice", flag()),
        ("autoattachSerialConsole", flag()),
        ("disableHotplug", flag()),
        ("useVirtioTransitional", flag()),
        ("rng", maybe(Just(json!({})))),
        ("tpm", maybe(object(vec![("enabled", flag()), ("persistent", flag())]))),
        (
            "inputs",
            list(
                object(vec![
                    ("name", name().prop_map(Value::from).boxed()),
                    ("type", prop::sample::select(vec!["tablet", "keyboard"]).prop_map(Value::from).boxed()),
                    ("bus", one_of(BUSES)),
                ]),
                1,
            ),
        ),
        (
            "watchdog",
            maybe(object(vec![("name", name().prop_map(Value::from).boxed()), ("i6300esb", maybe(Just(json!({"action": "reset"}))))])),
        ),
        ("sound", maybe(object(vec![("name", name().prop_map(Value::from).boxed()), ("model", one_of(&["ich9", "x"]))]))),
        ("clientPassthrough", maybe(Just(json!({})))),
    ]);
    let disks = prop::collection::vec((name(), disk(), source(), prop::bool::weighted(0.95)), 0..6);
    let nics = prop::collection::vec((name(), interface(), any::<bool>(), prop::bool::weighted(0.95)), 0..4);
    let annotation =
        |key: &'static str, values: &'static [&'static str]| (Just(key), prop::option::weighted(0.2, prop::sample::select(values)));
    let annotations = (
        annotation("kubevirt.io/placePCIDevicesOnRootComplex", &["true"]),
        annotation("alpha.kubevirt.io/EmulatorThreadCompleteToEvenParity", &[""]),
        annotation("kubevirt.io/ignitiondata", &["ignition ]]>"]),
        annotation("hooks.kubevirt.io/hookSidecars", &["[]", "[{\"image\":\"i\"}]", "{"]),
    );
    let rest = (one_of(&["amd64", "arm64", "s390x", "mips"]), prop::option::of(Just(107)), annotations, one_of(&["Paused"]));
    (name(), domain_spec(), devices, disks, nics, rest).prop_map(
        |(name, mut domain, mut devices, disks, nics, (arch, user, annotations, start))| {
            let mut volumes = Vec::new();
            let mut list = Vec::new();
            for (name, mut disk, mut volume, present) in disks {
                disk["name"] = json!(name);
                volume["name"] = json!(name);
                list.push(disk);
                if present {
                    volumes.push(volume);
                }
            }
            devices["disks"] = Value::from(list);
            let mut networks = Vec::new();
            let mut interfaces = Vec::new();
            for (name, mut interface, multus, present) in nics {
                interface["name"] = json!(name);
                interfaces.push(interface);
                if present {
                    networks.push(if multus {
                        json!({"name": name, "multus": {"networkName": name}})
                    } else {
                        json!({"name": name, "pod": {}})
                    });
                }
            }
            devices["interfaces"] = Value::from(interfaces);
            domain["devices"] = devices;
            let (a, b, c, d) = annotations;
            let annotations: BTreeMap<_, _> = [a, b, c, d].into_iter().filter_map(|(k, v)| Some((k, v?))).collect();
            let mut vmi = json!({
                "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
                "metadata": {"name": name, "namespace": "ns", "uid": "u", "annotations": annotations},
                "spec": {"domain": domain, "volumes": volumes, "networks": networks},
                "status": {"runtimeUser": user.unwrap_or(0)},
            });
            for (key, value) in [("architecture", arch), ("startStrategy", start)] {
                if !value.is_null() {
                    vmi["spec"][key] = value;
                }
            }
            vmi
        },
    )
}

fn domain_context(vmi: &VirtualMachineInstance, block: bool) -> convert::domain::Context {
    let volumes = || vmi.spec.volumes.iter().map(|v| v.name.clone());
    let cpus = |range: std::ops::Range<u32>| range.map(|id| HostCpu { id, siblings: vec![id] }).collect();
    convert::domain::Context {
        architecture: convert::domain::Architecture::parse(vmi.spec.architecture.as_deref().unwrap_or_default()),
        cpuset: (0..16).collect(),
        topology: HostTopology {
            cells: vec![
                HostCell { id: 0, cpus: cpus(0..8), distances: Vec::new() },
                HostCell { id: 1, cpus: cpus(8..16), distances: Vec::new() },
            ],
        },
        block_volumes: if block { volumes().collect() } else { BTreeSet::new() },
        container_disk_formats: volumes().map(|v| (v, ContainerDiskFormat::Raw)).collect(),
        efi: Some(convert::domain::efi::EfiFirmware { code: "/c".into(), vars: Some("/v".into()), secure: false }),
        interface_attachments: convert::domain::interface_attachments(vmi, &ClusterConfig::default()),
        ..convert::domain::Context::default()
    }
}

/// No `..` in any path of the XML that the VMI's own paths did not carry whole.
fn stays_in_its_folders(xml: &str) -> bool {
    let domain = domain::Domain::from_xml(xml).unwrap();
    let disks = domain.devices.disks.iter().filter_map(|d| d.source.path().map(ToOwned::to_owned));
    let kernel = domain.os.kernel.into_iter().chain(domain.os.initrd).chain(domain.os.nvram.map(|n| n.path));
    disks.chain(kernel).all(|path| path.starts_with('/') && !path.split('/').any(|part| part == ".."))
}

/// A thousand guests; PROPTEST_CASES asks for another number.
fn settings() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(1_000), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn neither_panics_nor_escapes(value in vmi(), block in any::<bool>()) {
        let vmi: VirtualMachineInstance = serde_json::from_value(value).unwrap();
        let before = vmi.clone();
        if let Ok(domain) = convert::domain::domain(&vmi, &domain_context(&vmi, block)) {
            let xml = domain.to_xml();
            prop_assert!(stays_in_its_folders(&xml), "{xml}");
            // White space around an element's text is the one thing a reader drops; nothing else changes.
            let read = domain::Domain::from_xml(&xml).unwrap();
            prop_assert_eq!(domain::Domain::from_xml(&read.to_xml()).unwrap(), read);
        }
        let claims: BTreeMap<String, Claim> = vmi.spec.volumes.iter().filter_map(|v| {
            let name = v.persistent_volume_claim.as_ref().map(|p| &p.claim_name).or(v.data_volume.as_ref().map(|d| &d.name))?;
            Some((name.clone(), Claim { block, ..Claim::default() }))
        }).collect();
        let config = ClusterConfig::default();
        let pod = convert::pod::launcher_pod(&vmi, &convert::pod::Context {
            config: &config,
            launcher_image: "launcher",
            sidecar_shim_image: "shim",
            image_pull_secret: None,
            qemu_timeout_seconds: 240,
            qemu_timeout_jitter_seconds: 0,
            claims: &claims,
            backend_storage_claim: Some("state"),
            namespace: &Namespace::default(),
            network_resources: &BTreeMap::new(),
            pinned_images: &BTreeMap::new(),
            temporary: false,
        });
        if let Ok(pod) = pod {
            prop_assert_eq!(&pod.spec.unwrap().containers[0].name, "compute");
        }
        prop_assert_eq!(vmi, before);
    }
}

use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn sample() -> Domain {
    Domain {
        kind: "kvm".into(),
        xmlns_qemu: Some(QEMU_NAMESPACE.into()),
        name: "default_vm".into(),
        memory: Memory::bytes(268_435_456),
        qemu_commandline: Some(QemuCommandline {
            env: vec![QemuEnv { name: "A".into(), value: Some("b".into()) }],
            args: vec![QemuArg { value: "-fw_cfg".into() }, QemuArg { value: "x".into() }],
        }),
        metadata: Some(Metadata::default()),
        features: Some(Features {
            acpi: Some(Presence {}),
            smm: Some(Smm::default()),
            vmport: Some(State::new(false)),
            ..Features::default()
        }),
        devices: Devices {
            interfaces: vec![Interface {
                kind: "ethernet".into(),
                alias: Some(Alias::user("default")),
                rom: Some(Rom { enabled: Some(YesNo::No), ..Rom::default() }),
                ..Interface::default()
            }],
            disks: vec![Disk {
                device: "disk".into(),
                kind: "file".into(),
                source: DiskSource::file("/d/disk.qcow2"),
                driver: Some(DiskDriver {
                    name: "qemu".into(),
                    kind: "qcow2".into(),
                    iothreads: Some(DiskIoThreads { threads: vec![DiskIoThread { id: 1 }, DiskIoThread { id: 2 }] }),
                    ..DiskDriver::default()
                }),
                readonly: Some(Presence {}),
                alias: Some(Alias::user("root")),
                ..Disk::default()
            }],
            ..Devices::default()
        },
        ..Domain::default()
    }
}

#[test]
fn renders_in_the_documented_order() {
    let xml = sample().to_xml();
    let place = |needle: &str| xml.find(needle).unwrap_or_else(|| panic!("{needle} in {xml}"));
    let order =
        ["<name>", "<memory ", "<os>", "<devices>", "<interface ", "<disk ", "<qemu:commandline>", "<metadata>", "<features>", "<cpu"];
    let places: Vec<usize> = order.iter().map(|n| place(n)).collect();
    assert!(places.is_sorted(), "{places:?}\n{xml}");
    assert!(
        xml.starts_with("<domain type=\"kvm\" xmlns:qemu=\"http://libvirt.org/schemas/domain/qemu/1.0\">\n\t<name>default_vm</name>\n"),
        "{xml}"
    );
    assert!(xml.contains("\n\t\t<disk device=\"disk\" type=\"file\">\n\t\t\t<source file=\"/d/disk.qcow2\"/>"), "{xml}");
    assert!(xml.contains("<alias name=\"ua-root\"/>"), "{xml}");
    assert!(xml.contains("<kubevirt xmlns=\"http://kubevirt.io\">"), "{xml}");
    assert!(xml.ends_with("\n</domain>"), "{xml}");
}

#[test]
fn reads_back_what_it_rendered() {
    let domain = sample();
    assert_eq!(Domain::from_xml(&domain.to_xml()).unwrap(), domain);
}

#[test]
fn ignores_what_it_does_not_know_and_reads_interleaved_devices() {
    let domain = Domain::from_xml(
        "<domain type='kvm' id='3' future='1'><name>a_b</name><unknown><deep/></unknown><memory unit='KiB'>1048576</memory>\
         <devices><disk type='file' device='disk'><source file='/a' index='1'/><backingStore/><target dev='vda' bus='virtio'/></disk>\
         <newdevice/><controller type='usb' index='0' model='qemu-xhci'><address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x0'/></controller>\
         <disk type='block' device='lun'><source dev='/dev/x'/><target dev='sda' bus='scsi'/></disk></devices>\
         <seclabel type='dynamic' model='dac' relabel='yes'/></domain>",
    )
    .unwrap();
    assert_eq!(domain.id, Some(3));
    assert_eq!(domain.memory.to_bytes(), Some(1 << 30));
    assert_eq!(domain.devices.disks.len(), 2);
    assert_eq!(domain.devices.disks[0].backing_store, Some(BackingStore::default()));
    assert_eq!(domain.devices.disks[1].source.path(), Some("/dev/x"));
    assert_eq!(domain.devices.controllers[0].address.as_ref().unwrap().bus.as_deref(), Some("0x02"));
    assert_eq!(domain.sec_labels[0].relabel, Some(YesNo::Yes));
}

#[rstest]
#[case("")]
#[case("<domain")]
#[case("<domain><name>a</domain>")]
#[case("<domain><memory>many</memory></domain>")]
#[case("<domain><vcpus><vcpu id='0' enabled='maybe'/></vcpus></domain>")]
fn refuses_what_is_not_a_domain(#[case] text: &str) {
    assert!(Domain::from_xml(text).is_err());
}

#[rstest]
#[case("0000:81:00.1", "0x0000", "0x81", "0x00", "0x1")]
#[case("00aF:0b:1f.7", "0x00aF", "0x0b", "0x1f", "0x7")]
fn pci_addresses_keep_their_digits(
    #[case] text: &str,
    #[case] domain: &str,
    #[case] bus: &str,
    #[case] slot: &str,
    #[case] function: &str,
) {
    let address = Address::pci(text).unwrap();
    assert_eq!(
        [address.domain, address.bus, address.slot, address.function].map(Option::unwrap_or_default),
        [domain, bus, slot, function].map(ToOwned::to_owned)
    );
}

#[rstest]
#[case("")]
#[case("0000:81:00")]
#[case("81:00.1")]
#[case("0000:81:00.8")]
#[case("0000:81:00.1 ")]
#[case("000g:81:00.1")]
#[case("0000:81:00.10")]
fn bad_pci_addresses_are_refused(#[case] text: &str) {
    assert_eq!(Address::pci(text).unwrap_err().to_string(), format!("failed to parse pci address {text}"));
}

#[rstest]
#[case("b", 1)]
#[case("KiB", 1024)]
#[case("MB", 1_000_000)]
#[case("GiB", 1 << 30)]
fn memory_units(#[case] unit: &str, #[case] factor: u64) {
    assert_eq!(Memory { unit: Some(unit.into()), value: 3 }.to_bytes(), Some(3 * factor));
    assert_eq!(Memory { unit: Some("furlong".into()), value: 3 }.to_bytes(), None);
}

/// Any text a user could get into a field, with markup and control characters likelier than by chance.
fn hostile() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            Just("<".to_owned()),
            Just(">".to_owned()),
            Just("&".to_owned()),
            Just("\"".to_owned()),
            Just("'".to_owned()),
            Just("]]>".to_owned()),
            Just("<!--".to_owned()),
            Just("&#0;".to_owned()),
            Just("</name><name>".to_owned()),
            Just("\n\t\r".to_owned()),
            Just("../".to_owned()),
            Just(" ".to_owned()),
            any::<char>().prop_map(|c| c.to_string()),
        ],
        0..8,
    )
    .prop_map(|parts| parts.concat())
}

/// What a reader gives for `text`: characters outside of XML replaced.
fn carried(text: &str) -> String {
    text.chars()
        .map(|c| if (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || c == '\u{fffe}' || c == '\u{ffff}' { '\u{fffd}' } else { c })
        .collect()
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r'])
}

proptest! {
    #[test]
    fn hostile_text_stays_in_its_element(name in hostile(), path in hostile(), alias in hostile(), argument in hostile(), cmdline in hostile()) {
        let mut domain = sample();
        domain.name = name.clone();
        domain.devices.disks[0].source.file = Some(path.clone());
        domain.devices.disks[0].alias = Some(Alias::user(alias.clone()));
        domain.qemu_commandline.as_mut().unwrap().args[1].value = argument.clone();
        domain.os.cmdline = Some(format!("a{cmdline}z"));
        let read = Domain::from_xml(&domain.to_xml()).unwrap();
        let wanted = carried(&name);
        prop_assert_eq!(trimmed(&read.name), trimmed(&wanted));
        prop_assert_eq!(read.devices.disks[0].source.file.as_deref().unwrap(), carried(&path));
        prop_assert_eq!(&read.devices.disks[0].alias, &Some(Alias::user(carried(&alias))));
        prop_assert_eq!(&read.qemu_commandline.as_ref().unwrap().args[1].value, &carried(&argument));
        prop_assert_eq!(read.os.cmdline.as_deref().unwrap(), format!("a{}z", carried(&cmdline)));
        // Nothing but the values changed.
        let mut restored = read;
        restored.name = domain.name.clone();
        restored.devices.disks[0].source.file = Some(path);
        restored.devices.disks[0].alias = Some(Alias::user(alias));
        restored.qemu_commandline.as_mut().unwrap().args[1].value = argument;
        restored.os.cmdline = domain.os.cmdline.clone();
        prop_assert_eq!(restored, domain);
    }

    #[test]
    fn devices_round_trip(
        disks in prop::collection::vec((any::<bool>(), any::<Option<u32>>(), any::<Option<u16>>(), "[a-z]{1,8}"), 0..6),
        nics in prop::collection::vec((any::<Option<u16>>(), any::<bool>(), "[a-tv-z0-9-][a-z0-9-]{0,7}"), 0..6),
        vcpus in 0_u32..20,
        iothreads in any::<Option<u32>>(),
    ) {
        let mut domain = sample();
        domain.iothreads = iothreads;
        domain.vcpus = Some(Vcpus { vcpus: (0..vcpus).map(|id| Vcpu { id, enabled: (id % 2 == 0).into(), hotpluggable: Some(YesNo::Yes), order: None }).collect() });
        domain.devices.disks = disks.into_iter().map(|(block, queues, boot, name)| Disk {
            device: "disk".into(),
            kind: if block { "block" } else { "file" }.into(),
            source: if block { DiskSource::block(format!("/dev/{name}")) } else { DiskSource::file(format!("/{name}")) },
            driver: Some(DiskDriver { name: "qemu".into(), kind: "raw".into(), queues, ..DiskDriver::default() }),
            boot: boot.map(|order| Boot::new(order.into())),
            backing_store: block.then(|| BackingStore { kind: Some("file".into()), format: Some(Format::new("raw")), source: Some(DiskSource::file("/b")), ..BackingStore::default() }),
            alias: Some(Alias::user(name)),
            ..Disk::default()
        }).collect();
        domain.devices.interfaces = nics.into_iter().map(|(port, down, name)| Interface {
            kind: "ethernet".into(),
            link: down.then(|| LinkState { state: "down".into() }),
            port_forwards: port.map(|start| PortForward { proto: "tcp".into(), ranges: vec![PortRange { start, ..PortRange::default() }], ..PortForward::default() }).into_iter().collect(),
            // libvirt keeps the prefix "ua-" for aliases that a user gave: none of its own begins with a u here.
            alias: Some(Alias::plain(name)),
            ..Interface::default()
        }).collect();
        prop_assert_eq!(Domain::from_xml(&domain.to_xml()).unwrap(), domain);
    }
}

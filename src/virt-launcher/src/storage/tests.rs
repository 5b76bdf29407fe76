use serde_json::{Value, json};

use super::*;

fn storage(root: &Path) -> Storage {
    let process = runtime::process::Options { root: Some(root.to_owned()), ..runtime::process::Options::default() };
    Storage::new(Place::new(&process), true, convert::paths::CONTAINER_DISKS)
}

#[allow(clippy::needless_pass_by_value, reason = "the values are written where they are passed")]
fn vmi(volumes: Value) -> VirtualMachineInstance {
    let vmi = json!({
        "metadata": {"name": "vm", "namespace": "ns", "uid": "1"},
        "spec": {"domain": {"devices": {}, "firmware": {"uuid": "u-1"}}, "volumes": volumes},
    });
    serde_json::from_value(vmi).unwrap()
}

/// Whether the tool is there; the tests that need it say that they were skipped.
fn has_qemu_img() -> bool {
    let there = std::process::Command::new("qemu-img").arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: qemu-img is not installed");
    }
    there
}

fn contains(medium: &[u8], text: &str) -> bool {
    medium.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_medium_has_its_label_and_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(folder.path());
    let vmi = vmi(json!([{"name": "ci", "cloudInitNoCloud": {"userData": "#cloud-config of the guest"}}]));
    storage.first_boot(&vmi, &Domain::default()).unwrap();
    let path = folder.path().join("var/run/kubevirt-ephemeral-disks/cloud-init-data/ns/vm/noCloud.iso");
    let medium = std::fs::read(&path).unwrap();
    assert_eq!((&medium[32769..32774], &medium[32808..32814]), (&b"CD001"[..], &b"cidata"[..]));
    assert!(contains(&medium, "#cloud-config of the guest") && contains(&medium, r#""instance-id":"u-1""#));
    assert!(contains(&medium, "user-data") && contains(&medium, "meta-data"), "names as Linux reads them");
    let entries: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(entries, ["noCloud.iso"]);
}

#[test]
fn a_config_map_is_a_medium_with_what_is_mounted_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = folder.path().join("var/run/kubevirt-private/config-map/conf");
    std::fs::create_dir_all(mounted.join("..data")).unwrap();
    std::fs::write(mounted.join("..data/app.ini"), "not this").unwrap();
    std::fs::write(mounted.join("app.ini"), "[section of it]").unwrap();
    storage(folder.path()).generated(&vmi(json!([{"name": "conf", "configMap": {"name": "c", "volumeLabel": "mine"}}]))).unwrap();
    let medium = std::fs::read(folder.path().join("var/run/kubevirt-private/config-map-disks/conf.iso")).unwrap();
    assert!(contains(&medium, "[section of it]") && !contains(&medium, "not this"));
    assert_eq!(&medium[32808..32812], b"mine");
}

#[test]
fn answer_files_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = folder.path().join("var/run/kubevirt-private/sysprep/sys");
    std::fs::create_dir_all(&mounted).unwrap();
    let vmi = vmi(json!([{"name": "sys", "sysprep": {"configMap": {"name": "c"}}}]));
    let error = storage(folder.path()).generated(&vmi).unwrap_err();
    assert_eq!(error.to_string(), "volume sys: Sysprep drive should contain either autounattend.xml or unattend.xml");
    std::fs::write(mounted.join("Unattend.xml"), "<x/>").unwrap();
    storage(folder.path()).generated(&vmi).unwrap();
}

#[tokio::test]
async fn scratch_disks_are_made_once() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(folder.path());
    let image = folder.path().join("var/run/kubevirt-image-volume/disk_0/disk");
    std::fs::create_dir_all(&image).unwrap();
    std::fs::File::create(image.join("os.img")).unwrap().set_len(1 << 20).unwrap();
    std::fs::create_dir_all(folder.path().join("var/run/kubevirt-private/vmi-disks/data")).unwrap();
    let mut vmi = vmi(json!([
        {"name": "root", "containerDisk": {"image": "x"}},
        {"name": "scratch", "emptyDisk": {"capacity": "3Mi"}},
        {"name": "data", "hostDisk": {"path": "/data/disk.img", "type": "DiskOrCreate", "capacity": "5M"}},
    ]));
    vmi.spec.domain.devices.disks = serde_json::from_value(json!([
        {"name": "root", "disk": {"bus": "virtio"}}, {"name": "scratch", "disk": {"bus": "virtio"}}, {"name": "data", "disk": {"bus": "virtio"}},
    ]))
    .unwrap();
    let files = crate::Files { place: storage.place.clone(), container_disks: storage.container_disks.clone() };
    let facts = crate::HostFacts::real(fake_hypervisor::Host::default().capabilities, true, "/nowhere", files);
    let convert = facts.conversion();
    for _ in 0..2 {
        storage.find_images(&vmi).await.unwrap();
        let mut domain = convert(&vmi, &launcher_rpc::cmd::VirtualMachineOptions::default()).unwrap();
        storage.make(&vmi, &mut domain).await.unwrap();
        let disks = &domain.devices.disks;
        let sizes: Vec<_> = disks.iter().map(|disk| std::fs::metadata(disk.source.path().unwrap()).unwrap().len()).collect();
        assert!(sizes[0] > 0 && sizes[1] > 0, "{sizes:?}");
        assert_eq!(sizes[2], 4 << 20, "whole mebibytes");
        let format = disks[0].backing_store.as_ref().and_then(|backing| backing.format.clone()).unwrap();
        assert_eq!(format.kind, "raw");
        assert!(disks.iter().all(|disk| disk.driver.as_ref().unwrap().cache.is_some()));
        // What the guest wrote stays.
        std::fs::OpenOptions::new().append(true).open(disks[1].source.path().unwrap()).unwrap().set_len(1 << 20).unwrap();
    }
    let scratch = folder.path().join("var/run/libvirt/empty-disks/scratch.qcow2");
    assert_eq!(std::fs::metadata(&scratch).unwrap().permissions().mode() & 0o777, 0o640);
}

#[tokio::test]
async fn an_image_that_leads_elsewhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("var/run/kubevirt-image-volume/disk_0/disk");
    std::fs::create_dir_all(&image).unwrap();
    let mut header = vec![0; 104];
    header[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    header[15] = 104;
    std::fs::write(image.join("a.qcow2"), header).unwrap();
    let error = storage(folder.path()).find_images(&vmi(json!([{"name": "root", "containerDisk": {"image": "x"}}]))).await.unwrap_err();
    assert_eq!(error, "container disk root: the image has a backing file, which is not allowed");
}

#[tokio::test]
async fn a_scratch_disk_has_a_size() {
    let folder = tempfile::tempdir().unwrap();
    let vmi = vmi(json!([{"name": "scratch", "emptyDisk": {"capacity": "100k"}}]));
    let error = storage(folder.path()).make(&vmi, &mut Domain::default()).await.unwrap_err();
    assert_eq!(error, "the capacity \"100k\" of disk scratch is less than a mebibyte");
}

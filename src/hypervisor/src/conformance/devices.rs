//! Devices that come, go and change while the guest runs (hypervisor.md §7).

use std::sync::Arc;

use lifecycle::ErrorCode;

use super::Check;
use super::case::{Case, accepted, equal, eventually, holds, refused, refused_with};
use crate::{Device, Domain, EventKind, Scope, View};

/// A disk behind a file, as the launcher attaches one.
pub(super) fn disk(path: &str, target: &str, alias: &str) -> Device {
    Device::Disk(Box::new(domain::Disk {
        device: "disk".to_owned(),
        kind: "file".to_owned(),
        source: domain::DiskSource::file(path),
        target: domain::DiskTarget { bus: Some("virtio".to_owned()), dev: Some(target.to_owned()), tray: None },
        driver: Some(domain::DiskDriver { name: "qemu".to_owned(), kind: "raw".to_owned(), ..Default::default() }),
        alias: Some(domain::Alias::user(alias)),
        ..Default::default()
    }))
}

fn medium(path: Option<&str>) -> Device {
    Device::Disk(Box::new(domain::Disk {
        device: "cdrom".to_owned(),
        kind: "file".to_owned(),
        source: path.map(domain::DiskSource::file).unwrap_or_default(),
        target: domain::DiskTarget { bus: Some("sata".to_owned()), dev: Some("sdc".to_owned()), tray: None },
        driver: Some(domain::DiskDriver { name: "qemu".to_owned(), kind: "raw".to_owned(), ..Default::default() }),
        readonly: Some(domain::Presence::default()),
        ..Default::default()
    }))
}

const MAC: &str = "02:00:00:12:34:56";

fn interface(link: Option<&str>) -> Device {
    Device::Interface(Box::new(domain::Interface {
        kind: "user".to_owned(),
        mac: Some(domain::Mac { address: MAC.to_owned() }),
        model: Some(domain::InterfaceModel { kind: "virtio".to_owned() }),
        alias: Some(domain::Alias::user("net1")),
        link: link.map(|state| domain::LinkState { state: state.to_owned() }),
        ..Default::default()
    }))
}

async fn described(domain: &dyn Domain, view: View) -> Result<Arc<domain::Domain>, String> {
    accepted("description", domain.description(view).await)
}

async fn disk_at(domain: &dyn Domain, view: View, target: &str) -> Result<Option<domain::Disk>, String> {
    let description = described(domain, view).await?;
    Ok(description.devices.disks.iter().find(|disk| disk.target.dev.as_deref() == Some(target)).cloned())
}

pub(super) async fn attaches_and_releases_a_disk(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let path = case.bench.image("data", 1 << 20);
    let device = disk(&path, "vdb", "data");
    accepted("attach", domain.attach_device(&device, Scope::LiveAndConfig).await)?;
    case.until_added("data").await?;
    for view in [View::Live, View::Inactive] {
        let found = disk_at(&*domain, view, "vdb").await?.ok_or_else(|| format!("no disk in {view:?}"))?;
        equal("path", &found.source.path(), &Some(path.as_str()))?;
        equal("alias", &found.alias, &Some(domain::Alias::user("data")))?;
    }
    let twice = domain.attach_device(&device, Scope::LiveAndConfig).await;
    refused_with("second attach", twice, ErrorCode::CONFIG_UNSUPPORTED, "non unique alias detected: ua-data")?;
    // The configuration is looked at first, and has other words.
    let other = disk(&path, "vdb", "other");
    let words = "target vdb already exists";
    refused_with(
        "attach to a taken target",
        domain.attach_device(&other, Scope::LiveAndConfig).await,
        ErrorCode::OPERATION_INVALID,
        words,
    )?;
    let words = "target 'vdb' duplicated for disk sources";
    refused_with("attach to a running target", domain.attach_device(&other, Scope::Live).await, ErrorCode::XML_ERROR, words)?;
    accepted("detach", domain.detach_device(&device, Scope::LiveAndConfig).await)?;
    case.until_removed("data").await?;
    equal("disk in the running domain", &disk_at(&*domain, View::Live, "vdb").await?, &None)?;
    equal("disk in the configuration", &disk_at(&*domain, View::Inactive, "vdb").await?, &None)?;
    let gone = ErrorCode::DEVICE_MISSING;
    refused_with("second detach", domain.detach_device(&device, Scope::LiveAndConfig).await, gone, "no target device vdb")?;
    refused_with("detach of what does not run", domain.detach_device(&device, Scope::Live).await, gone, "disk vdb not found")?;
    accepted("attach of the released", domain.attach_device(&device, Scope::LiveAndConfig).await).map(drop)
}

pub(super) async fn attaches_a_disk_to_the_running_domain_only(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let device = disk(&case.bench.image("data", 1 << 20), "vdb", "data");
    accepted("attach", domain.attach_device(&device, Scope::Live).await)?;
    case.until_added("data").await?;
    holds("it is in the running domain", disk_at(&*domain, View::Live, "vdb").await?.is_some())?;
    equal("disk in the configuration", &disk_at(&*domain, View::Inactive, "vdb").await?, &None)?;
    accepted("destroy", domain.destroy().await)?;
    case.until("STOPPED/DESTROYED").await?;
    equal("disk of the next start", &disk_at(&*domain, View::Live, "vdb").await?, &None)
}

pub(super) async fn refuses_a_disk_without_a_file(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let device = disk("/nowhere/disk.img", "vdb", "data");
    let words = "Cannot access storage file '/nowhere/disk.img'";
    refused_with("attach", domain.attach_device(&device, Scope::LiveAndConfig).await, ErrorCode::SYSTEM_ERROR, words)?;
    equal("disk in the configuration", &disk_at(&*domain, View::Inactive, "vdb").await?, &None)
}

pub(super) async fn keeps_a_disk_the_guest_does_not_release(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let device = disk(&case.bench.image("data", 1 << 20), "vdb", "data");
    accepted("attach", domain.attach_device(&device, Scope::LiveAndConfig).await)?;
    case.until_added("data").await?;
    accepted("detach", domain.detach_device(&device, Scope::LiveAndConfig).await)?;
    let removed = case.find("nothing", |kind| matches!(kind, EventKind::DeviceRemoved { .. }).then_some(()));
    holds("nothing was removed", tokio::time::timeout(super::PATIENCE / 20, removed).await.is_err())?;
    holds("it is in the running domain", disk_at(&*domain, View::Live, "vdb").await?.is_some())?;
    equal("disk in the configuration", &disk_at(&*domain, View::Inactive, "vdb").await?, &None)
}

pub(super) async fn attaches_and_releases_an_interface(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let device = interface(None);
    accepted("attach", domain.attach_device(&device, Scope::LiveAndConfig).await)?;
    case.until_added("net1").await?;
    for view in [View::Live, View::Inactive] {
        let description = described(&*domain, view).await?;
        let nic = description.devices.interfaces.first().ok_or_else(|| format!("no interface in {view:?}"))?;
        equal("MAC address", &nic.mac.as_ref().map(|mac| mac.address.as_str()), &Some(MAC))?;
    }
    accepted("detach", domain.detach_device(&device, Scope::LiveAndConfig).await)?;
    case.until_removed("net1").await?;
    equal("number of interfaces", &described(&*domain, View::Live).await?.devices.interfaces.len(), &0)?;
    let words = "no device found at address '(<null>)' matching MAC address '02:00:00:12:34:56' and alias 'ua-net1'";
    let twice = domain.detach_device(&device, Scope::LiveAndConfig).await;
    refused_with("second detach", twice, ErrorCode::DEVICE_MISSING, words)
}

pub(super) async fn sets_the_state_of_a_link(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let absent = domain.update_device(&interface(Some("down")), Scope::LiveAndConfig).await;
    let words = "no device found at address '(<null>)' matching MAC address '02:00:00:12:34:56' and alias 'ua-net1'";
    refused_with("update of what is not there", absent, ErrorCode::DEVICE_MISSING, words)?;
    accepted("attach", domain.attach_device(&interface(None), Scope::LiveAndConfig).await)?;
    case.until_added("net1").await?;
    for state in ["down", "up"] {
        accepted("update", domain.update_device(&interface(Some(state)), Scope::LiveAndConfig).await)?;
        for view in [View::Live, View::Inactive] {
            let description = described(&*domain, view).await?;
            let link = description.devices.interfaces.first().and_then(|nic| nic.link.as_ref()).map(|link| link.state.as_str());
            equal("state of the link", &link, &Some(state))?;
        }
    }
    Ok(())
}

pub(super) async fn changes_a_medium(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let path = case.bench.image("medium", 1 << 20);
    for medium_path in [Some(path.as_str()), None] {
        accepted("update", domain.update_device(&medium(medium_path), Scope::LiveAndConfig).await)?;
        for view in [View::Live, View::Inactive] {
            let drive = disk_at(&*domain, view, "sdc").await?.ok_or_else(|| format!("no drive in {view:?}"))?;
            equal("medium", &drive.source.path(), &medium_path)?;
        }
    }
    let Device::Disk(mut unknown) = medium(Some(&path)) else { return Ok(()) };
    unknown.target.dev = Some("sdz".to_owned());
    let unknown = Device::Disk(unknown);
    // The configuration is looked at first, and has other words.
    let both = domain.update_device(&unknown, Scope::LiveAndConfig).await;
    refused_with("update of what is not there", both, ErrorCode::INVALID_ARG, "target sdz doesn't exist.")?;
    let live = domain.update_device(&unknown, Scope::Live).await;
    refused_with("update of what does not run", live, ErrorCode::INTERNAL_ERROR, "disk 'sdz' not found")
}

pub(super) async fn plugs_processors(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    accepted("set vcpus", domain.set_vcpus(2).await)?;
    for view in [View::Live, View::Inactive] {
        let description = described(&*domain, view).await?;
        let vcpu = description.vcpu.as_ref().ok_or("no vcpu element")?;
        equal("processors", &(vcpu.current.unwrap_or(vcpu.count), vcpu.count), &(2, 2))?;
    }
    let words = "requested vcpus is greater than max allowable vcpus for the live domain: 3 > 2";
    refused_with("too many", domain.set_vcpus(3).await, ErrorCode::INVALID_ARG, words)?;
    refused("none", domain.set_vcpus(0).await, ErrorCode::INVALID_ARG)
}

pub(super) async fn plugs_memory(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let before = described(&*domain, View::Live).await?.memory.to_bytes();
    let size = domain::Memory::bytes(128 << 20);
    let device = Device::Memory(Box::new(domain::MemoryDevice {
        model: "dimm".to_owned(),
        alias: Some(domain::Alias::user("mem1")),
        target: Some(domain::MemoryTarget { size: Some(size), node: Some(0), ..Default::default() }),
        ..Default::default()
    }));
    accepted("attach", domain.attach_device(&device, Scope::LiveAndConfig).await)?;
    case.until_added("mem1").await?;
    let live = described(&*domain, View::Live).await?;
    equal("number of memory devices", &live.devices.memories.len(), &1)?;
    equal("memory", &live.memory.to_bytes(), &before.map(|bytes| bytes + (128 << 20)))
}

pub(super) async fn resizes_a_disk(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let path = case.bench.image("data", 1 << 20);
    accepted("attach", domain.attach_device(&disk(&path, "vdb", "data"), Scope::LiveAndConfig).await)?;
    case.until_added("data").await?;
    accepted("resize", domain.block_resize(&path, 2 << 20).await)?;
    eventually("statistics show the new size", || async {
        let stats = accepted("stats", case.hypervisor.stats().await)?;
        let disk = stats.iter().flat_map(|domain| &domain.block).find(|disk| disk.name == "vdb");
        Ok(disk.is_some_and(|disk| disk.capacity == 2 << 20 && disk.path == path))
    })
    .await?;
    refused_with("resize of what is not there", domain.block_resize("/nowhere", 1 << 20).await, ErrorCode::INVALID_ARG, "/nowhere")
}

pub(super) async fn refuses_device_changes_while_off(mut case: Case<'_>) -> Check {
    let domain = case.define().await?;
    let (invalid, words) = (ErrorCode::OPERATION_INVALID, "domain is not running");
    let device = disk(&case.bench.image("data", 1 << 20), "vdb", "data");
    refused_with("attach", domain.attach_device(&device, Scope::LiveAndConfig).await, invalid, words)?;
    refused_with("detach", domain.detach_device(&device, Scope::LiveAndConfig).await, invalid, words)?;
    refused_with("update", domain.update_device(&medium(None), Scope::LiveAndConfig).await, invalid, words)?;
    refused_with("set vcpus", domain.set_vcpus(2).await, invalid, words)?;
    equal("disk in the configuration", &disk_at(&*domain, View::Inactive, "vdb").await?, &None)
}

pub(super) async fn refuses_to_change_a_configuration_that_is_gone(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    accepted("undefine", domain.undefine().await)?;
    let (invalid, words) = (ErrorCode::OPERATION_INVALID, "transient domains do not have any persistent config");
    let device = disk(&case.bench.image("data", 1 << 20), "vdb", "data");
    refused_with("attach", domain.attach_device(&device, Scope::LiveAndConfig).await, invalid, words)?;
    refused_with("detach", domain.detach_device(&device, Scope::LiveAndConfig).await, invalid, words)?;
    refused_with("update", domain.update_device(&medium(None), Scope::LiveAndConfig).await, invalid, words)?;
    refused_with("set vcpus", domain.set_vcpus(2).await, invalid, words)?;
    accepted("update of the running", domain.update_device(&medium(None), Scope::Live).await)
}

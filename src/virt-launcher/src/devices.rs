//! Devices of a running domain, brought in line with its VMI (node.md §7.1, steps 7 and 8).

use api::v1::VirtualMachineInstance;
use hypervisor::{Device, Domain, Scope, View};
use launcher_rpc::cmd::VirtualMachineOptions;
use launcher_rpc::{Result, RpcError};

use crate::launcher::{Inner, refused};

impl Inner {
    /// Attaches and detaches what differs between the running domain and the one that is wanted.
    pub(crate) async fn sync_devices(&self, domain: &dyn Domain, vmi: &VirtualMachineInstance, wanted: &domain::Domain) -> Result<()> {
        if !matches!(domain.state().await.map_err(|error| refused(&error))?, hypervisor::DomainState::Running(_)) {
            return Ok(());
        }
        let live = domain.description(View::Live).await.map_err(|error| refused(&error))?;
        let changes = disks(vmi, &live, wanted).into_iter().chain(nics(vmi, &live, wanted));
        for change in changes {
            let done = match &change {
                Change::Attach(device) => domain.attach_device(device, Scope::LiveAndConfig).await,
                Change::Detach(device) => domain.detach_device(device, Scope::LiveAndConfig).await,
                Change::Update(device) => domain.update_device(device, Scope::LiveAndConfig).await,
            };
            done.map_err(|error| refused(&error))?;
        }
        Ok(())
    }

    /// The number of processors (CPU hotplug).
    pub(crate) async fn sync_cpus(&self, vmi: &VirtualMachineInstance) -> Result<()> {
        let _modify = self.modify.lock().await;
        let cpu = vmi.spec.domain.cpu.as_ref();
        let part = |part: Option<u32>| part.unwrap_or(1).max(1);
        let count = cpu.map_or(1, |cpu| part(cpu.cores) * part(cpu.sockets) * part(cpu.threads));
        self.existing().await?.set_vcpus(count).await.map_err(|error| refused(&error))
    }

    /// The guest's memory (memory hotplug): the size a memory device is to have.
    pub(crate) async fn sync_memory(&self, vmi: &VirtualMachineInstance, options: &VirtualMachineOptions) -> Result<()> {
        let _modify = self.modify.lock().await;
        let fails = vmi.metadata.annotations.as_ref().is_some_and(|a| a.contains_key("kubevirt.io/func-test-memory-hotplug-fail"));
        if fails {
            return Err(RpcError::Refused("memory hotplug was aborted for test purposes".to_owned()));
        }
        let wanted = (self.convert)(vmi, options).map_err(RpcError::Refused)?;
        let Some(device) = wanted.devices.memories.first() else { return Ok(()) };
        let domain = self.existing().await?;
        let live = domain.description(View::Live).await.map_err(|error| refused(&error))?;
        let device = Device::Memory(Box::new(device.clone()));
        let done = if live.devices.memories.is_empty() {
            domain.attach_device(&device, Scope::LiveAndConfig).await
        } else {
            domain.update_device(&device, Scope::Live).await
        };
        done.map_err(|error| refused(&error))
    }
}

#[derive(Debug, PartialEq)]
enum Change {
    Attach(Device),
    Detach(Device),
    Update(Device),
}

fn name(alias: Option<&domain::Alias>) -> &str {
    alias.map(|alias| alias.name.as_str()).unwrap_or_default()
}

/// Whether a volume may come and go while the guest runs.
fn is_hotplug(vmi: &VirtualMachineInstance, volume: &str) -> bool {
    vmi.spec.volumes.iter().any(|candidate| {
        candidate.name == volume
            && (candidate.persistent_volume_claim.as_ref().is_some_and(|claim| claim.hotpluggable == Some(true))
                || candidate.data_volume.as_ref().is_some_and(|data_volume| data_volume.hotpluggable == Some(true)))
    })
}

/// Whether the volume has reached the launcher's pod.
fn is_mounted(vmi: &VirtualMachineInstance, volume: &str) -> bool {
    let status = vmi.status.as_ref().map(|status| status.volume_status.as_slice()).unwrap_or_default();
    status
        .iter()
        .any(|status| status.name == volume && matches!(status.phase.as_deref(), Some("Ready" | "MountedToPod" | "AttachedToNode")))
}

fn disks(vmi: &VirtualMachineInstance, live: &domain::Domain, wanted: &domain::Domain) -> Vec<Change> {
    let find =
        |domain: &domain::Domain, alias: &str| -> bool { domain.devices.disks.iter().any(|disk| name(disk.alias.as_ref()) == alias) };
    let gone = live.devices.disks.iter().filter(|disk| {
        let hotplug_bus = matches!(disk.target.bus.as_deref(), None | Some("virtio" | "scsi" | ""));
        disk.device == "disk" && hotplug_bus && !find(wanted, name(disk.alias.as_ref()))
    });
    let new = wanted.devices.disks.iter().filter(|disk| {
        let alias = name(disk.alias.as_ref());
        is_hotplug(vmi, alias) && is_mounted(vmi, alias) && !find(live, alias)
    });
    let media = wanted.devices.disks.iter().filter(|disk| disk.device == "cdrom").filter(|disk| {
        let same = |live: &&domain::Disk| live.target.dev == disk.target.dev;
        live.devices.disks.iter().find(same).is_some_and(|live| live.source.path() != disk.source.path())
    });
    let device = |disk: &domain::Disk| Device::Disk(Box::new(disk.clone()));
    let gone = gone.map(|disk| Change::Detach(device(disk)));
    gone.chain(new.map(|disk| Change::Attach(device(disk)))).chain(media.map(|disk| Change::Update(device(disk)))).collect()
}

fn nics(vmi: &VirtualMachineInstance, live: &domain::Domain, wanted: &domain::Domain) -> Vec<Change> {
    let absent = |network: &str| {
        let interfaces = &vmi.spec.domain.devices.interfaces;
        interfaces.iter().any(|nic| nic.name == network && nic.state.as_deref() == Some("absent"))
    };
    let device = |nic: &domain::Interface| Device::Interface(Box::new(nic.clone()));
    let mut changes = Vec::new();
    for nic in &live.devices.interfaces {
        if absent(name(nic.alias.as_ref())) {
            changes.push(Change::Detach(device(nic)));
        }
    }
    for nic in &wanted.devices.interfaces {
        let alias = name(nic.alias.as_ref());
        match live.devices.interfaces.iter().find(|live| name(live.alias.as_ref()) == alias) {
            None if !absent(alias) => changes.push(Change::Attach(device(nic))),
            Some(live) if link(live) != link(nic) => {
                // Addressed by what the running domain has.
                let updated = domain::Interface { link: nic.link.clone(), ..live.clone() };
                changes.push(Change::Update(device(&updated)));
            }
            None | Some(_) => {}
        }
    }
    changes
}

fn link(nic: &domain::Interface) -> &str {
    nic.link.as_ref().map_or("up", |link| link.state.as_str())
}

//! Devices of a domain's description: found, added, changed, removed, and what libvirt says where that cannot be.

use hypervisor::{Device, ErrorCode, ErrorDomain, HypervisorError, Result, Scope};

use crate::backend::{Machine, not_running};

/// Whether devices can be changed: a process is there, and a configuration where that is to change too.
pub(crate) fn changeable(machine: &Machine, scope: Scope) -> Result<()> {
    if machine.guest.is_none() {
        return Err(not_running());
    }
    if scope == Scope::LiveAndConfig && !machine.record.persistent {
        return Err(HypervisorError::new(ErrorCode::OPERATION_INVALID, "transient domains do not have any persistent config"));
    }
    Ok(())
}

pub(crate) fn alias_of(device: &Device) -> Option<String> {
    match device {
        Device::Disk(disk) => disk.alias.as_ref(),
        Device::Interface(nic) => nic.alias.as_ref(),
        Device::HostDevice(host_device) => host_device.alias.as_ref(),
        Device::Memory(memory) => memory.alias.as_ref(),
    }
    .map(|alias| alias.name.clone())
}

/// A user's alias that another device has, as libvirt writes it.
pub(crate) fn taken_alias(live: &domain::Domain, device: &Device) -> Option<String> {
    let wanted = alias_of(device)?;
    let devices = &live.devices;
    let aliases = devices.disks.iter().map(|disk| &disk.alias);
    let aliases = aliases.chain(devices.interfaces.iter().map(|nic| &nic.alias));
    let aliases = aliases.chain(devices.host_devices.iter().map(|host_device| &host_device.alias));
    let mut aliases = aliases.chain(devices.memories.iter().map(|memory| &memory.alias)).flatten();
    aliases.any(|alias| alias.user && alias.name == wanted).then(|| format!("ua-{wanted}"))
}

pub(crate) fn taken_target<'a>(live: &domain::Domain, device: &'a Device) -> Option<&'a str> {
    let Device::Disk(new) = device else { return None };
    let target = new.target.dev.as_deref()?;
    live.devices.disks.iter().any(|disk| disk.target.dev.as_deref() == Some(target)).then_some(target)
}

/// Two disks in one place, in libvirt's words.
pub(crate) fn duplicated(live: &domain::Domain, device: &Device, target: &str) -> HypervisorError {
    let there = live.devices.disks.iter().find(|disk| disk.target.dev.as_deref() == Some(target));
    let there = there.and_then(|disk| disk.source.path()).unwrap_or_default();
    let new = match device {
        Device::Disk(disk) => disk.source.path().unwrap_or_default(),
        Device::Interface(_) | Device::HostDevice(_) | Device::Memory(_) => "",
    };
    HypervisorError {
        domain: ErrorDomain::DOMAIN,
        ..HypervisorError::new(ErrorCode::XML_ERROR, format_args!("target '{target}' duplicated for disk sources '{there}' and '{new}'"))
    }
}

pub(crate) fn add_device(domain: &mut domain::Domain, device: &Device) {
    let devices = &mut domain.devices;
    match device {
        Device::Disk(disk) => devices.disks.push(domain::Disk::clone(disk)),
        Device::Interface(nic) => devices.interfaces.push(domain::Interface::clone(nic)),
        Device::HostDevice(host_device) => devices.host_devices.push(domain::HostDevice::clone(host_device)),
        Device::Memory(memory) => {
            devices.memories.push(domain::MemoryDevice::clone(memory));
            // The size of the machine is that of all its memory, plugged or not.
            let size = memory.target.as_ref().and_then(|target| target.size.as_ref()).and_then(domain::Memory::to_bytes);
            if let (Some(size), Some(before)) = (size, domain.memory.to_bytes()) {
                domain.memory = domain::Memory::bytes(before + size);
            }
        }
    }
}

/// The alias of the device in the domain, and how libvirt calls what was looked for.
pub(crate) fn find_device(live: &domain::Domain, device: &Device) -> (Option<String>, String) {
    let name = |alias: &Option<domain::Alias>| alias.as_ref().map(|alias| alias.name.clone());
    match device {
        Device::Disk(wanted) => {
            let target = wanted.target.dev.as_deref();
            let found = live.devices.disks.iter().find(|disk| disk.target.dev.as_deref() == target);
            (found.and_then(|disk| name(&disk.alias)), format!("disk {}", target.unwrap_or_default()))
        }
        Device::Interface(wanted) => {
            let found = live.devices.interfaces.iter().find(|nic| nic.mac.is_some() && nic.mac == wanted.mac);
            let found = found.or_else(|| live.devices.interfaces.iter().find(|nic| nic.alias == wanted.alias));
            (found.and_then(|nic| name(&nic.alias)), sought(wanted))
        }
        Device::HostDevice(wanted) => {
            let found = live.devices.host_devices.iter().find(|host_device| host_device.alias == wanted.alias);
            (found.and_then(|host_device| name(&host_device.alias)), "host device".to_owned())
        }
        Device::Memory(wanted) => {
            let found = live.devices.memories.iter().find(|memory| memory.alias == wanted.alias);
            (found.and_then(|memory| name(&memory.alias)), "memory device".to_owned())
        }
    }
}

/// How libvirt says which interface it looked for.
fn sought(nic: &domain::Interface) -> String {
    let mac = nic.mac.as_ref().map_or("(<null>)", |mac| mac.address.as_str());
    match &nic.alias {
        Some(alias) => format!("no device found at address '(<null>)' matching MAC address '{mac}' and alias 'ua-{}'", alias.name),
        None => format!("no device matching MAC address {mac} found"),
    }
}

/// The domain has no such device. `what` is a sentence for interfaces, a name for all others.
pub(crate) fn missing_device(device: &Device, what: &str) -> HypervisorError {
    if matches!(device, Device::Interface(_)) {
        HypervisorError { domain: ErrorDomain::DOMAIN, ..HypervisorError::new(ErrorCode::DEVICE_MISSING, what) }
    } else {
        HypervisorError::new(ErrorCode::DEVICE_MISSING, format_args!("{what} not found"))
    }
}

/// Removes the device with this alias.
pub(crate) fn remove_device(domain: &mut domain::Domain, alias: &str) {
    let other = |of: &Option<domain::Alias>| of.as_ref().is_none_or(|of| of.name != alias);
    let devices = &mut domain.devices;
    devices.disks.retain(|disk| other(&disk.alias));
    devices.interfaces.retain(|nic| other(&nic.alias));
    devices.host_devices.retain(|host_device| other(&host_device.alias));
    devices.memories.retain(|memory| other(&memory.alias));
}

pub(crate) fn update_device(domain: &mut domain::Domain, device: &Device) -> Result<()> {
    let missing = |what: String| HypervisorError::new(ErrorCode::INTERNAL_ERROR, format_args!("{what} not found"));
    let devices = &mut domain.devices;
    match device {
        Device::Disk(new) => {
            let target = new.target.dev.as_deref();
            let old = devices.disks.iter_mut().find(|disk| disk.target.dev.as_deref() == target);
            let old = old.ok_or_else(|| missing(format!("disk '{}'", target.unwrap_or_default())))?;
            old.source = new.source.clone();
            old.driver.clone_from(&new.driver);
        }
        Device::Interface(new) => {
            let old = devices.interfaces.iter_mut().find(|nic| nic.mac == new.mac);
            old.ok_or_else(|| missing_device(device, &sought(new)))?.link.clone_from(&new.link);
        }
        Device::HostDevice(_) => return Err(missing("host device".to_owned())),
        Device::Memory(new) => {
            let old = devices.memories.iter_mut().find(|memory| memory.alias == new.alias);
            *old.ok_or_else(|| missing("memory device".to_owned()))? = domain::MemoryDevice::clone(new);
        }
    }
    Ok(())
}

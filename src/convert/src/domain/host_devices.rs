//! Host devices, GPUs and SR-IOV functions. Source: spec/domain-xml.md §10.
//!
//! Device plugins hand addresses to the launcher in environment variables; [`Pools`] are those variables as data. An
//! address that is taken is gone from every resource of its pool, for one device can be offered under several names.

use std::collections::BTreeMap;

use api::v1::{self, VirtualMachineInstance};
use domain::{Address, Alias, Boot, Devices, HostDevice, HostDeviceSource, OnOff, YesNo};

use super::{Context, ConvertError};
use crate::vmi;

/// Addresses of one kind of device, by resource name.
pub type Pool = BTreeMap<String, Vec<String>>;

/// The addresses device plugins gave the launcher.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pools {
    /// PCI addresses.
    pub pci: Pool,
    /// UUIDs of mediated devices.
    pub mdev: Pool,
    /// `BUS:DEVICE` of USB devices.
    pub usb: Pool,
}

const PCI_PREFIX: &str = "PCI_RESOURCE_";
const MDEV_PREFIX: &str = "MDEV_PCI_RESOURCE_";
const USB_PREFIX: &str = "USB_RESOURCE_";

/// The variable's suffix for a resource.
fn variable(resource: &str) -> String {
    resource.to_uppercase().replace(['/', '.'], "_")
}

impl Pools {
    /// The pools in the launcher's environment.
    pub fn from_environment<'a>(environment: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut pools = Self::default();
        for (name, value) in environment {
            let (pool, resource) = if let Some(resource) = name.strip_prefix(MDEV_PREFIX) {
                (&mut pools.mdev, resource)
            } else if let Some(resource) = name.strip_prefix(PCI_PREFIX) {
                (&mut pools.pci, resource)
            } else if let Some(resource) = name.strip_prefix(USB_PREFIX) {
                (&mut pools.usb, resource)
            } else {
                continue;
            };
            let addresses = value.trim_end_matches(',').split(',').filter(|a| !a.is_empty()).map(ToOwned::to_owned).collect();
            pool.insert(resource.to_owned(), addresses);
        }
        pools
    }
}

/// The next address of a resource, taken from the whole pool.
fn pop(pool: &mut Pool, resource: &str) -> Option<String> {
    let address = pool.get(&variable(resource))?.first()?.clone();
    for addresses in pool.values_mut() {
        addresses.retain(|a| *a != address);
    }
    Some(address)
}

fn pci(address: &str, alias: String) -> Result<HostDevice, ConvertError> {
    let source = Address::pci(address).map_err(|source| ConvertError::PciAddress { what: alias.clone(), source })?;
    Ok(HostDevice {
        kind: "pci".to_owned(),
        managed: Some(YesNo::No),
        source: HostDeviceSource { address: Some(source) },
        alias: Some(Alias::user(alias)),
        ..HostDevice::default()
    })
}

fn mdev(uuid: &str, alias: String) -> HostDevice {
    HostDevice {
        kind: "mdev".to_owned(),
        mode: Some("subsystem".to_owned()),
        model: Some("vfio-pci".to_owned()),
        source: HostDeviceSource { address: Some(Address::mdev(uuid)) },
        alias: Some(Alias::user(alias)),
        ..HostDevice::default()
    }
}

fn usb(address: &str, alias: String) -> Result<HostDevice, ConvertError> {
    let (bus, device) = address.split_once(':').ok_or_else(|| ConvertError::UsbAddress(address.to_owned()))?;
    Ok(HostDevice {
        kind: "usb".to_owned(),
        mode: Some("subsystem".to_owned()),
        source: HostDeviceSource { address: Some(Address::usb_source(bus, device)) },
        alias: Some(Alias::user(alias)),
        ..HostDevice::default()
    })
}

/// The generic host devices of a VMI: PCI, then mediated, then USB.
///
/// # Errors
/// A malformed address, or another number of devices than the VMI has.
pub fn generic(vmi: &VirtualMachineInstance, pools: &mut Pools) -> Result<Vec<HostDevice>, ConvertError> {
    let wanted: Vec<&v1::HostDevice> = vmi.spec.domain.devices.host_devices.iter().filter(|d| d.claim_name.is_none()).collect();
    let mut out = Vec::new();
    let resource = |d: &v1::HostDevice| d.device_name.clone().unwrap_or_default();
    for device in &wanted {
        if let Some(address) = pop(&mut pools.pci, &resource(device)) {
            out.push(pci(&address, format!("hostdevice-{}", device.name))?);
        }
    }
    for device in &wanted {
        if let Some(uuid) = pop(&mut pools.mdev, &resource(device)) {
            out.push(mdev(&uuid, format!("hostdevice-{}", device.name)));
        }
    }
    for device in &wanted {
        if let Some(address) = pop(&mut pools.usb, &resource(device)) {
            out.push(usb(&address, format!("usb-host-{}", device.name))?);
        }
    }
    count("host devices", out, wanted.len())
}

/// The GPUs of a VMI, with a display on those that have one.
///
/// # Errors
/// As [`generic`].
pub fn gpus(vmi: &VirtualMachineInstance, pools: &mut Pools) -> Result<Vec<HostDevice>, ConvertError> {
    let wanted: Vec<&v1::GPU> = vmi.spec.domain.devices.gpus.iter().filter(|d| d.claim_name.is_none()).collect();
    // Without a word on displays the first virtual GPU gets one.
    let mut default_display = !wanted.iter().any(|g| display(g).is_some());
    let mut out = Vec::new();
    for gpu in &wanted {
        if let Some(address) = pop(&mut pools.pci, gpu.device_name.as_deref().unwrap_or_default()) {
            let mut device = pci(&address, format!("gpu-{}", gpu.name))?;
            if let Some(options) = display(gpu).filter(|d| d.enabled == Some(true)) {
                show(&mut device, options.ram_fb.as_ref());
            }
            out.push(device);
        }
    }
    for gpu in &wanted {
        if let Some(uuid) = pop(&mut pools.mdev, gpu.device_name.as_deref().unwrap_or_default()) {
            let mut device = mdev(&uuid, format!("gpu-{}", gpu.name));
            match display(gpu) {
                Some(options) if vmi::unless_off(options.enabled) => show(&mut device, options.ram_fb.as_ref()),
                None if default_display => {
                    default_display = false;
                    show(&mut device, None);
                }
                _ => {}
            }
            out.push(device);
        }
    }
    count("GPUs", out, wanted.len())
}

fn display(gpu: &v1::GPU) -> Option<&v1::VGPUDisplayOptions> {
    gpu.virtual_gpu_options.as_ref()?.display.as_ref()
}

fn show(device: &mut HostDevice, ram_fb: Option<&v1::FeatureState>) {
    device.display = Some(OnOff::On);
    device.ramfb = ram_fb.is_none_or(|r| vmi::unless_off(r.enabled)).then_some(OnOff::On);
}

fn count(kind: &'static str, devices: Vec<HostDevice>, wanted: usize) -> Result<Vec<HostDevice>, ConvertError> {
    if devices.len() == wanted { Ok(devices) } else { Err(ConvertError::HostDeviceCount { kind, created: devices.len(), wanted }) }
}

/// The SR-IOV functions of a VMI whose networks the pod has, `addresses` being their PCI addresses by network.
///
/// # Errors
/// [`ConvertError::SriovAddressUnknown`], or a malformed address.
pub fn sriov(vmi: &VirtualMachineInstance, addresses: &BTreeMap<String, String>) -> Result<Vec<HostDevice>, ConvertError> {
    let plugged = |name: &str| {
        let status = vmi.status.iter().flat_map(|s| &s.interfaces).find(|i| i.name.as_deref() == Some(name));
        status.and_then(|i| i.info_source.as_deref()).is_some_and(|s| s.split(',').any(|s| s.trim() == "multus-status"))
    };
    let mut out = Vec::new();
    for interface in vmi::interfaces(vmi).filter(|i| i.sriov.is_some() && plugged(&i.name)) {
        let address = addresses.get(&interface.name).ok_or_else(|| ConvertError::SriovAddressUnknown(interface.name.clone()))?;
        let mut device = pci(address, format!("sriov-{}", interface.name))?;
        if let Some(guest) = interface.pci_address.as_deref().filter(|a| !a.is_empty()) {
            let what = || format!("interface {}", interface.name);
            device.address = Some(Address::pci(guest).map_err(|source| ConvertError::PciAddress { what: what(), source })?);
        }
        device.boot = interface.boot_order.and_then(|o| u32::try_from(o).ok()).map(Boot::new);
        out.push(device);
    }
    Ok(out)
}

/// Puts the devices of the context into the domain: generic ones, GPUs, SR-IOV functions.
pub(super) fn append(cx: &Context, out: &mut Devices) {
    for family in [&cx.host_devices, &cx.gpus, &cx.sriov] {
        out.host_devices.extend(family.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(name: &str, display: Option<v1::VGPUDisplayOptions>) -> v1::GPU {
        v1::GPU {
            name: name.to_owned(),
            device_name: Some("nvidia.com/GV100".to_owned()),
            virtual_gpu_options: display.map(|d| v1::VGPUOptions { display: Some(d) }),
            ..v1::GPU::default()
        }
    }

    #[test]
    fn an_address_is_given_out_once() {
        let mut pools = Pools::from_environment([
            ("PCI_RESOURCE_A_COM_X", "0000:01:00.0,0000:02:00.0,"),
            ("PCI_RESOURCE_A_COM_Y", "0000:01:00.0"),
            ("HOME", "/"),
        ]);
        let mut vmi = VirtualMachineInstance::default();
        let device = |name: &str, resource: &str| v1::HostDevice {
            name: name.to_owned(),
            device_name: Some(resource.to_owned()),
            ..v1::HostDevice::default()
        };
        vmi.spec.domain.devices.host_devices = vec![device("one", "a.com/x"), device("two", "a.com/x")];
        let devices = generic(&vmi, &mut pools).unwrap();
        let buses: Vec<_> = devices.iter().map(|d| d.source.address.as_ref().unwrap().bus.clone().unwrap()).collect();
        assert_eq!(buses, ["0x01", "0x02"]);
        vmi.spec.domain.devices.host_devices = vec![device("three", "a.com/y")];
        assert_eq!(generic(&vmi, &mut pools).unwrap_err(), ConvertError::HostDeviceCount { kind: "host devices", created: 0, wanted: 1 });
    }

    #[test]
    fn the_first_virtual_gpu_shows_unless_one_says_otherwise() {
        let environment = [("MDEV_PCI_RESOURCE_NVIDIA_COM_GV100", "u1,u2")];
        let mut vmi = VirtualMachineInstance::default();
        vmi.spec.domain.devices.gpus = vec![gpu("a", None), gpu("b", None)];
        let displays = |vmi: &VirtualMachineInstance| -> Vec<_> {
            gpus(vmi, &mut Pools::from_environment(environment)).unwrap().iter().map(|d| (d.display, d.ramfb)).collect()
        };
        assert_eq!(displays(&vmi), [(Some(OnOff::On), Some(OnOff::On)), (None, None)]);
        let off = v1::VGPUDisplayOptions { enabled: Some(false), ram_fb: None };
        vmi.spec.domain.devices.gpus = vec![gpu("a", None), gpu("b", Some(off))];
        assert_eq!(displays(&vmi), [(None, None), (None, None)]);
        let without_ram = v1::VGPUDisplayOptions { enabled: None, ram_fb: Some(v1::FeatureState { enabled: Some(false) }) };
        vmi.spec.domain.devices.gpus = vec![gpu("a", None), gpu("b", Some(without_ram))];
        assert_eq!(displays(&vmi), [(None, None), (Some(OnOff::On), None)]);
    }

    #[test]
    fn usb_addresses_have_two_parts() {
        let mut vmi = VirtualMachineInstance::default();
        vmi.spec.domain.devices.host_devices =
            vec![v1::HostDevice { name: "k".to_owned(), device_name: Some("kubevirt.io/key".to_owned()), ..v1::HostDevice::default() }];
        let mut pools = Pools::from_environment([("USB_RESOURCE_KUBEVIRT_IO_KEY", "3:7")]);
        let device = generic(&vmi, &mut pools).unwrap().remove(0);
        assert_eq!(device.alias, Some(Alias::user("usb-host-k")));
        assert_eq!(device.source.address, Some(Address::usb_source("3", "7")));
        let mut pools = Pools::from_environment([("USB_RESOURCE_KUBEVIRT_IO_KEY", "37")]);
        assert_eq!(generic(&vmi, &mut pools).unwrap_err(), ConvertError::UsbAddress("37".to_owned()));
    }
}

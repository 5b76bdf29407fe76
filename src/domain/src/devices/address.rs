//! Where a device sits on its bus, and in which order it is booted from.

use crate::element::element;

element! {
    /// `<address>`, of a device in the guest or of its source on the host. The numbers stay text: libvirt takes decimal
    /// and hexadecimal, and what a user wrote is kept digit by digit (spec/domain-xml.md §3.2).
    Address {
        /// `pci`, `drive`, `usb`, `ccw`, `virtio-serial`, …; the source of a host device has none.
        opt "@type" kind: String,
        opt "@domain" domain: String,
        opt "@bus" bus: String,
        opt "@slot" slot: String,
        opt "@function" function: String,
        opt "@multifunction" multifunction: String,
        opt "@controller" controller: String,
        opt "@target" target: String,
        opt "@unit" unit: String,
        opt "@port" port: String,
        opt "@uuid" uuid: String,
        opt "@device" device: String,
        opt "@cssid" cssid: String,
        opt "@ssid" ssid: String,
        opt "@devno" devno: String,
        opt "@base" base: String,
    }
}

/// A PCI address that is not written `DOMAIN:BUS:SLOT.FUNCTION` with fixed widths.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to parse pci address {0}")]
pub struct BadPciAddress(
    /// What was written.
    pub String,
);

impl Address {
    /// `hhhh:hh:hh.f` as a guest or host PCI address; the digits are kept as typed (spec/domain-xml.md §3.2).
    ///
    /// # Errors
    /// [`BadPciAddress`] when the text has another form.
    pub fn pci(text: &str) -> Result<Self, BadPciAddress> {
        let bad = || BadPciAddress(text.to_owned());
        let hex = |part: &str, width: usize| part.len() == width && part.bytes().all(|b| b.is_ascii_hexdigit());
        let (domain, rest) = text.split_once(':').ok_or_else(bad)?;
        let (bus, rest) = rest.split_once(':').ok_or_else(bad)?;
        let (slot, function) = rest.split_once('.').ok_or_else(bad)?;
        let in_range = matches!(function.as_bytes(), [b'0'..=b'7']);
        if !(hex(domain, 4) && hex(bus, 2) && hex(slot, 2) && in_range) {
            return Err(bad());
        }
        Ok(Self {
            kind: Some("pci".to_owned()),
            domain: Some(format!("0x{domain}")),
            bus: Some(format!("0x{bus}")),
            slot: Some(format!("0x{slot}")),
            function: Some(format!("0x{function}")),
            ..Self::default()
        })
    }

    /// A place on a SCSI controller; `unit` is the index of the disk's name among the `sd` names.
    pub fn drive(unit: u32) -> Self {
        let zero = || Some("0".to_owned());
        Self { kind: Some("drive".to_owned()), bus: zero(), controller: zero(), unit: Some(unit.to_string()), ..Self::default() }
    }

    /// The source of a mediated device.
    pub fn mdev(uuid: impl Into<String>) -> Self {
        Self { uuid: Some(uuid.into()), ..Self::default() }
    }

    /// The source of a USB device on the host.
    pub fn usb_source(bus: impl Into<String>, device: impl Into<String>) -> Self {
        Self { bus: Some(bus.into()), device: Some(device.into()), ..Self::default() }
    }
}

element! {
    /// The place in the boot order, from 1.
    Boot {
        req "@order" order: u32,
    }
}

impl Boot {
    /// The place `order`.
    pub fn new(order: u32) -> Self {
        Self { order }
    }
}

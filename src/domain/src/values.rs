//! The small value types that many elements share.

use serde::{Deserialize, Serialize};

use crate::element::element;

/// A switch libvirt spells `on`/`off` (features, drivers, device states).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnOff {
    /// `on`
    On,
    /// `off`
    #[default]
    Off,
}

impl From<bool> for OnOff {
    fn from(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }
}

/// A switch libvirt spells `yes`/`no` (loader, timers, vCPUs, boot menu).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum YesNo {
    /// `yes`
    Yes,
    /// `no`
    #[default]
    No,
}

impl From<bool> for YesNo {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

element! {
    /// An element whose presence is its meaning: `<readonly/>`, `<acpi/>`, `<nosharepages/>`.
    Presence {}
}

element! {
    /// An amount of memory. Our own elements say `b` (bytes); libvirt answers in `KiB`.
    Memory {
        opt "@unit" unit: String,
        /// The amount, in `unit` (KiB when there is none).
        req "$text" value: u64,
    }
}

impl Memory {
    /// `value` bytes.
    pub fn bytes(value: u64) -> Self {
        Self { unit: Some("b".to_owned()), value }
    }

    /// The amount in bytes, by libvirt's unit names; `None` when the unit is unknown or the amount does not fit.
    pub fn to_bytes(&self) -> Option<u64> {
        let factor: u64 = match self.unit.as_deref().unwrap_or("KiB") {
            "b" | "bytes" => 1,
            "KB" => 1_000,
            "k" | "KiB" | "" => 1 << 10,
            "MB" => 1_000_000,
            "M" | "MiB" => 1 << 20,
            "GB" => 1_000_000_000,
            "G" | "GiB" => 1 << 30,
            "TB" => 1_000_000_000_000,
            "T" | "TiB" => 1 << 40,
            _ => return None,
        };
        self.value.checked_mul(factor)
    }
}

element! {
    /// The maximum memory a guest can be grown to by memory devices.
    MaxMemory {
        opt "@unit" unit: String,
        /// DIMM slots; none are needed for virtio-mem, yet libvirt wants the attribute.
        req "@slots" slots: u64,
        req "$text" value: u64,
    }
}

element! {
    /// An element with nothing but a `state`.
    State {
        req "@state" state: OnOff,
    }
}

impl State {
    /// `<x state="on"/>` or `<x state="off"/>`.
    pub fn new(on: bool) -> Self {
        Self { state: on.into() }
    }
}

/// The prefix libvirt demands of aliases that a user chose; others it makes up itself.
const USER_ALIAS: &str = "ua-";

/// The name of a device in the domain. A user alias is the name of the volume, interface or device of the VMI it came
/// from, and the join key between the two; libvirt's own aliases (`virtio-disk0`) carry no meaning.
/// Source: spec/domain-xml.md §3.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "AliasElement", into = "AliasElement")]
pub struct Alias {
    /// The name without the prefix of user aliases.
    pub name: String,
    /// Whether this is a user alias, written with the prefix `ua-`.
    pub user: bool,
}

impl Alias {
    /// The alias of the VMI's device `name`.
    pub fn user(name: impl Into<String>) -> Self {
        Self { name: name.into(), user: true }
    }

    /// An alias written as it is.
    pub fn plain(name: impl Into<String>) -> Self {
        Self { name: name.into(), user: false }
    }
}

#[derive(Serialize, Deserialize)]
struct AliasElement {
    #[serde(rename = "@name", default)]
    name: String,
}

impl From<AliasElement> for Alias {
    fn from(wire: AliasElement) -> Self {
        match wire.name.strip_prefix(USER_ALIAS) {
            Some(name) => Self::user(name),
            None => Self::plain(wire.name),
        }
    }
}

impl From<Alias> for AliasElement {
    fn from(alias: Alias) -> Self {
        let name = if alias.user { format!("{USER_ALIAS}{}", alias.name) } else { alias.name };
        Self { name }
    }
}

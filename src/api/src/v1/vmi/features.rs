//! Hypervisor features, clock and timers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Hypervisor features offered to the guest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Features {
    /// ACPI; on unless set to false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acpi: Option<FeatureState>,
    /// The interrupt controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apic: Option<FeatureAPIC>,
    /// All Hyper-V enlightenments the host offers. Excludes `hyperv`, and the guest cannot migrate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hyperv_passthrough: Option<HyperVPassthrough>,
    /// Hyper-V enlightenments, for Windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hyperv: Option<FeatureHyperv>,
    /// System Management Mode; UEFI secure boot needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smm: Option<FeatureState>,
    /// What the guest sees of KVM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kvm: Option<FeatureKVM>,
    /// Paravirtual spin locks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pvspinlock: Option<FeatureState>,
}

/// A feature that is on or off.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FeatureState {
    /// On unless set to false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// `apic` of a Features.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FeatureAPIC {
    /// Whether it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether the guest may signal the end of an interrupt cheaply.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub end_of_interrupt: Option<bool>,
}

/// `hypervPassthrough` of a Features: all host enlightenments; excludes explicit hyperv; not migratable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HyperVPassthrough {
    /// Whether it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Hyper-V enlightenments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FeatureHyperv {
    /// Relaxed timing constraints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relaxed: Option<FeatureState>,
    /// Virtual APIC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vapic: Option<FeatureState>,
    /// Retries before a spinning CPU yields: retries ≥4096, default 4096.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spinlocks: Option<FeatureSpinlocks>,
    /// Virtual processor index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpindex: Option<FeatureState>,
    /// Processor time in guest and hypervisor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<FeatureState>,
    /// Synthetic interrupt controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synic: Option<FeatureState>,
    /// Synthetic timers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synictimer: Option<SyNICTimer>,
    /// Reset: needs synic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset: Option<FeatureState>,
    /// The hypervisor vendor the guest sees: ≤12 chars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendorid: Option<FeatureVendorID>,
    /// Frequency registers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequencies: Option<FeatureState>,
    /// Notice of TSC frequency changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reenlightenment: Option<FeatureState>,
    /// Tlbflush: needs vpindex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tlbflush: Option<TLBFlush>,
    /// Ipi: needs vpindex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipi: Option<FeatureState>,
    /// Evmcs: needs vapic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evmcs: Option<FeatureState>,
}

/// `spinlocks` of a FeatureHyperv: retries ≥4096, default 4096.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FeatureSpinlocks {
    /// Whether it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Retries before a spinning CPU yields; at least 4096, which is the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spinlocks: Option<u32>,
}

/// `synictimer` of a FeatureHyperv.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SyNICTimer {
    /// Whether it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Direct mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct: Option<FeatureState>,
}

/// `vendorid` of a FeatureHyperv: ≤12 chars.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FeatureVendorID {
    /// Whether it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The hypervisor's vendor as the guest sees it, up to 12 characters.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub vendorid: Option<String>,
}

/// `tlbflush` of a FeatureHyperv: needs vpindex.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TLBFlush {
    /// Whether it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Direct mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct: Option<FeatureState>,
    /// Extended form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended: Option<FeatureState>,
}

/// `kvm` of a Features.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FeatureKVM {
    /// Hides KVM from the guest.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub hidden: Option<bool>,
}

/// The guest's clock: offset and timers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct Clock {
    /// The clock shows UTC, or an offset from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utc: Option<ClockOffsetUTC>,
    /// The clock shows a zone's time, for example Europe/Oslo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Which timers the guest has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timer: Option<Timer>,
}

/// A clock that shows UTC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClockOffsetUTC {
    /// Seconds the clock is ahead of UTC. If set, changes the guest makes survive a reboot.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub offset_seconds: Option<i64>,
}

/// The guest's timers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Timer {
    /// High Precision Event Timer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hpet: Option<HPETTimer>,
    /// KVM's own interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kvm: Option<KVMTimer>,
    /// Programmable Interval Timer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pit: Option<PITTimer>,
    /// Real Time Clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtc: Option<RTCTimer>,
    /// Hyper-V enlightenments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hyperv: Option<HypervTimer>,
}

/// `hpet` of a Timer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HPETTimer {
    /// What becomes of ticks the guest missed; one of delay, catchup, merge, discard.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub tick_policy: Option<String>,
    /// Whether the guest gets this timer; on when the timer is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
}

/// `kvm` of a Timer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KVMTimer {
    /// Whether the guest gets this timer; on when the timer is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
}

/// `pit` of a Timer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PITTimer {
    /// What becomes of ticks the guest missed; one of delay, catchup, discard.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub tick_policy: Option<String>,
    /// Whether the guest gets this timer; on when the timer is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
}

/// `rtc` of a Timer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RTCTimer {
    /// What becomes of ticks the guest missed; one of delay, catchup.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub tick_policy: Option<String>,
    /// Whether the guest gets this timer; on when the timer is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
    /// guest or wall: what the clock follows.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub track: Option<String>,
}

/// `hyperv` of a Timer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HypervTimer {
    /// Whether the guest gets this timer; on when the timer is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
}

//! Hypervisor features and the guest's clock.

use crate::element::element;
use crate::values::{OnOff, Presence, State, YesNo};

element! {
    /// `<features>`.
    Features {
        opt "acpi" acpi: Presence,
        opt "apic" apic: Presence,
        opt "hyperv" hyperv: Hyperv,
        opt "smm" smm: Smm,
        opt "kvm" kvm: KvmFeatures,
        opt "pvspinlock" pv_spinlock: State,
        opt "pmu" pmu: State,
        opt "vmport" vmport: State,
        opt "gic" gic: Gic,
    }
}

element! {
    /// System management mode; libvirt answers with a state.
    Smm {
        opt "@state" state: OnOff,
    }
}

element! {
    /// ARM's interrupt controller, by version.
    Gic {
        opt "@version" version: String,
    }
}

element! {
    /// What KVM shows of itself to the guest.
    KvmFeatures {
        opt "hidden" hidden: State,
        opt "hint-dedicated" hint_dedicated: State,
    }
}

element! {
    /// Hyper-V enlightenments.
    Hyperv {
        /// `custom` or `passthrough`.
        opt "@mode" mode: String,
        opt "relaxed" relaxed: State,
        opt "vapic" vapic: State,
        opt "spinlocks" spinlocks: Spinlocks,
        opt "vpindex" vpindex: State,
        opt "runtime" runtime: State,
        opt "synic" synic: State,
        opt "stimer" stimer: Stimer,
        opt "reset" reset: State,
        opt "vendor_id" vendor_id: VendorId,
        opt "frequencies" frequencies: State,
        opt "reenlightenment" reenlightenment: State,
        opt "tlbflush" tlbflush: TlbFlush,
        opt "ipi" ipi: State,
        opt "evmcs" evmcs: State,
    }
}

element! {
    /// Spinlock retries before the hypervisor is told.
    Spinlocks {
        req "@state" state: OnOff,
        opt "@retries" retries: u32,
    }
}

element! {
    /// Synthetic timers.
    Stimer {
        req "@state" state: OnOff,
        opt "direct" direct: State,
    }
}

element! {
    /// The vendor string of the hypervisor.
    VendorId {
        req "@state" state: OnOff,
        opt "@value" value: String,
    }
}

element! {
    /// Remote TLB flushes by hypercall.
    TlbFlush {
        req "@state" state: OnOff,
        opt "direct" direct: State,
        opt "extended" extended: State,
    }
}

element! {
    /// `<clock>`.
    Clock {
        /// `utc`, `timezone`, `localtime` or `variable`.
        opt "@offset" offset: String,
        opt "@timezone" timezone: String,
        /// Seconds, or `reset`.
        opt "@adjustment" adjustment: String,
        list "timer" timers: Timer,
    }
}

element! {
    /// One of the guest's timers.
    Timer {
        req "@name" name: String,
        opt "@tickpolicy" tick_policy: String,
        opt "@present" present: YesNo,
        opt "@track" track: String,
        /// Hertz.
        opt "@frequency" frequency: u64,
    }
}

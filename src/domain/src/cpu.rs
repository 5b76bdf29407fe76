//! CPUs: model, topology, guest NUMA, single vCPUs, and which host CPUs and nodes they are tied to.

use crate::element::element;
use crate::values::{Memory, Presence, YesNo};

element! {
    /// `<cpu>`.
    Cpu {
        /// `host-model`, `host-passthrough`, `custom` or `maximum`.
        opt "@mode" mode: String,
        opt "@match" matching: String,
        opt "@check" check: String,
        opt "@migratable" migratable: String,
        opt "model" model: CpuModel,
        opt "vendor" vendor: String,
        list "feature" features: CpuFeature,
        opt "topology" topology: CpuTopology,
        opt "numa" numa: Numa,
    }
}

element! {
    /// A named CPU model.
    CpuModel {
        opt "@fallback" fallback: String,
        req "$text" name: String,
    }
}

element! {
    /// One CPU feature and what to do about it.
    CpuFeature {
        req "@name" name: String,
        /// `force`, `require`, `optional`, `disable`, `forbid`.
        opt "@policy" policy: String,
    }
}

element! {
    /// The guest's CPU topology; the product is the number of vCPUs, those not yet plugged included.
    CpuTopology {
        req "@sockets" sockets: u32,
        opt "@dies" dies: u32,
        opt "@clusters" clusters: u32,
        req "@cores" cores: u32,
        req "@threads" threads: u32,
    }
}

element! {
    /// The guest's NUMA cells.
    Numa {
        list "cell" cells: NumaCell,
    }
}

element! {
    /// One NUMA cell of the guest.
    NumaCell {
        req "@id" id: u32,
        /// vCPU ids, as a list or range (`0-3`, `0,2`).
        opt "@cpus" cpus: String,
        req "@memory" memory: u64,
        opt "@unit" unit: String,
        opt "@memAccess" mem_access: String,
        opt "distances" distances: NumaDistances,
    }
}

element! {
    /// The distances from one cell to others.
    NumaDistances {
        list "sibling" siblings: NumaSibling,
    }
}

element! {
    /// The distance to the cell `id`; 10 is local.
    NumaSibling {
        req "@id" id: u32,
        req "@value" value: u32,
    }
}

element! {
    /// `<vcpu>`: the number of vCPUs.
    VcpuCount {
        opt "@placement" placement: String,
        opt "@cpuset" cpuset: String,
        /// How many of them are plugged, when not all.
        opt "@current" current: u32,
        req "$text" count: u32,
    }
}

element! {
    /// `<vcpus>`: the state of every vCPU.
    Vcpus {
        list "vcpu" vcpus: Vcpu,
    }
}

element! {
    /// One vCPU.
    Vcpu {
        req "@id" id: u32,
        req "@enabled" enabled: YesNo,
        opt "@hotpluggable" hotpluggable: YesNo,
        opt "@order" order: u32,
    }
}

element! {
    /// `<cputune>`: pinning.
    CpuTune {
        list "vcpupin" vcpu_pins: VcpuPin,
        list "iothreadpin" iothread_pins: IoThreadPin,
        opt "emulatorpin" emulator_pin: EmulatorPin,
    }
}

element! {
    /// A vCPU's host CPUs.
    VcpuPin {
        req "@vcpu" vcpu: u32,
        req "@cpuset" cpuset: String,
    }
}

element! {
    /// An I/O thread's host CPUs.
    IoThreadPin {
        req "@iothread" iothread: u32,
        req "@cpuset" cpuset: String,
    }
}

element! {
    /// The emulator threads' host CPUs.
    EmulatorPin {
        req "@cpuset" cpuset: String,
    }
}

element! {
    /// `<numatune>`: where the guest's memory comes from.
    NumaTune {
        opt "memory" memory: NumaTuneMemory,
        list "memnode" nodes: MemNode,
    }
}

element! {
    /// The policy for the whole guest.
    NumaTuneMemory {
        req "@mode" mode: String,
        opt "@nodeset" nodeset: String,
        opt "@placement" placement: String,
    }
}

element! {
    /// The host nodes of one guest cell.
    MemNode {
        req "@cellid" cell: u32,
        req "@mode" mode: String,
        req "@nodeset" nodeset: String,
    }
}

element! {
    /// `<memoryBacking>`: the kind of host memory behind the guest's.
    MemoryBacking {
        opt "hugepages" hugepages: HugePages,
        opt "source" source: MemorySource,
        opt "access" access: MemoryAccess,
        opt "allocation" allocation: MemoryAllocation,
        opt "nosharepages" no_share_pages: Presence,
        opt "locked" locked: Presence,
    }
}

element! {
    /// Huge pages, by guest cell when sizes are given.
    HugePages {
        list "page" pages: HugePage,
    }
}

element! {
    /// The page size for some guest cells.
    HugePage {
        req "@size" size: u64,
        opt "@unit" unit: String,
        opt "@nodeset" nodeset: String,
    }
}

element! {
    /// `memfd`, `file` or `anonymous`.
    MemorySource {
        opt "@type" kind: String,
    }
}

element! {
    /// `shared` or `private`.
    MemoryAccess {
        opt "@mode" mode: String,
    }
}

element! {
    /// `immediate` or `ondemand`.
    MemoryAllocation {
        opt "@mode" mode: String,
    }
}

element! {
    /// A memory device, in a domain or as a fragment to attach.
    MemoryDevice {
        req "@model" model: String,
        opt "target" target: MemoryTarget,
        opt "alias" alias: crate::values::Alias,
        opt "address" address: crate::devices::Address,
    }
}

element! {
    /// The guest's side of a memory device.
    MemoryTarget {
        opt "size" size: Memory,
        opt "requested" requested: Memory,
        opt "current" current: Memory,
        opt "node" node: u32,
        opt "block" block: Memory,
    }
}

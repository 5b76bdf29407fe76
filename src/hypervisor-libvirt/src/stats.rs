//! libvirt's statistics records (`virConnectGetAllDomainStats`) as ours.

use hypervisor::{BlockStats, CpuStats, DomainStats, MemoryStats, NetStats, VcpuState, VcpuStats};

use crate::sys::Record;

/// Reads what a record has; what is missing is zero.
pub(crate) fn read(record: &Record) -> DomainStats {
    let number = |name: &str| record.params.number(name).unwrap_or_default();
    let each = |group: &str, count: &str| {
        let count = number(&format!("{group}.{count}"));
        let group = group.to_owned();
        (0..count).map(move |index| format!("{group}.{index}"))
    };
    DomainStats {
        name: record.name.clone(),
        uuid: record.uuid.clone(),
        cpu: CpuStats { time: number("cpu.time"), user: number("cpu.user"), system: number("cpu.system") },
        memory: MemoryStats {
            actual_balloon: number("balloon.current"),
            unused: number("balloon.unused"),
            available: number("balloon.available"),
            usable: number("balloon.usable"),
            cached: number("balloon.disk_caches"),
            rss: number("balloon.rss"),
            swap_in: number("balloon.swap_in"),
            swap_out: number("balloon.swap_out"),
            major_faults: number("balloon.major_fault"),
            minor_faults: number("balloon.minor_fault"),
        },
        // `vcpu.current` counts what is plugged; numbers up to `vcpu.maximum` may be used, with gaps.
        vcpus: each("vcpu", "maximum")
            .map(|vcpu| VcpuStats {
                state: match record.params.number(&format!("{vcpu}.state")) {
                    Some(1) => VcpuState::Running,
                    Some(2) => VcpuState::Blocked,
                    _ => VcpuState::Offline,
                },
                time: number(&format!("{vcpu}.time")),
                wait: number(&format!("{vcpu}.wait")),
                delay: number(&format!("{vcpu}.delay")),
            })
            .collect(),
        net: each("net", "count")
            .map(|net| NetStats {
                name: record.params.text(&format!("{net}.name")),
                rx_bytes: number(&format!("{net}.rx.bytes")),
                rx_packets: number(&format!("{net}.rx.pkts")),
                tx_bytes: number(&format!("{net}.tx.bytes")),
                tx_packets: number(&format!("{net}.tx.pkts")),
            })
            .collect(),
        block: each("block", "count")
            .map(|block| BlockStats {
                name: record.params.text(&format!("{block}.name")),
                path: record.params.text(&format!("{block}.path")),
                read_requests: number(&format!("{block}.rd.reqs")),
                read_bytes: number(&format!("{block}.rd.bytes")),
                write_requests: number(&format!("{block}.wr.reqs")),
                write_bytes: number(&format!("{block}.wr.bytes")),
                capacity: number(&format!("{block}.capacity")),
            })
            .collect(),
    }
}

//! Statistics as scrapers read them (hypervisor.md §16): every number has a companion that says whether it is known.

use hypervisor::{BlockStats, DomainStats, NetStats, VcpuState, VcpuStats};
use launcher_rpc::Result;
use serde_json::{Map, Value, json};

use crate::launcher::{Inner, refused};

impl Inner {
    /// The domain's statistics; an empty object while it does not run.
    pub(crate) async fn stats(&self) -> Result<String> {
        let stats = self.hypervisor.stats().await.map_err(|error| refused(&error))?;
        let own = stats.iter().find(|stats| stats.name == self.domain_name);
        Ok(own.map_or_else(|| "{}".to_owned(), |stats| render(stats).to_string()))
    }
}

/// Numbers with their companions.
fn numbers(fields: &[(&str, u64)]) -> Map<String, Value> {
    let pair = |(name, value): &(&str, u64)| [((*name).to_owned(), json!(value)), (format!("{name}Set"), json!(true))];
    fields.iter().flat_map(pair).collect()
}

fn render(stats: &DomainStats) -> Value {
    let memory = &stats.memory;
    json!({
        "Name": stats.name,
        "UUID": stats.uuid,
        "Cpu": numbers(&[("Time", stats.cpu.time), ("User", stats.cpu.user), ("System", stats.cpu.system)]),
        "Memory": numbers(&[
            ("Unused", memory.unused),
            ("Cached", memory.cached),
            ("Available", memory.available),
            ("ActualBalloon", memory.actual_balloon),
            ("RSS", memory.rss),
            ("SwapIn", memory.swap_in),
            ("SwapOut", memory.swap_out),
            ("MajorFault", memory.major_faults),
            ("MinorFault", memory.minor_faults),
            ("Usable", memory.usable),
            ("Total", memory.available),
        ]),
        "Vcpu": stats.vcpus.iter().map(vcpu).collect::<Vec<_>>(),
        "Net": stats.net.iter().map(net).collect::<Vec<_>>(),
        "Block": stats.block.iter().map(block).collect::<Vec<_>>(),
    })
}

fn vcpu(vcpu: &VcpuStats) -> Value {
    let state = match vcpu.state {
        VcpuState::Offline => 0,
        VcpuState::Running => 1,
        VcpuState::Blocked => 2,
    };
    Value::Object(numbers(&[("State", state), ("Time", vcpu.time), ("Wait", vcpu.wait), ("Delay", vcpu.delay)]))
}

fn net(net: &NetStats) -> Value {
    let mut fields =
        numbers(&[("RxBytes", net.rx_bytes), ("RxPkts", net.rx_packets), ("TxBytes", net.tx_bytes), ("TxPkts", net.tx_packets)]);
    fields.insert("Name".to_owned(), json!(net.name));
    fields.insert("NameSet".to_owned(), json!(true));
    Value::Object(fields)
}

fn block(block: &BlockStats) -> Value {
    let mut fields = numbers(&[
        ("RdReqs", block.read_requests),
        ("RdBytes", block.read_bytes),
        ("WrReqs", block.write_requests),
        ("WrBytes", block.write_bytes),
        ("Capacity", block.capacity),
    ]);
    for (name, value) in [("Name", &block.name), ("Path", &block.path)] {
        fields.insert(name.to_owned(), json!(value));
        fields.insert(format!("{name}Set"), json!(true));
    }
    Value::Object(fields)
}

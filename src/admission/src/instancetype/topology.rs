//! How the CPUs of an instance type become sockets, cores and threads (spec/instancetype.md §4).

use api::instancetype::v1beta1::{VirtualMachineInstancetypeSpec, VirtualMachinePreferenceSpec};

use crate::Causes;

/// Threads of a core when CPUs are spread over all three levels.
const THREADS_PER_CORE: u32 = 2;

/// Sockets, cores and threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Topology {
    pub(super) sockets: u32,
    pub(super) cores: u32,
    pub(super) threads: u32,
}

/// Which level CPUs go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Sockets,
    Cores,
    Threads,
    Spread,
    Any,
    /// A name that means nothing; preferences with one are refused, but stored ones may have it.
    Unknown,
}

/// The level a preference names; sockets without one.
pub(super) fn level(preference: Option<&VirtualMachinePreferenceSpec>) -> Level {
    let named = preference.and_then(|p| p.cpu.as_ref()).and_then(|c| c.preferred_cpu_topology.as_deref());
    match named.unwrap_or_default() {
        "cores" | "preferCores" => Level::Cores,
        "threads" | "preferThreads" => Level::Threads,
        "spread" | "preferSpread" => Level::Spread,
        "any" | "preferAny" => Level::Any,
        "" | "sockets" | "preferSockets" => Level::Sockets,
        _ => Level::Unknown,
    }
}

/// Between which levels CPUs are spread, and in which ratio. A ratio of 0 counts as none.
pub(super) fn spread(preference: Option<&VirtualMachinePreferenceSpec>) -> (&str, u32) {
    let options = preference.and_then(|p| p.cpu.as_ref()).and_then(|c| c.spread_options.as_ref());
    let across = options.and_then(|o| o.across.as_deref()).unwrap_or("SocketsCores");
    let ratio = options.and_then(|o| o.ratio).or(preference.and_then(|p| p.prefer_spread_socket_to_core_ratio));
    (across, ratio.filter(|r| *r != 0).unwrap_or(2))
}

/// The topology of a number of CPUs.
pub(super) fn place(guest: u32, preference: Option<&VirtualMachinePreferenceSpec>) -> Topology {
    let one = Topology { sockets: 1, cores: 1, threads: 1 };
    if guest == 1 {
        return one;
    }
    match level(preference) {
        Level::Sockets | Level::Any => Topology { sockets: guest, ..one },
        Level::Cores => Topology { cores: guest, ..one },
        Level::Threads => Topology { threads: guest, ..one },
        Level::Spread => match spread(preference) {
            ("CoresThreads", ratio) => Topology { threads: ratio, cores: guest / ratio, ..one },
            ("SocketsCoresThreads", ratio) => {
                Topology { threads: THREADS_PER_CORE, cores: ratio, sockets: guest / THREADS_PER_CORE / ratio }
            }
            ("SocketsCores", ratio) => Topology { cores: ratio, sockets: guest / ratio, ..one },
            _ => one,
        },
        Level::Unknown => one,
    }
}

/// VM16: CPUs that cannot be spread evenly.
pub(crate) fn check_spread(
    instancetype: &VirtualMachineInstancetypeSpec,
    preference: Option<&VirtualMachinePreferenceSpec>,
    causes: &mut Causes,
) {
    if level(preference) != Level::Spread {
        return;
    }
    let guest = instancetype.cpu.guest;
    let (across, ratio) = spread(preference);
    let given = format!("{guest} vCPUs provided by the instance type are not divisible by the");
    let message = match across {
        "CoresThreads" => (!guest.is_multiple_of(ratio)).then(|| format!("{given} number of threads per core {ratio}")),
        "SocketsCoresThreads" => (!guest.is_multiple_of(THREADS_PER_CORE) || !(guest / THREADS_PER_CORE).is_multiple_of(ratio))
            .then(|| format!("{given} number of threads per core {THREADS_PER_CORE} and Spec.PreferSpreadSocketToCoreRatio or Spec.CPU.PreferSpreadOptions.Ratio of {ratio}")),
        "SocketsCores" => (!guest.is_multiple_of(ratio)).then(|| {
            format!("{given} Spec.PreferSpreadSocketToCoreRatio or Spec.CPU.PreferSpreadOptions.Ratio of {ratio} provided by the preference")
        }),
        _ => None,
    };
    if let Some(message) = message {
        causes.invalid("instancetype.spec.cpu.guest", message);
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::{Topology, place};

    #[rstest]
    #[case(4, json!({}), (4, 1, 1))]
    #[case(4, json!({"preferredCPUTopology": "cores"}), (1, 4, 1))]
    #[case(4, json!({"preferredCPUTopology": "any"}), (4, 1, 1))]
    #[case(4, json!({"preferredCPUTopology": "spread"}), (2, 2, 1))]
    #[case(6, json!({"preferredCPUTopology": "preferSpread", "spreadOptions": {"ratio": 3}}), (2, 3, 1))]
    #[case(4, json!({"preferredCPUTopology": "spread", "spreadOptions": {"across": "CoresThreads"}}), (1, 2, 2))]
    #[case(8, json!({"preferredCPUTopology": "spread", "spreadOptions": {"across": "SocketsCoresThreads"}}), (2, 2, 2))]
    #[case(1, json!({"preferredCPUTopology": "threads"}), (1, 1, 1))]
    #[case(4, json!({"preferredCPUTopology": "diagonal"}), (1, 1, 1))]
    fn topologies(#[case] guest: u32, #[case] cpu: Value, #[case] (sockets, cores, threads): (u32, u32, u32)) {
        let preference = serde_json::from_value(json!({"cpu": cpu})).unwrap();
        assert_eq!(place(guest, Some(&preference)), Topology { sockets, cores, threads });
    }
}

//! Instance types and preferences (spec/admission.md §11.1, §11.2).

use api::instancetype::v1beta1::{VirtualMachineInstancetypeSpec, VirtualMachinePreferenceSpec};

use crate::{Causes, Denial};

/// IT1, IT2. Returns warnings.
///
/// # Errors
/// Every rule that is broken.
pub fn validate_instancetype(spec: &VirtualMachineInstancetypeSpec) -> Result<Vec<String>, Denial> {
    let mut causes = Causes::default();
    let percent = spec.memory.overcommit_percent.unwrap_or_default();
    let field = "spec.memory.overcommitPercent";
    if !(0..=100).contains(&percent) {
        causes.invalid(field, format!("{field} '{percent}': must be in range between 0 and 100."));
    }
    if percent != 0 && spec.memory.hugepages.is_some() {
        causes.invalid(field, format!("{field} and spec.memory.hugepages should not be requested together."));
    }
    causes.into_result()?;
    let deprecated = "launchSecurity is deprecated and will be removed in a future release. Use preference instead.";
    Ok(spec.launch_security.iter().map(|_| deprecated.to_owned()).collect())
}

/// The deprecated names of topologies, and the present ones.
const TOPOLOGIES: &[(&str, &str)] = &[
    ("preferSockets", "sockets"),
    ("preferCores", "cores"),
    ("preferThreads", "threads"),
    ("preferSpread", "spread"),
    ("preferAny", "any"),
];

/// PF1-PF3. Returns warnings.
///
/// # Errors
/// Every rule that is broken.
pub fn validate_preference(spec: &VirtualMachinePreferenceSpec) -> Result<Vec<String>, Denial> {
    let Some(cpu) = &spec.cpu else { return Ok(Vec::new()) };
    let mut causes = Causes::default();
    let topology = cpu.preferred_cpu_topology.as_deref().unwrap_or_default();
    let known = cpu.preferred_cpu_topology.is_none() || TOPOLOGIES.iter().any(|(old, new)| topology == *old || topology == *new);
    if !known {
        causes.invalid("spec.cpu.preferredCPUTopology", format!("unknown preferredCPUTopology {topology}"));
    }
    if ["spread", "preferSpread"].contains(&topology) {
        let options = cpu.spread_options.clone().unwrap_or_default();
        let across = options.across.as_deref().unwrap_or("SocketsCores");
        let ratio = options.ratio.or(spec.prefer_spread_socket_to_core_ratio.filter(|r| *r != 0)).unwrap_or(2);
        match across {
            "CoresThreads" if ratio != 2 => {
                causes.invalid(
                    "spec.cpu.spreadOptions.ratio",
                    "only a ratio of 2 (1 core 2 threads) is allowed when spreading vCPUs over cores and threads",
                );
            }
            "SocketsCores" | "CoresThreads" | "SocketsCoresThreads" => {}
            other => causes.invalid("spec.cpu.spreadOptions.across", format!("across {other} is not supported")),
        }
    }
    causes.into_result()?;
    let renamed = TOPOLOGIES.iter().find(|(old, _)| *old == topology);
    Ok(renamed
        .map(|(old, new)| format!("PreferredCPUTopology {old} is deprecated for removal in a future release, please use {new} instead"))
        .into_iter()
        .collect())
}

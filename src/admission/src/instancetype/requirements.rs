//! What a preference requires of a virtual machine (spec/instancetype.md §5).

use api::quantity;
use api::v1::VirtualMachineInstanceSpec;

use super::Resolved;
use super::topology::{Level, level, spread};
use crate::{CauseKind, Denial};

const TEMPLATE: &str = "spec.template.spec";

/// VM18: the first requirement that is not met; CPUs, memory, architecture.
pub(crate) fn check(resolved: &Resolved, spec: &VirtualMachineInstanceSpec) -> Result<(), Denial> {
    let Some(requirements) = resolved.preference.as_ref().and_then(|p| p.requirements.as_ref()) else { return Ok(()) };
    if let Some(cpu) = &requirements.cpu {
        cpus(resolved, spec, cpu.guest)?;
    }
    if let Some(memory) = &requirements.memory {
        let by_type = resolved.instancetype.as_ref();
        let guest = spec.domain.memory.as_ref().and_then(|m| m.guest.as_ref()).or(by_type.map(|t| &t.memory.guest));
        let have = guest.map(quantity::amount).unwrap_or_default();
        let wanted = quantity::amount(&memory.guest);
        if have < wanted {
            let (field, provider) = match by_type {
                Some(_) => ("spec.instancetype".to_owned(), "instance type"),
                None => (format!("{TEMPLATE}.domain.memory"), "VirtualMachine"),
            };
            let text = format!("insufficient Memory resources of {have} provided by {provider}, preference requires {wanted}");
            return Err(failure(&field, &text));
        }
    }
    if let Some(wanted) = requirements.architecture.as_deref() {
        let have = spec.architecture.as_deref().unwrap_or_default();
        if have != wanted {
            let text = format!("preference requires architecture {wanted} but {have} is being requested");
            return Err(failure(&format!("{TEMPLATE}.architecture"), &text));
        }
    }
    Ok(())
}

fn failure(field: &str, text: &str) -> Denial {
    Denial::cause(CauseKind::NotFound, field, format!("failure checking preference requirements: {text}"))
}

fn cpus(resolved: &Resolved, spec: &VirtualMachineInstanceSpec, wanted: u32) -> Result<(), Denial> {
    let insufficient =
        |have: u32, by: &str| format!("insufficient CPU resources of {have} vCPU provided by {by}, preference requires {wanted} vCPU");
    if let Some(instancetype) = &resolved.instancetype {
        let have = instancetype.cpu.guest;
        return if have < wanted { Err(failure("spec.instancetype", &insufficient(have, "instance type"))) } else { Ok(()) };
    }
    let at = |fields: &[&str]| fields.iter().map(|f| format!("{TEMPLATE}.domain.cpu.{f}")).collect::<Vec<_>>().join(", ");
    let Some(cpu) = &spec.domain.cpu else {
        let text = format!("no CPU resources provided by VirtualMachine, preference requires {wanted} vCPU");
        return Err(failure(&format!("{TEMPLATE}.domain.cpu"), &text));
    };
    let (sockets, cores, threads) = (cpu.sockets.unwrap_or_default(), cpu.cores.unwrap_or_default(), cpu.threads.unwrap_or_default());
    let preference = resolved.preference.as_ref();
    let (have, provided, fields): (u32, &str, &[&str]) = match level(preference) {
        Level::Sockets => (sockets, "sockets", &["sockets"]),
        Level::Cores => (cores, "cores", &["cores"]),
        Level::Threads => (threads, "threads", &["threads"]),
        Level::Unknown => return Ok(()),
        Level::Any => (sockets.wrapping_mul(cores).wrapping_mul(threads), "cores, sockets and threads", &["cores", "sockets", "threads"]),
        Level::Spread => match spread(preference).0 {
            "CoresThreads" => (cores.wrapping_mul(threads), "CoresThreads", &["cores", "threads"]),
            "SocketsCoresThreads" => {
                (sockets.wrapping_mul(cores).wrapping_mul(threads), "SocketsCoresThreads", &["sockets", "cores", "threads"])
            }
            _ => (sockets.wrapping_mul(cores), "SocketsCores", &["sockets", "cores"]),
        },
    };
    if have < wanted {
        let text = format!("{} provided as {provided}", insufficient(have, "VirtualMachine"));
        return Err(failure(&at(fields), &text));
    }
    Ok(())
}

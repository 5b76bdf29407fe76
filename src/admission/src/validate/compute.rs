//! Names, memory, machine, CPU (spec/admission.md §5.2).

use std::collections::BTreeMap;

use api::quantity::{self, Amount};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::spec::SpecContext;
use crate::{Causes, text};

/// The text of a resource that is given.
fn raw<'a>(of: &'a BTreeMap<String, Quantity>, name: &str) -> &'a str {
    of.get(name).map_or("0", |q| q.0.as_str())
}

fn amount(of: &BTreeMap<String, Quantity>, name: &str) -> Amount {
    of.get(name).map(quantity::amount).unwrap_or_default()
}

/// The facts the rules of this file look at.
struct Facts<'a> {
    cx: &'a SpecContext<'a>,
    requests: BTreeMap<String, Quantity>,
    limits: BTreeMap<String, Quantity>,
    cpu: api::v1::CPU,
    guest: Option<Quantity>,
    page_size: Option<String>,
}

impl Facts<'_> {
    fn request(&self, name: &str) -> String {
        self.cx.domain(&format!("resources.requests.{name}"))
    }

    fn limit(&self, name: &str) -> String {
        self.cx.domain(&format!("resources.limits.{name}"))
    }

    /// The product of the topology's parts that are set; 0 if none is.
    fn vcpus(&self) -> i64 {
        let parts: Vec<i64> =
            [self.cpu.cores, self.cpu.sockets, self.cpu.threads].into_iter().filter_map(|n| n.filter(|n| *n != 0).map(i64::from)).collect();
        if parts.is_empty() { 0 } else { parts.iter().fold(1, |a, b| a.saturating_mul(*b)) }
    }
}

/// S1-S36.
pub(super) fn validate(cx: &SpecContext<'_>, causes: &mut Causes) {
    let domain = &cx.spec.domain;
    let resources = domain.resources.clone().unwrap_or_default();
    let facts = Facts {
        cx,
        requests: resources.requests,
        limits: resources.limits,
        cpu: domain.cpu.clone().unwrap_or_default(),
        guest: domain.memory.as_ref().and_then(|m| m.guest.clone()),
        page_size: domain.memory.as_ref().and_then(|m| m.hugepages.as_ref()).map(|h| h.page_size.clone().unwrap_or_default()),
    };
    names(cx, causes);
    memory(&facts, causes);
    machine(cx, causes);
    acpi(cx, causes);
    cpu_resources(&facts, causes);
    if facts.cpu.dedicated_cpu_placement == Some(true) {
        dedicated(&facts, causes);
    }
    cpu_features(&facts, causes);
}

fn names(cx: &SpecContext<'_>, causes: &mut Causes) {
    if let Some(name) = cx.spec.hostname.as_deref().filter(|n| !n.is_empty()) {
        let errors = text::dns_label(name);
        if !errors.is_empty() {
            let field = cx.at("hostname");
            let message = format!("{field} does not conform to the kubernetes DNS_LABEL rules : {}", errors.join(", "));
            causes.invalid(field, message);
        }
    }
    if let Some(name) = cx.spec.subdomain.as_deref().filter(|n| !n.is_empty()) {
        let errors = text::dns_subdomain(name);
        if !errors.is_empty() {
            let field = cx.at("subdomain");
            let message = format!("{field} does not conform to the kubernetes DNS_SUBDOMAIN rules : {}", errors.join(", "));
            causes.invalid(field, message);
        }
    }
}

/// S3-S10.
fn memory(f: &Facts<'_>, causes: &mut Causes) {
    let (request, limit) = (amount(&f.requests, "memory"), amount(&f.limits, "memory"));
    let (request_text, limit_text) = (raw(&f.requests, "memory"), raw(&f.limits, "memory"));
    let (at, limit_at) = (f.request("memory"), f.limit("memory"));
    if request.value() < 0 {
        causes.invalid(&at, format!("{at} '{request_text}': must be greater than or equal to 0."));
    }
    if request.value() > 0 && request < Amount::whole(1_000_000) {
        causes.invalid(&at, format!("{at} '{request_text}': must be greater than or equal to 1M."));
    }
    if limit.value() < 0 {
        causes.invalid(&limit_at, format!("{limit_at} '{limit_text}': must be greater than or equal to 0."));
    }
    if limit.value() > 0 && request.value() > limit.value() {
        causes.invalid(&at, format!("{at} '{request_text}' is greater than {limit_at} '{limit_text}'"));
    }
    hugepages(f, causes);
    if let Some(guest) = &f.guest
        && !f.cx.config.live_update()
        && limit.value() != 0
        && quantity::amount(guest).value() > limit.value()
    {
        let field = f.cx.domain("memory.guest");
        let message = format!("{field} '{}' must be equal to or less than the memory limit {limit_at} '{limit_text}'", guest.0);
        causes.invalid(field, message);
    }
}

/// S7-S9.
fn hugepages(f: &Facts<'_>, causes: &mut Causes) {
    let Some(size_text) = &f.page_size else { return };
    let size_at = f.cx.domain("memory.hugepages.pageSize");
    let Some(size) = quantity::parse(size_text) else {
        let message =
            format!("{size_at} '{size_text}': quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
        causes.invalid(size_at, message);
        return;
    };
    let memory = [amount(&f.requests, "memory"), f.guest.as_ref().map(quantity::amount).unwrap_or_default(), amount(&f.limits, "memory")]
        .into_iter()
        .find(|a| a.value() != 0)
        .unwrap_or_default();
    let at = f.request("memory");
    let request = raw(&f.requests, "memory");
    if memory.value() != 0 && memory.value() < size.value() {
        causes.invalid(&at, format!("{at} '{request}' must be equal to or larger than page size {size_at} '{size_text}'"));
    } else if size.value() != 0 && memory.value() % size.value() != 0 {
        causes.invalid(&at, format!("{at} '{request}' is not a multiple of the page size {size_at} '{size_text}'"));
    }
}

/// S11.
fn machine(cx: &SpecContext<'_>, causes: &mut Causes) {
    let Some(machine) = cx.spec.domain.machine.as_ref().and_then(|m| m.r#type.as_deref()).filter(|t| !t.is_empty()) else { return };
    let allowed = cx.config.emulated_machines(cx.spec.architecture.as_deref().unwrap_or_default());
    if !allowed.iter().any(|glob| text::glob(glob, machine)) {
        let field = cx.domain("machine.type");
        let message = format!("{field} is not supported: {machine} (allowed values: [{}])", allowed.join(" "));
        causes.invalid(field, message);
    }
}

/// S12-S14.
fn acpi(cx: &SpecContext<'_>, causes: &mut Causes) {
    let Some(acpi) = cx.spec.domain.firmware.as_ref().and_then(|f| f.acpi.as_ref()) else { return };
    let slic = acpi.slic_name_ref.as_deref().unwrap_or_default();
    let msdm = acpi.msdm_name_ref.as_deref().unwrap_or_default();
    if slic.is_empty() && msdm.is_empty() {
        causes.invalid(cx.at("acpi"), "ACPI was set but no SLIC nor MSDM volume reference was set");
        return;
    }
    for (name, key) in [(slic, "slicNameRef"), (msdm, "msdmNameRef")] {
        if name.is_empty() {
            continue;
        }
        let field = cx.at(&format!("acpi.{key}"));
        match cx.volume(name) {
            None => causes.invalid(field, format!("{} does not have a matching Volume.", cx.at("acpi"))),
            Some(v) if v.secret.is_none() => {
                causes.invalid(field, format!("{} refers to Volume of unsupported type.", cx.at("acpi")));
            }
            Some(_) => {}
        }
    }
}

/// S15-S17.
fn cpu_resources(f: &Facts<'_>, causes: &mut Causes) {
    let (request, limit) = (amount(&f.requests, "cpu"), amount(&f.limits, "cpu"));
    let (request_text, limit_text) = (raw(&f.requests, "cpu"), raw(&f.limits, "cpu"));
    let (at, limit_at) = (f.request("cpu"), f.limit("cpu"));
    if request.milli_value() < 0 {
        causes.invalid(&at, format!("{at} '{request_text}': must be greater than or equal to 0."));
    }
    if limit.milli_value() < 0 {
        causes.invalid(&limit_at, format!("{limit_at} '{limit_text}': must be greater than or equal to 0."));
    }
    if limit.milli_value() > 0 && request.milli_value() > limit.milli_value() {
        causes.invalid(&at, format!("{at} '{request_text}' is greater than {limit_at} '{limit_text}'"));
    }
}

/// S18-S26.
fn dedicated(f: &Facts<'_>, causes: &mut Causes) {
    let placement = f.cx.domain("cpu.dedicatedCpuPlacement");
    let (cpu_request, cpu_limit) = (amount(&f.requests, "cpu"), amount(&f.limits, "cpu"));
    let (cpu_at, cpu_limit_at) = (f.request("cpu"), f.limit("cpu"));
    let (memory_request, memory_limit) = (amount(&f.requests, "memory"), amount(&f.limits, "memory"));
    let guest = f.guest.as_ref().map(quantity::amount).unwrap_or_default();
    if memory_request.is_zero() && memory_limit.is_zero() && f.page_size.is_none() && guest.is_zero() {
        let message = format!(
            "{}, {}, {} or {} should be provided",
            f.request("memory"),
            f.limit("memory"),
            f.cx.domain("memory.hugepages"),
            f.cx.domain("memory.guest"),
        );
        causes.invalid(f.limit("memory"), message);
    }
    if cpu_request.milli_value() > 0 && cpu_request.milli_value() % 1000 != 0 {
        causes.invalid(&cpu_at, "provided resources CPU requests must be an interger");
    }
    if cpu_limit.milli_value() > 0 && cpu_limit.milli_value() % 1000 != 0 {
        causes.invalid(&cpu_limit_at, "provided resources CPU limits must be an interger");
    }
    if memory_request.value() > 0 && memory_limit.value() > 0 && memory_request.value() != memory_limit.value() {
        causes.invalid(f.request("memory"), format!("{} must be equal to {}", f.request("memory"), f.limit("memory")));
    }
    let vcpus = f.vcpus();
    let cores = f.cx.domain("cpu.cores");
    if cpu_request.value() == 0 && cpu_limit.value() == 0 && vcpus == 0 {
        let message = format!("either {cpu_at} or {cpu_limit_at} or {cores} must be provided when DedicatedCPUPlacement is true ");
        causes.invalid(&placement, message);
    }
    if cpu_request.value() > 0 && cpu_limit.value() > 0 && cpu_request.value() != cpu_limit.value() {
        causes.invalid(&placement, format!("{cpu_at} or {cpu_limit_at} must be equal when DedicatedCPUPlacement is true "));
    }
    if (cpu_request.value() > 0 || cpu_limit.value() > 0) && vcpus > 0 && cpu_request.value() != vcpus && cpu_limit.value() != vcpus {
        let message =
            format!("{cpu_at} or {cpu_limit_at} must not be provided at the same time with {cores} when DedicatedCPUPlacement is true ");
        causes.invalid(&placement, message);
    }
    let threads = f.cpu.threads.unwrap_or_default();
    let threads_at = f.cx.domain("cpu.threads");
    if threads > 1 && f.cx.architecture() == "arm64" {
        let at = f.cx.at("architecture");
        let message = format!("threads must not be greater than 1 at {threads_at} (got {threads}) when {at} is arm64");
        causes.invalid(at, message);
    }
    if threads > 2 {
        let message =
            format!("Not more than two threads must be provided at {threads_at} (got {threads}) when DedicatedCPUPlacement is true");
        causes.invalid(&placement, message);
    }
}

/// S28-S36.
fn cpu_features(f: &Facts<'_>, causes: &mut Causes) {
    let cx = f.cx;
    let dedicated = f.cpu.dedicated_cpu_placement == Some(true);
    let placement = cx.domain("cpu.dedicatedCpuPlacement");
    let mapping = cx.domain("cpu.numa.guestMappingPassthrough");
    let mapped = f.cpu.numa.as_ref().is_some_and(|n| n.guest_mapping_passthrough.is_some());
    if mapped {
        if !dedicated {
            causes.invalid(&mapping, format!("{placement} must be set to true when NUMA topology strategy is set in {mapping}"));
        }
        if f.page_size.is_none() {
            let pages = cx.domain("memory.hugepages");
            causes.invalid(&mapping, format!("{pages} must be requested when NUMA topology strategy is set in {mapping}"));
        }
    }
    if f.cpu.isolate_emulator_thread == Some(true) && !dedicated {
        let message = "IsolateEmulatorThread should be only set in combination with DedicatedCPUPlacement";
        causes.invalid(cx.domain("cpu.isolateEmulatorThread"), message);
    }
    for (i, feature) in f.cpu.features.iter().enumerate() {
        let policy = feature.policy.as_deref().unwrap_or_default();
        if !["", "force", "require", "optional", "disable", "forbid"].contains(&policy) {
            let message = format!("CPU feature {} uses policy {policy} that is not supported.", feature.name);
            causes.not_supported(cx.domain(&format!("cpu.features[{i}].policy")), message);
        }
    }
    sockets(cx, causes);
    if let Some(strategy) = &cx.spec.start_strategy {
        let field = cx.at("startStrategy");
        if strategy != "Paused" {
            causes.invalid(&field, format!("{field} is set with an unrecognized option: {strategy}"));
        } else if cx.spec.liveness_probe.is_some() {
            let probe = cx.at("livenessProbe");
            let message = format!("either {field} or {probe} should be provided.Pausing VMI with LivenessProbe is not supported");
            causes.invalid(field, message);
        }
    }
    if f.cpu.realtime.is_some() {
        let realtime = cx.domain("cpu.realtime");
        if !dedicated {
            causes.required(&placement, format!("{placement} must be set to true when {realtime} is used"));
        }
        if !mapped {
            causes.required(&mapping, format!("{mapping} must be defined when {realtime} is used"));
        }
    }
}

/// S32, and VM14 under another name.
pub(super) fn sockets(cx: &SpecContext<'_>, causes: &mut Causes) {
    let Some(cpu) = &cx.spec.domain.cpu else { return };
    let max = cpu.max_sockets.unwrap_or_default();
    if max != 0 && cpu.sockets.unwrap_or_default() > max {
        let message = "Number of sockets in CPU topology is greater than the maximum sockets allowed";
        causes.invalid(cx.domain("cpu.sockets"), message);
    }
}

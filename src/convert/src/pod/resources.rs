//! Requests and limits of `compute`. Source: spec/pod.md §5.1–5.5.

use std::collections::BTreeMap;

use api::quantity::{Amount, Notation, parse};
use api::v1::VirtualMachineInstance;
use k8s_openapi::api::core::v1::{ResourceClaim, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Context, PodError, some_list};
use crate::settings::Settings;
use crate::vmi;

type Amounts = BTreeMap<String, Amount>;

/// Ephemeral storage for overlays and logs.
const EPHEMERAL_STORAGE: i64 = 50_000_000;

/// The two layers of the rules: what is computed, and what the VMI asks for itself, which wins.
#[derive(Default)]
struct Renderer {
    computed_requests: Amounts,
    computed_limits: Amounts,
    requests: Amounts,
    limits: Amounts,
    claims: Vec<ResourceClaim>,
}

/// The resources of `compute`.
pub(super) fn render(
    vmi: &VirtualMachineInstance,
    cx: &Context<'_>,
    settings: Settings<'_>,
    overhead: Amount,
) -> Result<ResourceRequirements, PodError> {
    let own = |map: Option<&BTreeMap<String, Quantity>>| -> Amounts {
        map.into_iter().flatten().filter_map(|(name, q)| Some((name.clone(), parse(&q.0)?))).collect()
    };
    let resources = vmi.spec.domain.resources.as_ref();
    let mut renderer =
        Renderer { requests: own(resources.map(|r| &r.requests)), limits: own(resources.map(|r| &r.limits)), ..Renderer::default() };
    renderer.base(vmi, settings)?;
    renderer.memory_request(vmi, settings);
    if vmi::has_dedicated_cpus(vmi) {
        renderer.dedicated_cpus(vmi);
    } else {
        renderer.shared_cpus(vmi, cx, settings);
    }
    let quota_memory = cx.namespace.memory_limits_required && vmi::limit(vmi, "memory").is_none();
    if let Some(size) = vmi::hugepage_size(vmi) {
        renderer.hugepages(vmi, size, overhead);
    } else {
        renderer.memory_overhead(vmi, overhead);
    }
    if quota_memory {
        renderer.auto_memory_limit(cx);
    }
    renderer.devices(vmi, cx, settings);
    Ok(renderer.finish())
}

impl Renderer {
    /// §5.1: ephemeral storage, hypervisor and network devices, and the check of what may be passed through.
    fn base(&mut self, vmi: &VirtualMachineInstance, settings: Settings<'_>) -> Result<(), PodError> {
        let storage = Amount::whole(EPHEMERAL_STORAGE);
        add(&mut self.requests, "ephemeral-storage", storage);
        if let Some(limit) = self.limits.get_mut("ephemeral-storage") {
            *limit = limit.plus(storage);
        }
        let devices = &vmi.spec.domain.devices;
        let mut one = |name: &str| self.limits.insert(format!("devices.kubevirt.io/{name}"), Amount::whole(1));
        if !devices.interfaces.is_empty() || vmi::unless_off(devices.autoattach_pod_interface) {
            one("tun");
        }
        let virtio = |i: &api::v1::Interface| i.model.as_deref().is_none_or(|m| m.is_empty() || m == "virtio");
        if !settings.use_emulation() {
            if devices.interfaces.iter().any(virtio) {
                one("vhost-net");
            }
            one(if settings.hypervisor() == "hyperv-direct" { "mshv" } else { "kvm" });
        }
        if devices.autoattach_vsock == Some(true) {
            one("vhost-vsock");
        }
        permitted(vmi, settings)
    }

    /// Rule 1: a memory request where the VMI has none.
    fn memory_request(&mut self, vmi: &VirtualMachineInstance, settings: Settings<'_>) {
        let unset = self.requests.get("memory").is_none_or(|m| m.is_zero());
        if let Some(limit) = self.limits.get("memory").copied().filter(|m| unset && !m.is_zero()) {
            self.requests.insert("memory".to_owned(), limit);
        }
        if self.requests.contains_key("memory") {
            return;
        }
        let Some(memory) = vmi::guest_memory(vmi).or_else(|| parse(vmi::hugepage_size(vmi)?)) else { return };
        let overcommit = settings.memory_overcommit();
        let requested =
            if overcommit == 100 { memory } else { with_value(memory, (i128::from(memory.value()) * 100 / i128::from(overcommit)) as i64) };
        self.requests.insert("memory".to_owned(), requested);
    }

    /// §5.3.
    fn dedicated_cpus(&mut self, vmi: &VirtualMachineInstance) {
        let vcpus = vmi::cpu_product(vmi.spec.domain.cpu.as_ref());
        let threads = i64::from(vmi::supplemental_threads(vmi));
        if vcpus != 0 {
            let total = Amount::whole(vcpus.saturating_add(threads));
            self.limits.insert("cpu".to_owned(), total);
            self.requests.insert("cpu".to_owned(), total);
        } else {
            for side in [&mut self.limits, &mut self.requests] {
                if let Some(cpu) = side.get_mut("cpu") {
                    *cpu = cpu.plus(Amount::whole(threads));
                }
            }
        }
        if vmi::isolates_emulator(vmi) {
            // The threads of the pool are in the limit already and are counted again, as upstream does.
            let additional = if vmi::has_supplemental_pool(vmi) { threads } else { 0 };
            let limit = self.limits.get("cpu").map_or(0, |c| c.value());
            let emulator = if vmi::wants_even_parity(vmi) && limit.wrapping_add(additional) % 2 == 0 { 2 } else { 1 };
            add(&mut self.limits, "cpu", Amount::whole(emulator));
            if let Some(cpu) = self.requests.get_mut("cpu") {
                *cpu = cpu.plus(Amount::whole(emulator));
            }
        }
        if let Some(memory) = self.requests.get("memory").copied() {
            self.limits.insert("memory".to_owned(), memory);
        }
    }

    /// §5.4: a share of a CPU for each vCPU, and a limit where the namespace wants one.
    fn shared_cpus(&mut self, vmi: &VirtualMachineInstance, cx: &Context<'_>, settings: Settings<'_>) {
        let vcpus = if vmi.spec.domain.cpu.is_some() { vmi::cpu_product(vmi.spec.domain.cpu.as_ref()) } else { 1 };
        let total = vcpus.saturating_add(vmi::supplemental_threads(vmi).into());
        if total == 0 {
            return;
        }
        let ratio = settings.cpu_allocation_ratio();
        if ratio > 0 {
            let share = total as f64 / ratio as f64;
            let text = if share < 1.0 { format!("{}m", share * 1000.0) } else { share.to_string() };
            if let Some(cpu) = parse(&text) {
                self.computed_requests.insert("cpu".to_owned(), cpu);
            }
        }
        let wanted = cx.namespace.cpu_limits_required || settings.auto_cpu_limit(&cx.namespace.labels);
        if wanted && vmi::limit(vmi, "cpu").is_none() {
            self.computed_limits.insert("cpu".to_owned(), Amount::whole(total));
        }
    }

    /// §5.5: the guest's memory comes from huge pages, the rest from ordinary ones.
    fn hugepages(&mut self, vmi: &VirtualMachineInstance, size: &str, overhead: Amount) {
        let requested = self.requests.get("memory").copied().unwrap_or_default();
        let guest = vmi::guest_memory(vmi);
        let pages = match guest {
            Some(guest) if requested > guest => guest,
            _ => requested,
        };
        let beyond = |amount: Option<&Amount>| match (amount, guest) {
            (Some(amount), Some(guest)) if *amount > guest => Amount::default().plus(*amount).minus(guest),
            _ => Amount::default(),
        };
        let name = format!("hugepages-{size}");
        self.computed_requests.insert(name.clone(), pages);
        self.computed_limits.insert(name, pages);
        let request = beyond(self.requests.get("memory")).plus(overhead);
        self.requests.insert("memory".to_owned(), request);
        if self.limits.contains_key("memory") {
            let limit = beyond(self.limits.get("memory")).plus(overhead);
            self.limits.insert("memory".to_owned(), limit);
        }
    }

    /// Rule 5.
    fn memory_overhead(&mut self, vmi: &VirtualMachineInstance, overhead: Amount) {
        let overcommit = vmi.spec.domain.resources.as_ref().and_then(|r| r.overcommit_guest_overhead) == Some(true);
        if !overcommit {
            add(&mut self.requests, "memory", overhead);
        }
        if let Some(limit) = self.limits.get_mut("memory") {
            *limit = limit.plus(overhead);
        }
    }

    /// Rule 6: a memory limit for a namespace whose quota demands one.
    fn auto_memory_limit(&mut self, cx: &Context<'_>) {
        const LABEL: &str = "alpha.kubevirt.io/auto-memory-limits-ratio";
        const RATIO: f64 = 2.0;
        let ratio = cx.namespace.labels.get(LABEL).and_then(|r| r.parse::<f64>().ok()).filter(|r| *r >= 1.0).unwrap_or(RATIO);
        if let Some(request) = self.requests.get("memory").copied() {
            self.computed_limits.insert("memory".to_owned(), with_value(request, (request.value() as f64 * ratio) as i64));
        }
    }

    /// Rules 7 to 16: devices, in requests and limits alike.
    fn devices(&mut self, vmi: &VirtualMachineInstance, cx: &Context<'_>, settings: Settings<'_>) {
        let devices = &vmi.spec.domain.devices;
        let mut counted: Vec<String> = cx.network_resources.values().cloned().collect();
        for gpu in &devices.gpus {
            match (&gpu.claim_name, &gpu.device_name) {
                (Some(claim), None) if settings.gate("GPUsWithDRA") => self.claim(claim, gpu.request_name.as_ref()),
                (None, Some(device)) => counted.push(device.clone()),
                _ => {}
            }
        }
        for host in &devices.host_devices {
            match (&host.claim_name, &host.device_name) {
                (Some(claim), None) if settings.gate("HostDevicesWithDRA") => self.claim(claim, host.request_name.as_ref()),
                (None, Some(device)) => counted.push(device.clone()),
                _ => {}
            }
        }
        if settings.gate("NetworkDevicesWithDRA") {
            for network in vmi.spec.networks.iter().filter_map(|n| n.resource_claim.as_ref()) {
                if let Some(claim) = &network.claim_name {
                    self.claim(claim, network.request_name.as_ref());
                }
            }
        }
        let reservation = devices.disks.iter().any(|d| d.lun.as_ref().is_some_and(|l| l.reservation == Some(true)));
        for (name, wanted) in
            [("sev", vmi::is_sev(vmi)), ("tdx", vmi::is_tdx(vmi)), ("pr-helper", reservation), ("iommufd", settings.gate("IOMMUFD"))]
        {
            if wanted {
                counted.push(format!("devices.kubevirt.io/{name}"));
            }
        }
        for name in counted {
            add(&mut self.computed_limits, &name, Amount::whole(1));
            let limit = self.computed_limits.get(&name).copied().unwrap_or_default();
            self.computed_requests.insert(name, limit);
        }
    }

    fn claim(&mut self, name: &str, request: Option<&String>) {
        self.claims.push(ResourceClaim { name: name.to_owned(), request: request.cloned() });
    }

    fn finish(mut self) -> ResourceRequirements {
        self.computed_requests.append(&mut self.requests);
        self.computed_limits.append(&mut self.limits);
        let wire = |amounts: Amounts| -> Option<BTreeMap<String, Quantity>> {
            (!amounts.is_empty()).then(|| amounts.into_iter().map(|(name, amount)| (name, amount.quantity())).collect())
        };
        ResourceRequirements { requests: wire(self.computed_requests), limits: wire(self.computed_limits), claims: some_list(self.claims) }
    }
}

fn add(amounts: &mut Amounts, name: &str, amount: Amount) {
    let entry = amounts.entry(name.to_owned()).or_default();
    *entry = entry.plus(amount);
}

/// Another number of bytes in the notation of `like`.
fn with_value(like: Amount, bytes: i64) -> Amount {
    if like.notation() == Notation::Binary { Amount::bytes(bytes) } else { Amount::whole(bytes) }
}

/// Every device must be one the cluster permits, once it permits any.
fn permitted(vmi: &VirtualMachineInstance, settings: Settings<'_>) -> Result<(), PodError> {
    let Some(permitted) = settings.permitted_host_devices() else { return Ok(()) };
    let devices = &vmi.spec.domain.devices;
    let mut errors = Vec::new();
    for (what, device) in devices
        .gpus
        .iter()
        .filter(|g| !(g.claim_name.is_some() && settings.gate("GPUsWithDRA")))
        .map(|g| ("GPU", g.device_name.as_deref()))
        .chain(
            devices
                .host_devices
                .iter()
                .filter(|h| !(h.claim_name.is_some() && settings.gate("HostDevicesWithDRA")))
                .map(|h| ("HostDevice", h.device_name.as_deref())),
        )
    {
        let device = device.unwrap_or_default();
        let known = permitted.pci_host_devices.iter().any(|d| d.resource_name == device)
            || permitted.mediated_devices.iter().any(|d| d.resource_name == device)
            || permitted.usb.iter().any(|d| d.resource_name == device);
        if !known {
            errors.push(format!("{what} {device} is not permitted in permittedHostDevices configuration"));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(PodError::DevicesNotPermitted(errors.join(" "))) }
}

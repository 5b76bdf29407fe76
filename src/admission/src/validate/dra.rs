//! Resource claims and the devices that use them (spec/admission.md §5.5).

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use super::spec::SpecContext;
use crate::{CauseKind, Causes, text};

/// A GPU or host device, as far as these rules look at it.
struct Device<'a> {
    device_name: &'a str,
    claim: Option<(&'a str, &'a str)>,
}

/// Pairs of claim and request, with the index of the first device that uses each.
type Pairs = BTreeMap<String, usize>;

/// What valid devices of a kind use.
#[derive(Default)]
struct Used {
    claims: BTreeSet<String>,
    pairs: Pairs,
}

/// D1-D16.
pub(super) fn validate(cx: &SpecContext<'_>, causes: &mut Causes) {
    claims(cx, causes);
    let devices = &cx.spec.domain.devices;
    let gpus: Vec<_> =
        devices.gpus.iter().map(|g| device(g.device_name.as_deref(), g.claim_name.as_deref(), g.request_name.as_deref())).collect();
    let hosts: Vec<_> =
        devices.host_devices.iter().map(|h| device(h.device_name.as_deref(), h.claim_name.as_deref(), h.request_name.as_deref())).collect();
    let by_gpus = list(cx, "gpus", "GPU", "GPUsWithDRA", &gpus, causes);
    let by_hosts = list(cx, "hostDevices", "HostDevice", "HostDevicesWithDRA", &hosts, causes);
    shared(cx, &by_gpus.pairs, &by_hosts.pairs, causes);
    let declared: BTreeSet<&str> = cx.spec.resource_claims.iter().map(|c| c.name.as_str()).collect();
    if by_gpus.claims.union(&by_hosts.claims).any(|c| !declared.contains(c.as_str())) {
        let message =
            "vmi.spec.resourceClaims must specify all claims used in vmi.spec.domain.devices.gpus and vmi.spec.domain.devices.hostDevices";
        causes.invalid(cx.at("resourceClaims"), message);
    }
}

fn device<'a>(name: Option<&'a str>, claim: Option<&'a str>, request: Option<&'a str>) -> Device<'a> {
    let text = |v: Option<&'a str>| v.unwrap_or_default();
    let claimed = claim.is_some() || request.is_some();
    Device { device_name: text(name), claim: claimed.then(|| (text(claim), text(request))) }
}

/// D1-D7.
fn claims(cx: &SpecContext<'_>, causes: &mut Causes) {
    let mut seen = BTreeSet::new();
    for (i, claim) in cx.spec.resource_claims.iter().enumerate() {
        let base = cx.at(&format!("resourceClaims[{i}]"));
        let field = format!("{base}.name");
        if claim.name.is_empty() {
            causes.required(&field, format!("{field} is a required field"));
        } else if !seen.insert(&claim.name) {
            causes.duplicate(&field, format!("duplicate resourceClaims name {:?}", claim.name));
        } else {
            let errors = text::dns_label(&claim.name);
            if !errors.is_empty() {
                causes.invalid(&field, format!("{field} does not conform to the kubernetes DNS_LABEL rules: {}", errors.join(", ")));
            }
        }
        match (&claim.resource_claim_name, &claim.resource_claim_template_name) {
            (Some(_), Some(_)) => {
                causes.invalid(&base, "at most one of resourceClaimName or resourceClaimTemplateName may be specified");
            }
            (None, None) => causes.invalid(&base, "must specify one of: resourceClaimName, resourceClaimTemplateName"),
            _ => {}
        }
        for (name, value) in
            [("resourceClaimName", &claim.resource_claim_name), ("resourceClaimTemplateName", &claim.resource_claim_template_name)]
        {
            for error in value.iter().flat_map(|v| text::dns_subdomain(v)) {
                causes.invalid(format!("{base}.{name}"), error);
            }
        }
    }
}

/// D8-D14.
fn list(cx: &SpecContext<'_>, name: &str, kind: &str, gate: &str, devices: &[Device<'_>], causes: &mut Causes) -> Used {
    let field = cx.domain(&format!("devices.{name}"));
    let path = format!("vmi.spec.domain.devices.{name}");
    let dra = |d: &Device<'_>| d.device_name.is_empty() && d.claim.is_some();
    let claimed = devices.iter().filter(|d| dra(d)).count();
    if kind == "GPU" && claimed > 0 && claimed < devices.len() {
        causes.invalid(field, format!("{path} contains both DRA and non-DRA {kind}s; each {kind} must be either DRA or non-DRA"));
        return Used::default();
    }
    for device in devices.iter().filter(|d| !dra(d)) {
        if device.device_name.is_empty() {
            let message = format!(
                "{path} contains {kind}s without deviceName or claimRequest; each {kind} must specify either a deviceName or a claimRequest"
            );
            causes.required(&field, message);
        } else if device.claim.is_some() {
            causes.invalid(&field, format!("{path} contains {kind}s with both deviceName and claimRequest"));
        }
    }
    if claimed > 0 && !cx.config.gate(gate) {
        causes.invalid(field, format!("{path} contains DRA enabled {kind}s but feature gate is not enabled"));
        return Used::default();
    }
    let mut used = Used::default();
    for (i, device) in devices.iter().enumerate() {
        let Some((claim, request)) = device.claim.filter(|_| device.device_name.is_empty()) else { continue };
        if claim.is_empty() {
            causes.required(format!("{field}[{i}].claimName"), format!("claimName is required for DRA {kind}"));
        }
        if request.is_empty() {
            causes.required(format!("{field}[{i}].requestName"), format!("requestName is required for DRA {kind}"));
        }
        if claim.is_empty() || request.is_empty() {
            continue;
        }
        used.claims.insert(claim.to_owned());
        let key = format!("{claim}/{request}");
        match used.pairs.entry(key) {
            Entry::Occupied(pair) => {
                causes.duplicate(format!("{field}[{i}]"), format!("duplicate claimName/requestName pair {:?}", pair.key()));
            }
            Entry::Vacant(pair) => {
                pair.insert(i);
            }
        }
    }
    used
}

/// D15: no pair is used by two kinds of device.
fn shared(cx: &SpecContext<'_>, gpus: &Pairs, hosts: &Pairs, causes: &mut Causes) {
    let networks = if cx.config.gate("NetworkDevicesWithDRA") { network_pairs(cx) } else { Pairs::new() };
    let mut owners: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for (kind, base, pairs) in [
        ("GPUs", cx.domain("devices.gpus"), gpus),
        ("HostDevices", cx.domain("devices.hostDevices"), hosts),
        ("Networks", cx.at("networks"), &networks),
    ] {
        for (key, i) in pairs {
            if let Some((owner, j)) = owners.get(key.as_str()) {
                let message = format!("duplicate claimName/requestName pair {key:?} between {owner}[{j}] and {kind}[{i}]");
                causes.add(CauseKind::Duplicate, format!("{base}[{i}]"), message);
            } else {
                owners.insert(key, (kind, *i));
            }
        }
    }
}

/// The pairs networks use.
pub(super) fn network_pairs(cx: &SpecContext<'_>) -> Pairs {
    let mut pairs = Pairs::new();
    for (i, network) in cx.spec.networks.iter().enumerate() {
        let Some(claim) = &network.resource_claim else { continue };
        if let (Some(name), Some(request)) = (&claim.claim_name, &claim.request_name)
            && !name.is_empty()
            && !request.is_empty()
        {
            pairs.entry(format!("{name}/{request}")).or_insert(i);
        }
    }
    pairs
}

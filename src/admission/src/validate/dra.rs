//! Resource claims and the devices that use them (spec/admission.md §5.5).

use std::collections::BTreeSet;

use super::spec::SpecContext;
use crate::{CauseKind, Causes, text};

/// A GPU or host device, as far as these rules look at it.
struct Device<'a> {
    device_name: &'a str,
    claim: Option<(&'a str, &'a str)>,
}

/// D1-D16.
pub(super) fn validate(cx: &SpecContext<'_>, causes: &mut Causes) {
    claims(cx, causes);
    let devices = &cx.spec.domain.devices;
    let device = |name: &'_ Option<String>, claim: &'_ Option<String>, request: &'_ Option<String>| -> (String, Option<(String, String)>) {
        let text = |v: &Option<String>| v.clone().unwrap_or_default();
        let claimed = claim.is_some() || request.is_some();
        (text(name), claimed.then(|| (text(claim), text(request))))
    };
    let gpus: Vec<_> = devices.gpus.iter().map(|g| device(&g.device_name, &g.claim_name, &g.request_name)).collect();
    let hosts: Vec<_> = devices.host_devices.iter().map(|h| device(&h.device_name, &h.claim_name, &h.request_name)).collect();
    list(cx, "gpus", "GPU", "GPUsWithDRA", &borrow(&gpus), causes);
    list(cx, "hostDevices", "HostDevice", "HostDevicesWithDRA", &borrow(&hosts), causes);
    shared(cx, &borrow(&gpus), &borrow(&hosts), causes);
    let declared: BTreeSet<&str> = cx.spec.resource_claims.iter().map(|c| c.name.as_str()).collect();
    let used = gpus.iter().chain(&hosts).filter_map(|(_, c)| c.as_ref()).map(|(claim, _)| claim.as_str());
    if used.filter(|c| !c.is_empty()).any(|c| !declared.contains(c)) {
        let message =
            "vmi.spec.resourceClaims must specify all claims used in vmi.spec.domain.devices.gpus and vmi.spec.domain.devices.hostDevices";
        causes.invalid(cx.at("resourceClaims"), message);
    }
}

fn borrow(list: &[(String, Option<(String, String)>)]) -> Vec<Device<'_>> {
    list.iter().map(|(name, claim)| Device { device_name: name, claim: claim.as_ref().map(|(c, r)| (c.as_str(), r.as_str())) }).collect()
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
        }
        let errors = text::dns_label(&claim.name);
        if !claim.name.is_empty() && !errors.is_empty() {
            causes.invalid(&field, format!("{field} does not conform to the kubernetes DNS_LABEL rules: {}", errors.join(", ")));
        }
        match (&claim.resource_claim_name, &claim.resource_claim_template_name) {
            (Some(_), Some(_)) => {
                causes.invalid(&base, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified");
            }
            (None, None) => causes.invalid(&base, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"),
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
fn list(cx: &SpecContext<'_>, name: &str, kind: &str, gate: &str, devices: &[Device<'_>], causes: &mut Causes) {
    let field = cx.domain(&format!("devices.{name}"));
    let path = format!("vmi.spec.domain.devices.{name}");
    let dra = |d: &&Device<'_>| d.device_name.is_empty() && d.claim.is_some();
    let claimed = devices.iter().filter(dra).count();
    if kind == "GPU" && claimed > 0 && claimed < devices.len() {
        causes.invalid(field, format!("{path} contains both DRA and non-DRA GPUs; only one type of GPU is supported"));
        return;
    }
    if devices.iter().any(|d| d.device_name.is_empty() && d.claim.is_none()) {
        let message = format!(
            "{path} contains {kind}s without deviceName or claimRequest; each {kind} must specify either deviceName or claimRequest"
        );
        causes.required(&field, message);
    }
    if devices.iter().any(|d| !d.device_name.is_empty() && d.claim.is_some()) {
        causes.invalid(&field, format!("{path} contains {kind}s with both deviceName and claimRequest"));
    }
    if claimed == 0 {
        return;
    }
    if !cx.config.gate(gate) {
        causes.invalid(field, format!("{path} contains DRA enabled {kind}s but feature gate is not enabled"));
        return;
    }
    let mut seen = BTreeSet::new();
    for (i, device) in devices.iter().enumerate() {
        let Some((claim, request)) = device.claim.filter(|_| device.device_name.is_empty()) else { continue };
        if claim.is_empty() {
            causes.required(format!("{field}[{i}].claimName"), format!("claimName is required for DRA {kind}"));
        }
        if request.is_empty() {
            causes.required(format!("{field}[{i}].requestName"), format!("requestName is required for DRA {kind}"));
        }
        if !claim.is_empty() && !request.is_empty() && !seen.insert((claim, request)) {
            causes.duplicate(format!("{field}[{i}]"), format!("duplicate claimName/requestName pair \"{claim}/{request}\""));
        }
    }
}

/// D15: no pair is used by two kinds of device.
fn shared(cx: &SpecContext<'_>, gpus: &[Device<'_>], hosts: &[Device<'_>], causes: &mut Causes) {
    let mut owners: Vec<(String, &str, usize)> = Vec::new();
    let mut take =
        |key: String, kind: &'static str, i: usize, field: String| match owners.iter().find(|(k, of, _)| *k == key && *of != kind) {
            Some((_, of, j)) => {
                let message = format!("duplicate claimName/requestName pair {key:?} between {of}[{j}] and {kind}[{i}]");
                causes.add(CauseKind::Duplicate, field, message);
            }
            None => owners.push((key, kind, i)),
        };
    for (kind, name, devices) in [("GPUs", "gpus", gpus), ("HostDevices", "hostDevices", hosts)] {
        for (i, device) in devices.iter().enumerate() {
            if let Some((claim, request)) = device.claim {
                take(format!("{claim}/{request}"), kind, i, cx.domain(&format!("devices.{name}[{i}]")));
            }
        }
    }
    if cx.config.gate("NetworkDevicesWithDRA") {
        for (i, network) in cx.spec.networks.iter().enumerate() {
            if let Some(claim) = &network.resource_claim {
                let text = |v: &Option<String>| v.clone().unwrap_or_default();
                let key = format!("{}/{}", text(&claim.claim_name), text(&claim.request_name));
                take(key, "Networks", i, cx.at(&format!("networks[{i}]")));
            }
        }
    }
}

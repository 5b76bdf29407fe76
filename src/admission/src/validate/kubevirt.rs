//! The KubeVirt resource (spec/admission.md §12).

use std::collections::BTreeSet;

use api::config::{Maturity, gates};
use api::v1::values::kubevirt_phase;
use api::v1::{KubeVirt, KubeVirtConfiguration, KubeVirtSelfSignConfiguration};

use super::migration::DOWNTIME_GATES;
use super::same;
use crate::{CauseKind, Causes, Denial};

/// TLS cipher suites Go knows, TLS 1.3's and the insecure ones included.
const CIPHERS: &[&str] = &[
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
];

/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// Why the API server refuses the placement of components: KV13, KV14.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlacementRefusals<'a> {
    /// A Deployment with `spec.infra.nodePlacement`.
    pub infra: Option<&'a str>,
    /// A DaemonSet with `spec.workloads.nodePlacement`.
    pub workloads: Option<&'a str>,
}

/// KV1-KV18. Returns warnings.
///
/// # Errors
/// Every rule that is broken.
pub fn validate_kubevirt_update(new: &KubeVirt, old: &KubeVirt, placements: PlacementRefusals<'_>) -> Result<Vec<String>, Denial> {
    let mut causes = Causes::default();
    let configuration = new.spec.configuration.as_deref().cloned().unwrap_or_default();
    let before = old.spec.configuration.as_deref().cloned().unwrap_or_default();
    for patch in new.spec.customize_components.iter().flat_map(|c| &c.patches) {
        if serde_json::from_str::<serde_json::Value>(&patch.patch).is_err() {
            causes.not_supported("", format!("patch {:?} is not valid JSON", patch.patch));
        }
    }
    let certificates = new.spec.certificate_rotate_strategy.as_ref().and_then(|s| s.self_signed.as_deref());
    if let Some(self_signed) = certificates {
        rotation(self_signed, &mut causes)?;
    }
    overhead_ratio(&configuration, &mut causes);
    gated(&configuration, &before, &mut causes);
    tls(&configuration, &before, &mut causes);
    for refusal in [placements.infra, placements.workloads].into_iter().flatten() {
        causes.invalid("", refusal);
    }
    seccomp(&configuration, &before, &mut causes);
    if new.spec.infra.as_ref().and_then(|i| i.replicas) == Some(0) {
        causes.invalid("", "infra replica count can't be 0");
    }
    let warnings = feature_gates(&configuration, &before, &mut causes);
    if !causes.0.is_empty() {
        return Err(Denial::invalid_uncapped(causes.0));
    }
    Ok(warnings.into_iter().chain(deprecations(&configuration)).collect())
}

/// KV2-KV5. The deprecated fields win over the new ones.
fn rotation(s: &KubeVirtSelfSignConfiguration, causes: &mut Causes) -> Result<(), Denial> {
    let old_fields = [&s.ca_rotate_interval, &s.cert_rotate_interval, &s.ca_overlap_interval];
    if old_fields.iter().any(|f| f.is_some()) && (s.ca.is_some() || s.server.is_some()) {
        let message = "caRotateInterval, certRotateInterval and caOverlapInterval are deprecated and conflict with CertConfig defined rotation parameters";
        causes.not_supported("", message);
    }
    let ca = s.ca.clone().unwrap_or_default();
    let server = s.server.clone().unwrap_or_default();
    let seconds = |texts: [Option<&String>; 2]| texts.into_iter().flatten().next().map(|t| seconds(t)).transpose();
    let ca_duration = seconds([s.ca_rotate_interval.as_ref(), ca.duration.as_ref()])?.unwrap_or(7.0 * DAY);
    let ca_renew = seconds([s.ca_overlap_interval.as_ref(), ca.renew_before.as_ref()])?.unwrap_or(ca_duration * 0.2);
    let duration = seconds([s.cert_rotate_interval.as_ref(), server.duration.as_ref()])?.unwrap_or(DAY);
    let renew = seconds([server.renew_before.as_ref(), None])?.unwrap_or(duration * 0.2);
    let base = "spec.certificateRotationStrategy.selfSigned";
    if ca_duration < ca_renew {
        causes.invalid("", format!("CA RenewBefore cannot exceed Duration ({base}.ca.duration < {base}.ca.renewBefore)"));
    }
    if duration < renew {
        causes.invalid("", format!("Cert RenewBefore cannot exceed Duration ({base}.server.duration < {base}.server.renewBefore)"));
    }
    if duration > ca_duration {
        causes.invalid("", format!("Certificate duration cannot exceed CA ({base}.server.duration > {base}.ca.duration)"));
    }
    Ok(())
}

/// Seconds of a Go duration, for example `1h30m`.
///
/// # Errors
/// It is none, in the words of Go's decoder.
fn seconds(text: &str) -> Result<f64, Denial> {
    let refuse = |what: String| Denial::bad_request(format!("time: {what} duration {text:?}"));
    let invalid = || refuse("invalid".to_owned());
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0.0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, next) = tail.split_at(unit_end);
        let scale = match unit {
            "" => return Err(refuse("missing unit in".to_owned())),
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            unit => return Err(refuse(format!("unknown unit {unit:?} in"))),
        };
        total += number * scale;
        rest = next;
    }
    Ok(sign * total)
}

/// KV6, KV7.
fn overhead_ratio(configuration: &KubeVirtConfiguration, causes: &mut Causes) {
    let Some(ratio) = configuration.additional_guest_memory_overhead_ratio.as_deref() else { return };
    let parsed = ratio.parse::<f64>();
    let far = parsed.as_ref().is_ok_and(|n| n.is_infinite()) && ratio.contains(|c: char| c.is_ascii_digit());
    match parsed {
        _ if far => {
            let error = format!("strconv.ParseFloat: parsing {ratio:?}: value out of range");
            causes.not_supported("", format!("ratio provided, {ratio}, cannot be parsed into float: {error}"));
        }
        Err(_) => {
            let error = format!("strconv.ParseFloat: parsing {ratio:?}: invalid syntax");
            causes.not_supported("", format!("ratio provided, {ratio}, cannot be parsed into float: {error}"));
        }
        Ok(n) if n < 1.0 => causes.not_supported("", format!("ratio provided, {ratio}, cannot be smaller than 1.0")),
        Ok(_) => {}
    }
}

/// KV8-KV10: settings that need a gate.
fn gated(new: &KubeVirtConfiguration, old: &KubeVirtConfiguration, causes: &mut Causes) {
    let gate = |name: &str| enabled(name, new);
    if new.virt_template_deployment.as_ref().and_then(|d| d.enabled) == Some(true) && !gate("Template") {
        let message = "VirtTemplateDeployment cannot be enabled without enabling the Template feature gate";
        causes.invalid("spec.configuration.virtTemplateDeployment.enabled", message);
    }
    let aggregation = new.role_aggregation_strategy.as_deref().unwrap_or("AggregateToDefault");
    if aggregation != "AggregateToDefault" && !gate("OptOutRoleAggregation") {
        let message = "RoleAggregationStrategy cannot be set to Manual without enabling the OptOutRoleAggregation feature gate";
        causes.invalid("spec.configuration.roleAggregationStrategy", message);
    }
    let downtime = |c: &KubeVirtConfiguration| c.migrations.as_ref().and_then(|m| m.max_downtime_ms);
    let changed = downtime(new).is_some() && downtime(new) != downtime(old);
    if changed && !gate("MigrationStallDetection") && !gate("MigrationDowntimeTuning") {
        causes.invalid("spec.configuration.migrationConfiguration.maxDowntimeMs", DOWNTIME_GATES);
    }
}

/// Whether a configuration, taken alone, switches a gate on.
fn enabled(gate: &str, configuration: &KubeVirtConfiguration) -> bool {
    let developer = configuration.developer_configuration.as_deref().cloned().unwrap_or_default();
    let listed = |list: &[String]| list.iter().any(|g| g == gate);
    match gates::maturity(gate) {
        None => false,
        Some(Maturity::GeneralAvailability) => true,
        _ if listed(&developer.feature_gates) => true,
        _ if listed(&developer.disabled_feature_gates) => false,
        Some(maturity) => maturity == Maturity::Beta,
    }
}

/// KV11, KV12.
fn tls(new: &KubeVirtConfiguration, old: &KubeVirtConfiguration, causes: &mut Causes) {
    if same(&new.tls_configuration, &old.tls_configuration) {
        return;
    }
    let Some(tls) = &new.tls_configuration else { return };
    let field = "spec.configuration.tlsConfiguration.ciphers";
    let version = tls.min_tls_version.as_deref().unwrap_or_default();
    if ["", "VersionTLS13"].contains(&version) {
        if !tls.ciphers.is_empty() {
            let message = "You cannot specify ciphers when spec.configuration.tlsConfiguration.minTLSVersion is empty or VersionTLS13";
            causes.not_supported(field, message);
        }
        return;
    }
    for (i, cipher) in tls.ciphers.iter().enumerate().filter(|(_, c)| !CIPHERS.contains(&c.as_str())) {
        causes.not_supported(format!("{field}#{i}"), format!("{cipher} is not a valid cipher"));
    }
}

/// KV15, KV16.
fn seccomp(new: &KubeVirtConfiguration, old: &KubeVirtConfiguration, causes: &mut Causes) {
    if same(&new.seccomp_configuration, &old.seccomp_configuration) {
        return;
    }
    let Some(profile) = new.seccomp_configuration.as_ref().and_then(|s| s.virtual_machine_instance_profile.as_ref()) else { return };
    let base = "spec.configuration.seccompConfiguration.virtualMachineInstanceProfile.customProfile";
    let Some(custom) = &profile.custom_profile else {
        causes.invalid(base, format!("{base} needs to be set"));
        return;
    };
    if custom.localhost_profile.is_some() && custom.runtime_default_profile == Some(true) {
        let (a, b) = (format!("{base}.localhostProfile"), format!("{base}.runtimeDefaultProfile"));
        causes.invalid(&a, format!("{a} cannot be set when {b} is set"));
        causes.invalid(&b, format!("{b} cannot be set when {a} is set"));
    }
}

/// KV18, and a warning for every gate that should not be listed any more.
fn feature_gates(new: &KubeVirtConfiguration, old: &KubeVirtConfiguration, causes: &mut Causes) -> Vec<String> {
    let lists = |c: &KubeVirtConfiguration| {
        let developer = c.developer_configuration.as_deref().cloned().unwrap_or_default();
        (developer.feature_gates, developer.disabled_feature_gates)
    };
    let (enabled, disabled) = lists(new);
    if (&enabled, &disabled) == (&lists(old).0, &lists(old).1) {
        return Vec::new();
    }
    let off: BTreeSet<&String> = disabled.iter().collect();
    for gate in enabled.iter().filter(|g| off.contains(g)) {
        let message = format!("feature gate {gate:?} exists on both \"FeatureGates\" and \"DisabledFeatureGates\"");
        causes.add(CauseKind::Forbidden, "spec.configuration.developerConfiguration.featureGates", message);
    }
    enabled.iter().filter_map(|gate| gate_warning(gate)).collect()
}

fn gate_warning(gate: &str) -> Option<String> {
    match gates::maturity(gate)? {
        Maturity::GeneralAvailability => Some(format!(
            "feature gate {gate} is deprecated (feature state is \"General Availability\"), therefore it can be safely removed and is redundant. For more info, please look at: https://github.com/kubevirt/kubevirt/blob/main/docs/deprecation.md"
        )),
        Maturity::Deprecated => Some(format!(
            "feature gate {gate} is deprecated (feature state is \"Deprecated\"). For more info, please look at: https://github.com/kubevirt/kubevirt/blob/main/docs/deprecation.md"
        )),
        Maturity::Discontinued => Some(format!(
            "feature gate {gate} is discontinued (feature state is \"Discontinued\"). For more info, please look at: https://github.com/kubevirt/kubevirt/blob/main/docs/deprecation.md"
        )),
        Maturity::Alpha | Maturity::Beta => None,
    }
}

fn deprecations(configuration: &KubeVirtConfiguration) -> Vec<String> {
    let mut warnings = Vec::new();
    let base = "spec.configuration.mediatedDevicesConfiguration";
    if let Some(devices) = &configuration.mediated_devices_configuration {
        if !devices.mediated_devices_types.is_empty() {
            warnings.push(format!("{base}.mediatedDevicesTypes is deprecated, use mediatedDeviceTypes"));
        }
        for (i, _) in devices.node_mediated_device_types.iter().enumerate().filter(|(_, n)| !n.mediated_devices_types.is_empty()) {
            let field = format!("{base}.nodeMediatedDeviceTypes[{i}].mediatedDevicesTypes");
            warnings.push(format!("{field} is deprecated, use mediatedDeviceTypes"));
        }
    }
    if configuration.architecture_configuration.as_ref().is_some_and(|a| a.ppc64le.is_some()) {
        warnings.push("spec.configuration.architectureConfiguration.ppc64le is deprecated and no longer supported.".to_owned());
    }
    warnings
}

/// KV19: there is one KubeVirt in a cluster.
///
/// # Errors
/// Another one exists.
pub fn validate_kubevirt_create(existing: usize) -> Result<(), Denial> {
    if existing == 0 { Ok(()) } else { Err(Denial::bad_request("Kubevirt is already created")) }
}

/// Whether workloads exist that an uninstallation would end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KubeVirtWorkloads {
    /// Any instance.
    pub vmis: bool,
    /// Any virtual machine.
    pub vms: bool,
    /// Any replica set.
    pub replica_sets: bool,
}

/// KV20-KV22.
///
/// # Errors
/// Workloads exist, and the uninstall strategy protects them.
pub fn validate_kubevirt_delete(kubevirt: &KubeVirt, workloads: KubeVirtWorkloads) -> Result<(), Denial> {
    let strategy = kubevirt.spec.uninstall_strategy.as_deref().unwrap_or_default();
    let deployed = kubevirt.status.as_ref().and_then(|s| s.phase.as_deref()) == Some(kubevirt_phase::DEPLOYED);
    if ["", "RemoveWorkloads"].contains(&strategy) || !deployed {
        return Ok(());
    }
    for (exist, what) in [
        (workloads.vmis, "Virtual Machine Instances"),
        (workloads.vms, "Virtual Machines"),
        (workloads.replica_sets, "Virtual Machine Instance Replica Sets"),
    ] {
        if exist {
            let message = format!(
                "Rejecting the uninstall request, since there are still {what} present. Either delete all KubeVirt related workloads or change the uninstall strategy before uninstalling KubeVirt."
            );
            return Err(Denial::bad_request(message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    #[rstest]
    #[case("1h30m", Ok(5400.0))]
    #[case("168h", Ok(604_800.0))]
    #[case("-500ms", Ok(-0.5))]
    #[case("0", Ok(0.0))]
    #[case("5", Err("time: missing unit in duration \"5\""))]
    #[case("5d", Err("time: unknown unit \"d\" in duration \"5d\""))]
    #[case("soon", Err("time: invalid duration \"soon\""))]
    fn durations(#[case] text: &str, #[case] wanted: Result<f64, &str>) {
        assert_eq!(super::seconds(text).map_err(|d| d.message), wanted.map_err(str::to_owned));
    }
}

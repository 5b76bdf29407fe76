//! The cluster's configuration: the KubeVirt resource laid over the defaults (spec/observability.md §9).

pub mod gates;

pub use self::gates::Maturity;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Value, json};

use crate::quantity::{self, Amount};
use crate::v1::{KubeVirt, KubeVirtConfiguration, MigrationConfiguration};

/// Where KubeVirt is installed unless the KubeVirt resource says otherwise.
pub const DEFAULT_NAMESPACE: &str = "kubevirt";
/// Vcpus a guest can have at most after hotplug.
pub const MAX_VCPUS: u32 = 512;

/// What is wrong with a configuration; the last valid one stays in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidConfiguration(pub String);

impl std::fmt::Display for InvalidConfiguration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidConfiguration {}

/// The configuration in force. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterConfig {
    inner: Arc<Inner>,
}

#[derive(Debug, PartialEq)]
struct Inner {
    configuration: KubeVirtConfiguration,
    /// Fields the resource itself set, before defaults.
    given: KubeVirtConfiguration,
    annotations: BTreeMap<String, String>,
    namespace: String,
    architecture: String,
    gates: Vec<String>,
    disabled: Vec<String>,
    resource_version: String,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self::from_kubevirt(None)
    }
}

impl ClusterConfig {
    /// The configuration a KubeVirt resource gives; the defaults without one, or with an invalid one.
    pub fn from_kubevirt(kubevirt: Option<&KubeVirt>) -> Self {
        let given = kubevirt.and_then(|k| Self::try_from_kubevirt(k).ok());
        given.or_else(|| Self::build(&KubeVirt::default()).ok()).unwrap_or_else(Self::bare)
    }

    /// As [`Self::from_kubevirt`], with the reason why a configuration is unusable.
    ///
    /// # Errors
    /// Names the first setting out of its range; callers then keep the configuration they have.
    pub fn try_from_kubevirt(kubevirt: &KubeVirt) -> Result<Self, InvalidConfiguration> {
        let config = Self::build(kubevirt)?;
        validate(&config.inner.configuration)?;
        Ok(config)
    }

    fn build(kubevirt: &KubeVirt) -> Result<Self, InvalidConfiguration> {
        let invalid = |e: serde_json::Error| InvalidConfiguration(e.to_string());
        let given = kubevirt.spec.configuration.as_deref().cloned().unwrap_or_default();
        let mut merged = defaults();
        merge(&mut merged, serde_json::to_value(&given).map_err(invalid)?);
        let configuration: KubeVirtConfiguration = serde_json::from_value(merged).map_err(invalid)?;
        let developer = configuration.developer_configuration.clone().unwrap_or_default();
        let architecture = kubevirt.status.as_ref().and_then(|s| s.default_architecture.clone()).filter(|a| !a.is_empty());
        Ok(Self {
            inner: Arc::new(Inner {
                configuration,
                given,
                annotations: kubevirt.metadata.annotations.clone().unwrap_or_default(),
                namespace: kubevirt.metadata.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
                architecture: architecture.unwrap_or_else(|| "amd64".to_owned()),
                gates: developer.feature_gates,
                disabled: developer.disabled_feature_gates,
                resource_version: kubevirt.metadata.resource_version.clone().unwrap_or_default(),
            }),
        })
    }

    /// A configuration without any setting, should even the defaults not decode.
    fn bare() -> Self {
        Self {
            inner: Arc::new(Inner {
                configuration: KubeVirtConfiguration::default(),
                given: KubeVirtConfiguration::default(),
                annotations: BTreeMap::new(),
                namespace: DEFAULT_NAMESPACE.to_owned(),
                architecture: "amd64".to_owned(),
                gates: Vec::new(),
                disabled: Vec::new(),
                resource_version: String::new(),
            }),
        }
    }

    /// Every setting, defaults included.
    pub fn configuration(&self) -> &KubeVirtConfiguration {
        &self.inner.configuration
    }

    /// The settings the KubeVirt resource itself makes.
    pub fn given(&self) -> &KubeVirtConfiguration {
        &self.inner.given
    }

    /// The namespace KubeVirt is installed in.
    pub fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    /// The resource version of the KubeVirt resource; empty without one.
    pub fn resource_version(&self) -> &str {
        &self.inner.resource_version
    }

    /// An annotation of the KubeVirt resource.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.inner.annotations.get(name).map(String::as_str)
    }

    /// Whether a feature gate is on.
    pub fn gate(&self, name: &str) -> bool {
        gates::enabled(name, &self.inner.gates, &self.inner.disabled)
    }

    /// Whether a gate's name stands in the list of enabled gates, whatever its maturity.
    pub fn gate_listed(&self, name: &str) -> bool {
        self.inner.gates.iter().any(|g| g == name)
    }

    /// The architecture of a virtual machine that names none.
    pub fn default_architecture(&self) -> &str {
        let configured = self.configuration().architecture_configuration.as_ref().and_then(|a| a.default_architecture.as_deref());
        configured.filter(|a| !a.is_empty()).unwrap_or(&self.inner.architecture)
    }

    fn of_architecture(&self, architecture: &str) -> Option<&crate::v1::ArchSpecificConfiguration> {
        let all = self.configuration().architecture_configuration.as_ref()?;
        match architecture {
            "arm64" => all.arm64.as_ref(),
            "s390x" => all.s390x.as_ref(),
            _ => all.amd64.as_ref(),
        }
    }

    /// The default machine type of an architecture.
    pub fn machine_type(&self, architecture: &str) -> String {
        let global = self.configuration().machine_type.clone().filter(|t| !t.is_empty());
        global.or_else(|| self.of_architecture(architecture).and_then(|a| a.machine_type.clone())).unwrap_or_default()
    }

    /// The machine types an architecture allows, as glob patterns.
    pub fn emulated_machines(&self, architecture: &str) -> Vec<String> {
        let global = &self.configuration().emulated_machines;
        if !global.is_empty() {
            return global.clone();
        }
        self.of_architecture(architecture).map(|a| a.emulated_machines.clone()).unwrap_or_default()
    }

    /// The folder with an architecture's UEFI firmware.
    pub fn ovmf_path(&self, architecture: &str) -> String {
        let global = self.configuration().ovmf_path.clone().filter(|t| !t.is_empty());
        global.or_else(|| self.of_architecture(architecture).and_then(|a| a.ovmf_path.clone())).unwrap_or_default()
    }

    /// The CPU model of guests that name none; `None` leaves it to the architecture.
    pub fn cpu_model(&self) -> Option<&str> {
        self.configuration().cpu_model.as_deref().filter(|m| !m.is_empty())
    }

    /// The CPU request of guests that make none.
    pub fn cpu_request(&self) -> Quantity {
        self.configuration().cpu_request.clone().unwrap_or_else(|| Quantity("100m".into()))
    }

    /// Guest memory as a percentage of the pod's memory request.
    pub fn memory_overcommit(&self) -> i64 {
        self.developer(|d| d.memory_overcommit).unwrap_or(100)
    }

    /// How many virtual CPUs share a physical one.
    pub fn cpu_allocation_ratio(&self) -> i64 {
        self.developer(|d| d.cpu_allocation_ratio).unwrap_or(10)
    }

    /// Whether guests may be emulated where there is no KVM.
    pub fn use_emulation(&self) -> bool {
        self.developer(|d| d.use_emulation).unwrap_or_default()
    }

    /// Labels every launcher's node must carry.
    pub fn node_selectors(&self) -> BTreeMap<String, String> {
        self.configuration().developer_configuration.as_ref().map(|d| d.node_selectors.clone()).unwrap_or_default()
    }

    fn developer<T>(&self, pick: impl Fn(&crate::v1::DeveloperConfiguration) -> Option<T>) -> Option<T> {
        self.configuration().developer_configuration.as_deref().and_then(pick)
    }

    /// When launchers' images are pulled.
    pub fn image_pull_policy(&self) -> &str {
        self.configuration().image_pull_policy.as_deref().unwrap_or("IfNotPresent")
    }

    /// The eviction strategy of guests that name none.
    pub fn eviction_strategy(&self) -> &str {
        self.configuration().eviction_strategy.as_deref().unwrap_or("None")
    }

    /// The binding of the default pod network: bridge, masquerade or slirp.
    pub fn default_network_interface(&self) -> &str {
        self.configuration().network.as_ref().and_then(|n| n.default_network_interface.as_deref()).unwrap_or("bridge")
    }

    /// Whether guests may be bridged to the pod network.
    pub fn permits_bridge_on_pod_network(&self) -> bool {
        self.configuration().network.as_ref().and_then(|n| n.permit_bridge_interface_on_pod_network).unwrap_or(true)
    }

    /// The registered network binding plugins.
    pub fn network_bindings(&self) -> BTreeMap<String, crate::v1::InterfaceBindingPlugin> {
        self.configuration().network.as_ref().map(|n| n.binding.clone()).unwrap_or_default()
    }

    /// Defaults of live migrations, every one filled in.
    pub fn migrations(&self) -> MigrationConfiguration {
        let mut migrations = self.configuration().migrations.as_deref().cloned().unwrap_or_default();
        migrations.allow_workload_disruption = migrations.allow_workload_disruption.or(migrations.allow_post_copy);
        migrations
    }

    /// How many times its size a guest may grow by hotplug.
    pub fn max_hotplug_ratio(&self) -> u32 {
        self.configuration().live_update_configuration.as_ref().and_then(|l| l.max_hotplug_ratio).filter(|r| *r > 0).unwrap_or(4)
    }

    /// The sockets a guest may grow to, if limited.
    pub fn maximum_cpu_sockets(&self) -> u32 {
        self.configuration().live_update_configuration.as_ref().and_then(|l| l.max_cpu_sockets).unwrap_or_default()
    }

    /// The memory a guest may grow to, if limited.
    pub fn maximum_guest_memory(&self) -> Option<Amount> {
        self.configuration().live_update_configuration.as_ref().and_then(|l| l.max_guest.as_ref()).map(quantity::amount)
    }

    /// Whether a changed template reaches running guests where it can.
    pub fn live_update(&self) -> bool {
        self.configuration().vm_rollout_strategy.as_deref() != Some("Stage")
    }

    /// What becomes of instance type references: reference, expand or expandAll.
    pub fn instancetype_reference_policy(&self) -> &str {
        self.configuration().instancetype.as_ref().and_then(|i| i.reference_policy.as_deref()).unwrap_or("reference")
    }

    /// Seconds between memory statistics of the guest; 0 for none.
    pub fn mem_balloon_stats_period(&self) -> u32 {
        self.configuration().mem_balloon_stats_period.unwrap_or(10)
    }

    /// Whether free pages are handed back to the host.
    pub fn free_page_reporting(&self) -> bool {
        self.configuration().virtual_machine_options.as_ref().is_none_or(|o| o.disable_free_page_reporting.is_none())
    }

    /// Whether the serial console is logged unless a guest says otherwise.
    pub fn serial_console_log(&self) -> bool {
        self.configuration().virtual_machine_options.as_ref().is_none_or(|o| o.disable_serial_console_log.is_none())
    }

    /// Whether guests may make SCSI persistent reservations.
    pub fn persistent_reservation(&self) -> bool {
        let configured = self.configuration().persistent_reservation_configuration.as_ref().and_then(|p| p.enabled);
        configured.unwrap_or_else(|| self.gate_listed("PersistentReservation"))
    }

    /// The quote generation service's socket, for guests with Intel TDX.
    pub fn qgs_socket_path(&self) -> Option<String> {
        let tdx = self.configuration().confidential_compute.as_ref().and_then(|c| c.tdx.as_ref());
        let path = tdx.and_then(|t| t.attestation.as_ref()).map(|a| a.qgs_socket_path.clone().unwrap_or_default());
        path.filter(|p| !p.is_empty())
    }

    /// A multiplier of the computed memory overhead, if set.
    pub fn memory_overhead_ratio(&self) -> Option<&str> {
        self.configuration().additional_guest_memory_overhead_ratio.as_deref()
    }

    /// The runtime class of launchers, if set.
    pub fn default_runtime_class(&self) -> Option<&str> {
        self.configuration().default_runtime_class.as_deref().filter(|c| !c.is_empty())
    }

    /// The hypervisor in use: kvm or hyperv-direct.
    pub fn hypervisor(&self) -> &str {
        if !self.gate("ConfigurableHypervisor") {
            return "kvm";
        }
        self.configuration().hypervisors.first().and_then(|h| h.name.as_deref()).unwrap_or("kvm")
    }
}

/// The configuration of a cluster that sets nothing.
fn defaults() -> Value {
    json!({
        "architectureConfiguration": {
            "amd64": {"ovmfPath": "/usr/share/edk2/ovmf", "emulatedMachines": ["q35*", "pc-q35*"], "machineType": "q35"},
            "arm64": {"ovmfPath": "/usr/share/AAVMF", "emulatedMachines": ["virt*"], "machineType": "virt"},
            "s390x": {"emulatedMachines": ["s390-ccw-virtio*"], "machineType": "s390-ccw-virtio"},
        },
        "apiConfiguration": rate(200, 400),
        "webhookConfiguration": rate(200, 400),
        "controllerConfiguration": rate(200, 400),
        "handlerConfiguration": rate(50, 100),
        "cpuRequest": "100m",
        "developerConfiguration": {
            "pvcTolerateLessSpaceUpToPercent": 10,
            "minimumReservePVCBytes": 131_072,
            "memoryOvercommit": 100,
            "cpuAllocationRatio": 10,
            "diskVerification": {"memoryLimit": "2000Mi"},
            "logVerbosity": {
                "virtAPI": 2, "virtController": 2, "virtHandler": 2, "virtLauncher": 2, "virtOperator": 2,
                "virtSynchronizationController": 2,
            },
        },
        "evictionStrategy": "None",
        "imagePullPolicy": "IfNotPresent",
        "liveUpdateConfiguration": {"maxHotplugRatio": 4},
        "memBalloonStatsPeriod": 10,
        "migrations": {
            "parallelMigrationsPerCluster": 5,
            "parallelOutboundMigrationsPerNode": 2,
            "bandwidthPerMigration": "0",
            "completionTimeoutPerGiB": 150,
            "progressTimeout": 150,
            "utilityVolumesTimeout": 150,
            "maxDowntimeMs": 900,
            "nodeDrainTaintKey": "kubevirt.io/drain",
            "allowAutoConverge": false,
            "allowPostCopy": false,
            "unsafeMigrationOverride": false,
        },
        "network": {
            "defaultNetworkInterface": "bridge",
            "permitBridgeInterfaceOnPodNetwork": true,
            "permitSlirpInterface": false,
        },
        "smbios": {"family": "KubeVirt", "manufacturer": "KubeVirt", "product": "None"},
        "supportedGuestAgentVersions": ["2.*", "3.*", "4.*", "5.*"],
        "tlsConfiguration": {"minTLSVersion": "VersionTLS12"},
        "virtualMachineInstancesPerNode": 1000,
        "vmRolloutStrategy": "LiveUpdate",
    })
}

fn rate(qps: u32, burst: u32) -> Value {
    json!({"restClient": {"rateLimiter": {"tokenBucketRateLimiter": {"qps": qps, "burst": burst}}}})
}

/// Lays `over` on `base`: objects field by field, everything else as a whole.
fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

/// What upstream refuses to load (spec/observability.md §9).
fn validate(configuration: &KubeVirtConfiguration) -> Result<(), InvalidConfiguration> {
    let fail = |text: String| Err(InvalidConfiguration(text));
    let developer = configuration.developer_configuration.as_deref().cloned().unwrap_or_default();
    if let Some(policy) = configuration.image_pull_policy.as_deref().filter(|p| !["Always", "Never", "IfNotPresent", ""].contains(p)) {
        return fail(format!("invalid dev.imagePullPolicy in config: {policy}"));
    }
    if let Some(n) = developer.memory_overcommit.filter(|n| *n <= 0) {
        return fail(format!("invalid memoryOvercommit in ConfigMap: {n}"));
    }
    if let Some(n) = developer.cpu_allocation_ratio.filter(|n| *n <= 0) {
        return fail(format!("invalid cpu allocation ratio in ConfigMap: {n}"));
    }
    if let Some(n) = developer.pvc_tolerate_less_space_up_to_percent.filter(|n| !(0..=100).contains(n)) {
        return fail(format!("invalid lessPVCSpaceToleration in ConfigMap: {n}"));
    }
    let interface = configuration.network.as_ref().and_then(|n| n.default_network_interface.as_deref()).unwrap_or_default();
    if !["", "bridge", "slirp", "masquerade"].contains(&interface) {
        return fail(format!("invalid default-network-interface in config: {interface}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{ClusterConfig, Maturity, gates};
    use crate::v1::KubeVirt;
    use serde_json::json;

    fn config(configuration: &serde_json::Value) -> ClusterConfig {
        let kubevirt: KubeVirt = serde_json::from_value(json!({"spec": {"configuration": configuration}})).unwrap();
        ClusterConfig::from_kubevirt(Some(&kubevirt))
    }

    #[test]
    fn settings_are_laid_over_defaults() {
        let config = config(&json!({
            "migrations": {"parallelMigrationsPerCluster": 9, "allowPostCopy": true},
            "architectureConfiguration": {"amd64": {"machineType": "pc-q35-8.2"}},
            "developerConfiguration": {"featureGates": ["HostDisk"], "disabledFeatureGates": ["Snapshot"]},
        }));
        let migrations = config.migrations();
        assert_eq!((migrations.parallel_migrations_per_cluster, migrations.progress_timeout), (Some(9), Some(150)));
        assert_eq!(migrations.allow_workload_disruption, Some(true));
        assert_eq!(config.machine_type("amd64"), "pc-q35-8.2");
        assert_eq!(config.emulated_machines("amd64"), ["q35*", "pc-q35*"]);
        assert_eq!(config.cpu_allocation_ratio(), 10);
        assert!(config.gate("HostDisk") && !config.gate("Snapshot") && config.gate("NUMA"));
    }

    #[test]
    fn an_invalid_configuration_counts_as_none() {
        let config = config(&json!({"network": {"defaultNetworkInterface": "carrier-pigeon"}, "evictionStrategy": "LiveMigrate"}));
        assert_eq!((config.default_network_interface(), config.eviction_strategy()), ("bridge", "None"));
    }

    #[test]
    fn every_gate_has_one_maturity() {
        let names: std::collections::BTreeSet<_> = gates::all().map(|(n, _)| n).collect();
        assert_eq!(names.len(), gates::all().count());
        assert_eq!(gates::maturity("Passt"), Some(Maturity::Discontinued));
    }
}

//! What the renderers read from the cluster's configuration beyond its own accessors.

use std::collections::BTreeMap;
use std::ops::Deref;

use api::config::ClusterConfig;
use api::quantity;
use api::v1::{CustomProfile, InterfaceBindingPlugin, KubeVirtConfiguration, PermittedHostDevices};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// The cluster's configuration, seen by a renderer.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a>(&'a ClusterConfig);

impl Deref for Settings<'_> {
    type Target = ClusterConfig;

    fn deref(&self) -> &ClusterConfig {
        self.0
    }
}

impl<'a> Settings<'a> {
    /// The verbosity of a launcher when nobody asks for another.
    pub const DEFAULT_VERBOSITY: u64 = 2;
    /// The memory limit of disk verification when none is configured, in bytes.
    const DISK_VERIFICATION_LIMIT: i64 = 2_097_152_000;

    /// A view of `config`.
    pub fn new(config: &'a ClusterConfig) -> Self {
        Self(config)
    }

    fn all(self) -> &'a KubeVirtConfiguration {
        self.0.configuration()
    }

    /// A registered network binding plugin.
    pub fn binding(self, name: &str) -> Option<&'a InterfaceBindingPlugin> {
        self.all().network.as_ref()?.binding.get(name)
    }

    /// The factor on the launcher's own memory; nothing when unset or not a number.
    pub fn overhead_ratio(self) -> Option<f64> {
        self.0.memory_overhead_ratio()?.parse().ok()
    }

    /// What may be passed through; `None` when the cluster does not say.
    pub fn permitted_host_devices(self) -> Option<&'a PermittedHostDevices> {
        self.all().permitted_host_devices.as_ref()
    }

    /// The seccomp profile of launchers.
    pub fn seccomp_profile(self) -> Option<&'a CustomProfile> {
        self.all().seccomp_configuration.as_ref()?.virtual_machine_instance_profile.as_ref()?.custom_profile.as_ref()
    }

    /// The SELinux type of launchers.
    pub fn selinux_launcher_type(self) -> Option<&'a str> {
        self.all().selinux_launcher_type.as_deref().filter(|t| !t.is_empty())
    }

    /// The launcher's verbosity.
    pub fn launcher_verbosity(self) -> u64 {
        let levels = self.all().developer_configuration.as_ref().and_then(|d| d.log_verbosity.as_ref());
        levels.and_then(|l| l.virt_launcher).filter(|v| *v != 0).unwrap_or(Self::DEFAULT_VERBOSITY)
    }

    /// The memory that checking a container disk may take, in bytes.
    pub fn disk_verification_memory_limit(self) -> i64 {
        let limit = self.all().developer_configuration.as_ref().and_then(|d| d.disk_verification.as_ref());
        limit.and_then(|l| quantity::parse(&l.memory_limit.0)).map_or(Self::DISK_VERIFICATION_LIMIT, quantity::Amount::value)
    }

    /// Whether pods of a namespace with these labels get a CPU limit.
    pub fn auto_cpu_limit(self, labels: &BTreeMap<String, String>) -> bool {
        self.all().auto_cpu_limit_namespace_label_selector.as_ref().is_some_and(|s| selects(s, labels))
    }

    /// The configured request and limit of a kind of support container; a zero counts as unset.
    pub fn support_resources(self, kind: &str, resource: &str) -> (Option<Quantity>, Option<Quantity>) {
        let Some(support) = self.all().support_container_resources.iter().find(|s| s.r#type == kind) else { return (None, None) };
        let set =
            |map: &BTreeMap<String, Quantity>| map.get(resource).filter(|q| quantity::parse(&q.0).is_some_and(|a| !a.is_zero())).cloned();
        (set(&support.resources.requests), set(&support.resources.limits))
    }
}

/// Whether a label selector matches; an empty one matches everything.
fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let matches = selector.match_expressions.iter().flatten().all(|e| {
        let value = labels.get(&e.key);
        let listed = value.is_some_and(|v| e.values.iter().flatten().any(|w| w == v));
        match e.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    });
    equal && matches
}

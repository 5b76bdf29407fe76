//! The launcher pod of a VMI.
//!
//! Flow: [`launcher_pod`] works out what every part needs from the VMI, the cluster's configuration and the claims, then puts
//! the parts together; one file a part, each naming its section of spec/pod.md. Scheduling, quotas, API defaults and
//! admission of the pod are the API server's.
//!
//! Guarantees: pure; the same input gives the same pod, byte by byte. `compute` is the first container.
//!
//! Errors: [`PodError`]; a claim that is not there yet is told apart, for it is waited for.

mod annotations;
mod attachment;
mod backend_storage;
mod compute;
mod container_disks;
mod container_path;
mod metadata;
mod migration;
mod overhead;
mod probes;
mod resources;
mod scheduling;
mod security;
mod sidecars;
mod support;
mod virtiofs;
mod volumes;

use std::collections::BTreeMap;

use api::config::ClusterConfig;
use api::quantity::Amount;
use api::v1::VirtualMachineInstance;
use k8s_openapi::api::core::v1::{Pod, PodReadinessGate, PodResourceClaim, PodSpec};

pub use annotations::{network_annotations, storage_annotations};
pub use attachment::{attachment_pod, trigger_pod};
pub use container_path::container_path_daemons;
pub use metadata::vmi_id;
pub use migration::{Migration, migration_target_pod, pinned_images};
pub use overhead::{memory_overhead, network_overhead};
pub use sidecars::{HookSidecar, hook_sidecars};

use crate::settings::Settings;
use crate::vmi;

/// What a claim means to the pod that mounts it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// The claim's UID.
    pub uid: String,
    /// Whether it is a block volume.
    pub block: bool,
    /// Whether several nodes may write to it.
    pub read_write_many: bool,
}

/// What the VMI's namespace says about its pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// The namespace's labels.
    pub labels: BTreeMap<String, String>,
    /// Whether a ResourceQuota limits `limits.memory`.
    pub memory_limits_required: bool,
    /// Whether a ResourceQuota limits `limits.cpu`.
    pub cpu_limits_required: bool,
}

/// Everything the pod depends on besides the VMI.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The cluster's configuration.
    pub config: &'a ClusterConfig,
    /// The launcher's image.
    pub launcher_image: &'a str,
    /// The image of hook sidecars that name none.
    pub sidecar_shim_image: &'a str,
    /// The pull secret of the launcher's image.
    pub image_pull_secret: Option<&'a str>,
    /// How long the launcher waits for QEMU, in seconds, before the jitter: 240 unless the controller is told otherwise.
    pub qemu_timeout_seconds: u32,
    /// Random seconds on top, below [`QEMU_TIMEOUT_JITTER_SECONDS`], so that many launchers do not give up at once.
    pub qemu_timeout_jitter_seconds: u32,
    /// The claims of the VMI's volumes, by claim name.
    pub claims: &'a BTreeMap<String, Claim>,
    /// The claim that keeps the guest's own state (TPM, EFI variables), by name, once there is one.
    pub backend_storage_claim: Option<&'a str>,
    /// The VMI's namespace.
    pub namespace: &'a Namespace,
    /// Resource names of networks, by network: what a NetworkAttachmentDefinition asks for.
    pub network_resources: &'a BTreeMap<String, String>,
    /// Images of container disks pinned by digest, by volume name: those the source of a migration runs.
    pub pinned_images: &'a BTreeMap<String, String>,
    /// A pod that only makes claims bind, and runs no guest.
    pub temporary: bool,
}

/// The default of [`Context::qemu_timeout_seconds`].
pub const QEMU_TIMEOUT_SECONDS: u32 = 240;
/// The bound of [`Context::qemu_timeout_jitter_seconds`].
pub const QEMU_TIMEOUT_JITTER_SECONDS: u32 = 120;

/// Why there is no pod.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PodError {
    /// A claim of a volume does not exist (yet).
    #[error("didn't find PVC {0}")]
    ClaimNotFound(String),
    /// The claim for the guest's own state does not exist (yet).
    #[error("can't generate manifest without backend-storage PVC, waiting for the PVC to be created")]
    BackendStorageNotFound,
    /// Devices the cluster does not permit; the text names each.
    #[error("{0}")]
    DevicesNotPermitted(String),
    /// The label `logVerbosity` is not a number.
    #[error("verbosity {0} cannot cast to int: strconv.Atoi: parsing \"{0}\": invalid syntax")]
    BadVerbosity(String),
    /// The annotation with hook sidecars is not what it should be.
    #[error("failed to parse the hookSidecars annotation: {0}")]
    BadHookSidecars(String),
    /// An interface names a binding plugin that is not registered.
    #[error("couldn't find configuration for network binding: {0}")]
    BindingNotRegistered(String),
    /// A sysprep volume without a source.
    #[error("Sysprep must have Secret or ConfigMap reference set {0}")]
    SysprepWithoutSource(String),
    /// The guest's SELinux context is not known, or is none.
    #[error("VMI is missing SELinux context: {0:?}")]
    SelinuxContext(String),
    /// The source's node does not tell its CPU model.
    #[error("node does not contain label with prefix host-model-cpu.node.kubevirt.io/")]
    HostModelUnknown,
    /// A running image has no digest to pin it by.
    #[error("can not proceed with the migration when no reproducible image digest can be detected: no image digest found for {0}")]
    ImageDigestUnknown(String),
}

/// What the network and storage side of the platform add to a launcher pod.
#[derive(Clone, Debug, Default)]
pub struct Additions {
    /// Annotations: networks, Istio, backup hooks.
    pub annotations: BTreeMap<String, String>,
    /// Hook sidecars, those of network binding plugins last.
    pub sidecars: Vec<HookSidecar>,
    /// Memory of what serves the guest's networks.
    pub memory: Amount,
}

impl Additions {
    /// The additions for `vmi`.
    ///
    /// # Errors
    /// [`PodError::BadHookSidecars`], [`PodError::BindingNotRegistered`].
    pub fn of(vmi: &VirtualMachineInstance, cx: &Context<'_>) -> Result<Self, PodError> {
        let mut annotations = network_annotations(vmi, cx)?;
        annotations.extend(storage_annotations(vmi, cx.config));
        let memory = network_overhead(vmi, Settings::new(cx.config));
        Ok(Self { annotations, sidecars: sidecars::requested(vmi, cx)?, memory })
    }
}

/// The launcher pod, complete. It has no namespace: it is created in the VMI's.
///
/// # Errors
/// [`PodError`].
pub fn launcher_pod(vmi: &VirtualMachineInstance, cx: &Context<'_>) -> Result<Pod, PodError> {
    template(vmi, cx, &Additions::of(vmi, cx)?)
}

/// The launcher pod with the given additions.
///
/// # Errors
/// [`PodError`].
pub fn template(vmi: &VirtualMachineInstance, cx: &Context<'_>, additions: &Additions) -> Result<Pod, PodError> {
    let settings = Settings::new(cx.config);
    let sidecars = additions.sidecars.as_slice();
    let overhead = memory_overhead(vmi, settings).plus(additions.memory);
    let volumes = volumes::render(vmi, cx, settings, sidecars)?;
    let mut containers = vec![compute::container(vmi, cx, settings, &volumes, overhead, sidecars)?];
    let mut init_containers: Vec<_> = sidecars::console_log(vmi, cx, settings)?.into_iter().collect();
    let disks = container_disks::render(vmi, cx, settings);
    init_containers.extend(disks.init_containers);
    containers.extend(disks.sidecars);
    containers.extend(virtiofs::containers(vmi, cx, settings));
    containers.extend(sidecars::containers(vmi, cx, settings, sidecars));

    let mut spec = PodSpec {
        hostname: Some(vmi::hostname(vmi)),
        subdomain: vmi.spec.subdomain.clone().filter(|s| !s.is_empty()),
        dns_config: vmi.spec.dns_config.clone(),
        dns_policy: vmi.spec.dns_policy.clone().filter(|p| !p.is_empty()),
        scheduler_name: vmi.spec.scheduler_name.clone().filter(|s| !s.is_empty()),
        tolerations: some_list(vmi.spec.tolerations.clone()),
        topology_spread_constraints: some_list(vmi.spec.topology_spread_constraints.clone()),
        priority_class_name: vmi.spec.priority_class_name.clone().filter(|p| !p.is_empty()),
        restart_policy: Some("Never".to_owned()),
        termination_grace_period_seconds: Some(compute::launcher_grace_period(vmi) + compute::GRACE_PERIOD_PADDING_SECONDS),
        enable_service_links: Some(false),
        readiness_gates: Some(vec![PodReadinessGate { condition_type: "kubevirt.io/virtual-machine-unpaused".to_owned() }]),
        runtime_class_name: settings.default_runtime_class().map(ToOwned::to_owned),
        service_account_name: metadata::service_account(vmi),
        automount_service_account_token: Some(metadata::automounts_token(vmi)),
        image_pull_secrets: some_list(metadata::image_pull_secrets(vmi, cx)),
        resource_claims: some_list(
            vmi.spec
                .resource_claims
                .iter()
                .map(|c| PodResourceClaim {
                    name: c.name.clone(),
                    resource_claim_name: c.resource_claim_name.clone(),
                    resource_claim_template_name: c.resource_claim_template_name.clone(),
                })
                .collect(),
        ),
        security_context: Some(security::pod(vmi, settings)),
        node_selector: Some(scheduling::node_selector(vmi, settings)),
        affinity: scheduling::affinity(vmi, settings, &volumes.reservations),
        containers,
        init_containers: some_list(init_containers),
        volumes: some_list(volumes.list),
        ..PodSpec::default()
    };
    security::workaround(&mut spec, settings);
    let mut metadata = metadata::render(vmi, cx, overhead, &volumes.reservations);
    metadata.annotations.get_or_insert_default().extend(additions.annotations.clone());
    Ok(Pod { metadata, spec: Some(spec), status: None })
}

/// A list as the pod types want it: absent when empty.
fn some_list<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests;

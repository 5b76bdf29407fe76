//! What virt-controller knows of the cluster (spec controllers §1.3), trimmed to what is read.

use api::names;
use api::v1::{KubeVirt, VirtualMachine, VirtualMachineInstance, VirtualMachineInstanceMigration, Volume};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{Container, Namespace, Node, NodeSpec, PersistentVolumeClaim, Pod, PodSpec, PodStatus, ResourceQuota};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::Api;
use planner::metadata;
use planner::storage::{DataVolume, claim_name};
use runtime::{Change, Deps, Reflector, Store};

use crate::Error;

/// The CRD whose presence says that CDI is installed.
const DATA_VOLUMES: &str = "datavolumes.cdi.kubevirt.io";

/// Index of objects by the UID of their controller.
pub(crate) const BY_OWNER: &str = "owner";
/// Index of VMs and VMIs by `namespace/name` of the claims and DataVolumes they use.
pub(crate) const BY_CLAIM: &str = "claim";
/// Index of claims by `namespace/name` of the VMI whose state they keep.
pub(crate) const BY_STATE: &str = "state";
/// Index of VMIs by node, and of migrations by `namespace/name` of their VMI.
pub(crate) const BY_NODE: &str = "node";
/// Index of migrations by `namespace/name` of their VMI.
pub(crate) const BY_VMI: &str = "vmi";

/// The caches.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) kubevirts: Store<KubeVirt>,
    pub(crate) vms: Store<VirtualMachine>,
    pub(crate) vmis: Store<VirtualMachineInstance>,
    pub(crate) migrations: Store<VirtualMachineInstanceMigration>,
    pub(crate) pods: Store<Pod>,
    pub(crate) claims: Store<PersistentVolumeClaim>,
    pub(crate) data_volumes: Store<DataVolume>,
    pub(crate) revisions: Store<ControllerRevision>,
    pub(crate) nodes: Store<Node>,
    pub(crate) namespaces: Store<Namespace>,
    pub(crate) quotas: Store<ResourceQuota>,
    pub(crate) storage_classes: Store<StorageClass>,
}

/// `namespace/name`, as indexes spell it.
pub(crate) fn index_key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

fn claims_of(namespace: &str, volumes: &[Volume]) -> Vec<String> {
    volumes.iter().filter_map(claim_name).map(|claim| index_key(namespace, claim)).collect()
}

fn owner(meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> Vec<String> {
    metadata::controller(meta).map(|owner| owner.uid.clone()).into_iter().collect()
}

impl Stores {
    /// Starts filling the caches.
    pub(crate) async fn watch(deps: &Deps) -> Result<Self, Error> {
        let crds: Api<CustomResourceDefinition> = Api::all(deps.client.clone());
        let has_cdi = crds.get_metadata_opt(DATA_VOLUMES).await.map_err(Error::Discovery)?.is_some();
        // Which kinds there are is decided once: when that changes, the process starts over.
        let definitions = Store::projected(trim_definition);
        let stop = deps.shutdown.clone();
        definitions.subscribe(move |change: &Change<'_, CustomResourceDefinition>| {
            if change.new.is_some() != has_cdi {
                tracing::info!("CDI came or went: starting over");
                stop.cancel();
            }
        });
        Reflector::new(crds, definitions, &deps.entropy).fields(&format!("metadata.name={DATA_VOLUMES}")).spawn(deps.shutdown.clone());
        let stores = Self {
            kubevirts: Store::new(),
            vms: Store::new().indexed(BY_CLAIM, |vm: &VirtualMachine| {
                let volumes = vm.spec.template.spec.as_deref().map(|spec| spec.volumes.as_slice()).unwrap_or_default();
                claims_of(metadata::namespace(&vm.metadata), volumes)
            }),
            vmis: Store::new()
                .indexed(BY_CLAIM, |vmi: &VirtualMachineInstance| claims_of(metadata::namespace(&vmi.metadata), &vmi.spec.volumes))
                .indexed(BY_NODE, |vmi: &VirtualMachineInstance| vmi.status.iter().filter_map(|status| status.node_name.clone()).collect()),
            migrations: Store::new().indexed(BY_VMI, |migration: &VirtualMachineInstanceMigration| {
                let namespace = metadata::namespace(&migration.metadata);
                migration.spec.vmi_name.iter().map(|name| index_key(namespace, name)).collect()
            }),
            pods: Store::projected(trim_pod).indexed(BY_OWNER, |pod: &Pod| owner(&pod.metadata)),
            claims: Store::new().indexed(BY_STATE, |claim: &PersistentVolumeClaim| {
                let vmi = metadata::label(&claim.metadata, names::PERSISTENT_STATE_FOR_LABEL);
                vmi.map(|name| index_key(metadata::namespace(&claim.metadata), name)).into_iter().collect()
            }),
            data_volumes: if has_cdi { Store::new() } else { Store::absent() },
            revisions: Store::projected(trim_revision).indexed(BY_OWNER, |revision: &ControllerRevision| owner(&revision.metadata)),
            nodes: Store::projected(trim_node),
            namespaces: Store::new(),
            quotas: Store::new(),
            storage_classes: Store::new(),
        };
        let client = &deps.client;
        fill(deps, Api::all(client.clone()), &stores.kubevirts, None);
        fill(deps, Api::all(client.clone()), &stores.vms, None);
        fill(deps, Api::all(client.clone()), &stores.vmis, None);
        fill(deps, Api::all(client.clone()), &stores.migrations, None);
        fill(deps, Api::all(client.clone()), &stores.pods, Some(names::APP_LABEL));
        fill(deps, Api::all(client.clone()), &stores.claims, None);
        if has_cdi {
            fill(deps, Api::all(client.clone()), &stores.data_volumes, None);
        }
        fill(deps, Api::all(client.clone()), &stores.revisions, None);
        fill(deps, Api::all(client.clone()), &stores.nodes, None);
        fill(deps, Api::all(client.clone()), &stores.namespaces, None);
        fill(deps, Api::all(client.clone()), &stores.quotas, None);
        fill(deps, Api::all(client.clone()), &stores.storage_classes, None);
        Ok(stores)
    }

    /// Waits until all caches are complete.
    pub(crate) async fn synced(&self) {
        self.kubevirts.synced().await;
        self.vms.synced().await;
        self.vmis.synced().await;
        self.migrations.synced().await;
        self.pods.synced().await;
        self.claims.synced().await;
        self.data_volumes.synced().await;
        self.revisions.synced().await;
        self.nodes.synced().await;
        self.namespaces.synced().await;
        self.quotas.synced().await;
        self.storage_classes.synced().await;
    }
}

pub(crate) fn fill<K>(deps: &Deps, api: Api<K>, store: &Store<K>, label: Option<&str>)
where
    K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    let mut reflector = Reflector::new(api, store.clone(), &deps.entropy);
    if let Some(label) = label {
        reflector = reflector.labels(label);
    }
    reflector.spawn(deps.shutdown.clone());
}

/// Keeps what the rules about pods read: identity, node, images, volumes, state.
fn trim_pod(pod: &mut Pod) {
    if let Some(spec) = pod.spec.take() {
        let containers = spec
            .containers
            .into_iter()
            .map(|container| Container { name: container.name, image: container.image, ..Container::default() })
            .collect();
        let volumes = spec.volumes.map(|volumes| {
            let kept = |volume: k8s_openapi::api::core::v1::Volume| k8s_openapi::api::core::v1::Volume {
                name: volume.name,
                persistent_volume_claim: volume.persistent_volume_claim,
                ..k8s_openapi::api::core::v1::Volume::default()
            };
            volumes.into_iter().map(kept).collect()
        });
        pod.spec = Some(PodSpec { node_name: spec.node_name, containers, volumes, ..PodSpec::default() });
    }
    if let Some(status) = pod.status.take() {
        pod.status = Some(PodStatus {
            phase: status.phase,
            qos_class: status.qos_class,
            conditions: status.conditions,
            init_container_statuses: status.init_container_statuses,
            container_statuses: status.container_statuses,
            ..PodStatus::default()
        });
    }
}

/// The recorded templates are large and seldom read: they are fetched when they are. Recorded instance types and preferences are
/// small, and read at every look at their VM.
fn trim_revision(revision: &mut ControllerRevision) {
    if metadata::label(&revision.metadata, "instancetype.kubevirt.io/object-kind").is_none() {
        revision.data = None;
    }
}

/// Only its presence matters.
fn trim_definition(definition: &mut CustomResourceDefinition) {
    *definition = CustomResourceDefinition { metadata: definition.metadata.clone(), ..CustomResourceDefinition::default() };
}

/// Keeps labels, annotations and taints.
fn trim_node(node: &mut Node) {
    let taints = node.spec.take().and_then(|spec| spec.taints);
    node.spec = taints.map(|taints| NodeSpec { taints: Some(taints), ..NodeSpec::default() });
    node.status = None;
}

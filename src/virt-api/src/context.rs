//! What every request may look at: the API, the live configuration, the node's client.

use crate::answer;
use crate::authorize::Attributes;
use crate::node::NodeClient;
use api::config::ClusterConfig;
use api::v1::{KubeVirt, VirtualMachine, VirtualMachineInstance, VirtualMachineInstancePreset};
use kube::Api;
use planner::subresource::Refusal;
use runtime::{Deps, Reflector, Store};
use std::sync::{Arc, PoisonError, RwLock};

/// Shared by all requests; cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The process's surroundings.
    pub deps: Deps,
    /// Calls virt-handler.
    pub nodes: NodeClient,
    /// Presets: rare, and asked for at every new VMI.
    pub presets: Store<VirtualMachineInstancePreset>,
    config: Arc<RwLock<ClusterConfig>>,
    kubevirts: Store<KubeVirt>,
}

impl Context {
    /// Begins to follow the KubeVirt object.
    pub fn new(deps: Deps, nodes: NodeClient) -> Self {
        let kubevirts: Store<KubeVirt> = Store::new();
        let config = Arc::new(RwLock::new(ClusterConfig::from_kubevirt(None)));
        let (live, namespace) = (Arc::clone(&config), deps.namespace.clone());
        kubevirts.subscribe(move |change| {
            let latest = change.latest().filter(|kubevirt| kubevirt.metadata.namespace.as_deref() == Some(namespace.as_str()));
            let new = ClusterConfig::from_kubevirt(latest.map(Arc::as_ref));
            *live.write().unwrap_or_else(PoisonError::into_inner) = new;
        });
        let api = Api::namespaced(deps.client.clone(), &deps.namespace);
        drop(Reflector::new(api, kubevirts.clone(), &deps.entropy).spawn(deps.shutdown.clone()));
        let presets: Store<VirtualMachineInstancePreset> = Store::new();
        drop(Reflector::new(Api::all(deps.client.clone()), presets.clone(), &deps.entropy).spawn(deps.shutdown.clone()));
        Self { deps, nodes, presets, config, kubevirts }
    }

    /// Waits until the configuration is known.
    pub async fn ready(&self) {
        self.kubevirts.synced().await;
        self.presets.synced().await;
    }

    /// The configuration in force.
    pub fn config(&self) -> ClusterConfig {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The installation, as it is described.
    pub fn kubevirt(&self) -> Option<Arc<KubeVirt>> {
        self.kubevirts.list().into_iter().find(|kubevirt| kubevirt.metadata.namespace.as_deref() == Some(self.deps.namespace.as_str()))
    }

    /// The VM, read from the API server: a subresource decides on what is, not on what was.
    pub async fn vm(&self, namespace: &str, name: &str) -> Result<VirtualMachine, Refusal> {
        self.get(namespace, name, "vm").await?.ok_or_else(|| Refusal::not_found("virtualmachine", name))
    }

    /// The VMI, if there is one.
    pub async fn find_vmi(&self, namespace: &str, name: &str) -> Result<Option<VirtualMachineInstance>, Refusal> {
        self.get(namespace, name, "vmi").await
    }

    /// The VMI.
    pub async fn vmi(&self, namespace: &str, name: &str) -> Result<VirtualMachineInstance, Refusal> {
        self.find_vmi(namespace, name).await?.ok_or_else(|| Refusal::not_found("virtualmachineinstance", name))
    }

    /// The VMI that is asked for, or that belongs to the VM that is asked for.
    pub async fn vmi_for(&self, wanted: &Attributes) -> Result<VirtualMachineInstance, Refusal> {
        if wanted.resource != "virtualmachines" {
            return self.vmi(&wanted.namespace, &wanted.name).await;
        }
        let vm = self.vm(&wanted.namespace, &wanted.name).await?;
        if vm.status.as_ref().is_none_or(|status| status.created != Some(true)) {
            return Err(Refusal::conflict("virtualmachine", &wanted.name, "VMI is not started"));
        }
        let vmi = self.vmi(&wanted.namespace, &wanted.name).await?;
        let owned = vmi.metadata.owner_references.iter().flatten().any(|owner| Some(&owner.uid) == vm.metadata.uid.as_ref());
        if owned { Ok(vmi) } else { Err(Refusal::internal(format!("unable to retrieve vmi [{}] for vm: <nil>", wanted.name))) }
    }

    async fn get<K>(&self, namespace: &str, name: &str, what: &str) -> Result<Option<K>, Refusal>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.deps.client.clone(), namespace);
        api.get_opt(name)
            .await
            .map_err(|error| Refusal::internal(format!("unable to retrieve {what} [{name}]: {}", answer::refusal(&error).message)))
    }
}

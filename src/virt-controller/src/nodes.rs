//! The node controller: what happens to instances when their virt-handler is silent (spec controllers §9).

use std::sync::Arc;
use std::time::Duration;

use api::names;
use api::v1::VirtualMachineInstance;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams};
use planner::heartbeat::{self, Observed, RECHECK};
use planner::metadata;
use runtime::{Change, EventRecorder, Executor, Next, ObjectKey, WriteCounts};

use crate::controller::{Context, Shared};

/// Works until shutdown.
pub(crate) async fn run(context: &Shared, recorder: &EventRecorder, counts: &WriteCounts) {
    let queue = context.nodes.clone();
    context.stores.nodes.subscribe(move |change: &Change<'_, Node>| {
        let heartbeat = |node: Option<&Arc<Node>>| {
            node.map(|node| (metadata::annotation(&node.metadata, names::HEARTBEAT_ANNOTATION).is_some(), node.metadata.labels.clone()))
        };
        // A heartbeat that only moved on is no news: the next look is due anyway.
        if heartbeat(change.old) != heartbeat(change.new)
            && let Some(node) = change.latest()
        {
            queue.add(ObjectKey::of(&node.metadata));
        }
    });
    // An instance on a node that is gone brings the node back.
    let queue = context.nodes.clone();
    context.stores.vmis.subscribe(move |change: &Change<'_, VirtualMachineInstance>| {
        let node = |vmi: Option<&Arc<VirtualMachineInstance>>| vmi.and_then(|vmi| vmi.status.as_ref()?.node_name.clone());
        if let Some(name) = node(change.new).filter(|name| node(change.old).as_ref() != Some(name)) {
            queue.add(ObjectKey::new("", name));
        }
    });
    let executor = Executor::new(context.deps.client.clone(), recorder.for_component("node-controller"), counts.clone());
    let shared = Arc::clone(context);
    let work = move |key: ObjectKey| {
        let (context, executor) = (Arc::clone(&shared), executor.clone());
        async move {
            match reconcile(&context, &executor, &key).await {
                Ok(Some(after)) => Next::After(after),
                Ok(None) => Next::Done,
                Err(error) => {
                    tracing::debug!(node = key.name, %error, "node not examined");
                    Next::Retry
                }
            }
        }
    };
    context.nodes.run(context.args.node_controller_threads, context.deps.shutdown.clone(), work).await;
}

async fn reconcile(context: &Context, executor: &Executor, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
    let node = context.stores.nodes.get(key);
    let mut observed = Observed {
        name: &key.name,
        node: node.as_deref(),
        vmis: Vec::new(),
        pods: Vec::new(),
        handler_runs: true,
        handlers_healthy: false,
        now: context.deps.clock.time(),
    };
    let recheck = node.is_some().then_some(RECHECK);
    if heartbeat::is_responsive(&observed) {
        return Ok(recheck);
    }
    // Asked, not remembered: an instance is only given up on what the API server says now.
    let client = &context.deps.client;
    let vmis: Api<VirtualMachineInstance> = Api::all(client.clone());
    let on_node = ListParams::default().labels(&format!("{}={}", names::NODE_NAME_LABEL, key.name));
    observed.vmis = vmis.list(&on_node).await?.items;
    if !observed.vmis.is_empty() {
        let pods: Api<Pod> = Api::all(client.clone());
        observed.pods = pods.list(&ListParams::default().fields(&format!("spec.nodeName={}", key.name))).await?.items;
        let handlers: Api<DaemonSet> = Api::namespaced(client.clone(), &context.deps.namespace);
        let handlers = handlers.list(&ListParams::default().labels("kubevirt.io=virt-handler")).await?.items;
        observed.handler_runs = observed.pods.iter().any(|pod| metadata::label(&pod.metadata, names::APP_LABEL) == Some(names::HANDLER));
        observed.handlers_healthy = matches!(handlers.as_slice(), [only] if heartbeat::is_healthy(only));
    }
    let plan = heartbeat::plan(&observed);
    // One failure does not keep the other instances waiting.
    let mut failed = false;
    for action in &plan.actions {
        failed |= executor.apply(std::slice::from_ref(action)).await.failure.is_some();
    }
    Ok(if failed { Some(Duration::from_secs(1)) } else { recheck })
}

//! The VMI controller: observes, plans with `planner::vmi`, applies (spec controllers §2.1, §2.2).

use std::sync::Arc;

use api::names;
use api::v1::{VirtualMachine, VirtualMachineInstance, VirtualMachineInstanceMigration};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::Api;
use planner::metadata;
use planner::plan::{Action, ObjectRef, OnFailure, PlanError, kinds};
use planner::storage::DataVolume;
use planner::vmi::{Observed, Synced, status, sync};
use runtime::{Change, Next, ObjectKey, Store, WorkQueue};

use crate::controller::{Context, Shared, told};
use crate::stores::{BY_CLAIM, BY_OWNER, BY_VMI, index_key};

/// What the queue's subject is called in logs.
const KIND: &str = "VirtualMachineInstance";
/// The first VSOCK context ID of a guest; those below mean the host and everybody.
const FIRST_CID: u32 = 3;

/// Works until shutdown.
pub(crate) async fn run(context: &Shared) {
    subscribe(context);
    let shared = Arc::clone(context);
    let work = move |key: ObjectKey| {
        let context = Arc::clone(&shared);
        async move { reconcile(&context, &key).await }
    };
    context.vmis.run(context.args.vmi_controller_threads, context.deps.shutdown.clone(), work).await;
}

/// Which changes bring which VMIs back.
fn subscribe(context: &Shared) {
    let queue = context.vmis.clone();
    context.stores.vmis.subscribe(move |change: &Change<'_, VirtualMachineInstance>| {
        add(&queue, change, |vmi| Some(ObjectKey::of(&vmi.metadata)));
    });
    // A final instance whose VM is gone has nobody else to let it go.
    let queue = context.vmis.clone();
    context.stores.vms.subscribe(move |change: &Change<'_, VirtualMachine>| {
        if change.new.is_none() {
            add(&queue, change, |vm| Some(ObjectKey::of(&vm.metadata)));
        }
    });
    let (queue, pods) = (context.vmis.clone(), context.stores.pods.clone());
    context.stores.pods.subscribe(move |change: &Change<'_, Pod>| {
        for pod in change.old.into_iter().chain(change.new) {
            if let Some(key) = vmi_of(&pods, &pod.metadata) {
                queue.add(key);
            }
        }
    });
    let (queue, vmis) = (context.vmis.clone(), context.stores.vmis.clone());
    context.stores.claims.subscribe(move |change: &Change<'_, PersistentVolumeClaim>| {
        let Some(claim) = change.latest() else { return };
        if let Some(vmi) = metadata::label(&claim.metadata, names::PERSISTENT_STATE_FOR_LABEL) {
            queue.add(ObjectKey::new(metadata::namespace(&claim.metadata), vmi));
        }
        users_of(&vmis, &claim.metadata, &queue);
    });
    let (queue, vmis) = (context.vmis.clone(), context.stores.vmis.clone());
    context.stores.data_volumes.subscribe(move |change: &Change<'_, DataVolume>| {
        if let Some(volume) = change.latest() {
            users_of(&vmis, &volume.metadata, &queue);
        }
    });
    let queue = context.vmis.clone();
    context.stores.migrations.subscribe(move |change: &Change<'_, VirtualMachineInstanceMigration>| {
        add(&queue, change, |migration| {
            let name = migration.spec.vmi_name.as_deref()?;
            Some(ObjectKey::new(metadata::namespace(&migration.metadata), name))
        });
    });
    let (queue, vmis) = (context.vmis.clone(), context.stores.vmis.clone());
    context.stores.kubevirts.subscribe(move |change| {
        let skips = |kubevirt: Option<&Arc<api::v1::KubeVirt>>| {
            kubevirt.and_then(|kubevirt| metadata::annotation(&kubevirt.metadata, names::SKIP_BACKUP_HOOKS_ANNOTATION).map(str::to_owned))
        };
        if skips(change.old) != skips(change.new) {
            for vmi in vmis.list() {
                queue.add(ObjectKey::of(&vmi.metadata));
            }
        }
    });
}

fn add<K>(queue: &WorkQueue<ObjectKey>, change: &Change<'_, K>, key: impl Fn(&K) -> Option<ObjectKey>) {
    if let Some(key) = change.latest().and_then(|object| key(object)) {
        queue.add(key);
    }
}

fn users_of(vmis: &Store<VirtualMachineInstance>, volume: &ObjectMeta, queue: &WorkQueue<ObjectKey>) {
    for vmi in vmis.by_index(BY_CLAIM, &index_key(metadata::namespace(volume), metadata::name(volume))) {
        queue.add(ObjectKey::of(&vmi.metadata));
    }
}

/// The VMI a pod works for: its controller, or its controller's; by annotation once the launcher in between is gone.
fn vmi_of(pods: &Store<Pod>, pod: &ObjectMeta) -> Option<ObjectKey> {
    let namespace = metadata::namespace(pod);
    let instance = |owner: &OwnerReference| (owner.kind == KIND).then(|| ObjectKey::new(namespace, owner.name.clone()));
    let owner = metadata::controller(pod)?;
    if let Some(key) = instance(owner) {
        return Some(key);
    }
    let launcher = pods.named(namespace, &owner.name);
    launcher
        .and_then(|launcher| metadata::controller(&launcher.metadata).and_then(instance))
        .or_else(|| metadata::annotation(pod, names::OWNER_VMI_NAME_ANNOTATION).map(|name| ObjectKey::new(namespace, name)))
}

async fn reconcile(context: &Context, key: &ObjectKey) -> Next {
    let Some(stored) = context.stores.vmis.get(key) else {
        context.held_vmis.settle(key);
        context.drafts.drop_draft(key);
        return Next::Done;
    };
    let draft = context.drafts.of(key, &stored);
    let vmi = draft.clone().unwrap_or(stored);
    let uid = metadata::uid(&vmi.metadata);
    let mut pods = context.stores.pods.by_index(BY_OWNER, uid);
    let attachments: Vec<Arc<Pod>> =
        pods.iter().flat_map(|pod| context.stores.pods.by_index(BY_OWNER, metadata::uid(&pod.metadata))).collect();
    pods.extend(attachments);
    let utility: Vec<String> = vmi.spec.utility_volumes.iter().map(|volume| volume.claim_name.clone()).collect();
    let storage = context.storage(&key.namespace, &key.name, &[&vmi.spec.volumes], &utility);
    let migrations = context.stores.migrations.by_index(BY_VMI, &index_key(&key.namespace, &key.name));
    let (config, namespace) = (context.configuration.current(), context.namespace(&key.namespace));
    let observed = Observed {
        vmi: &vmi,
        pods: &pods,
        storage: &storage,
        storage_classes: &context.stores.storage_classes.list(),
        migrations: &migrations,
        owner_exists: owner_exists(&context.stores.vms, &vmi.metadata),
        namespace: &namespace,
        config: &config,
        settings: &context.settings,
        jitter_seconds: context.deps.entropy.fork(uid).below(u64::from(convert::pod::QEMU_TIMEOUT_JITTER_SECONDS)) as u32,
        free_vsock_cid: free_cid(context, &vmi),
        now: context.deps.clock.time(),
    };
    let first = sync(&observed);
    let mut synced = Synced { created: None, error: first.error.clone() };
    match context.apply(KIND, key, &first.actions).await {
        Err(failure) => match told(&failure) {
            Some(error) => synced.error = Some(error),
            None => return Next::Retry,
        },
        Ok(_) => {
            if let Some(pod) = &first.creates {
                match created(context, pod, uid).await {
                    Ok(pod) => synced.created = Some(pod),
                    Err(error) => synced.error = Some(error),
                }
            }
        }
    }
    let second = status(&observed, &synced);
    if let Some(waiting) = &second.waiting {
        tracing::debug!(%key, waiting = waiting.for_what, "waits");
    }
    let unchanged = !second.actions.iter().any(is_own);
    let passing = second.passing || (draft.is_some() && unchanged);
    if passing && let Some(left) = context.held_vmis.hold(key) {
        let (own, others): (Vec<Action>, Vec<Action>) = second.actions.into_iter().partition(is_own);
        context.drafts.keep(key, &own);
        return if context.apply(KIND, key, &others).await.is_ok() { Next::After(left) } else { Next::Retry };
    }
    context.held_vmis.settle(key);
    context.drafts.drop_draft(key);
    let mut actions = second.actions;
    if let Some(draft) = draft.filter(|_| unchanged) {
        actions.extend(replacement(&draft));
    }
    if context.apply(KIND, key, &actions).await.is_err() {
        return Next::Retry;
    }
    match (second.error.is_some_and(|error| error.retry), second.requeue) {
        (true, _) => Next::Retry,
        (false, Some(after)) => Next::After(after),
        (false, None) => Next::Done,
    }
}

/// Whether an action writes the VMI itself.
fn is_own(action: &Action) -> bool {
    action.object().is_some_and(|object| object.kind == KIND)
}

/// The write of a VMI that was held back.
fn replacement(vmi: &VirtualMachineInstance) -> Option<Action> {
    let body = serde_json::to_value(vmi).ok()?;
    let object = ObjectRef::of(&kinds::VMI, &vmi.metadata);
    Some(Action::Replace { object, subresource: None, body, on_failure: OnFailure::default() })
}

/// The pod that was just created, as the server has it. When there was one of that name, it has to be ours.
async fn created(context: &Context, planned: &Pod, vmi_uid: &str) -> Result<Arc<Pod>, PlanError> {
    let (namespace, name) = (metadata::namespace(&planned.metadata), metadata::name(&planned.metadata));
    if let Some(pod) = context.stores.pods.named(namespace, name).filter(|pod| metadata::is_controlled_by(&pod.metadata, vmi_uid)) {
        return Ok(pod);
    }
    let failed = |text: String| PlanError::new(names::reason::FAILED_CREATE, format!("failed to create virtual machine pod: {text}"));
    let api: Api<Pod> = Api::namespaced(context.deps.client.clone(), namespace);
    let pod = api.get(name).await.map_err(|error| failed(error.to_string()))?;
    if !metadata::is_controlled_by(&pod.metadata, vmi_uid) {
        return Err(failed(format!("pods {name:?} already exists")));
    }
    context.stores.pods.record_write(pod.clone());
    Ok(Arc::new(pod))
}

fn owner_exists(vms: &Store<VirtualMachine>, meta: &ObjectMeta) -> bool {
    let Some(owner) = metadata::controller(meta).filter(|owner| owner.kind == "VirtualMachine") else { return true };
    let vm = vms.named(metadata::namespace(meta), &owner.name);
    vm.is_some_and(|vm| metadata::uid(&vm.metadata) == owner.uid)
}

/// A VSOCK context ID that no VMI has; any number will do for a VMI that wants none.
fn free_cid(context: &Context, vmi: &VirtualMachineInstance) -> u32 {
    if vmi.spec.domain.devices.autoattach_vsock != Some(true) {
        return FIRST_CID;
    }
    let mut used: Vec<u32> = context.stores.vmis.list().iter().filter_map(|vmi| vmi.status.as_ref()?.vsockcid).collect();
    used.sort_unstable();
    let mut free = FIRST_CID;
    for cid in used {
        if cid == free {
            free += 1;
        }
    }
    free
}

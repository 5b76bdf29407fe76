//! The VM controller: observes, plans with `planner::vm`, applies (spec controllers §3.1, §3.2).

use std::collections::BTreeMap;
use std::sync::Arc;

use api::names;
use api::v1::values::vm_condition;
use api::v1::{VirtualMachine, VirtualMachineInstance};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Api, PostParams};
use planner::conditions;
use planner::metadata;
use planner::plan::{Action, PlanError};
use planner::storage::DataVolume;
use planner::vm::{CloneSource, Expected, Lookups, Observed, Outcome, adopt, adoptions, controls, may_adopt, status, sync};
use runtime::{Change, Next, ObjectKey, Store, WorkQueue};

use crate::controller::{Context, Shared, told};
use crate::lookups;
use crate::stores::{BY_CLAIM, BY_OWNER, index_key};

/// What the queue's subject is called in logs.
const KIND: &str = "VirtualMachine";

/// Works until shutdown.
pub(crate) async fn run(context: &Shared) {
    subscribe(context);
    let shared = Arc::clone(context);
    let work = move |key: ObjectKey| {
        let context = Arc::clone(&shared);
        async move { reconcile(&context, &key).await }
    };
    context.vms.run(context.args.vm_controller_threads, context.deps.shutdown.clone(), work).await;
}

/// Which changes bring which VMs back.
fn subscribe(context: &Shared) {
    let queue = context.vms.clone();
    context.stores.vms.subscribe(move |change: &Change<'_, VirtualMachine>| {
        if let Some(vm) = change.latest() {
            queue.add(ObjectKey::of(&vm.metadata));
        }
    });
    // An instance has the name of its VM, whoever controls it.
    let queue = context.vms.clone();
    context.stores.vmis.subscribe(move |change: &Change<'_, VirtualMachineInstance>| {
        if let Some(vmi) = change.latest() {
            queue.add(ObjectKey::of(&vmi.metadata));
        }
    });
    let (queue, vms) = (context.vms.clone(), context.stores.vms.clone());
    context.stores.claims.subscribe(move |change: &Change<'_, PersistentVolumeClaim>| {
        if let Some(claim) = change.latest() {
            users_of(&vms, metadata::namespace(&claim.metadata), metadata::name(&claim.metadata), &queue);
        }
    });
    let (queue, vms) = (context.vms.clone(), context.stores.vms.clone());
    context.stores.data_volumes.subscribe(move |change: &Change<'_, DataVolume>| {
        let Some(volume) = change.latest() else { return };
        let namespace = metadata::namespace(&volume.metadata);
        if let Some(owner) = metadata::controller(&volume.metadata).filter(|owner| owner.kind == KIND) {
            queue.add(ObjectKey::new(namespace, owner.name.clone()));
        }
        users_of(&vms, namespace, metadata::name(&volume.metadata), &queue);
    });
}

fn users_of(vms: &Store<VirtualMachine>, namespace: &str, volume: &str, queue: &WorkQueue<ObjectKey>) {
    for vm in vms.by_index(BY_CLAIM, &index_key(namespace, volume)) {
        queue.add(ObjectKey::of(&vm.metadata));
    }
}

async fn reconcile(context: &Context, key: &ObjectKey) -> Next {
    let Some(vm) = context.stores.vms.get(key) else {
        context.held_vms.settle(key);
        return Next::Done;
    };
    let named = context.stores.vmis.get(key);
    if let Some(orphan) = named.as_ref().filter(|vmi| may_adopt(&vm, vmi)) {
        return take(context, key, &vm, orphan).await;
    }
    let vmi = named.filter(|vmi| controls(&vm, vmi));
    let Ok(revisions) = revisions(context, &vm, vmi.as_deref()).await else { return Next::Retry };
    let template = vm.spec.template.spec.as_deref().map(|spec| spec.volumes.as_slice()).unwrap_or_default();
    let running = vmi.as_ref().map(|vmi| vmi.spec.volumes.as_slice()).unwrap_or_default();
    let storage = context.storage(&key.namespace, &key.name, &[template, running], &named_storage(&vm));
    let adoptions = adoptions(&vm, &storage);
    if !adoptions.is_empty() {
        return own(context, key, &vm, &adoptions).await;
    }
    let lookups = match lookups::of(context, &vm, &revisions, &storage).await {
        Ok(lookups) => lookups,
        Err(error) => {
            tracing::debug!(%key, %error, "look-up failed");
            return Next::Retry;
        }
    };
    let denials = match clone_denials(context, &vm, &lookups).await {
        Ok(denials) => denials,
        Err(error) => {
            tracing::debug!(%key, %error, "clone authorization not decided");
            return Next::Retry;
        }
    };
    let config = context.configuration.current();
    let spread = context.deps.entropy.fork(vmi.as_ref().map(|vmi| metadata::uid(&vmi.metadata)).unwrap_or_default()).fraction();
    let observed = Observed {
        vm: &vm,
        vmi: vmi.as_deref(),
        revisions: &revisions,
        storage: &storage,
        lookups: &lookups,
        clone_denials: &denials,
        // The caches have our own writes: there is nothing to wait for.
        expected: Expected::default(),
        config: &config,
        settings: &context.settings,
        spread,
        now: context.deps.clock.time(),
    };
    act(context, key, &observed).await
}

/// Both halves of a reconciliation.
async fn act(context: &Context, key: &ObjectKey, observed: &Observed<'_>) -> Next {
    let first = sync(observed);
    let outcome = |created: bool, deleted: bool, error: Option<PlanError>| Outcome {
        vm: first.vm.clone(),
        created,
        deleted,
        ask_for_start: first.ask_for_start,
        error,
    };
    if first.hard {
        let error = first.error.as_ref().map(ToString::to_string).unwrap_or_default();
        tracing::warn!(%key, error, "VM cannot be reconciled");
        return Next::Retry;
    }
    // That a failed instance is wanted back has to be known before it is gone.
    if first.ask_for_start && context.apply(KIND, key, &status(observed, &outcome(false, true, None)).actions).await.is_err() {
        return Next::Retry;
    }
    let mut error = first.error.clone();
    let mut done = true;
    if let Err(failure) = context.apply(KIND, key, &first.actions).await {
        done = false;
        match told(&failure) {
            Some(told) => error = Some(told),
            None => return Next::Retry,
        }
    }
    // The VM is gone; or its instance just came or is going, and what there is to say is said when that is looked at.
    if done && (first.releases || first.creates || first.deletes) {
        return first.requeue.map_or(Next::Done, Next::After);
    }
    let second = status(observed, &outcome(done && first.creates, done && first.deletes, error));
    if second.passing {
        if let Some(left) = context.held_vms.hold(key) {
            // What it does to others, it does now.
            let others: Vec<Action> =
                second.actions.into_iter().filter(|action| action.object().is_none_or(|object| object.kind != KIND)).collect();
            if context.apply(KIND, key, &others).await.is_err() {
                return Next::Retry;
            }
            return Next::After(first.requeue.map_or(left, |requeue| requeue.min(left)));
        }
    } else {
        context.held_vms.settle(key);
    }
    if let Some(waiting) = &second.waiting {
        tracing::debug!(%key, waiting = waiting.for_what, "waits");
    }
    if context.apply(KIND, key, &second.actions).await.is_err() {
        return Next::Retry;
    }
    match (second.error.is_some_and(|error| error.retry), first.requeue) {
        (true, _) => Next::Retry,
        (false, Some(after)) => Next::After(after),
        (false, None) => Next::Done,
    }
}

/// Adopts the instance of the VM's name, if the VM is really there: a cache may be behind, and an instance with an owner that
/// is gone would be collected as garbage.
async fn take(context: &Context, key: &ObjectKey, vm: &VirtualMachine, vmi: &VirtualMachineInstance) -> Next {
    let actions: Vec<Action> = adopt(vm, vmi).into_iter().collect();
    own(context, key, vm, &actions).await
}

/// Makes the VM the owner of what had none, after asking for the VM itself.
async fn own(context: &Context, key: &ObjectKey, vm: &VirtualMachine, actions: &[Action]) -> Next {
    let api: Api<VirtualMachine> = Api::namespaced(context.deps.client.clone(), &key.namespace);
    match api.get_opt(&key.name).await {
        Ok(Some(live)) if live.metadata.uid == vm.metadata.uid && !metadata::is_deleting(&live.metadata) => {}
        // The watch will tell.
        Ok(_) => return Next::Done,
        Err(_) => return Next::Retry,
    }
    match context.apply(KIND, key, actions).await {
        // What was written brings the VM back.
        Ok(_) => Next::Done,
        Err(_) => Next::Retry,
    }
}

/// The VM's revisions; with the recorded templates where the present one differs from the instance's.
async fn revisions(
    context: &Context,
    vm: &VirtualMachine,
    vmi: Option<&VirtualMachineInstance>,
) -> Result<Vec<Arc<ControllerRevision>>, kube::Error> {
    let known = context.stores.revisions.by_index(BY_OWNER, metadata::uid(&vm.metadata));
    let Some(vmi) = vmi else { return Ok(known) };
    let generation = vm.metadata.generation.unwrap_or_default().to_string();
    let current = metadata::annotation(&vmi.metadata, names::VM_GENERATION_ANNOTATION) == Some(&generation);
    let stored = vm.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    if current && !conditions::has(stored, vm_condition::RESTART_REQUIRED) {
        return Ok(known);
    }
    let api: Api<ControllerRevision> = Api::namespaced(context.deps.client.clone(), metadata::namespace(&vm.metadata));
    let mut fetched = Vec::new();
    for revision in known {
        if let Some(revision) = api.get_opt(metadata::name(&revision.metadata)).await? {
            fetched.push(Arc::new(revision));
        }
    }
    Ok(fetched)
}

/// Claims and DataVolumes a VM names outside its volumes.
fn named_storage(vm: &VirtualMachine) -> Vec<String> {
    let dump = vm.status.iter().filter_map(|status| status.memory_dump_request.as_ref()).map(|request| request.claim_name.clone());
    let templates = vm.spec.data_volume_templates.iter().filter_map(|template| template.metadata.as_deref()?.name.clone());
    dump.chain(templates).collect()
}

/// Which missing DataVolumes must not be cloned: the VM's service account may not read the source (spec controllers §3.5).
async fn clone_denials(context: &Context, vm: &VirtualMachine, lookups: &Lookups) -> Result<BTreeMap<String, String>, kube::Error> {
    let mut denials = BTreeMap::new();
    let namespace = metadata::namespace(&vm.metadata);
    for template in &vm.spec.data_volume_templates {
        let name = template.metadata.as_deref().map(metadata::name).unwrap_or_default();
        // What is in its own namespace a VM may clone.
        let Some(source) = lookups.clone_source(name).filter(|source| source.namespace != namespace) else { continue };
        let user = format!("system:serviceaccount:{namespace}:{}", service_account(vm));
        if !may_clone(context, namespace, &user, source).await? {
            let text = format!("User {user} has insufficient permissions in clone source namespace {}", source.namespace);
            denials.insert(name.to_owned(), text);
        }
    }
    Ok(denials)
}

/// Who may make pods in a namespace sees the data of its claims anyway; of its snapshots, who may make claims as well.
async fn may_clone(context: &Context, namespace: &str, user: &str, source: CloneSource<'_>) -> Result<bool, kube::Error> {
    let groups =
        vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}"), "system:authenticated".to_owned()];
    let may = async |group: &str, resource: &str, subresource: Option<&str>| {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(user.to_owned()),
                groups: Some(groups.clone()),
                resource_attributes: Some(ResourceAttributes {
                    namespace: Some(source.namespace.to_owned()),
                    verb: Some("create".to_owned()),
                    group: Some(group.to_owned()),
                    resource: Some(resource.to_owned()),
                    subresource: subresource.map(str::to_owned),
                    name: Some(source.name.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(context.deps.client.clone());
        let decided = api.create(&PostParams::default(), &review).await?;
        Ok::<bool, kube::Error>(decided.status.is_some_and(|status| status.allowed))
    };
    if may("cdi.kubevirt.io", "datavolumes", Some("source")).await? {
        return Ok(true);
    }
    Ok(may("", "pods", None).await? && (!source.snapshot || may("", "pvcs", None).await?))
}

/// The service account a VM's pods run as.
fn service_account(vm: &VirtualMachine) -> String {
    let spec = vm.spec.template.spec.as_deref();
    let named = spec.and_then(|spec| spec.service_account_name.clone());
    let mounted = || {
        let volumes = spec.map(|spec| spec.volumes.as_slice()).unwrap_or_default();
        volumes.iter().find_map(|volume| volume.service_account.as_ref()?.service_account_name.clone())
    };
    named.or_else(mounted).unwrap_or_else(|| "default".to_owned())
}

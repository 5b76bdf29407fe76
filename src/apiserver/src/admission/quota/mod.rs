//! ResourceQuota: refuses what would exceed a quota of the namespace, and books what does not.
//!
//! Flow: what is enforced is `status.hard`, which the controller ([`run`]) copies from the spec when it first counts: without
//! it a quota limits nothing. The numbers in `status.used` are what the last booking left. When they leave room, the new usage is committed to
//! the quota before the object is stored; when they do not, or are not there yet, the namespace is counted afresh first,
//! so that nothing is refused because of objects that are gone. [`run`] keeps what users read up to date.
//!
//! Facts: `k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go` (texts).

mod usage;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, select_all};
use serde_json::{Map, Value};

use self::usage::Usage;
use super::quantity::Quantity;
use super::{Attributes, Chain, Operation};
use crate::error::ApiError;
use crate::object;
use crate::resource::GroupResource;
use crate::store::{Event, EventKind, Expect, Store, StoreError, Stored};

/// How often a booking is tried again when somebody else writes the quota.
const ATTEMPTS: usize = 8;

fn quotas(store: &Store, namespace: &str) -> Vec<Arc<Stored>> {
    store.list(&GroupResource::new("", "resourcequotas"), Some(namespace)).0
}

pub(super) fn validate(chain: &Chain, attributes: &Attributes) -> Result<(), ApiError> {
    let writes = matches!(attributes.operation, Operation::Create | Operation::Update);
    if !writes || attributes.namespace.is_empty() || !attributes.subresource.is_empty() {
        return Ok(());
    }
    let Some(new) = &attributes.object else { return Ok(()) };
    if attributes.is("", "resourcequotas") && attributes.operation == Operation::Update {
        return Ok(());
    }
    for quota in quotas(&chain.store, &attributes.namespace) {
        let mut quota = quota;
        for attempt in 1.. {
            let Some(booked) = book(&chain.store, attributes, new, &quota)? else { break };
            if attributes.dry_run {
                break;
            }
            match chain.store.commit(quota.key.clone(), Expect::Revision(quota.revision), Some(booked)) {
                Ok(_) | Err(StoreError::Missing) => break,
                Err(StoreError::Changed(_)) if attempt < ATTEMPTS => match chain.store.get(&quota.key) {
                    Some(current) => quota = current,
                    None => break,
                },
                Err(error) => return Err(ApiError::internal(error)),
            }
        }
    }
    Ok(())
}

/// The quota with the object booked; `None` when it does not concern it.
fn book(store: &Store, attributes: &Attributes, new: &Value, stored: &Stored) -> Result<Option<Value>, ApiError> {
    let quota = stored.value();
    let gr = attributes.gr();
    // What counts is what the controller confirmed: a quota that nobody has looked at yet limits nothing.
    let hard = quantities(&quota, &["status", "hard"]);
    if hard.is_empty() || !usage::in_scopes(&quota, &gr, new) {
        return Ok(None);
    }
    let mut delta = usage::of(&gr, new);
    delta.retain(|name, _| hard.contains_key(name));
    let pods = attributes.is("", "pods");
    if pods
        && attributes.operation == Operation::Create
        && let Some(missing) = usage::missing(new, &hard)
    {
        return Err(attributes.forbidden(format!("failed quota: {}: must specify {missing}", stored.key.name)));
    }
    if let Some(old) = &attributes.old_object {
        for (name, before) in usage::of(&gr, old) {
            if let Some(change) = delta.get_mut(&name) {
                *change = *change - before;
            }
        }
    }
    delta.retain(|_, quantity| !quantity.is_zero());
    if delta.is_empty() {
        return Ok(None);
    }
    let mut used = quantities(&quota, &["status", "used"]);
    let counted = hard.keys().all(|name| used.contains_key(name));
    if !counted || !exceeded(&delta, &used, &hard).is_empty() {
        used = count(store, &quota, &attributes.namespace, &hard);
    }
    let over = exceeded(&delta, &used, &hard);
    if !over.is_empty() {
        let pick = |from: &Usage| {
            let parts: Vec<String> = over.iter().map(|name| format!("{name}={}", from.get(name).copied().unwrap_or_default())).collect();
            parts.join(",")
        };
        return Err(attributes.forbidden(format!(
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            stored.key.name,
            pick(&delta),
            pick(&used),
            pick(&hard)
        )));
    }
    for (name, change) in delta {
        let sum = used.get(&name).copied().unwrap_or_default() + change;
        used.insert(name, sum);
    }
    let mut quota = quota;
    set_used(&mut quota, &used);
    Ok(Some(quota))
}

/// Names whose increase does not fit.
fn exceeded(delta: &Usage, used: &Usage, hard: &Usage) -> Vec<String> {
    let over = |name: &str, change: Quantity| {
        let used = used.get(name).copied().unwrap_or_default();
        change > Quantity::default() && hard.get(name).is_some_and(|hard| used + change > *hard)
    };
    delta.iter().filter(|(name, change)| over(name, **change)).map(|(name, _)| name.clone()).collect()
}

fn quantities(object: &Value, path: &[&str]) -> Usage {
    object::map(object, path).into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), Quantity::of(value)?))).collect()
}

fn set_used(quota: &mut Value, used: &Usage) {
    let used: Map<String, Value> = used.iter().map(|(name, quantity)| (name.clone(), quantity.to_string().into())).collect();
    object::set(quota, &["status", "used"], used);
}

/// Everything in the namespace that the quota counts.
fn count(store: &Store, quota: &Value, namespace: &str, hard: &Usage) -> Usage {
    let mut used: Usage = hard.keys().map(|name| (name.clone(), Quantity::default())).collect();
    for gr in store.resources() {
        let counted = format!("count/{gr}");
        let core = gr.group.is_empty()
            && matches!(
                gr.resource.as_str(),
                "pods" | "services" | "persistentvolumeclaims" | "replicationcontrollers" | "resourcequotas" | "secrets" | "configmaps"
            );
        if !core && !hard.contains_key(&counted) {
            continue;
        }
        for stored in store.list(&gr, Some(namespace)).0 {
            let object = stored.value();
            if !usage::in_scopes(quota, &gr, &object) {
                continue;
            }
            for (name, quantity) in usage::of(&gr, &object) {
                if let Some(sum) = used.get_mut(&name) {
                    *sum = *sum + quantity;
                }
            }
        }
    }
    used
}

/// Counts a namespace afresh and writes the quotas whose status differs; a quota that changes meanwhile is left.
///
/// # Errors
/// The store's, except for lost races.
pub fn recount(store: &Store, namespace: &str) -> Result<(), StoreError> {
    for stored in quotas(store, namespace) {
        let quota = stored.value();
        let hard = quantities(&quota, &["spec", "hard"]);
        let used = count(store, &quota, namespace, &hard);
        let mut counted = quota.clone();
        object::set(&mut counted, &["status", "hard"], object::at(&quota, &["spec", "hard"]).cloned().unwrap_or_default());
        set_used(&mut counted, &used);
        if counted == quota {
            continue;
        }
        match store.commit(stored.key.clone(), Expect::Revision(stored.revision), Some(counted)) {
            Ok(_) | Err(StoreError::Changed(_) | StoreError::Missing) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Resources whose deletion frees quota that users look at.
const FOLLOWED: [&str; 7] =
    ["resourcequotas", "pods", "services", "persistentvolumeclaims", "secrets", "configmaps", "replicationcontrollers"];
/// Changes of this long are counted together.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps `status.used` of all quotas, until dropped. While there are no quotas, only their coming is waited for.
pub async fn run(store: Store) {
    let gr = |resource: &&str| GroupResource::new("", *resource);
    loop {
        let revision = store.revision();
        let namespaces: BTreeSet<String> =
            store.list(&gr(&"resourcequotas"), None).0.iter().map(|stored| stored.key.namespace.clone()).collect();
        for namespace in &namespaces {
            if let Err(error) = recount(&store, namespace) {
                tracing::warn!(%error, namespace, "count a quota");
            }
        }
        let followed = if namespaces.is_empty() { FOLLOWED.get(..1) } else { FOLLOWED.get(..) };
        let changes = followed.unwrap_or_default().iter().map(|resource| follow(&store, &gr(resource), revision, &namespaces));
        select_all(changes).await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits for a change that a quota may have to be counted for.
fn follow(store: &Store, gr: &GroupResource, revision: u64, namespaces: &BTreeSet<String>) -> BoxFuture<'static, ()> {
    let watch = store.watch(gr, None, revision);
    let (quotas, namespaces) = (gr.resource == "resourcequotas", namespaces.clone());
    async move {
        // A history that is gone already is a change, too.
        let Ok(mut watch) = watch else { return };
        while let Ok(events) = watch.next_batch().await {
            let counts = |event: &Event| {
                let status_only = || event.previous.as_ref().is_some_and(|old| old.value().get("spec") == event.object.value().get("spec"));
                let ended = || matches!(object::text(&event.object.value(), &["status", "phase"]), "Succeeded" | "Failed");
                match event.kind {
                    _ if quotas => event.kind == EventKind::Added || (event.kind == EventKind::Modified && !status_only()),
                    EventKind::Deleted => namespaces.contains(&event.object.key.namespace),
                    EventKind::Modified => namespaces.contains(&event.object.key.namespace) && ended(),
                    EventKind::Added => false,
                }
            };
            if events.iter().any(|event| counts(event)) {
                return;
            }
        }
    }
    .boxed()
}

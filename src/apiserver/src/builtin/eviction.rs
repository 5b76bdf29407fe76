//! `pods/NAME/eviction`: a deletion that asks disruption budgets first.

use serde_json::{Value, json};

use super::subresource::{body_of, pod_call, set_condition, success};
use crate::admission;
use crate::error::{ApiError, StatusCause, StatusDetails};
use crate::object;
use crate::registry::delete_options::DeleteOptions;
use crate::registry::write_options::{WriteKind, WriteOptions};
use crate::registry::{Call, Output, create, delete, list};
use crate::resource::{GroupResource, Gvk};
use crate::selector::LabelSelector;
use crate::store::{Expect, StoreError, Stored};

/// A budget remembers at most this many pods that are on their way out.
const MAX_DISRUPTED: usize = 2_000;
/// Seconds after which a budget that is not observed yet may be asked again.
const RETRY: u32 = 10;

/// Serves an eviction request. Admission sees the Eviction, before any budget is asked: who is refused costs nobody a disruption.
pub(super) async fn evict(call: &mut Call) -> Result<Output, ApiError> {
    let options = WriteOptions::parse(&call.query, WriteKind::Create)?;
    let eviction = body_of(call, &Gvk::new("policy", "v1", "Eviction"))?;
    let mut raw = eviction.get("deleteOptions").cloned().unwrap_or_else(|| json!({}));
    object::set_type(&mut raw, "meta.k8s.io/v1", "DeleteOptions");
    if options.dry_run {
        object::set(&mut raw, &["dryRun"], json!(["All"]));
    }
    let delete = DeleteOptions::check(raw)?;
    admit(call, eviction.clone(), &options).await?;
    let mut pod_call = pod_call(call, object::name(&eviction))?;
    pod_call.subresource = String::new();
    let pod = list::stored(&pod_call)?.value();
    if counts(&pod) {
        let budgets = budgets(call, &pod);
        if budgets.len() > 1 {
            return Err(ApiError::new(
                500,
                "InternalError",
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            ));
        }
        for budget in budgets {
            charge(call, &budget, object::name(&pod), delete.dry_run).await?;
        }
        if !delete.dry_run {
            announce(&pod_call).await?;
        }
    }
    delete::remove(&mut pod_call, &delete).await?;
    Ok(success(201))
}

/// A pod that has ended, waits for a node or is on its way out disrupts nobody.
fn counts(pod: &Value) -> bool {
    !matches!(object::text(pod, &["status", "phase"]), "Succeeded" | "Failed" | "Pending") && !object::is_terminating(pod)
}

fn budgets(call: &Call, pod: &Value) -> Vec<std::sync::Arc<Stored>> {
    let labels = object::at(pod, &["metadata", "labels"]);
    let gr = GroupResource::new("policy", "poddisruptionbudgets");
    let (all, _) = call.core.store.list(&gr, Some(&call.namespace));
    all.into_iter()
        .filter(|stored| {
            let budget = stored.value();
            let Some(selector) = object::at(&budget, &["spec", "selector"]) else { return false };
            LabelSelector::from_object(Some(selector))
                .is_ok_and(|selector| selector.matches_with(|key| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str)))
        })
        .collect()
}

fn refused(text: String, retry_after: u32) -> ApiError {
    let mut error = ApiError::too_many_requests("Cannot evict pod as it would violate the pod's disruption budget.", retry_after);
    error.details = Some(StatusDetails {
        causes: vec![StatusCause { reason: "DisruptionBudget".into(), message: text, field: String::new() }],
        retry_after_seconds: retry_after,
        ..StatusDetails::default()
    });
    error
}

/// Takes one disruption from a budget; starts again when the budget changed meanwhile.
async fn charge(call: &Call, stored: &Stored, pod: &str, dry_run: bool) -> Result<(), ApiError> {
    let store = &call.core.store;
    while let Some(stored) = store.get(&stored.key) {
        let mut budget = stored.value();
        let name = object::name(&budget).to_owned();
        let status = |key: &str| object::number(&budget, &["status", key]).unwrap_or(0);
        let generation = object::number(&budget, &["metadata", "generation"]).unwrap_or(0);
        if status("observedGeneration") < generation {
            return Err(refused(format!("The disruption budget {name} is still being processed by the server."), RETRY));
        }
        let allowed = status("disruptionsAllowed");
        if allowed < 0 {
            let why = "pdb disruptions allowed is negative";
            return Err(ApiError::forbidden(&GroupResource::new("policy", "poddisruptionbudget"), &name, why));
        }
        if object::map(&budget, &["status", "disruptedPods"]).is_some_and(|pods| pods.len() > MAX_DISRUPTED) {
            let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
            return Err(ApiError::forbidden(&GroupResource::new("policy", "poddisruptionbudget"), &name, why));
        }
        if allowed == 0 {
            let (desired, current) = (status("desiredHealthy"), status("currentHealthy"));
            return Err(refused(format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently"), 0));
        }
        if dry_run {
            return Ok(());
        }
        let now = call.core.env.timestamp();
        object::set(&mut budget, &["status", "disruptionsAllowed"], allowed - 1);
        object::set(&mut budget, &["status", "disruptedPods", pod], now.as_str());
        if allowed == 1 {
            set_condition(
                &mut budget,
                json!({
                    "type": "DisruptionAllowed",
                    "status": "False",
                    "reason": "InsufficientPods",
                    "message": "",
                    "observedGeneration": generation,
                    "lastTransitionTime": now,
                }),
            );
        }
        match store.commit(stored.key.clone(), Expect::Revision(stored.revision), Some(budget)) {
            Ok(written) => return store.durable(written.revision).await.map_err(ApiError::internal),
            Err(StoreError::Changed(_) | StoreError::Missing) => {}
            Err(error) => return Err(ApiError::internal(error)),
        }
    }
    Ok(())
}

/// Lets plugins, policies and webhooks judge the Eviction.
async fn admit(call: &mut Call, eviction: Value, options: &WriteOptions) -> Result<(), ApiError> {
    let gvk = Gvk::new("policy", "v1", "Eviction");
    let body = options.to_value(WriteKind::Create);
    let mut attributes = create::attributes(call, admission::Operation::Create, Some(eviction), None, body, options.dry_run);
    attributes.gvk = gvk.clone();
    attributes.request_kind = gvk;
    call.warnings.extend(call.core.admission.mutate(&mut attributes).await?);
    call.warnings.extend(call.core.admission.validate(&attributes).await?);
    Ok(())
}

/// Says in the pod's status why it goes. The eviction was admitted: this is no request of its own.
async fn announce(pod_call: &Call) -> Result<(), ApiError> {
    let store = &pod_call.core.store;
    let key = pod_call.key(&pod_call.name);
    while let Some(stored) = store.get(&key) {
        let mut pod = stored.value();
        let condition = json!({
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
            "lastProbeTime": null,
            "lastTransitionTime": pod_call.core.env.timestamp(),
        });
        set_condition(&mut pod, condition);
        match store.commit(key.clone(), Expect::Revision(stored.revision), Some(pod)) {
            Ok(written) => return store.durable(written.revision).await.map_err(ApiError::internal),
            Err(StoreError::Changed(_) | StoreError::Missing) => {}
            Err(error) => return Err(ApiError::internal(error)),
        }
    }
    Ok(())
}

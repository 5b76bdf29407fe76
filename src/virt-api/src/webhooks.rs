//! The webhooks (spec/operator.md §11.7): a review goes to `admission::review`, which says what it needs to see, until it decides.

use crate::answer::{self, Answer};
use crate::context::Context;
use crate::review::{self, Review, Verdict};
use admission::review::{self as review_request, Known, Need, Stop, Trial};
use admission::{Denial, EvictionAnswer, Seeds};
use api::v1::VirtualMachineInstance;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, Client};
use serde_json::{Value, json};

/// The longest review that is read: both versions of the largest object there is.
const LONGEST_REVIEW: usize = 7 * 1024 * 1024;

/// A review that asks more often than this goes round in circles.
const MOST_LOOKUPS: usize = 16;

/// What a webhook's path is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Mutate,
    Validate,
    Evict,
}

/// What a path is for, if it is a webhook. Which rules run is the review's kind's business.
fn direction(path: &str) -> Option<Direction> {
    match path {
        "/pod-eviction-validate" => Some(Direction::Evict),
        "/migration-mutate-create" | "/vm-clone-mutate-create" | "/virt-launcher-pod-mutate" => Some(Direction::Mutate),
        path if path.starts_with("/apis") || path.matches('/').count() != 1 => None,
        path if path.ends_with("-mutate") => Some(Direction::Mutate),
        path if path.contains("-validate") => Some(Direction::Validate),
        _ => None,
    }
}

/// Whether a path is a webhook.
pub fn is_hook(path: &str) -> bool {
    direction(path).is_some()
}

/// Judges a review.
pub async fn handle(cx: &Context, path: &str, request: Request<Incoming>) -> Answer {
    let Some(direction) = direction(path) else { return answer::text(StatusCode::NOT_FOUND, "404: Page Not Found") };
    if request.headers().get(http::header::CONTENT_TYPE).is_none_or(|kind| kind != "application/json") {
        return answer::empty(StatusCode::BAD_REQUEST);
    }
    let body = match Limited::new(request.into_body(), LONGEST_REVIEW).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return answer::text(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let review = match serde_json::from_slice::<Review>(&body) {
        Ok(review) => review,
        Err(error) => {
            tracing::debug!(%error, "the body is no AdmissionReview");
            return answer::empty(StatusCode::BAD_REQUEST);
        }
    };
    let verdict = judge(cx, direction, &review).await.unwrap_or_else(Verdict::Denied);
    answer::json(&review::answer(&review.request, verdict))
}

async fn judge(cx: &Context, direction: Direction, review: &Review) -> Result<Verdict, Denial> {
    let config = cx.config();
    let requester = review.request.requester();
    let question = review.request.question(&requester);
    if (direction, question.kind) == (Direction::Mutate, "Pod") {
        return Ok(Verdict::Mutated(launcher_pod(cx, &question).await, Vec::new()));
    }
    let mut known = Known::default();
    if direction == Direction::Validate {
        for trial in admission::review::trials(&question) {
            if let Err(refusal) = attempt(cx, &trial).await {
                known.refused(trial.kind, refusal);
            }
        }
    }
    for _ in 0..MOST_LOOKUPS {
        let decided = match direction {
            Direction::Mutate => {
                let entropy = cx.deps.entropy.clone();
                let mut seeds = Seeds { uuid: &mut || entropy.uuid(), now: cx.deps.clock.time() };
                let mutated = admission::review::mutate(&question, &config, &known, &mut seeds);
                mutated.map(|mutated| Verdict::Mutated(mutated.object, mutated.warnings))
            }
            Direction::Validate => admission::review::validate(&question, &config, &known).map(Verdict::Allowed),
            Direction::Evict => match admission::review::evict(&question, &config, &known) {
                Ok(judged) => return evict(cx, &question, &known, judged).await,
                Err(stop) => Err(stop),
            },
        };
        match decided {
            Ok(verdict) => return Ok(verdict),
            Err(Stop::Denied(denial)) => return Err(denial),
            Err(Stop::Need(need)) => {
                let found = look_up(cx, &need).await?;
                known.add(need, found);
            }
        }
    }
    Err(Denial::with_code(500, "the review needs more look-ups than any rule has"))
}

/// A launcher pod with the daemons it lacks (MPO1); `None` where it stays as it is, for whatever reason: a pod is never refused.
async fn launcher_pod(cx: &Context, question: &review_request::Request<'_>) -> Option<Value> {
    let config = cx.config();
    if !config.gate("ContainerPathVolumes") {
        return None;
    }
    let mut object = question.object.clone();
    let pod: Pod = serde_json::from_value(object.clone()).ok()?;
    let owners = pod.metadata.owner_references.iter().flatten();
    let owner = owners.into_iter().find(|owner| owner.kind == "VirtualMachineInstance" && owner.api_version == "kubevirt.io/v1")?;
    let vmi = cx.find_vmi(question.namespace, &owner.name).await.ok()??;
    let daemons = convert::pod::container_path_daemons(&vmi, &pod, &config);
    let containers = object.pointer_mut("/spec/containers")?.as_array_mut()?;
    if daemons.is_empty() {
        return None;
    }
    containers.extend(daemons.iter().map(|daemon| json!(daemon)));
    Some(object)
}

/// Carries an eviction's verdict out: an instance that can leave its node is marked, and the pod stays until it has left (PE9).
async fn evict(cx: &Context, question: &review_request::Request<'_>, known: &Known, judged: EvictionAnswer) -> Result<Verdict, Denial> {
    let (node, message, descheduler) = match judged {
        EvictionAnswer::Allow => return Ok(Verdict::Allowed(Vec::new())),
        EvictionAnswer::Deny(message) => return Err(Denial::with_code(429, message)),
        EvictionAnswer::Mark { node, message, descheduler } => (node, message, descheduler),
    };
    let failed = |why: String| Denial::with_code(429, format!("kubevirt failed marking the vmi for eviction: {why}"));
    let Some(vmi) = known.find::<VirtualMachineInstance>("VirtualMachineInstance") else { return Err(failed("it is gone".to_owned())) };
    let mut marked = vmi.clone();
    admission::review::mark_for_evacuation(&mut marked, &node, descheduler);
    let patch = json_patch::diff(&json!(vmi), &json!(marked));
    let dry_run = question.object.pointer("/deleteOptions/dryRun/0").and_then(Value::as_str) == Some("All");
    let api: Api<VirtualMachineInstance> = Api::namespaced(cx.deps.client.clone(), vmi.metadata.namespace.as_deref().unwrap_or_default());
    let params = PatchParams { dry_run, ..PatchParams::default() };
    let name = vmi.metadata.name.as_deref().unwrap_or_default();
    api.patch(name, &params, &Patch::Json::<()>(patch)).await.map_err(|error| failed(error.to_string()))?;
    Err(Denial::with_code(429, message))
}

/// The objects a rule has to see; those that many reviews ask for come from a watch.
pub(crate) async fn look_up(cx: &Context, need: &Need) -> Result<Vec<Value>, Denial> {
    if need.kind == "VirtualMachineInstancePreset" && need.name.is_none() {
        return Ok(cx.presets.in_namespace(&need.namespace).iter().map(|preset| json!(preset.as_ref())).collect());
    }
    let found = match &need.name {
        Some(name) => api(&cx.deps.client, need).get_opt(name).await.map(|object| object.into_iter().collect::<Vec<_>>()),
        None => api(&cx.deps.client, need).list(&ListParams::default()).await.map(|list| list.items),
    };
    match found {
        Ok(objects) => Ok(objects.into_iter().map(|object| json!(object)).collect()),
        // The kind is not installed: then there are no such objects.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => Err(Denial::with_code(500, error.to_string())),
    }
}

/// Asks the API server to create an object, in a dry run; else its words.
async fn attempt(cx: &Context, trial: &Trial) -> Result<(), String> {
    let object: DynamicObject = serde_json::from_value(trial.object.clone()).map_err(|error| error.to_string())?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", trial.kind));
    let api: Api<DynamicObject> = Api::namespaced_with(cx.deps.client.clone(), &trial.namespace, &resource);
    let params = PostParams { dry_run: true, ..PostParams::default() };
    match api.create(&params, &object).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        Err(error) => Err(error.to_string()),
    }
}

fn api(client: &Client, need: &Need) -> Api<DynamicObject> {
    let (group, version) = need.api_version.rsplit_once('/').unwrap_or(("", need.api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, need.kind));
    if need.namespace.is_empty() {
        Api::all_with(client.clone(), &resource)
    } else {
        Api::namespaced_with(client.clone(), &need.namespace, &resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/virtualmachines-mutate", Some(Direction::Mutate))]
    #[case("/virtualmachineinstances-validate-update", Some(Direction::Validate))]
    #[case("/vm-clone-mutate-create", Some(Direction::Mutate))]
    #[case("/status-validate", Some(Direction::Validate))]
    #[case("/pod-eviction-validate", Some(Direction::Evict))]
    #[case("/apis", None)]
    #[case("/healthz", None)]
    #[case("/apis/subresources.kubevirt.io/v1/namespaces/a-validate", None)]
    fn paths_say_what_they_are_for(#[case] path: &str, #[case] expected: Option<Direction>) {
        assert_eq!(direction(path), expected);
    }
}

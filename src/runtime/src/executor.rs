//! The executor: the only writer of the components (DESIGN, invariants 1 and 3).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Request};
use kube::client::Body;
use planner::plan::{Action, ObjectRef, OnFailure, Patch, Tolerate};
use serde_json::{Value, json};

use crate::EventRecorder;

/// How many writes were made, by verb and `resource[/subresource]`. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct WriteCounts {
    counts: Arc<Mutex<BTreeMap<(&'static str, String), u64>>>,
}

impl WriteCounts {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The counts so far.
    pub fn snapshot(&self) -> BTreeMap<(&'static str, String), u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All writes together.
    pub fn total(&self) -> u64 {
        self.snapshot().values().sum()
    }

    fn count(&self, verb: &'static str, resource: String) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry((verb, resource)).or_insert(0) += 1;
    }
}

/// A write that failed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The API server refused it; the text is the server's.
    #[error("{}", .0.message)]
    Refused(Box<kube::core::Status>),
    /// No answer: it may or may not have happened.
    #[error("{verb} {resource}: {source}")]
    Unanswered {
        /// The verb.
        verb: &'static str,
        /// The resource.
        resource: String,
        /// What went wrong.
        #[source]
        source: kube::Error,
    },
    /// The request or its answer is not valid.
    #[error("encode {resource}: {source}")]
    Encode {
        /// The resource.
        resource: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl WriteError {
    /// The HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(status) => Some(status.code),
            Self::Unanswered { .. } | Self::Encode { .. } => None,
        }
    }

    /// The object was changed by somebody else meanwhile, or a `test` of a patch did not hold.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Refused(status) => {
                (status.code == 409 && status.reason == "Conflict")
                    || (status.code == 422 && status.message.contains("the server rejected our request"))
                    || (status.code == 422 && status.message.contains("test failed"))
            }
            Self::Unanswered { .. } | Self::Encode { .. } => false,
        }
    }
}

/// A request that writes.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    verb: &'static str,
    resource: String,
    method: Method,
    path: String,
    content_type: &'static str,
    body: Vec<u8>,
}

const JSON: &str = "application/json";

impl Write {
    fn new(
        object: &ObjectRef,
        subresource: Option<&str>,
        (verb, method, content_type): (&'static str, Method, &'static str),
        body: &Value,
    ) -> Result<Self, WriteError> {
        let resource = match subresource {
            Some(subresource) => format!("{}/{subresource}", object.resource),
            None => object.resource.to_string(),
        };
        let path = if method == Method::POST { object.collection() } else { object.path(subresource) };
        match serde_json::to_vec(body) {
            Ok(body) => Ok(Self { verb, resource, method, path, content_type, body }),
            Err(source) => Err(WriteError::Encode { resource, source: source.into() }),
        }
    }

    pub(crate) fn create(object: &ObjectRef, body: &Value) -> Result<Self, WriteError> {
        Self::new(object, None, ("create", Method::POST, JSON), body)
    }

    pub(crate) fn merge_patch(object: &ObjectRef, subresource: Option<&str>, body: &Value) -> Result<Self, WriteError> {
        Self::new(object, subresource, ("patch", Method::PATCH, "application/merge-patch+json"), body)
    }

    /// The request for an action; `None` for events, which go to the recorder.
    fn of(action: &Action) -> Result<Option<Self>, WriteError> {
        let write = match action {
            Action::Create { object, body, .. } => Self::create(object, body)?,
            Action::Replace { object, subresource, body, .. } => Self::new(object, *subresource, ("update", Method::PUT, JSON), body)?,
            Action::Call { object, subresource, body, .. } => Self::new(object, Some(subresource), ("update", Method::PUT, JSON), body)?,
            Action::Patch { object, subresource, patch, .. } => {
                let (content_type, body) = match patch {
                    Patch::Json(operations) => ("application/json-patch+json", Cow::Owned(Value::Array(operations.clone()))),
                    Patch::Merge(body) => ("application/merge-patch+json", Cow::Borrowed(body)),
                    Patch::Strategic(body) => ("application/strategic-merge-patch+json", Cow::Borrowed(body)),
                };
                Self::new(object, *subresource, ("patch", Method::PATCH, content_type), &body)?
            }
            Action::Delete { object, grace_seconds, propagation, .. } => {
                let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
                if let Some(grace) = grace_seconds {
                    options["gracePeriodSeconds"] = json!(grace);
                }
                if let Some(uid) = &object.uid {
                    options["preconditions"] = json!({"uid": uid});
                }
                if let Some(propagation) = propagation {
                    options["propagationPolicy"] = json!(propagation.as_str());
                }
                Self::new(object, None, ("delete", Method::DELETE, JSON), &options)?
            }
            Action::Event { .. } => return Ok(None),
        };
        Ok(Some(write))
    }
}

/// Sends writes and counts them.
#[derive(Clone)]
pub(crate) struct Transport {
    client: kube::Client,
    counts: WriteCounts,
}

impl Transport {
    pub(crate) fn new(client: kube::Client, counts: WriteCounts) -> Self {
        Self { client, counts }
    }

    /// Sends a write; the answer is the object as it is now, or a Status.
    pub(crate) async fn send(&self, write: Write) -> Result<Value, WriteError> {
        let Write { verb, resource, method, path, content_type, body } = write;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, content_type)
            .header(http::header::ACCEPT, JSON)
            .body(Body::from(body));
        let request = match request {
            Ok(request) => request,
            Err(source) => return Err(WriteError::Encode { resource, source: source.into() }),
        };
        self.counts.count(verb, resource.clone());
        let unanswered = |source| WriteError::Unanswered { verb, resource: resource.clone(), source };
        let response = self.client.send(request).await.map_err(unanswered)?;
        let (head, body) = response.into_parts();
        let bytes = body.collect_bytes().await.map_err(unanswered)?;
        if head.status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|source| WriteError::Encode { resource, source: source.into() });
        }
        let status = serde_json::from_slice::<kube::core::Status>(&bytes).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            kube::core::Status::failure(&text, "").with_code(head.status.as_u16())
        });
        let status = if status.code == 0 { status.with_code(head.status.as_u16()) } else { status };
        Err(WriteError::Refused(Box::new(status)))
    }
}

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Applied {
    /// The answers to the writes made, in order: the objects as the server has them now.
    pub answers: Vec<Answer>,
    /// The write that ended the plan.
    pub failure: Option<Failed>,
}

/// The answer to one write.
#[derive(Debug)]
pub struct Answer {
    /// The position of its action in the plan.
    pub action: usize,
    /// The object that was written.
    pub object: ObjectRef,
    /// The object after the write; a Status for some deletions and calls.
    pub value: Value,
}

/// A write that ended its plan.
#[derive(Debug)]
pub struct Failed {
    /// The position of its action in the plan.
    pub action: usize,
    /// The reason it takes in conditions; empty when it is only retried.
    pub reason: Cow<'static, str>,
    /// The message for conditions, with the server's text.
    pub message: String,
    /// What the write was answered.
    pub error: WriteError,
}

/// Applies plans.
///
/// Flow: the actions in order; events are handed to the recorder; a refusal that the action tolerates counts as done.
/// Guarantees: nothing is written after the first failure, except the failure's own Warning event.
/// Errors: in the outcome, for the caller to put into conditions or to retry.
#[derive(Clone)]
pub struct Executor {
    transport: Transport,
    recorder: EventRecorder,
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").finish_non_exhaustive()
    }
}

impl Executor {
    /// Writes through `client`, records through `recorder`, counts into `counts`.
    pub fn new(client: kube::Client, recorder: EventRecorder, counts: WriteCounts) -> Self {
        Self { transport: Transport::new(client, counts), recorder }
    }

    /// Applies actions in order.
    pub async fn apply(&self, actions: &[Action]) -> Applied {
        self.apply_guarded(actions, Guard::Fields).await
    }

    /// Applies actions in order; `guard` says what JSON patches test.
    pub async fn apply_guarded(&self, actions: &[Action], guard: Guard) -> Applied {
        let mut applied = Applied::default();
        for (position, action) in actions.iter().enumerate() {
            let by_version = if guard == Guard::Version { guarded_by_version(action) } else { None };
            let action = by_version.as_ref().unwrap_or(action);
            let (object, on_failure) = match action {
                Action::Event { regarding, severity, reason, message } => {
                    self.recorder.record(regarding, *severity, reason, message);
                    continue;
                }
                Action::Create { object, on_failure, .. }
                | Action::Replace { object, on_failure, .. }
                | Action::Patch { object, on_failure, .. }
                | Action::Call { object, on_failure, .. }
                | Action::Delete { object, on_failure, .. } => (object, on_failure),
            };
            match self.write(action).await {
                Ok(value) => applied.answers.push(Answer { action: position, object: object.clone(), value }),
                Err(error) if tolerated(on_failure, &error) => {}
                Err(error) => {
                    applied.failure = Some(self.failed(position, on_failure, error));
                    break;
                }
            }
        }
        applied
    }

    async fn write(&self, action: &Action) -> Result<Value, WriteError> {
        match Write::of(action)? {
            Some(write) => self.transport.send(write).await,
            None => Ok(Value::Null),
        }
    }

    fn failed(&self, action: usize, on_failure: &OnFailure, error: WriteError) -> Failed {
        let message = format!("{}{error}", on_failure.prefix);
        if let Some((regarding, prefix)) = &on_failure.event {
            let text = format!("{prefix}{error}");
            self.recorder.record(regarding, planner::plan::EventType::Warning, on_failure.event_reason(), &text);
        }
        Failed { action, reason: on_failure.reason.clone(), message, error }
    }
}

/// What a JSON patch tests before it changes an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guard {
    /// The fields it replaces, as the planner wrote it: others may write other fields at the same time.
    #[default]
    Fields,
    /// The object's resourceVersion. For objects whose stored form is not the one this program would write (by another
    /// version, or by hand), so that tests of fields fail although nothing changed.
    Version,
}

/// The same patch, testing the object's version only.
fn guarded_by_version(action: &Action) -> Option<Action> {
    let Action::Patch { object, subresource, patch: Patch::Json(operations), on_failure } = action else { return None };
    let version = object.resource_version.as_ref()?;
    if !operations.iter().any(|operation| operation["op"] == "test") {
        return None;
    }
    let mut guarded = vec![json!({"op": "test", "path": "/metadata/resourceVersion", "value": version})];
    guarded.extend(operations.iter().filter(|operation| operation["op"] != "test").cloned());
    Some(Action::Patch { object: object.clone(), subresource: *subresource, patch: Patch::Json(guarded), on_failure: on_failure.clone() })
}

fn tolerated(on_failure: &OnFailure, error: &WriteError) -> bool {
    let WriteError::Refused(status) = error else { return false };
    match on_failure.tolerate {
        Tolerate::Nothing => false,
        Tolerate::NotFound => status.code == 404,
        Tolerate::AlreadyExists => status.code == 409 && status.reason == "AlreadyExists",
    }
}

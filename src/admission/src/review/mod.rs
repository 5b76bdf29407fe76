//! Requests as the API server sends them: which rules run for which kind, and what they must look up.
//!
//! Rules are pure, so a review works on what is known. Where an object is needed that nobody looked up yet, the review stops with
//! [`Stop::Need`]; the caller looks it up, adds it to [`Known`] and tries again. No kind needs more than four look-ups.

mod evict;
mod known;
mod mutate;
mod outsized;
mod trial;
mod validate;

use api::config::ClusterConfig;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::evict::{evict, mark_for_evacuation};
pub(crate) use self::known::kinds;
pub use self::known::{Known, Need};
pub use self::mutate::{Mutated, mutate};
pub use self::trial::{Trial, trials};
pub use self::validate::validate;
use crate::{Denial, Operation, Requester, schema};

/// A request for admission.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The kind of the object, for example `VirtualMachine`.
    pub kind: &'a str,
    /// The subresource; empty for the object itself.
    pub subresource: &'a str,
    /// What is to be done.
    pub operation: Operation,
    /// The namespace; empty for cluster-wide kinds.
    pub namespace: &'a str,
    /// The object's name; may be empty for a new object.
    pub name: &'a str,
    /// The object, as it would be stored.
    pub object: &'a Value,
    /// The object before, for an update.
    pub old: Option<&'a Value>,
    /// Who asks.
    pub requester: &'a Requester,
}

/// Why a review did not end with consent.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// The request is refused.
    Denied(Denial),
    /// An object must be looked up first.
    Need(Need),
}

impl From<Denial> for Stop {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<Need> for Stop {
    fn from(need: Need) -> Self {
        Self::Need(need)
    }
}

impl Request<'_> {
    /// The new object.
    fn decode<T: DeserializeOwned>(&self) -> Result<T, Stop> {
        decode(self.object)
    }

    /// The object before.
    fn decode_old<T: DeserializeOwned>(&self) -> Result<Option<T>, Stop> {
        self.old.map(decode).transpose()
    }

    /// The form of the object, where upstream checks it (§2.5). Kinds of other groups have no schema there.
    fn check_form(&self) -> Result<(), Stop> {
        let own = self.object.get("apiVersion").and_then(Value::as_str).is_some_and(|v| v.starts_with("kubevirt.io/"));
        let parts = if own { api::crd::parts(self.kind) } else { None };
        Ok(schema::validate(self.object, parts.map(|p| &p.spec), parts.and_then(|p| p.status.as_ref()))?)
    }
}

impl Request<'_> {
    /// The form of the object's status (§6.4).
    fn check_status_form(&self) -> Result<(), Stop> {
        let kind = self.object.get("kind").and_then(Value::as_str).unwrap_or_default();
        if kind.is_empty() {
            let message = "could not determine object kind".to_owned();
            return Err(Denial::invalid(vec![crate::Cause { kind: None, field: String::new(), message }]).into());
        }
        let own = self.object.get("apiVersion").and_then(Value::as_str).is_some_and(|v| v.starts_with("kubevirt.io/"));
        let parts = if own { api::crd::parts(kind) } else { None };
        Ok(schema::validate_status(self.object, parts.and_then(|p| p.status.as_ref()))?)
    }
}

/// Reads an object; nulls count as absent.
pub(crate) fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, Stop> {
    crate::decode::decode(value).map_err(|e| Stop::Denied(Denial::bad_request(e)))
}

/// The configuration a KubeVirt resource gives, judged in its own light.
pub(crate) fn namespace_of<'a>(request: &'a Request<'_>) -> &'a str {
    let own = request.object.pointer("/metadata/namespace").and_then(Value::as_str).filter(|n| !n.is_empty());
    own.unwrap_or(request.namespace)
}

/// Whether a request is about an object that goes: those are let through.
pub(crate) fn is_going(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|t| !t.is_null())
}

/// What both directions of a review get.
pub(crate) struct Surroundings<'a> {
    pub(crate) config: &'a ClusterConfig,
    pub(crate) known: &'a Known,
}

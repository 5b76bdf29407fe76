//! `DeleteOptions`, from the query or the body.

use serde_json::Value;

use super::decode::{self, BODY_LIMIT};
use super::write_options::check_dry_run;
use super::{Call, meta};
use crate::error::{ApiError, FieldError};
use crate::object;
use crate::resource::Gvk;

/// What happens to dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They go first.
    Foreground,
    /// They go later.
    Background,
    /// They stay.
    Orphan,
}

/// Options of a deletion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Nothing is removed.
    pub dry_run: bool,
    /// Seconds of grace; negative means one.
    pub grace_period: Option<i64>,
    /// What happens to dependents.
    pub propagation: Option<Propagation>,
    /// The object must have this UID.
    pub uid: Option<String>,
    /// The object must be at this version.
    pub resource_version: Option<String>,
    /// The object may be removed although it cannot be read.
    pub ignore_store_read_error: bool,
    /// As admission sees them.
    pub raw: Value,
}

impl DeleteOptions {
    /// Reads the options of a delete request: the body wins over the query.
    ///
    /// # Errors
    /// 400 for a body that does not parse, 422 for bad options.
    pub fn parse(call: &Call) -> Result<Self, ApiError> {
        if call.body.len() > BODY_LIMIT {
            return Err(ApiError::too_large(BODY_LIMIT));
        }
        let raw = if call.body.is_empty() { from_query(call)? } else { from_body(call)? };
        Self::check(raw)
    }

    /// Reads options that are an object already.
    ///
    /// # Errors
    /// 422 for bad options.
    pub fn check(raw: Value) -> Result<Self, ApiError> {
        let mut wrong = Vec::new();
        let orphan = raw.get("orphanDependents").and_then(Value::as_bool);
        let policy = raw.get("propagationPolicy").and_then(Value::as_str);
        if orphan.is_some() && policy.is_some() {
            let detail = "orphanDependents and deletionPropagation cannot be both set";
            wrong.push(FieldError::invalid("propagationPolicy", policy.unwrap_or_default(), detail));
        }
        let propagation = match (policy, orphan) {
            (Some("Foreground"), _) => Some(Propagation::Foreground),
            (Some("Background"), _) | (None, Some(false)) => Some(Propagation::Background),
            (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
            (Some(other), _) => {
                let known = ["Foreground", "Background", "Orphan", "nil"];
                wrong.push(FieldError::not_supported("propagationPolicy", other, &known));
                None
            }
            (None, None) => None,
        };
        let dry_run = object::strings(&raw, &["dryRun"]);
        wrong.extend(check_dry_run(&dry_run));
        if !wrong.is_empty() {
            return Err(ApiError::invalid(&Gvk::new("meta.k8s.io", "v1", "DeleteOptions"), "", &wrong));
        }
        let text = |path: &[&str]| object::at(&raw, path).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            dry_run: !dry_run.is_empty(),
            grace_period: object::number(&raw, &["gracePeriodSeconds"]),
            propagation,
            uid: text(&["preconditions", "uid"]),
            resource_version: text(&["preconditions", "resourceVersion"]),
            ignore_store_read_error: object::flag(&raw, &["ignoreStoreReadErrorWithClusterBreakingPotential"]),
            raw,
        })
    }

    /// The finalizers that this deletion leaves an object with, given those it has. Dependents are kept in order:
    /// a finalizer of the server goes when the policy is another one.
    pub fn finalizers(&self, object: &Value, default: Option<Propagation>) -> Vec<String> {
        let present = object::finalizers(object);
        let wanted = match self.propagation {
            Some(Propagation::Foreground) => Some(meta::FOREGROUND),
            Some(Propagation::Orphan) => Some(meta::ORPHAN),
            Some(Propagation::Background) => None,
            // Without a policy the finalizer that is there says it, and else the kind's default.
            None if present.contains(&meta::ORPHAN) => Some(meta::ORPHAN),
            None if present.contains(&meta::FOREGROUND) => Some(meta::FOREGROUND),
            None => match default {
                Some(Propagation::Orphan) => Some(meta::ORPHAN),
                _ => None,
            },
        };
        let mut finalizers: Vec<String> =
            present.iter().filter(|f| **f != meta::ORPHAN && **f != meta::FOREGROUND).map(ToString::to_string).collect();
        finalizers.extend(wanted.map(str::to_owned));
        finalizers
    }
}

fn from_query(call: &Call) -> Result<Value, ApiError> {
    let mut raw = serde_json::json!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"});
    if let Some(text) = call.query.get("gracePeriodSeconds") {
        let seconds: i64 =
            text.parse().map_err(|_| ApiError::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))?;
        object::set(&mut raw, &["gracePeriodSeconds"], seconds);
    }
    if let Some(orphan) = call.query.tri_state("orphanDependents") {
        object::set(&mut raw, &["orphanDependents"], orphan);
    }
    if let Some(policy) = call.query.get("propagationPolicy") {
        object::set(&mut raw, &["propagationPolicy"], policy);
    }
    let dry_run: Vec<Value> = call.query.all("dryRun").map(Value::from).collect();
    if !dry_run.is_empty() {
        object::set(&mut raw, &["dryRun"], dry_run);
    }
    Ok(raw)
}

fn from_body(call: &Call) -> Result<Value, ApiError> {
    let yaml = decode::is_yaml(&call.content_type)?;
    let decoded = decode::parse(&call.body, yaml)
        .map_err(|why| ApiError::bad_request(if yaml { why } else { format!("couldn't get version/kind; json parse error: {why}") }))?;
    let mut raw = decoded.value;
    let (kind, version) = (object::kind(&raw).to_owned(), object::text(&raw, &["apiVersion"]).to_owned());
    if !kind.is_empty() && kind != "DeleteOptions" {
        return Err(ApiError::bad_request(format!(
            "no kind {kind:?} is registered for version {version:?} in scheme \
             \"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27\""
        )));
    }
    object::set_type(&mut raw, "meta.k8s.io/v1", "DeleteOptions");
    Ok(raw)
}

//! get and list: single objects, selections, pages, moments.

use std::sync::Arc;
use std::time::Duration;

use super::continuation::Continuation;
use super::list_options::{ListOptions, Match, parse_revision};
use super::{Call, Items, Object, Output};
use crate::error::{ApiError, StatusCause, StatusDetails};
use crate::object;
use crate::selector::{FieldSelector, LabelSelector};
use crate::store::{StoreError, Stored};

/// How long a read waits for a resource version that has not happened yet.
const FRESHNESS_WAIT: Duration = Duration::from_secs(3);

/// Which objects a list or watch is about.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// By labels.
    pub labels: LabelSelector,
    /// By fields.
    pub fields: FieldSelector,
}

impl Selection {
    /// Reads the selectors of a request and checks that the resource has the fields.
    ///
    /// # Errors
    /// 400 for selectors that do not parse and unknown fields.
    pub fn parse(call: &Call, options: &ListOptions) -> Result<Self, ApiError> {
        let labels =
            if options.label_selector.is_empty() { LabelSelector::everything() } else { LabelSelector::parse(&options.label_selector)? };
        let mut fields =
            if options.field_selector.is_empty() { FieldSelector::default() } else { FieldSelector::parse(&options.field_selector)? };
        for term in fields.terms() {
            check_field(call, &term.field)?;
        }
        if !call.name.is_empty() {
            // A watch of one name by its path.
            fields = FieldSelector::parse(&format!("metadata.name={}", call.name))?;
        }
        Ok(Self { labels, fields })
    }

    /// Whether everything matches.
    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// Whether an object matches.
    pub fn matches(&self, stored: &Stored) -> bool {
        self.labels.matches(&stored.labels)
            && (self.fields.is_everything()
                || self.fields.matches(|field| match field {
                    "metadata.name" => Some(stored.key.name.clone()),
                    "metadata.namespace" => Some(stored.key.namespace.clone()),
                    other => stored.fields.get(other).cloned(),
                }))
    }
}

fn check_field(call: &Call, field: &str) -> Result<(), ApiError> {
    if field == "metadata.name" || (field == "metadata.namespace" && call.info.namespaced) {
        return Ok(());
    }
    match call.info.strategy() {
        None => {
            let selectable = call.version_info().map_or(&[][..], |version| version.selectable_fields.as_slice());
            if selectable.iter().any(|path| path.trim_start_matches('.') == field) {
                return Ok(());
            }
            Err(ApiError::bad_request(format!("field label not supported: {field}")))
        }
        Some(strategy) => {
            if field == "metadata.namespace" || strategy.field_names().contains(&field) {
                return Ok(());
            }
            Err(ApiError::bad_request(strategy.unknown_field(field)))
        }
    }
}

/// The objects that match.
pub fn select(stored: Vec<Arc<Stored>>, selection: &Selection) -> Vec<Arc<Stored>> {
    if selection.is_everything() {
        return stored;
    }
    stored.into_iter().filter(|stored| selection.matches(stored)).collect()
}

/// 504: the resource version has not happened.
pub fn too_large(asked: u64, current: u64) -> ApiError {
    let mut error = ApiError::timeout(format!("Too large resource version: {asked}, current: {current}"), 1);
    error.details = Some(StatusDetails {
        causes: vec![StatusCause {
            reason: "ResourceVersionTooLarge".into(),
            message: "Too large resource version".into(),
            field: String::new(),
        }],
        retry_after_seconds: 1,
        ..StatusDetails::default()
    });
    error
}

async fn wait_for(call: &Call, revision: u64) -> Result<(), ApiError> {
    if revision <= call.core.store.revision() {
        return Ok(());
    }
    tokio::time::sleep(FRESHNESS_WAIT).await;
    let current = call.core.store.revision();
    if revision <= current { Ok(()) } else { Err(too_large(revision, current)) }
}

/// Serves a get request.
pub async fn get(call: &mut Call) -> Result<Output, ApiError> {
    let version = call.query.get("resourceVersion").unwrap_or_default();
    if let Some(revision) = parse_revision(version).map_err(|error| ApiError::new(500, "", error.to_string()))? {
        wait_for(call, revision).await?;
    }
    let stored = stored(call)?;
    Ok(Output::Object(200, Object::Stored(stored)))
}

/// The stored object of the call.
///
/// # Errors
/// 404.
pub fn stored(call: &Call) -> Result<Arc<Stored>, ApiError> {
    call.core.store.get(&call.key(&call.name)).ok_or_else(|| ApiError::not_found(call.gr(), &call.name))
}

/// Serves a list request.
pub async fn list(call: &mut Call) -> Result<Output, ApiError> {
    let options = ListOptions::parse(&call.query, false)?;
    let selection = Selection::parse(call, &options)?;
    let gr = call.info.storage_resource();
    let namespace = (call.info.namespaced && !call.namespace.is_empty()).then(|| call.namespace.clone());
    let namespace = namespace.as_deref();
    let all_namespaces = namespace.is_none();
    // The original answers "any version" from its cache, which knows no pages.
    let limit = if options.resource_version == "0" { 0 } else { options.limit };
    if !options.continuation.is_empty() {
        if !matches!(options.resource_version.as_str(), "" | "0") {
            return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
        }
        let token = Continuation::decode(&options.continuation)?;
        let (stored, revision) = match token.revision {
            None => call.core.store.list(&gr, namespace),
            Some(revision) => match call.core.store.list_at(&gr, namespace, revision) {
                Ok(stored) => (stored, revision),
                Err(StoreError::Future(current)) => return Err(too_large(revision, current)),
                Err(_) => return Ok(token_expired(&token)),
            },
        };
        let stored = stored.into_iter().filter(|stored| token.includes(&stored.key.namespace, &stored.key.name, all_namespaces)).collect();
        return Ok(page(stored, revision, limit, &selection, all_namespaces));
    }
    let revision = options
        .revision()
        .map_err(|error| ApiError::bad_request(format!("invalid resource version: {error}")))?
        .filter(|revision| *revision != 0);
    let exact = match options.resource_version_match {
        Some(Match::Exact) => true,
        Some(Match::NotOlderThan) => false,
        None => options.limit > 0,
    };
    let (stored, at) = match revision {
        Some(revision) if exact => match call.core.store.list_at(&gr, namespace, revision) {
            Ok(stored) => (stored, revision),
            Err(StoreError::Future(current)) => return Err(too_large(revision, current)),
            Err(_) => return Err(ApiError::expired("The resourceVersion for the provided list is too old.")),
        },
        Some(revision) => {
            wait_for(call, revision).await?;
            call.core.store.list(&gr, namespace)
        }
        None => call.core.store.list(&gr, namespace),
    };
    Ok(page(stored, at, limit, &selection, all_namespaces))
}

/// 410 with a token that continues at the present.
fn token_expired(token: &Continuation) -> Output {
    let fresh = Continuation { revision: None, start: token.start.clone() }.encode();
    let error = ApiError::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list \
         without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
         results. Continuing with the provided token results in an inconsistent list - objects that were created, \
         modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    let mut status = error.status();
    object::set(&mut status, &["metadata", "continue"], fresh);
    Output::Plain(410, status)
}

/// Cuts a page out of the objects of one moment.
fn page(stored: Vec<Arc<Stored>>, revision: u64, limit: u64, selection: &Selection, all_namespaces: bool) -> Output {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut chosen = select(stored, selection);
    let mut continuation = String::new();
    let mut remaining = None;
    if limit > 0 && chosen.len() > limit {
        if selection.is_everything() {
            remaining = Some((chosen.len() - limit) as u64);
        }
        chosen.truncate(limit);
        if let Some(last) = chosen.last() {
            let token = Continuation::after(&last.key.namespace, &last.key.name, all_namespaces, Some(revision));
            continuation = token.encode();
        }
    }
    Output::List(Items { items: chosen.into_iter().map(Object::Stored).collect(), revision, continuation, remaining })
}

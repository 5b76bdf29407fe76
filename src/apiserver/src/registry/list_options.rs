//! `ListOptions` from the query of a list or watch.

use crate::error::{ApiError, FieldError};
use crate::http::Query;
use crate::resource::Gvk;

/// How a list relates to its resource version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// At this version or later.
    NotOlderThan,
    /// At exactly this version.
    Exact,
}

/// Options of a list or watch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListOptions {
    /// Label selector, as sent.
    pub label_selector: String,
    /// Field selector, as sent.
    pub field_selector: String,
    /// A watch was asked for.
    pub watch: bool,
    /// Bookmarks may be sent.
    pub bookmarks: bool,
    /// Resource version, as sent.
    pub resource_version: String,
    /// How it is meant.
    pub resource_version_match: Option<Match>,
    /// Seconds after which a watch ends.
    pub timeout_seconds: Option<u64>,
    /// Page size; 0 is unlimited.
    pub limit: u64,
    /// Token of the next page.
    pub continuation: String,
    /// A watch begins with all objects and a bookmark.
    pub send_initial_events: Option<bool>,
}

fn integer(query: &Query, key: &str) -> Result<Option<i64>, ApiError> {
    match query.get(key) {
        None | Some("") => Ok(None),
        Some(text) => {
            text.parse().map(Some).map_err(|_| ApiError::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))
        }
    }
}

impl ListOptions {
    /// Reads and checks the options of a request; `watch` when the verb is watch.
    pub fn parse(query: &Query, watch: bool) -> Result<Self, ApiError> {
        let text = |key: &str| query.get(key).unwrap_or_default().to_owned();
        let limit = integer(query, "limit")?.unwrap_or(0);
        let timeout_seconds = integer(query, "timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok());
        let send_initial_events = query.tri_state("sendInitialEvents");
        let resource_version = text("resourceVersion");
        let matching = text("resourceVersionMatch");
        let mut wrong = Vec::new();
        if watch {
            check_watch(&matching, send_initial_events, &mut wrong);
        } else {
            check_list(&matching, &resource_version, &text("continue"), send_initial_events, &mut wrong);
        }
        if !wrong.is_empty() {
            return Err(ApiError::invalid(&Gvk::new("meta.k8s.io", "v1", "ListOptions"), "", &wrong));
        }
        Ok(Self {
            label_selector: text("labelSelector"),
            field_selector: text("fieldSelector"),
            watch,
            bookmarks: query.flag("allowWatchBookmarks"),
            resource_version,
            resource_version_match: match matching.as_str() {
                "Exact" => Some(Match::Exact),
                "NotOlderThan" => Some(Match::NotOlderThan),
                _ => None,
            },
            timeout_seconds,
            limit: u64::try_from(limit).unwrap_or(0),
            continuation: text("continue"),
            send_initial_events,
        })
    }

    /// The resource version as a number; empty is `None`.
    pub fn revision(&self) -> Result<Option<u64>, FieldError> {
        parse_revision(&self.resource_version)
    }
}

/// A resource version as a number; empty is `None`.
pub fn parse_revision(text: &str) -> Result<Option<u64>, FieldError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| FieldError::invalid("resourceVersion", text, format!("strconv.ParseUint: parsing {text:?}: invalid syntax")))
}

fn check_watch(matching: &str, send_initial_events: Option<bool>, wrong: &mut Vec<FieldError>) {
    const FIELD: &str = "resourceVersionMatch";
    if send_initial_events.is_some() {
        if matching != "NotOlderThan" {
            wrong.push(FieldError::forbidden(FIELD, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
        }
        if !matching.is_empty() && matching != "NotOlderThan" {
            wrong.push(FieldError::not_supported(FIELD, matching, &["NotOlderThan"]));
        }
    } else if !matching.is_empty() {
        wrong.push(FieldError::forbidden(FIELD, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"));
    }
}

fn check_list(matching: &str, version: &str, token: &str, send_initial_events: Option<bool>, wrong: &mut Vec<FieldError>) {
    const FIELD: &str = "resourceVersionMatch";
    if send_initial_events.is_some() {
        wrong.push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if matching.is_empty() {
        return;
    }
    if version.is_empty() {
        wrong.push(FieldError::forbidden(FIELD, "resourceVersionMatch is forbidden unless resourceVersion is provided"));
    }
    if !token.is_empty() {
        wrong.push(FieldError::forbidden(FIELD, "resourceVersionMatch is forbidden when continue is provided"));
    }
    if matching != "Exact" && matching != "NotOlderThan" {
        wrong.push(FieldError::not_supported(FIELD, matching, &["Exact", "NotOlderThan", ""]));
    }
    if matching == "Exact" && version == "0" {
        wrong.push(FieldError::forbidden(FIELD, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""));
    }
}

//! `metadata.managedFields`: decoding, order, encoding, and the cap on entries.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::set::FieldSet;
use crate::error::go_quote;

/// Entries of updates that are kept apart; older ones are merged into one entry a version.
const MAX_UPDATE_MANAGERS: usize = 10;

/// The manager of entries merged by the cap.
const ANCIENT_CHANGES: &str = "ancient-changes";

/// How fields came to be owned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Server-side apply.
    Apply,
    /// Create, update and every other patch.
    Update,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// What tells two entries apart. Apply entries have no version here: a manager has one, whatever version it applied last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) manager: String,
    pub(super) operation: Operation,
    pub(super) api_version: String,
    pub(super) subresource: String,
}

impl Identity {
    pub(super) fn new(manager: &str, operation: Operation, api_version: &str, subresource: &str) -> Self {
        Self {
            manager: if manager.is_empty() { "unknown".to_owned() } else { manager.to_owned() },
            operation,
            api_version: if operation == Operation::Apply { String::new() } else { api_version.to_owned() },
            subresource: subresource.to_owned(),
        }
    }

    /// As conflict messages name it: `"kubectl" with subresource "status" using v1`.
    pub(super) fn describe(&self) -> String {
        let mut text = go_quote(&self.manager);
        if !self.subresource.is_empty() {
            text = format!("{text} with subresource {}", go_quote(&self.subresource));
        }
        if self.operation == Operation::Update {
            text = format!("{text} using {}", self.api_version);
        }
        text
    }
}

/// What one manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) set: FieldSet,
    pub(super) api_version: String,
    /// RFC 3339; empty when unknown.
    pub(super) time: String,
}

/// The decoded list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Managed(pub(super) BTreeMap<Identity, Entry>);

fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry.get(name).and_then(Value::as_str).unwrap_or_default()
}

impl Managed {
    /// The list of an object.
    ///
    /// # Errors
    /// The first thing wrong in it, as kube-apiserver says it.
    pub(super) fn decode(list: Option<&Value>) -> Result<Self, String> {
        let mut managed = BTreeMap::new();
        for (i, entry) in list.and_then(Value::as_array).into_iter().flatten().enumerate() {
            let operation = match text(entry, "operation") {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return Err("operation must be `Apply` or `Update`".to_owned()),
            };
            let api_version = text(entry, "apiVersion");
            if api_version.is_empty() {
                return Err("apiVersion must not be empty".to_owned());
            }
            match text(entry, "fieldsType") {
                "FieldsV1" => {}
                "" => return Err(format!("missing fieldsType in managed fields entry {i}")),
                other => return Err(format!("invalid fieldsType {} in managed fields entry {i}", go_quote(other))),
            }
            let set = match entry.get("fieldsV1") {
                None | Some(Value::Null) => FieldSet::new(),
                Some(fields) => FieldSet::from_fields_v1(fields).map_err(|why| format!("error decoding set from FieldsV1: {why}"))?,
            };
            let identity = Identity {
                manager: text(entry, "manager").to_owned(),
                operation,
                api_version: if operation == Operation::Apply { String::new() } else { api_version.to_owned() },
                subresource: text(entry, "subresource").to_owned(),
            };
            let entry = Entry { set, api_version: api_version.to_owned(), time: text(entry, "time").to_owned() };
            managed.insert(identity, entry);
        }
        Ok(Self(managed))
    }

    /// The list for an object, in the order of kube-apiserver: applies first, then by time, manager, version, subresource.
    pub(super) fn encode(&self) -> Value {
        let mut entries: Vec<(&Identity, &Entry)> = self.0.iter().collect();
        entries.sort_by(|(a, x), (b, y)| order(a, x, b, y));
        Value::Array(
            entries
                .into_iter()
                .map(|(identity, entry)| {
                    let mut out = Map::new();
                    let mut put = |name: &str, value: &str| {
                        if !value.is_empty() {
                            out.insert(name.to_owned(), Value::from(value));
                        }
                    };
                    put("manager", &identity.manager);
                    put("operation", identity.operation.as_str());
                    put("apiVersion", &entry.api_version);
                    put("time", &entry.time);
                    put("fieldsType", "FieldsV1");
                    put("subresource", &identity.subresource);
                    out.insert("fieldsV1".to_owned(), entry.set.to_fields_v1());
                    Value::Object(out)
                })
                .collect(),
        )
    }

    pub(super) fn drop_empty(&mut self) {
        self.0.retain(|_, entry| !entry.set.is_empty());
    }

    /// Whether both say the same, times aside.
    pub(super) fn same_owners(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|((a, x), (b, y))| a == b && x.api_version == y.api_version && x.set == y.set)
    }

    /// Merges the oldest update entries, those of one version into one, until no more than ten are left (or one a version).
    pub(super) fn cap_updates(&mut self) {
        let mut updaters: Vec<(String, Identity)> = self
            .0
            .iter()
            .filter(|(identity, _)| identity.operation == Operation::Update)
            .map(|(identity, entry)| (entry.time.clone(), identity.clone()))
            .collect();
        if updaters.len() <= MAX_UPDATE_MANAGERS {
            return;
        }
        updaters.sort();
        let mut count = updaters.len();
        let mut first_of: BTreeMap<String, Identity> = BTreeMap::new();
        let mut buckets: BTreeSet<Identity> = BTreeSet::new();
        for (time, identity) in updaters {
            if count <= MAX_UPDATE_MANAGERS {
                break;
            }
            let Some(version) = self.0.get(&identity).map(|entry| entry.api_version.clone()) else { continue };
            let bucket = Identity::new(ANCIENT_CHANGES, Operation::Update, &version, "");
            let Some(first) = first_of.get(&version) else {
                first_of.insert(version, identity);
                continue;
            };
            if buckets.insert(bucket.clone())
                && !self.0.contains_key(&bucket)
                && let Some(entry) = self.0.remove(first)
            {
                self.0.insert(bucket.clone(), entry);
            }
            if identity == bucket {
                continue;
            }
            if let Some(old) = self.0.remove(&identity)
                && let Some(entry) = self.0.get_mut(&bucket)
            {
                entry.set.extend(&old.set);
                entry.time = time;
                count -= 1;
            }
        }
    }
}

fn order(a: &Identity, x: &Entry, b: &Identity, y: &Entry) -> Ordering {
    a.operation
        .cmp(&b.operation)
        .then_with(|| x.time.cmp(&y.time))
        .then_with(|| a.manager.cmp(&b.manager))
        .then_with(|| x.api_version.cmp(&y.api_version))
        .then_with(|| a.subresource.cmp(&b.subresource))
}

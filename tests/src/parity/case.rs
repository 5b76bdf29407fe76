//! A parity case: the documents of its file, and what they mean (the README of the cases).

use std::collections::BTreeMap;
use std::path::Path;

use admission::review::{Known, Need, Request, Stop};
use admission::{Denial, Operation, Requester, Seeds};
use anyhow::{Context, Result, bail};
use api::config::ClusterConfig;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value, json};

/// The documents of a case.
pub struct Case {
    /// The cluster's configuration.
    pub config: ClusterConfig,
    /// The object of the request.
    pub subject: Value,
    /// The stored object, if the request is an update.
    pub stored: Option<Value>,
    /// Everything else the cluster holds.
    pub others: Vec<Value>,
    /// Who asks.
    pub requester: Requester,
    operation: Option<Operation>,
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn identity(value: &Value) -> (&str, &str, &str) {
    (text(value, "/kind"), text(value, "/metadata/namespace"), text(value, "/metadata/name"))
}

impl Case {
    /// Reads a case's file.
    ///
    /// # Errors
    /// It cannot be read, or a document is no JSON.
    pub fn read(path: &Path) -> Result<Self> {
        let content = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let mut documents = Vec::new();
        for part in content.split("\n---\n") {
            if !part.trim().is_empty() {
                documents.push(serde_json::from_str::<Value>(part).with_context(|| format!("decoding {}", path.display()))?);
            }
        }
        Self::new(documents).with_context(|| format!("the case {}", path.display()))
    }

    /// A case of documents, the subject last.
    ///
    /// # Errors
    /// There is none, or the KubeVirt resource cannot be read.
    pub fn new(mut documents: Vec<Value>) -> Result<Self> {
        let Some(subject) = documents.pop() else { bail!("there is no document") };
        let mut requester = Requester::named("kubernetes-user");
        let (mut operation, mut stored, mut kubevirt) = (None, None, None);
        let mut others = Vec::new();
        for document in documents {
            if text(&document, "/kind") == "Request" {
                if let Some(user) = document.get("user").and_then(Value::as_str) {
                    user.clone_into(&mut requester.username);
                }
                let extra: Option<BTreeMap<String, Vec<String>>> =
                    document.get("extra").and_then(|e| serde_json::from_value(e.clone()).ok());
                requester.extra = extra.unwrap_or_default();
                operation = match text(&document, "/operation") {
                    "CREATE" => Some(Operation::Create),
                    "UPDATE" => Some(Operation::Update),
                    "DELETE" => Some(Operation::Delete),
                    _ => None,
                };
                continue;
            }
            if text(&document, "/kind") == "KubeVirt" {
                kubevirt = Some(document.clone());
            }
            if identity(&document) == identity(&subject) {
                stored = Some(document);
            } else {
                others.push(document);
            }
        }
        let kubevirt = kubevirt.map(serde_json::from_value).transpose().context("decoding the KubeVirt resource")?;
        Ok(Self { config: ClusterConfig::from_kubevirt(kubevirt.as_ref()), subject, stored, others, requester, operation })
    }

    /// Every document, in order.
    pub fn documents(&self) -> impl Iterator<Item = &Value> {
        self.others.iter().chain(&self.stored).chain([&self.subject])
    }

    /// What the case asks for.
    pub fn operation(&self) -> Operation {
        self.operation.unwrap_or(if self.stored.is_some() { Operation::Update } else { Operation::Create })
    }

    /// The request about an object.
    pub fn request<'a>(&'a self, object: &'a Value) -> Request<'a> {
        Request {
            kind: text(object, "/kind"),
            subresource: "",
            operation: self.operation(),
            namespace: text(object, "/metadata/namespace"),
            name: text(object, "/metadata/name"),
            object,
            old: self.stored.as_ref(),
            requester: &self.requester,
        }
    }

    /// The objects a review asks for.
    pub fn look_up(&self, need: &Need) -> Vec<Value> {
        let all = self.others.iter().chain(&self.stored);
        all.filter(|o| {
            let (kind, namespace, name) = identity(o);
            kind == need.kind
                && (need.namespace.is_empty() || namespace == need.namespace)
                && need.name.as_deref().is_none_or(|n| n == name)
        })
        .cloned()
        .collect()
    }

    /// Reviews with everything the rules ask for.
    pub fn with_lookups<T>(&self, review: impl Fn(&Known) -> Result<T, Stop>) -> Result<T, Denial> {
        let mut known = Known::default();
        loop {
            match review(&known) {
                Ok(outcome) => return Ok(outcome),
                Err(Stop::Denied(denial)) => return Err(denial),
                Err(Stop::Need(need)) => {
                    let objects = self.look_up(&need);
                    known.add(need, objects);
                }
            }
        }
    }
}

/// Random values that differ; the comparer masks them.
pub fn with_seeds<T>(act: impl FnOnce(&mut Seeds<'_>) -> T) -> T {
    let mut count = 0_u64;
    let mut uuid = || {
        count += 1;
        format!("b450946b-0623-4d5e-ba73-{count:012x}")
    };
    act(&mut Seeds { uuid: &mut uuid, now: Time(jiff::Timestamp::UNIX_EPOCH) })
}

/// A rejection as the cases list it.
pub fn rejection(denial: &Denial, out: &mut Map<String, Value>) {
    let causes: Vec<Value> = denial
        .causes
        .iter()
        .map(|c| {
            let mut cause = Map::new();
            if let Some(kind) = c.kind {
                cause.insert("reason".into(), json!(kind.as_str()));
            }
            cause.insert("message".into(), json!(c.message));
            if !c.field.is_empty() {
                cause.insert("field".into(), json!(c.field));
            }
            Value::Object(cause)
        })
        .collect();
    out.insert("allowed".into(), json!(false));
    if !causes.is_empty() {
        out.insert("causes".into(), Value::Array(causes));
    }
    out.insert("message".into(), json!(denial.message));
}

//! OpenAPI documents of what the server serves: `/openapi/v3` with one document a group version, and `/openapi/v2`.
//!
//! # Guarantees
//! Documents are made when they are first asked for and kept while what they describe stays the same: the hash of a
//! document is known without making it, from the resources and the definitions that they were read from. Version 2 also
//! comes as protobuf, the only form that client-go asks for; of version 3, clients that want that get 406 and take JSON.

mod components;
mod parameters;
mod paths;
mod protobuf;
#[cfg(test)]
mod tests;
mod v2;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::ApiError;
use crate::resource::{Registry, ResourceInfo};

/// A resource in one of its served versions.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) info: Arc<ResourceInfo>,
    pub(crate) version: String,
}

/// What one document describes.
#[derive(Clone)]
struct Group {
    /// `apis/apps/v1`, `api/v1`.
    path: String,
    hash: String,
    resources: Vec<Served>,
}

#[derive(Default)]
struct Cache {
    /// [`Registry::version`] that `groups` is of.
    version: u64,
    groups: Arc<BTreeMap<String, Group>>,
    /// Documents by path, with the hash that they are of.
    documents: BTreeMap<String, (String, Bytes)>,
}

/// Serves OpenAPI documents of a registry.
pub struct OpenApi {
    registry: Registry,
    cache: Mutex<Cache>,
}

impl std::fmt::Debug for OpenApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpenApi")
    }
}

/// Path of the version 2 document.
const V2: &str = "openapi/v2";
const VERSION: &str = "version";

impl OpenApi {
    /// Over a registry, whose changes it follows.
    pub fn new(registry: Registry) -> Self {
        Self { registry, cache: Mutex::default() }
    }

    /// Answers a GET below `/openapi`; `None` for paths that are no document.
    ///
    /// `query` is the request's query string; a `hash` in it lets the answer be kept for ever. `others` are the version 3
    /// documents of aggregated servers, by key of the index.
    pub fn serve(&self, path: &str, query: Option<&str>, headers: &HeaderMap, others: &BTreeMap<String, Bytes>) -> Option<Response<Bytes>> {
        let path = path.trim_matches('/');
        if path != V2 && path != "openapi/v3" && !path.starts_with("openapi/v3/") {
            return None;
        }
        if path == V2 && accepts(headers, &[protobuf::MEDIA_TYPE, protobuf::OLD_MEDIA_TYPE]) {
            return Some(self.encoded(headers));
        }
        if !accepts_json(headers) {
            return Some(not_acceptable());
        }
        let groups = self.groups();
        if path == "openapi/v3" {
            let others: BTreeMap<&str, String> = others.iter().map(|(key, document)| (key.as_str(), digest(document))).collect();
            let own = groups.values().map(|group| group.hash.as_str());
            let hash = hash_of(own.chain(others.values().map(String::as_str)));
            let mut index = answer(headers, index(&groups, &others), &hash, false);
            // The original does not name the type of the index, and its library then guesses text.
            index.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            return Some(index);
        }
        if path == V2 {
            let hash = hash_of(groups.values().map(|group| group.hash.as_str()));
            let body = self.document(V2, &hash, || v2::document(groups.values().flat_map(|group| &group.resources)).to_string().into());
            return Some(answer(headers, body, &hash, false));
        }
        let name = path.strip_prefix("openapi/v3/")?;
        let (hash, group) = match (groups.get(name), others.get(name)) {
            (Some(group), _) => (group.hash.clone(), Ok(group)),
            (None, Some(document)) => (digest(document), Err(document)),
            (None, None) => return Some(absent()),
        };
        let asked = query.and_then(|query| query.split('&').find_map(|part| part.strip_prefix("hash=")));
        if let Some(asked) = asked.filter(|asked| *asked != hash) {
            tracing::debug!(asked, current = hash, "redirect to the current document");
            return Some(moved(&format!("/openapi/v3/{name}?hash={hash}")));
        }
        let body = match group {
            Ok(group) => self.document(name, &hash, || v3(group).to_string().into()),
            Err(document) => document.clone(),
        };
        Some(answer(headers, body, &hash, asked.is_some()))
    }

    fn groups(&self) -> Arc<BTreeMap<String, Group>> {
        let version = self.registry.version();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.version != version || cache.groups.is_empty() {
            cache.groups = Arc::new(groups(&self.registry));
            cache.version = version;
        }
        cache.groups.clone()
    }

    /// The version 2 document as protobuf.
    fn encoded(&self, headers: &HeaderMap) -> Response<Bytes> {
        let groups = self.groups();
        let hash = hash_of(groups.values().map(|group| group.hash.as_str()).chain(["protobuf"]));
        let make = || protobuf::encode(&v2::document(groups.values().flat_map(|group| &group.resources))).into();
        let mut response = answer(headers, self.document("openapi/v2+protobuf", &hash, make), &hash, false);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(protobuf::MEDIA_TYPE));
        response
    }

    fn document(&self, path: &str, hash: &str, make: impl FnOnce() -> Bytes) -> Bytes {
        if let Some((known, body)) = self.cache.lock().unwrap_or_else(PoisonError::into_inner).documents.get(path)
            && known == hash
        {
            return body.clone();
        }
        let body = make();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.documents.insert(path.to_owned(), (hash.to_owned(), body.clone()));
        body
    }
}

fn hash_of<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

fn digest(document: &Bytes) -> String {
    Sha256::digest(document).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

fn groups(registry: &Registry) -> BTreeMap<String, Group> {
    let mut served: BTreeMap<String, Vec<Served>> = BTreeMap::new();
    for info in registry.all() {
        for version in info.versions.iter().filter(|version| version.served) {
            let path =
                if info.gr.group.is_empty() { format!("api/{}", version.name) } else { format!("apis/{}/{}", info.gr.group, version.name) };
            served.entry(path).or_default().push(Served { info: info.clone(), version: version.name.clone() });
        }
    }
    let mut groups: BTreeMap<String, Group> = served
        .into_iter()
        .map(|(path, resources)| {
            let identities: Vec<String> = resources.iter().map(identity).collect();
            let hash = hash_of(identities.iter().map(String::as_str).chain([path.as_str()]));
            (path.clone(), Group { path, hash, resources })
        })
        .collect();
    let hash = hash_of([VERSION, env!("CARGO_PKG_VERSION")].into_iter());
    groups.insert(VERSION.to_owned(), Group { path: VERSION.to_owned(), hash, resources: Vec::new() });
    groups
}

/// What a resource's part of a document depends on.
fn identity(served: &Served) -> String {
    let info = &served.info;
    let version = info.version(&served.version);
    let origin = version.map_or(0, |version| version.origin);
    format!("{} {} {} {} {} {origin} {}", info.gr, info.kind, info.list_kind, info.namespaced, served.version, env!("CARGO_PKG_VERSION"))
}

fn index(groups: &BTreeMap<String, Group>, others: &BTreeMap<&str, String>) -> Bytes {
    let own = groups.values().map(|group| (group.path.as_str(), &group.hash));
    let paths: BTreeMap<&str, Value> = others
        .iter()
        .map(|(path, hash)| (*path, hash))
        .chain(own)
        .map(|(path, hash)| (path, json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")})))
        .collect();
    Bytes::from(json!({"paths": paths}).to_string())
}

fn v3(group: &Group) -> Value {
    if group.path == VERSION {
        return json!({
            "openapi": "3.0.0",
            "info": info(),
            "paths": {"/version/": {"get": {
                "tags": ["version"],
                "description": "get the version information for this server",
                "operationId": "getCodeVersion",
                "responses": {"200": {"description": "OK"}, "401": {"description": "Unauthorized"}},
            }}},
        });
    }
    json!({
        "openapi": "3.0.0",
        "info": info(),
        "paths": paths::of(&group.path, &group.resources),
        "components": {
            "schemas": components::of(&group.resources),
            "securitySchemes": {"BearerToken": {
                "type": "apiKey",
                "description": "Bearer Token authentication",
                "name": "authorization",
                "in": "header",
            }},
        },
    })
}

pub(crate) fn info() -> Value {
    json!({"title": "Kubernetes", "version": "unversioned"})
}

/// Whether the client takes JSON: it says so, takes anything, or says nothing.
fn accepts_json(headers: &HeaderMap) -> bool {
    !headers.contains_key(ACCEPT) || accepts(headers, &["", "*/*", "application/*", "application/json"])
}

/// Whether the client names one of these types.
fn accepts(headers: &HeaderMap, types: &[&str]) -> bool {
    let names = |part: &str| types.contains(&part.split(';').next().unwrap_or_default().trim());
    headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok()).any(|text| text.split(',').any(names))
}

fn not_acceptable() -> Response<Bytes> {
    let error = ApiError::not_acceptable(&["application/json"]);
    let mut response = Response::new(Bytes::from(error.status().to_string()));
    *response.status_mut() = StatusCode::NOT_ACCEPTABLE;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn absent() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

fn moved(to: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(LOCATION, to);
    }
    response
}

fn answer(headers: &HeaderMap, body: Bytes, hash: &str, forever: bool) -> Response<Bytes> {
    let tag = format!("\"{hash}\"");
    let known = headers.get_all(IF_NONE_MATCH).iter().any(|value| value.to_str().is_ok_and(|text| text.contains(&tag)));
    let mut response = Response::new(if known { Bytes::new() } else { body });
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let map = response.headers_mut();
    map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    map.insert(VARY, HeaderValue::from_static("Accept"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        map.insert(ETAG, tag);
    }
    let cache = if forever { "public, immutable" } else { "no-cache, private" };
    map.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

//! The API: objects by path, versions, watches with streaming lists, patches, finalizers. No schemas, no admission.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use kube::client::Body;
use runtime::Clock;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::service_fn;

/// The body of an answer.
type Answer = UnsyncBoxBody<Bytes, std::io::Error>;

/// Kinds by their plural, as far as the controller writes them.
const NO_STATUS_SUBRESOURCE: [&str; 1] = ["virtualmachineinstances"];

/// Everything the API server knows.
pub struct State {
    clock: Clock,
    version: u64,
    /// By collection path without namespace, namespace, name.
    objects: BTreeMap<(String, String, String), Value>,
    watches: Vec<Watch>,
    /// What happened, `VERB RESOURCE NAME`.
    pub log: Vec<String>,
    /// Writes until the connection breaks; the write that meets zero is done or not, but never answered.
    pub writes_left: Option<u64>,
    /// Whether the write that breaks the connection is still carried out.
    pub last_write_done: bool,
}

struct Watch {
    collection: String,
    namespace: Option<String>,
    label: Option<String>,
    events: mpsc::UnboundedSender<Bytes>,
}

struct Target {
    collection: String,
    resource: String,
    namespace: Option<String>,
    name: Option<String>,
    subresource: Option<String>,
}

impl Target {
    fn parse(path: &str) -> Self {
        let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let prefix: Vec<&str> = parts.drain(..if parts[0] == "api" { 2 } else { 3 }).collect();
        let namespace = (parts.first() == Some(&"namespaces") && parts.len() > 2).then(|| parts.drain(..2).nth(1).unwrap().to_owned());
        let part = |index: usize| parts.get(index).map(|part| (*part).to_owned());
        let resource = part(0).unwrap_or_default();
        let collection = format!("{}/{resource}", prefix.join("/"));
        Self { collection, resource, namespace, name: part(1), subresource: part(2) }
    }
}

impl Target {
    fn key(&self, name: &str) -> (String, String, String) {
        (self.collection.clone(), self.namespace.clone().unwrap_or_default(), name.to_owned())
    }
}

fn matches(object: &Value, label: Option<&str>) -> bool {
    label.is_none_or(|selector| match selector.split_once('=') {
        Some((key, value)) => object["metadata"]["labels"][key] == value,
        None => object["metadata"]["labels"].get(selector).is_some(),
    })
}

impl State {
    pub fn new(clock: Clock) -> Self {
        Self { clock, version: 0, objects: BTreeMap::new(), watches: Vec::new(), log: Vec::new(), writes_left: None, last_write_done: true }
    }

    /// The version of the last change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The objects of a resource.
    pub fn list(&self, resource: &str) -> Vec<&Value> {
        self.objects
            .iter()
            .filter(|((collection, ..), _)| collection.ends_with(&format!("/{resource}")))
            .map(|(_, object)| object)
            .collect()
    }

    /// The object of a resource and name.
    pub fn get(&self, resource: &str, name: &str) -> Option<&Value> {
        self.list(resource).into_iter().find(|object| object["metadata"]["name"] == name)
    }

    /// All objects but events, briefly.
    pub fn dump(&self) -> String {
        let brief = |(_, object): (_, &Value)| {
            format!("{} {} {}", object["kind"], object["metadata"], object.get("status").unwrap_or(&Value::Null))
        };
        self.objects.iter().filter(|(_, object)| object["kind"] != "Event").map(brief).collect::<Vec<_>>().join("\n")
    }

    /// Creates an object as a client would.
    pub fn create(&mut self, collection: &str, mut object: Value) -> Value {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        object["metadata"]["uid"] = json!(format!("uid-{}-{}", collection.rsplit('/').next().unwrap(), self.version + 1));
        object["metadata"]["generation"] = json!(1);
        object["metadata"]["creationTimestamp"] = json!(self.clock.time());
        if collection.ends_with("/virtualmachineinstances") {
            // What the webhook does.
            let finalizers = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
            object["metadata"]["finalizers"] = json!([finalizers, vec![json!("kubevirt.io/foregroundDeleteVirtualMachine")]].concat());
            object["status"]["phase"] = json!("Pending");
        }
        self.store((collection.to_owned(), namespace, name), object, "ADDED")
    }

    /// Changes an object.
    pub fn update(&mut self, resource: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let found =
            self.objects.keys().find(|(collection, _, known)| collection.ends_with(&format!("/{resource}")) && known == name).cloned();
        let Some(key) = found else { return };
        let mut object = self.objects[&key].clone();
        change(&mut object);
        self.write(key, object);
    }

    /// Deletes an object: at once, or when its finalizers are gone.
    pub fn delete(&mut self, resource: &str, name: &str) {
        let now = self.clock.time();
        self.update(resource, name, |object| {
            if object["metadata"].get("deletionTimestamp").is_none() {
                object["metadata"]["deletionTimestamp"] = json!(now);
            }
        });
    }

    /// Removes an object.
    pub fn remove(&mut self, resource: &str, name: &str) {
        let found =
            self.objects.keys().find(|(collection, _, known)| collection.ends_with(&format!("/{resource}")) && known == name).cloned();
        if let Some(key) = found {
            self.version += 1;
            let mut object = self.objects.remove(&key).unwrap();
            object["metadata"]["resourceVersion"] = json!(self.version.to_string());
            self.log.push(format!("gone {resource} {name}"));
            self.tell(&key, "DELETED", &object);
        }
    }

    fn write(&mut self, key: (String, String, String), object: Value) -> Value {
        let deleting = object["metadata"].get("deletionTimestamp").is_some();
        let held = object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
        // Pods end by their kubelet.
        if deleting && !held && !key.0.ends_with("/pods") {
            let (resource, name) = (key.0.rsplit('/').next().unwrap().to_owned(), key.2.clone());
            self.remove(&resource, &name);
            return object;
        }
        self.store(key, object, "MODIFIED")
    }

    fn store(&mut self, key: (String, String, String), mut object: Value, event: &str) -> Value {
        let old = self.objects.get(&key);
        if old == Some(&object) {
            return object;
        }
        if let Some(old) = old
            && old["spec"] != object["spec"]
        {
            object["metadata"]["generation"] = json!(old["metadata"]["generation"].as_i64().unwrap_or_default() + 1);
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(key.clone(), object.clone());
        self.tell(&key, event, &object);
        object
    }

    fn tell(&mut self, key: &(String, String, String), event: &str, object: &Value) {
        let line = Bytes::from(format!("{}\n", json!({"type": event, "object": object})));
        self.watches.retain(|watch| {
            let concerns = watch.collection == key.0
                && watch.namespace.as_ref().is_none_or(|namespace| *namespace == key.1)
                && matches(object, watch.label.as_deref());
            if concerns { watch.events.send(line.clone()).is_ok() } else { !watch.events.is_closed() }
        });
    }

    fn watch(&mut self, target: &Target, label: Option<String>, initial: bool) -> Response<Answer> {
        let (events, mut lines) = mpsc::unbounded_channel();
        if initial {
            for ((collection, namespace, _), object) in &self.objects {
                let here = *collection == target.collection && target.namespace.as_ref().is_none_or(|wanted| wanted == namespace);
                if here && matches(object, label.as_deref()) {
                    let _ = events.send(Bytes::from(format!("{}\n", json!({"type": "ADDED", "object": object}))));
                }
            }
            let mark = json!({"type": "BOOKMARK", "object": {"apiVersion": "v1", "kind": "X", "metadata": {
                "resourceVersion": self.version.to_string(), "annotations": {"k8s.io/initial-events-end": "true"}
            }}});
            let _ = events.send(Bytes::from(format!("{mark}\n")));
        }
        self.watches.push(Watch { collection: target.collection.clone(), namespace: target.namespace.clone(), label, events });
        let stream = futures::stream::poll_fn(move |cx| lines.poll_recv(cx)).map(|line| Ok(Frame::data(line)));
        Response::new(StreamBody::new(stream).boxed_unsync())
    }

    fn answer(
        &mut self,
        method: &Method,
        target: &Target,
        query: &BTreeMap<String, String>,
        content: &str,
        body: &[u8],
    ) -> Response<Answer> {
        let label = query.get("labelSelector").cloned();
        if *method == Method::GET {
            if query.get("watch").is_some_and(|watch| watch == "true") {
                return self.watch(target, label, query.contains_key("sendInitialEvents"));
            }
            let Some(name) = &target.name else {
                let items: Vec<Value> = self
                    .objects
                    .iter()
                    .filter(|((collection, namespace, _), object)| {
                        *collection == target.collection
                            && target.namespace.as_ref().is_none_or(|wanted| wanted == namespace)
                            && matches(object, label.as_deref())
                    })
                    .map(|(_, object)| object.clone())
                    .collect();
                return reply(
                    200,
                    &json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": self.version.to_string()}, "items": items}),
                );
            };
            return match self.objects.get(&target.key(name)) {
                Some(object) => reply(200, object),
                None => refuse(404, "NotFound", &format!("{} {name:?} not found", target.resource)),
            };
        }
        if let Some(left) = self.writes_left {
            if left == 0 && !self.last_write_done {
                return broken();
            }
            if left == 0 {
                self.last_write_done = false;
                let _ = self.act(method, target, content, body);
                return broken();
            }
            self.writes_left = Some(left - 1);
        }
        self.act(method, target, content, body)
    }

    fn act(&mut self, method: &Method, target: &Target, content: &str, body: &[u8]) -> Response<Answer> {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let name = target.name.clone().unwrap_or_else(|| body["metadata"]["name"].as_str().unwrap_or_default().to_owned());
        let key = target.key(&name);
        let subresource = target.subresource.as_ref().map_or_else(String::new, |subresource| format!("/{subresource}"));
        if target.resource != "events" && target.resource != "leases" {
            self.log.push(format!("{} {}{subresource} {name}", method.as_str().to_lowercase(), target.resource));
        }
        if *method == Method::POST {
            if self.objects.contains_key(&key) {
                return refuse(409, "AlreadyExists", &format!("{} {name:?} already exists", target.resource));
            }
            return reply(201, &self.create(&target.collection.clone(), body));
        }
        let Some(old) = self.objects.get(&key).cloned() else {
            return refuse(404, "NotFound", &format!("{} {name:?} not found", target.resource));
        };
        if *method == Method::DELETE {
            let uid = &body["preconditions"]["uid"];
            if !uid.is_null() && *uid != old["metadata"]["uid"] {
                return refuse(409, "Conflict", "the UID in the precondition does not match");
            }
            self.delete(&target.resource, &name);
            return reply(200, self.objects.get(&key).unwrap_or(&old));
        }
        let mut new = old.clone();
        if *method == Method::PUT {
            if body["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"] {
                return refuse(
                    409,
                    "Conflict",
                    "the object has been modified; please apply your changes to the latest version and try again",
                );
            }
            new = body;
        } else if content.contains("json-patch") {
            let patch: json_patch::Patch = serde_json::from_value(body).unwrap();
            if let Err(error) = json_patch::patch(&mut new, &patch) {
                return refuse(
                    422,
                    "Invalid",
                    &format!("the server rejected our request due to an error in our request: test failed: {error}"),
                );
            }
        } else if content.contains("strategic") && target.subresource.as_deref() == Some("status") {
            for condition in body["status"]["conditions"].as_array().cloned().unwrap_or_default() {
                let mut known = new["status"]["conditions"].as_array().cloned().unwrap_or_default();
                known.retain(|old| old["type"] != condition["type"]);
                known.push(condition);
                new["status"]["conditions"] = Value::Array(known);
            }
        } else {
            json_patch::merge(&mut new, &body);
        }
        if target.subresource.as_deref() == Some("status") {
            let status = new["status"].take();
            new = old;
            new["status"] = status;
        } else if !NO_STATUS_SUBRESOURCE.contains(&target.resource.as_str()) {
            new["status"] = old["status"].clone();
        }
        reply(200, &self.write(key, new))
    }
}

fn reply(status: u16, value: &Value) -> Response<Answer> {
    let body = Full::new(Bytes::from(value.to_string()));
    Response::builder().status(status).body(body.map_err(|never| match never {}).boxed_unsync()).unwrap()
}

fn refuse(code: u16, reason: &str, message: &str) -> Response<Answer> {
    reply(code, &json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}))
}

/// An answer that ends before it began.
fn broken() -> Response<Answer> {
    let stream = futures::stream::once(async { Err::<Frame<Bytes>, _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset)) });
    Response::new(StreamBody::new(stream).boxed_unsync())
}

/// The API as a client's transport.
pub fn service(
    state: Arc<Mutex<State>>,
) -> impl tower::Service<Request<Body>, Response = Response<Answer>, Error = Infallible, Future: Send> + Clone + Send + 'static {
    service_fn(move |request: Request<Body>| {
        let state = Arc::clone(&state);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let query = head.uri.query().unwrap_or_default();
            let query =
                query.split('&').filter_map(|pair| pair.split_once('=')).map(|(key, value)| (key.to_owned(), decoded(value))).collect();
            let content = head.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
            let target = Target::parse(head.uri.path());
            let answer = state.lock().unwrap_or_else(PoisonError::into_inner).answer(&head.method, &target, &query, &content, &body);
            done(answer).await
        }
    })
}

fn done(answer: Response<Answer>) -> Ready<Result<Response<Answer>, Infallible>> {
    ready(Ok(answer))
}

fn decoded(text: &str) -> String {
    text.replace("%2F", "/").replace("%3D", "=")
}

//! The cluster against the API server in this process, on a clock that stands still while anything can be done.

mod data_volumes;
mod deletion;
mod failures;
mod running;
mod scheduling;
mod storage;
mod workloads;

use std::sync::Arc;
use std::time::Duration;

use apiserver::auth::UserInfo;
use apiserver::env::{Entropy, Env};
use apiserver::http::ApiServer;
use apiserver::net::Unreachable;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::{Client, collection, optional};
use crate::{Builder, Logs, NodeSpec, SimCluster, SimClusterHandle};

/// Longest wait for anything, in simulated time.
const PATIENCE: Duration = Duration::from_mins(10);

pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) cluster: SimClusterHandle,
    pub(crate) clock: Instant,
}

impl World {
    /// A cluster with nodes `n1`, `n2`, … and whatever the builder is told.
    pub(crate) async fn start(nodes: usize, with: impl FnOnce(Builder) -> Builder) -> Self {
        let specs = (1..=nodes).map(|i| NodeSpec::new(format!("n{i}")));
        let world = Self::bare(|builder| with(builder.nodes(specs)));
        world.until("/api/v1/namespaces/default/serviceaccounts/default", |_| true).await;
        world.cluster.ready().await;
        world
    }

    pub(crate) fn bare(with: impl FnOnce(Builder) -> Builder) -> Self {
        let start: jiff::Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let clock = Instant::now();
        let now = Arc::new(move || start + jiff::SignedDuration::try_from(clock.elapsed()).unwrap());
        let env = Env { now, entropy: Entropy::from_seed(1), dialer: Arc::new(Unreachable) };
        let logs = Logs::new(env.now.clone());
        let server = ApiServer::builder(env.clone()).kubelet(Arc::new(logs.clone())).build().unwrap();
        let client = kube::Client::new(server.client_service_as(UserInfo::admin()), "default");
        let cluster = with(SimCluster::builder(client.clone(), env).logs(logs)).start();
        Self { client: Client(client), cluster, clock }
    }

    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        optional(self.client.get(path).await).unwrap()
    }

    /// Waits until an object is as wanted, and returns it.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut last = None;
        let mut pause = Duration::from_millis(10);
        while Instant::now() < deadline {
            last = self.get(path).await;
            if let Some(object) = last.as_ref().filter(|object| wanted(object)) {
                return object.clone();
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(160));
        }
        panic!("{path} is not as wanted: {last:#?}\n{:#?}", self.events().await);
    }

    /// Waits until an object is gone.
    pub(crate) async fn until_gone(&self, path: &str) {
        let deadline = Instant::now() + PATIENCE;
        while let Some(object) = self.get(path).await {
            assert!(Instant::now() < deadline, "{path} is still there: {object:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn create(&self, path: &str, object: Value) -> Value {
        self.client.create(path, &object).await.unwrap()
    }

    /// Creates a pod in `default`.
    pub(crate) async fn pod(&self, name: &str, spec: Value) -> String {
        self.until("/api/v1/namespaces/default/serviceaccounts/default", |_| true).await;
        self.create(&pods(), json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})).await;
        format!("{}/{name}", pods())
    }

    pub(crate) async fn delete(&self, path: &str, options: Value) {
        let mut body = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        for (name, value) in options.as_object().unwrap() {
            body[name] = value.clone();
        }
        let request = http::Request::delete(path).header("content-type", "application/json").body(body.to_string().into_bytes()).unwrap();
        self.client.0.request::<Value>(request).await.unwrap();
    }

    /// `reason: message` of all events, in the order of their first occurrence.
    pub(crate) async fn events(&self) -> Vec<String> {
        let list = self.get("/api/v1/events").await.unwrap();
        let mut events: Vec<(u64, String)> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| {
                let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
                let version = event["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
                (version, format!("{}: {}", text("reason"), text("message")))
            })
            .collect();
        events.sort();
        events.into_iter().map(|(_, event)| event).collect()
    }

    /// Whole seconds since an earlier time.
    pub(crate) fn since(&self, earlier: Duration) -> u64 {
        self.elapsed().saturating_sub(earlier).as_secs()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }
}

pub(crate) fn pods() -> String {
    collection("", "v1", "pods", "default")
}

/// A pod spec of one container.
pub(crate) fn one(image: &str) -> Value {
    json!({"containers": [{"name": "c", "image": image}]})
}

pub(crate) fn phase(pod: &Value) -> &str {
    pod["status"]["phase"].as_str().unwrap_or_default()
}

pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    static NONE: Value = Value::Null;
    object["status"]["conditions"]
        .as_array()
        .and_then(|conditions| conditions.iter().find(|condition| condition["type"] == kind))
        .unwrap_or(&NONE)
}

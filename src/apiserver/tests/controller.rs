//! kube-rs as operators use it: a Controller over streaming lists, with finalizers and owned objects, on virtual time.

#![allow(clippy::unwrap_used, reason = "tests may assume")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ferrovirt_apiserver::auth::UserInfo;
use ferrovirt_apiserver::env::{Entropy, Env};
use ferrovirt_apiserver::http::ApiServer;
use ferrovirt_apiserver::net::Unreachable;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::finalizer::{Event, finalizer};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{reflector, watcher};
use serde_json::json;

fn server() -> ApiServer {
    let start: jiff::Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let clock = tokio::time::Instant::now();
    let now = Arc::new(move || start + jiff::SignedDuration::try_from(clock.elapsed()).unwrap());
    ApiServer::builder(Env { now, entropy: Entropy::from_seed(1), dialer: Arc::new(Unreachable) }).build().unwrap()
}

/// Every Toy gets a ConfigMap of its own with its size, and says in its status that it did.
struct Toys {
    client: kube::Client,
    kind: ApiResource,
    reconciled: AtomicUsize,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error("finalizer: {0}")]
    Finalizer(#[source] Box<kube::runtime::finalizer::Error<kube::Error>>),
}

async fn reconcile(toy: Arc<DynamicObject>, toys: Arc<Toys>) -> Result<Action, Failure> {
    toys.reconciled.fetch_add(1, Ordering::SeqCst);
    let api: Api<DynamicObject> = Api::default_namespaced_with(toys.client.clone(), &toys.kind);
    let maps: Api<ConfigMap> = Api::default_namespaced(toys.client.clone());
    let secrets: Api<Secret> = Api::default_namespaced(toys.client.clone());
    let outcome = finalizer(&api, "example.dev/toys", toy, |event| async {
        match event {
            Event::Apply(toy) => {
                let name = toy.metadata.name.clone().unwrap_or_default();
                let owner =
                    json!([{"apiVersion": "example.dev/v1", "kind": "Toy", "name": name, "uid": toy.metadata.uid, "controller": true}]);
                let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": owner},
                    "data": {"size": toy.data["spec"]["size"].to_string()}});
                maps.patch(&name, &PatchParams::apply("toys").force(), &Patch::Apply(map)).await?;
                let status = json!({"apiVersion": "example.dev/v1", "kind": "Toy", "status": {"seen": toy.metadata.generation}});
                api.patch_status(&name, &PatchParams::apply("toys").force(), &Patch::Apply(status)).await?;
                Ok(Action::requeue(Duration::from_hours(1)))
            }
            Event::Cleanup(toy) => {
                let farewell = json!({"metadata": {"name": format!("{}-gone", toy.metadata.name.clone().unwrap_or_default())}});
                secrets.create(&PostParams::default(), &serde_json::from_value(farewell).unwrap()).await?;
                Ok(Action::await_change())
            }
        }
    });
    outcome.await.map_err(|error| Failure::Finalizer(Box::new(error)))
}

#[tokio::test(start_paused = true)]
async fn a_controller_keeps_its_objects_as_they_should_be() {
    let server = server();
    let client = kube::Client::new(server.client_service_as(UserInfo::admin()), "default");
    let definitions: Api<DynamicObject> = Api::all_with(
        client.clone(),
        &ApiResource::from_gvk(&GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition")),
    );
    let definition = json!({"metadata": {"name": "toys.example.dev"}, "spec": {
        "group": "example.dev", "scope": "Namespaced", "names": {"plural": "toys", "kind": "Toy"},
        "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {
                "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
                "status": {"type": "object", "properties": {"seen": {"type": "integer"}}}}}}}]}});
    definitions.create(&PostParams::default(), &serde_json::from_value(definition).unwrap()).await.unwrap();
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.dev", "v1", "Toy"));
    let api: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &kind);
    let toy = |name: &str, size: u8| -> DynamicObject {
        serde_json::from_value(json!({"apiVersion": "example.dev/v1", "kind": "Toy", "metadata": {"name": name}, "spec": {"size": size}}))
            .unwrap()
    };
    // One is there before the controller, which therefore gets it in its streaming list.
    api.create(&PostParams::default(), &toy("early", 1)).await.unwrap();

    let toys = Arc::new(Toys { client: client.clone(), kind: kind.clone(), reconciled: AtomicUsize::default() });
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let streaming = watcher::Config::default().streaming_lists();
    let controller = Controller::new_with(api.clone(), streaming.clone(), kind.clone())
        .owns(maps.clone(), streaming.clone())
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_secs(1)), toys.clone())
        .for_each(|outcome| async move { drop(outcome) });
    let controller = tokio::spawn(controller);
    // A reflector sees the same.
    let (cache, writer) = reflector::store::<ConfigMap>();
    let stream = reflector(writer, watcher(maps.clone(), streaming)).for_each(|_| async {});
    let reflecting = tokio::spawn(stream);

    let has_size = |size: &'static str| {
        move |map: Option<&ConfigMap>| map.and_then(|map| map.data.as_ref()).is_some_and(|data| data.get("size").is_some_and(|s| s == size))
    };
    let settle = |name: &'static str, size| {
        let waiting = await_condition(maps.clone(), name, has_size(size));
        async { tokio::time::timeout(Duration::from_mins(1), waiting).await.unwrap().unwrap() }
    };
    settle("early", "1").await;
    api.create(&PostParams::default(), &toy("late", 2)).await.unwrap();
    settle("late", "2").await;
    api.patch("late", &PatchParams::default(), &Patch::Merge(json!({"spec": {"size": 3}}))).await.unwrap();
    settle("late", "3").await;
    // Somebody else's change of what it owns is undone.
    maps.patch("late", &PatchParams::default(), &Patch::Merge(json!({"data": {"size": "99"}}))).await.unwrap();
    settle("late", "3").await;
    maps.delete("late", &DeleteParams::default()).await.unwrap();
    settle("late", "3").await;
    let seen = |toy: Option<&DynamicObject>| toy.is_some_and(|toy| toy.data["status"]["seen"] == 2);
    tokio::time::timeout(Duration::from_mins(1), await_condition(api.clone(), "late", seen)).await.unwrap().unwrap();

    let uid = api.get("late").await.unwrap().metadata.uid.unwrap();
    api.delete("late", &DeleteParams::default()).await.unwrap();
    tokio::time::timeout(Duration::from_mins(1), await_condition(api.clone(), "late", conditions::is_deleted(&uid)))
        .await
        .unwrap()
        .unwrap();
    let secrets: Api<Secret> = Api::default_namespaced(client);
    assert_eq!(secrets.list(&ListParams::default()).await.unwrap().items.len(), 1, "its finalizer ran once");

    let names: Vec<String> = cache.state().iter().filter_map(|map| map.metadata.name.clone()).collect();
    assert!(names.contains(&"early".to_owned()), "{names:?}");
    let count = toys.reconciled.load(Ordering::SeqCst);
    assert!(count < 40, "{count} reconciliations: it runs in circles");
    controller.abort();
    reflecting.abort();
}

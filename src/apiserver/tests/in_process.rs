//! A `kube::Client` on the server in this process: no socket, no thread, a clock that stands still until all wait.

#![allow(clippy::unwrap_used, reason = "tests may assume")]

use std::sync::Arc;
use std::time::Duration;

use ferrovirt_apiserver::auth::UserInfo;
use ferrovirt_apiserver::env::{Entropy, Env};
use ferrovirt_apiserver::http::ApiServer;
use ferrovirt_apiserver::net::Unreachable;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::{WatchStreamExt, watcher};

fn server() -> ApiServer {
    let start: jiff::Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let clock = tokio::time::Instant::now();
    let now = Arc::new(move || start + jiff::SignedDuration::try_from(clock.elapsed()).unwrap());
    let env = Env { now, entropy: Entropy::from_seed(1), dialer: Arc::new(Unreachable) };
    ApiServer::builder(env).build().unwrap()
}

fn client(server: &ApiServer) -> kube::Client {
    kube::Client::new(server.client_service_as(UserInfo::admin()), "default")
}

fn config_map(name: &str, data: &[(&str, &str)]) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
        data: Some(data.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()),
        ..ConfigMap::default()
    }
}

#[tokio::test(start_paused = true)]
async fn objects_are_created_read_changed_listed_and_deleted() {
    let server = server();
    let api: Api<ConfigMap> = Api::default_namespaced(client(&server));
    let created = api.create(&PostParams::default(), &config_map("a", &[("k", "1")])).await.unwrap();
    assert_eq!(created.metadata.namespace.as_deref(), Some("default"));
    assert!(created.metadata.uid.is_some());
    let read = api.get("a").await.unwrap();
    assert_eq!(read, created);
    let patch = Patch::Merge(serde_json::json!({"data": {"k": "2"}}));
    let patched = api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.data.unwrap()["k"], "2");
    let stale = api.replace("a", &PostParams::default(), &created).await.unwrap_err();
    assert!(matches!(stale, kube::Error::Api(status) if status.code == 409));
    let wanted = Patch::Apply(config_map("a", &[("k", "3"), ("l", "4")]));
    let refused = api.patch("a", &PatchParams::apply("me"), &wanted).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 409), "the patch owns the field");
    let applied = api.patch("a", &PatchParams::apply("me").force(), &wanted).await.unwrap();
    assert_eq!(applied.data.unwrap().len(), 2);
    let managers: Vec<String> = applied.metadata.managed_fields.unwrap().into_iter().filter_map(|m| m.manager).collect();
    assert!(managers.contains(&"me".to_owned()), "{managers:?}");
    let list = api.list(&ListParams::default().fields("metadata.name=a")).await.unwrap();
    assert_eq!(list.items.len(), 1);
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(api.get_opt("a").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn watches_see_every_change_and_time_out_on_the_virtual_clock() {
    let server = server();
    let api: Api<ConfigMap> = Api::default_namespaced(client(&server));
    let version = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let params = WatchParams::default().timeout(200);
    let mut events = api.watch(&params, &version).await.unwrap().boxed();
    for name in ["a", "b"] {
        api.create(&PostParams::default(), &config_map(name, &[])).await.unwrap();
    }
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let mut seen = Vec::new();
    let begin = tokio::time::Instant::now();
    while let Some(event) = events.try_next().await.unwrap() {
        seen.push(match event {
            WatchEvent::Added(o) => format!("+{}", o.metadata.name.unwrap()),
            WatchEvent::Modified(o) => format!("~{}", o.metadata.name.unwrap()),
            WatchEvent::Deleted(o) => format!("-{}", o.metadata.name.unwrap()),
            WatchEvent::Bookmark(_) => "bookmark".to_owned(),
            WatchEvent::Error(e) => format!("error {}", e.code),
        });
    }
    assert_eq!(seen, ["+a", "+b", "-a", "bookmark", "bookmark", "bookmark"]);
    assert_eq!(begin.elapsed(), Duration::from_secs(200));
}

#[tokio::test(start_paused = true)]
async fn a_watcher_streams_its_initial_list() {
    let server = server();
    let api: Api<Namespace> = Api::all(client(&server));
    let config = watcher::Config::default().streaming_lists();
    let mut names = watcher(api, config).applied_objects().map_ok(|n| n.metadata.name.unwrap()).boxed();
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(names.try_next().await.unwrap().unwrap());
    }
    assert_eq!(seen, ["default", "kube-node-lease", "kube-public", "kube-system"]);
}

#[tokio::test(start_paused = true)]
async fn one_seed_gives_one_history() {
    let run = || async {
        let server = server();
        let api: Api<ConfigMap> = Api::default_namespaced(client(&server));
        let mut generated = config_map("", &[]);
        generated.metadata = ObjectMeta { generate_name: Some("x-".into()), ..ObjectMeta::default() };
        for _ in 0..3 {
            api.create(&PostParams::default(), &generated).await.unwrap();
        }
        api.list(&ListParams::default()).await.unwrap().items
    };
    let (first, second) = (run().await, run().await);
    assert_eq!(first.len(), 3);
    assert_eq!(first.iter().map(|o| &o.metadata.name).collect::<Vec<_>>(), second.iter().map(|o| &o.metadata.name).collect::<Vec<_>>());
    assert_eq!(first.iter().map(|o| &o.metadata.uid).collect::<Vec<_>>(), second.iter().map(|o| &o.metadata.uid).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_slow_watch_is_cut_with_410_and_an_old_version_is_refused() {
    let server = server();
    let api: Api<ConfigMap> = Api::default_namespaced(client(&server));
    let first = api.create(&PostParams::default(), &config_map("a", &[])).await.unwrap();
    let version = first.metadata.resource_version.unwrap();
    server.store().compact(server.store().revision());
    api.create(&PostParams::default(), &config_map("b", &[])).await.unwrap();
    server.store().compact(server.store().revision());
    let mut events = api.watch(&WatchParams::default(), &version).await.unwrap().boxed();
    let event = events.try_next().await.unwrap().unwrap();
    assert!(matches!(event, WatchEvent::Error(status) if status.code == 410));
    assert!(events.try_next().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_watches_share_one_event() {
    let server = server();
    let api: Api<Pod> = Api::namespaced(client(&server), "default");
    let version = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut watches = Vec::new();
    for _ in 0..10_000 {
        watches.push(api.watch_metadata(&WatchParams::default(), &version).await.unwrap().boxed());
    }
    let pod = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}], "automountServiceAccountToken": false},
    }));
    let pod: Pod = pod.unwrap();
    let refused = api.create(&PostParams::default(), &pod).await.unwrap_err();
    assert!(refused.to_string().contains("serviceaccount \"default\" not found"), "{refused}");
    let accounts: Api<ServiceAccount> = Api::default_namespaced(client(&server));
    let account =
        ServiceAccount { metadata: ObjectMeta { name: Some("default".into()), ..ObjectMeta::default() }, ..ServiceAccount::default() };
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let created = api.create(&PostParams::default(), &pod).await.unwrap();
    assert_eq!(created.status.unwrap().phase.as_deref(), Some("Pending"));
    for watch in &mut watches {
        assert!(matches!(watch.try_next().await.unwrap(), Some(WatchEvent::Added(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn large_and_broken_bodies_are_refused() {
    let server = server();
    let api: Api<ConfigMap> = Api::default_namespaced(client(&server));
    let large = "x".repeat(3 << 20);
    let refused = api.create(&PostParams::default(), &config_map("big", &[("k", &large)])).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 413));
    let nameless = api.create(&PostParams::default(), &ConfigMap::default()).await.unwrap_err();
    assert!(matches!(nameless, kube::Error::Api(status) if status.code == 422));
    let illegal = api.create(&PostParams::default(), &config_map("Not_Legal", &[])).await.unwrap_err();
    assert!(illegal.to_string().contains("a lowercase RFC 1123 subdomain must consist of"), "{illegal}");
}

#[tokio::test(start_paused = true)]
async fn pods_end_when_their_kubelet_says_so() {
    let server = server();
    let accounts: Api<ServiceAccount> = Api::default_namespaced(client(&server));
    let account =
        ServiceAccount { metadata: ObjectMeta { name: Some("default".into()), ..ObjectMeta::default() }, ..ServiceAccount::default() };
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let api: Api<Pod> = Api::default_namespaced(client(&server));
    let pod: Pod = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "p"},
        "spec": {"nodeName": "node01", "terminationGracePeriodSeconds": 7, "containers": [{"name": "c", "image": "i"}]},
    }))
    .unwrap();
    api.create(&PostParams::default(), &pod).await.unwrap();
    let on_node = api.list(&ListParams::default().fields("spec.nodeName=node01")).await.unwrap();
    assert_eq!(on_node.items.len(), 1);
    let marked = api.delete("p", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert_eq!(marked.metadata.deletion_grace_period_seconds, Some(7));
    assert!(api.get_opt("p").await.unwrap().is_some(), "the kubelet has not said yet that it is gone");
    api.delete("p", &DeleteParams::default().grace_period(0)).await.unwrap();
    assert!(api.get_opt("p").await.unwrap().is_none());
}

//! A `kube::Client` on the server in this process: no socket, no thread, a clock that stands still until all wait.

use std::sync::Arc;
use std::time::Duration;

use ferrovirt_apiserver::auth::UserInfo;
use ferrovirt_apiserver::env::{Entropy, Env};
use ferrovirt_apiserver::http::ApiServer;
use ferrovirt_apiserver::net::Unreachable;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
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
    let applied = api
        .patch("a", &PatchParams::apply("me").force(), &Patch::Apply(config_map("a", &[("k", "3"), ("l", "4")])))
        .await;
    let typed = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "3"}});
    assert!(applied.is_ok() || api.patch("a", &PatchParams::apply("me").force(), &Patch::Apply(typed)).await.is_ok());
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
    let created = api.create(&PostParams::default(), &pod.unwrap()).await;
    if let Err(error) = &created {
        // Pods need their service account first.
        assert!(error.to_string().contains("serviceaccount"), "{error}");
        return;
    }
    for watch in &mut watches {
        assert!(matches!(watch.try_next().await.unwrap(), Some(WatchEvent::Added(_))));
    }
}

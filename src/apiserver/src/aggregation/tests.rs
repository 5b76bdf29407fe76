//! An aggregated server at the end of in-memory connections.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Aggregator, GROUP, api_services};
use crate::auth::UserInfo;
use crate::http::Body;
use crate::object;
use crate::resource::Registry;
use crate::serve::in_memory;
use crate::serve::testing::{Network, PeerCerts, put};
use crate::store::{Key, Store};

struct Cluster {
    network: Network,
    store: Store,
    aggregator: Aggregator,
}

fn resource_list() -> Value {
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "sub.example.dev/v1", "resources": [
        {"name": "things", "singularName": "thing", "namespaced": true, "kind": "Thing", "verbs": ["get"], "shortNames": ["th"]},
        {"name": "things/start", "singularName": "", "namespaced": true, "kind": "Thing", "verbs": ["update"]},
        {"name": "machines/stop", "singularName": "", "namespaced": true, "kind": "", "verbs": ["update"]},
    ]})
}

/// Answers discovery, echoes the headers it got, and upgrades `/echo` to an echo.
async fn server(mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    if path == "/apis/sub.example.dev/v1" {
        return Response::new(Full::new(Bytes::from(resource_list().to_string())));
    }
    if path == "/openapi/v3/apis/sub.example.dev/v1" {
        return Response::new(Full::new(Bytes::from_static(b"{\"openapi\":\"3.0.0\",\"info\":{\"title\":\"other\"}}")));
    }
    if path.starts_with("/openapi") {
        return Response::builder().status(404).body(Full::default()).unwrap();
    }
    if path.ends_with("/echo") {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut pipe = TokioIo::new(upgrade.await.unwrap());
            let mut buffer = [0; 64];
            while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
                pipe.write_all(&buffer[..read]).await.unwrap();
            }
        });
        return Response::builder()
            .status(101)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-protocol", "plain.example.dev")
            .body(Full::default())
            .unwrap();
    }
    let certificates = request.extensions().get::<PeerCerts>().unwrap().0;
    let headers: Vec<(String, String)> = request.headers().iter().map(|(k, v)| (k.to_string(), v.to_str().unwrap().to_owned())).collect();
    let uri = request.uri().to_string();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let seen = json!({"headers": headers, "certificates": certificates, "uri": uri, "body": String::from_utf8_lossy(&body)});
    Response::new(Full::new(Bytes::from(seen.to_string())))
}

fn cluster() -> Cluster {
    let network = Network::new();
    let store = Store::new();
    let registry = Registry::new(crate::builtin::catalog());
    let identity = Some(network.pki.front_proxy_client.clone());
    let aggregator = Aggregator::new(network.env(), store.clone(), registry, identity);
    Cluster { network, store, aggregator }
}

impl Cluster {
    fn register(&self, more: &Value) {
        let mut spec = json!({
            "group": "sub.example.dev", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15,
            "service": {"namespace": "n", "name": "api", "port": 443}, "caBundle": self.network.bundle(),
        });
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        put(&self.store, GROUP, "apiservices", json!({"metadata": {"name": "v1.sub.example.dev"}, "spec": spec}));
    }

    fn listen(&self) {
        self.network.serve_service(&self.store, "n", "api", Arc::new(|request| server(request).boxed()));
    }

    fn condition(&self) -> Value {
        let object = self.store.get(&Key::new(api_services(), "", "v1.sub.example.dev")).unwrap().value();
        object["status"]["conditions"][0].clone()
    }

    async fn send(&self, user: &UserInfo, request: http::request::Builder, body: &str) -> (Response<()>, String) {
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let (mut parts, body) = request.into_parts();
        let response = self.aggregator.serve(user, &mut parts, body).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (Response::from_parts(parts, ()), String::from_utf8(body.to_vec()).unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_goes_on_with_the_user_as_we_know_it() {
    let cluster = cluster();
    cluster.register(&json!({}));
    cluster.listen();
    assert!(cluster.aggregator.probe().await);
    let mut user = UserInfo::new("amy", &["g1", "g2"]);
    user.extra.insert("example.dev/scope".into(), vec!["s".into()]);
    let smuggled = Request::post("/apis/sub.example.dev/v1/namespaces/n/things/t/start?x=%2F")
        .header("x-remote-user", "root")
        .header("x-remote-group", "system:masters")
        .header("X_Remote_Group", "system:masters")
        .header("connection", "x-remote-user, keep-alive")
        .header("authorization", "Bearer secret")
        .header("x-mine", "kept");
    let (response, body) = cluster.send(&user, smuggled, "hello").await;
    assert_eq!(response.status(), 200);
    let seen: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&seen["certificates"], &seen["body"]), (&json!(1), &json!("hello")));
    assert_eq!(seen["uri"], "/apis/sub.example.dev/v1/namespaces/n/things/t/start?x=%2F");
    let mut remote: Vec<(String, String)> = serde_json::from_value(seen["headers"].clone()).unwrap();
    remote.retain(|(name, _)| name.replace('_', "-").starts_with("x-remote") || name == "authorization" || name == "x-mine");
    remote.sort();
    let expected = [
        ("x-mine", "kept"),
        ("x-remote-extra-example.dev%2fscope", "s"),
        ("x-remote-group", "g1"),
        ("x-remote-group", "g2"),
        ("x-remote-user", "amy"),
    ];
    assert_eq!(remote, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
}

#[rstest]
#[case::no_service(json!({"service": {"namespace": "n", "name": "nosvc"}}), false, "ServiceNotFound", "service/nosvc in \"n\" is not present")]
#[case::no_port(json!({"service": {"namespace": "n", "name": "api", "port": 1}}), true, "ServicePortError", "service/api in \"n\" is not listening on port 1")]
#[case::untrusted(json!({"caBundle": ""}), true, "FailedDiscoveryCheck", "failing or missing response from https://api.n.svc:443/apis/sub.example.dev/v1: Get \"https://api.n.svc:443/apis/sub.example.dev/v1\": tls: failed to verify certificate: x509: certificate signed by unknown authority")]
#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_there_is_told_and_answers_503(
    #[case] more: Value,
    #[case] listens: bool,
    #[case] reason: &str,
    #[case] message: &str,
) {
    let cluster = cluster();
    cluster.register(&more);
    if listens {
        cluster.listen();
    }
    assert!(!cluster.aggregator.probe().await);
    let condition = cluster.condition();
    assert_eq!((&condition["status"], &condition["reason"], &condition["message"]), (&json!("False"), &json!(reason), &json!(message)));
    let revision = cluster.store.revision();
    cluster.aggregator.probe().await;
    assert_eq!(cluster.store.revision(), revision, "a condition that stays is not written");
    let (response, body) = cluster.send(&UserInfo::admin(), Request::get("/apis/sub.example.dev/v1/things"), "").await;
    assert_eq!((response.status().as_u16(), body.as_str()), (503, "service unavailable\n"));
}

#[tokio::test(start_paused = true)]
async fn anybody_is_trusted_when_told_so() {
    let cluster = cluster();
    cluster.register(&json!({"caBundle": "", "insecureSkipTLSVerify": true}));
    cluster.listen();
    assert!(cluster.aggregator.probe().await);
    assert_eq!(cluster.condition()["reason"], "Passed");
}

#[tokio::test(start_paused = true)]
async fn paths_that_climb_are_refused() {
    let cluster = cluster();
    cluster.register(&json!({}));
    cluster.listen();
    cluster.aggregator.probe().await;
    for path in ["/apis/sub.example.dev/v1/../../../metrics", "/apis/sub.example.dev/v1/%2e%2e/x"] {
        assert_eq!(cluster.send(&UserInfo::admin(), Request::get(path), "").await.0.status(), 400, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_becomes_a_pipe() {
    let cluster = cluster();
    cluster.register(&json!({}));
    cluster.listen();
    cluster.aggregator.probe().await;
    let aggregator = cluster.aggregator.clone();
    let stream = in_memory(tower::service_fn(move |request: Request<Incoming>| {
        let aggregator = aggregator.clone();
        async move {
            let (mut parts, body): (Parts, Incoming) = request.into_parts();
            let response: Response<Body> = aggregator.serve(&UserInfo::admin(), &mut parts, body).await;
            Ok::<_, std::convert::Infallible>(response)
        }
    }));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = Request::get("/apis/sub.example.dev/v1/namespaces/n/things/t/echo")
        .header("host", "x")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["sec-websocket-protocol"], "plain.example.dev");
    let mut pipe = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    for word in ["hello", "again"] {
        pipe.write_all(word.as_bytes()).await.unwrap();
        let mut buffer = [0; 5];
        pipe.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, word.as_bytes());
    }
}

#[tokio::test(start_paused = true)]
async fn discovery_shows_what_the_other_server_serves() {
    let cluster = cluster();
    cluster.register(&json!({}));
    cluster.listen();
    cluster.aggregator.probe().await;
    let mut groups = json!({"groups": [{"name": "apps"}]});
    cluster.aggregator.merge_group_list(&mut groups);
    assert_eq!(groups["groups"][1]["preferredVersion"]["groupVersion"], "sub.example.dev/v1");
    let group = cluster.aggregator.group("sub.example.dev", None).unwrap();
    assert_eq!((&group["kind"], &group["versions"][0]["version"]), (&json!("APIGroup"), &json!("v1")));
    assert_eq!(cluster.aggregator.group("none.dev", None), None);
    let mut document = json!({"items": []});
    cluster.aggregator.merge_aggregated(&mut document);
    assert_eq!(
        document["items"],
        json!([{"metadata": {"name": "sub.example.dev"}, "versions": [{"version": "v1", "freshness": "Current", "resources": [
            {
                "resource": "things", "singularResource": "thing", "scope": "Namespaced", "verbs": ["get"], "shortNames": ["th"],
                "responseKind": {"group": "sub.example.dev", "version": "v1", "kind": "Thing"},
                "subresources": [{
                    "subresource": "start", "verbs": ["update"],
                    "responseKind": {"group": "sub.example.dev", "version": "v1", "kind": "Thing"},
                }],
            },
            {
                "resource": "machines", "singularResource": "", "scope": "Namespaced", "verbs": null,
                "responseKind": {"group": "", "version": "", "kind": ""},
                "subresources": [{
                    "subresource": "stop", "verbs": ["update"],
                    "responseKind": {"group": "sub.example.dev", "version": "v1", "kind": ""},
                }],
            },
        ]}]}])
    );
}

#[tokio::test(start_paused = true)]
async fn the_loop_registers_probes_and_notices_what_comes_and_goes() {
    let cluster = cluster();
    let running = tokio::spawn(cluster.aggregator.clone().run());
    cluster.register(&json!({}));
    let wait = |status: &'static str| {
        let store = cluster.store.clone();
        async move {
            let mut watch = store.watch(&api_services(), None, 1).unwrap();
            loop {
                let event = watch.next_batch().await.unwrap().pop().unwrap();
                let object = event.object.value();
                let found = object::list(&object, &["status", "conditions"]).iter().any(|c| c["status"] == status);
                if object::name(&object) == "v1.sub.example.dev" && found {
                    break;
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(1), wait("False")).await.unwrap();
    cluster.listen();
    tokio::time::timeout(Duration::from_secs(1), wait("True")).await.unwrap();
    let names: Vec<String> = cluster.store.list(&api_services(), None).0.iter().map(|s| s.key.name.clone()).collect();
    assert!(names.contains(&"v1.".to_owned()) && names.contains(&"v1.apps".to_owned()), "{names:?}");
    let idle = cluster.store.revision();
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(cluster.store.revision(), idle, "an idle cluster writes nothing");
    running.abort();
}

#[test]
fn the_trust_of_aggregated_servers_is_published_once() {
    let cluster = cluster();
    super::trust::publish(&cluster.store, &cluster.network.env(), &cluster.network.pki).unwrap();
    let revision = cluster.store.revision();
    super::trust::publish(&cluster.store, &cluster.network.env(), &cluster.network.pki).unwrap();
    assert_eq!(cluster.store.revision(), revision);
    let key = Key::new(crate::resource::GroupResource::new("", "configmaps"), "kube-system", "extension-apiserver-authentication");
    let data = cluster.store.get(&key).unwrap().value()["data"].clone();
    assert_eq!(data["requestheader-client-ca-file"], cluster.network.pki.front_proxy_ca.cert_pem);
    assert_eq!(data["requestheader-allowed-names"], "[\"front-proxy-client\"]");
}

/// The whole way: certificate, rights, discovery, proxy.
#[tokio::test(start_paused = true)]
async fn a_user_reaches_the_other_server_through_the_whole_server() {
    let network = Network::new();
    let server = crate::http::ApiServer::builder(network.env()).pki(&network.pki).build().unwrap();
    let cluster = Cluster { network, store: server.store().clone(), aggregator: server.core().aggregation.clone() };
    cluster.register(&json!({}));
    cluster.listen();
    cluster.aggregator.probe().await;
    let ask = async |user: UserInfo, path: &str| {
        let client = server.client_service_as(user);
        let request = Request::get(path).body(Empty::<Bytes>::new()).unwrap();
        let response = tower::ServiceExt::oneshot(client, request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    let (status, body) = ask(UserInfo::admin(), "/apis").await;
    assert!(status == 200 && body.contains("\"sub.example.dev/v1\""), "{body}");
    let (_, index) = ask(UserInfo::admin(), "/openapi/v3").await;
    let index: Value = serde_json::from_str(&index).unwrap();
    let place = index["paths"]["apis/sub.example.dev/v1"]["serverRelativeURL"].as_str().unwrap();
    let (status, body) = ask(UserInfo::admin(), place).await;
    assert!(status == 200 && body.contains("\"title\":\"other\""), "{place}: {body}");
    assert_eq!(ask(UserInfo::admin(), &format!("{place}0")).await.0, 301, "an outdated hash leads to the current document");
    let path = "/apis/sub.example.dev/v1/namespaces/n/things/t/start";
    let (status, body) = ask(UserInfo::admin(), path).await;
    assert!(status == 200 && body.contains("[\"x-remote-user\",\"kubernetes-admin\"]"), "{body}");
    // What a client says about itself stays here, and so do the credentials that proved who it is.
    put(
        &cluster.store,
        "rbac.authorization.k8s.io",
        "clusterrolebindings",
        json!({"metadata": {"name": "b"},
        "subjects": [{"kind": "User", "name": "bob"}], "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}}),
    );
    let smuggled =
        Request::get(path).header("impersonate-user", "bob").header("impersonate-group", "testers").header("x-remote-user", "root");
    let smuggled =
        smuggled.header("x-remote-extra-scopes", "all").header("authorization", "Bearer secret").header("connection", "x-remote-group");
    let request = smuggled.body(Empty::<Bytes>::new()).unwrap();
    let response = tower::ServiceExt::oneshot(server.client_service_as(UserInfo::admin()), request).await.unwrap();
    let seen: Value = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    let headers: Vec<(String, String)> = serde_json::from_value(seen["headers"].clone()).unwrap();
    let about_users = |name: &str| ["x-remote", "impersonate", "authorization"].iter().any(|start| name.starts_with(start));
    let found: std::collections::BTreeSet<String> =
        headers.iter().filter(|(name, _)| about_users(name)).map(|(name, value)| format!("{name}: {value}")).collect();
    let expected = ["x-remote-group: system:authenticated", "x-remote-group: testers", "x-remote-user: bob"];
    assert_eq!(found, expected.map(ToOwned::to_owned).into());
    let (status, body) = ask(UserInfo::new("amy", &["system:authenticated"]), path).await;
    assert_eq!(status, 403);
    assert!(body.contains("cannot get resource \\\"things/start\\\" in API group \\\"sub.example.dev\\\""), "{body}");
    let key = Key::new(api_services(), "", "v1.sub.example.dev");
    cluster.store.commit(key, crate::store::Expect::Any, None).unwrap();
    assert_eq!(ask(UserInfo::admin(), path).await, (404, "404 page not found\n".to_owned()));
}

//! What a server meets that people depend on: clients that are slow, large, broken or lying, and clients that leave.

#![allow(clippy::unwrap_used, reason = "tests may assume")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferrovirt_apiserver::auth::UserInfo;
use ferrovirt_apiserver::env::{Entropy, Env, Now};
use ferrovirt_apiserver::http::ApiServer;
use ferrovirt_apiserver::net::{BoxStream, Unreachable};
use ferrovirt_apiserver::serve::{Identity, Limits, Listener, Pki, Trust, client_config, server_config};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

/// A server behind its TLS listener, on the test's clock.
struct Served {
    server: ApiServer,
    pki: Pki,
    now: Now,
    connect: mpsc::Sender<BoxStream>,
}

fn served() -> Served {
    let start: jiff::Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let clock = tokio::time::Instant::now();
    let now: Now = Arc::new(move || start + jiff::SignedDuration::try_from(clock.elapsed()).unwrap());
    let env = Env { now: now.clone(), entropy: Entropy::from_seed(1), dialer: Arc::new(Unreachable) };
    let pki = Pki::generate(&now, &[]).unwrap();
    let server = ApiServer::builder(env).pki(&pki).build().unwrap();
    let (connect, source) = mpsc::channel(64);
    let listener = Listener::new(server_config(&pki.serving, &now).unwrap(), now.clone(), Limits::default());
    tokio::spawn(listener.run(source, server.clone(), CancellationToken::new()));
    Served { server, pki, now, connect }
}

impl Served {
    /// A connection of the administrator, or of nobody.
    async fn tls(&self, identity: Option<&Identity>) -> TlsStream<DuplexStream> {
        let (client, end) = tokio::io::duplex(64 << 10);
        self.connect.send(Box::new(end)).await.unwrap();
        let trust = Trust::Bundle(self.pki.ca.cert_pem.clone().into_bytes());
        let config = client_config(&self.now, &trust, identity).unwrap();
        let name = rustls_pki_types::ServerName::try_from("kubernetes.default.svc").unwrap();
        tokio_rustls::TlsConnector::from(config).connect(name, client).await.unwrap()
    }

    /// Writes `sent` and reads until the server closes or is silent for a minute.
    async fn talk(&self, identity: Option<&Identity>, sent: &[u8]) -> String {
        let mut stream = self.tls(identity).await;
        let (mut reader, mut writer) = tokio::io::split(&mut stream);
        let mut seen = Vec::new();
        let write = async {
            let _ = writer.write_all(sent).await;
            let _ = writer.flush().await;
            std::future::pending::<()>().await;
        };
        let read = async {
            let mut buffer = [0; 4096];
            while let Ok(Ok(count @ 1..)) = tokio::time::timeout(Duration::from_mins(1), reader.read(&mut buffer)).await {
                seen.extend_from_slice(&buffer[..count]);
            }
        };
        tokio::select! {
            () = read => {}
            () = write => {}
        }
        String::from_utf8_lossy(&seen).into_owned()
    }

    async fn is_well(&self) -> bool {
        self.talk(None, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.ends_with("ok")
    }

    /// Sends a request in process and answers with status and object.
    async fn ask(&self, user: UserInfo, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, Value) {
        ask(&self.server, user, method, path, headers, body).await
    }
}

async fn ask(server: &ApiServer, user: UserInfo, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, Value) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    let response = tower::ServiceExt::oneshot(server.client_service_as(user), request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&body).into_owned())))
}

#[tokio::test(start_paused = true)]
async fn headers_that_trickle_end_the_connection_and_nobody_else_waits() {
    let served = served();
    let mut slow = served.tls(None).await;
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ").await.unwrap();
    let begin = tokio::time::Instant::now();
    let mut rest = Vec::new();
    loop {
        let byte = tokio::time::timeout(Duration::from_secs(5), slow.read_to_end(&mut rest)).await;
        if byte.is_ok() || slow.write_all(b"a").await.is_err() {
            break;
        }
        let _ = slow.flush().await;
        assert!(begin.elapsed() < Duration::from_mins(2), "the connection stays");
    }
    assert!(begin.elapsed() <= Duration::from_secs(40), "{:?}", begin.elapsed());
    assert!(served.is_well().await);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_a_timeout() {
    let served = served();
    let head = "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{";
    let mut stream = served.tls(Some(&served.pki.admin)).await;
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut seen = String::new();
    let begin = tokio::time::Instant::now();
    tokio::time::timeout(Duration::from_mins(2), stream.read_to_string(&mut seen)).await.unwrap().unwrap();
    assert!(seen.starts_with("HTTP/1.1 504 "), "{seen}");
    assert!(seen.contains("Timeout: request did not complete within the allotted timeout"), "{seen}");
    assert_eq!(begin.elapsed().as_secs(), 60);
}

#[rstest]
#[case::beyond_our_limit(65_100, "HTTP/1.1 414 ")]
#[case::beyond_every_limit(70_000, "HTTP/1.1 414 ")]
#[case::just_fits(60_000, "HTTP/1.1 200 ")]
#[tokio::test(start_paused = true)]
async fn long_urls(#[case] length: usize, #[case] expected: &str) {
    let served = served();
    let path = format!("/healthz?{}", "a".repeat(length));
    let answer = served.talk(None, format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with(expected), "{answer}");
    assert!(served.is_well().await);
}

#[tokio::test(start_paused = true)]
async fn headers_beyond_the_limit_end_the_connection() {
    let served = served();
    let sent = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "a".repeat(2 << 20));
    let answer = served.talk(None, sent.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(served.is_well().await);
}

#[tokio::test(start_paused = true)]
async fn characters_that_belong_escaped_are_taken() {
    let served = served();
    let sent = "GET /api/v1/nodes?labelSelector=tier>1&x=<\"> HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = served.talk(Some(&served.pki.admin), sent.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[rstest]
#[case::json_arrays("application/json", "[", "{\"data\":")]
#[case::json_objects("application/json", "{\"a\":", "")]
#[case::yaml_arrays("application/yaml", "[", "a: ")]
#[case::yaml_blocks("application/yaml", "- ", "")]
#[case::json_patch("application/json-patch+json", "[", "")]
#[case::merge_patch("application/merge-patch+json", "{\"a\":", "")]
#[case::strategic_patch("application/strategic-merge-patch+json", "{\"a\":", "")]
#[case::apply("application/apply-patch+yaml", "{a: ", "")]
#[tokio::test(start_paused = true)]
async fn deep_nesting_is_refused(#[case] media: &str, #[case] opening: &str, #[case] before: &str) {
    let served = served();
    let path = "/api/v1/namespaces/default/configmaps";
    let (status, _) =
        served.ask(UserInfo::admin(), Method::POST, path, &[], json!({"metadata": {"name": "a"}}).to_string().into_bytes()).await;
    assert_eq!(status, 201);
    let patch = media.contains("patch");
    let (method, path) = if patch { (Method::PATCH, format!("{path}/a?fieldManager=me")) } else { (Method::POST, path.to_owned()) };
    let body = format!("{before}{}", opening.repeat(100_000));
    let (status, answer) = served.ask(UserInfo::admin(), method, &path, &[("content-type", media)], body.into_bytes()).await;
    assert!(status == 400, "{status} {answer}");
    assert_eq!(answer["kind"], "Status");
    assert!(served.is_well().await);
}

#[rstest]
#[case("/api/v1/pods?labelSelector=", "a in (", 400)]
#[case("/api/v1/pods?fieldSelector=", "metadata.name=a,", 200)]
#[case("/api/v1/pods?labelSelector=", "a,", 400)]
#[tokio::test(start_paused = true)]
async fn long_selectors_end(#[case] path: &str, #[case] part: &str, #[case] expected: u16) {
    let served = served();
    let path = format!(
        "{path}{}",
        part.repeat(3_000).replace(' ', "%20").trim_end_matches(',').to_owned() + if expected == 400 { ",," } else { "" }
    );
    let (status, answer) = served.ask(UserInfo::admin(), Method::GET, &path, &[], Vec::new()).await;
    assert_eq!(status, expected, "{answer}");
}

#[rstest]
#[case(&[("impersonate-user", "root")],
    "users \"root\" is forbidden: User \"amy\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope")]
#[case(&[("impersonate-user", "amy"), ("impersonate-group", "system:masters")],
    "users \"amy\" is forbidden: User \"amy\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope")]
#[case(&[("impersonate-user", "system:serviceaccount:kube-system:default")],
    "serviceaccounts \"default\" is forbidden: User \"amy\" cannot impersonate resource \"serviceaccounts\" in API group \"\" in the \
     namespace \"kube-system\"")]
#[tokio::test(start_paused = true)]
async fn nobody_is_somebody_else_without_the_right(#[case] headers: &[(&str, &str)], #[case] message: &str) {
    let served = served();
    let amy = UserInfo::new("amy", &["system:authenticated"]);
    let (status, answer) = served.ask(amy, Method::GET, "/api/v1/secrets", headers, Vec::new()).await;
    assert_eq!((status, answer["message"].as_str().unwrap()), (403, message));
}

/// Headers in which a front proxy names the user count only with the front proxy's certificate.
#[tokio::test(start_paused = true)]
async fn a_client_cannot_name_itself_in_the_proxys_headers() {
    let served = served();
    let review = r#"{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"}"#;
    let request = |more: &str| {
        format!(
            "POST /apis/authentication.k8s.io/v1/selfsubjectreviews HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             X-Remote-User: root\r\nX-Remote-Group: system:masters\r\n{more}Connection: close\r\nContent-Length: {}\r\n\r\n{review}",
            review.len()
        )
    };
    let who = served.talk(Some(&served.pki.admin), request("").as_bytes()).await;
    assert!(who.contains("\"username\":\"kubernetes-admin\"") && !who.contains("root"), "{who}");
    let nobody = served.talk(None, request("").as_bytes()).await;
    assert!(nobody.starts_with("HTTP/1.1 403 ") && nobody.contains("system:anonymous"), "{nobody}");
    let proxy = served.talk(Some(&served.pki.front_proxy_client), request("").as_bytes()).await;
    assert!(proxy.contains("\"username\":\"root\""), "{proxy}");
    let bad = served.talk(None, request("Authorization: Bearer nonsense\r\n").as_bytes()).await;
    assert!(bad.starts_with("HTTP/1.1 401 ") && !bad.contains("nonsense"), "{bad}");
}

/// Two lengths in one request would let a second request hide in the body of the first.
#[rstest]
#[case("Content-Length: 3\r\nContent-Length: 4\r\n")]
#[case("Content-Length: 1x\r\n")]
#[case("Transfer-Encoding: identity, nonsense\r\n")]
#[tokio::test(start_paused = true)]
async fn unclear_lengths_are_refused(#[case] headers: &str) {
    let served = served();
    let sent = format!("POST /healthz HTTP/1.1\r\nHost: x\r\n{headers}\r\nabcGET /version HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = served.talk(None, sent.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
}

#[tokio::test(start_paused = true)]
async fn without_credentials_only_the_public_paths_answer() {
    let served = served();
    let nobody = UserInfo::anonymous;
    assert_eq!(served.ask(nobody(), Method::GET, "/version", &[], Vec::new()).await.0, 200);
    let (status, answer) = served.ask(nobody(), Method::GET, "/api/v1/namespaces/kube-system/secrets/x", &[], Vec::new()).await;
    assert_eq!(status, 403);
    assert_eq!(
        answer["message"],
        "secrets \"x\" is forbidden: User \"system:anonymous\" cannot get resource \"secrets\" in API group \"\" in the namespace \
         \"kube-system\"",
        "whether it exists is not said"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_compacted_is_expired() {
    let served = served();
    let store = served.server.store();
    store.compact(store.revision());
    let oldest = store.revision();
    let (status, event) = served.ask(UserInfo::admin(), Method::GET, "/api/v1/pods?watch=1&resourceVersion=1", &[], Vec::new()).await;
    assert_eq!((status, &event["type"]), (200, &json!("ERROR")));
    assert_eq!(
        event["object"],
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Expired", "code": 410,
            "message": format!("too old resource version: 1 ({oldest})")})
    );
    let path = "/api/v1/pods?resourceVersion=1&resourceVersionMatch=Exact";
    let (status, answer) = served.ask(UserInfo::admin(), Method::GET, path, &[], Vec::new()).await;
    assert_eq!((status, &answer["reason"]), (410, &json!("Expired")));
    assert_eq!(answer["message"], "The resourceVersion for the provided list is too old.");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_frees_its_watch() {
    let served = served();
    let store = served.server.store();
    let idle = store.watches();
    let mut watching = Vec::new();
    for _ in 0..20 {
        let mut stream = served.tls(Some(&served.pki.admin)).await;
        stream.write_all(b"GET /api/v1/pods?watch=1&allowWatchBookmarks=true HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        watching.push(stream);
    }
    assert_eq!(store.watches(), idle + 20);
    drop(watching);
    let gone = async {
        while store.watches() > idle {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.unwrap();
}

/// Just beyond the limit, in every place that takes a body.
#[rstest]
#[case(Method::POST, "", "application/json")]
#[case(Method::POST, "", "application/yaml")]
#[case(Method::POST, "", "application/vnd.kubernetes.protobuf")]
#[case(Method::PUT, "/a", "application/json")]
#[case(Method::PATCH, "/a", "application/merge-patch+json")]
#[case(Method::PATCH, "/a", "application/json-patch+json")]
#[case(Method::PATCH, "/a", "application/strategic-merge-patch+json")]
#[case(Method::PATCH, "/a?fieldManager=me", "application/apply-patch+yaml")]
#[case(Method::DELETE, "/a", "application/json")]
#[case(Method::DELETE, "", "application/json")]
#[tokio::test(start_paused = true)]
async fn bodies_beyond_the_limit_are_refused(#[case] method: Method, #[case] name: &str, #[case] media: &str) {
    let served = served();
    let path = "/api/v1/namespaces/default/configmaps";
    let made = json!({"metadata": {"name": "a"}}).to_string().into_bytes();
    assert_eq!(served.ask(UserInfo::admin(), Method::POST, path, &[], made).await.0, 201);
    let body = vec![b' '; (3 << 20) + 1];
    let (status, answer) = served.ask(UserInfo::admin(), method, &format!("{path}{name}"), &[("content-type", media)], body).await;
    assert_eq!((status, answer["reason"].as_str().unwrap()), (413, "RequestEntityTooLarge"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_body_without_end_is_cut_off() {
    let served = served();
    let head = "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let answer = served.talk(Some(&served.pki.admin), format!("{head}{}", chunk.repeat(64)).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(served.is_well().await);
}

#[rstest]
#[case::annotations(json!({"metadata": {"name": "a", "annotations": {"k": "x".repeat(256 << 10)}}}),
    "metadata.annotations: Too long: may not be more than 262144 bytes")]
#[case::data(json!({"metadata": {"name": "a"}, "data": {"k": "x".repeat(1 << 20), "l": "x"}}), "Too long: may not be more than 1048576 bytes")]
#[tokio::test(start_paused = true)]
async fn large_objects_are_refused(#[case] object: Value, #[case] why: &str) {
    let served = served();
    let path = "/api/v1/namespaces/default/configmaps";
    let (status, answer) = served.ask(UserInfo::admin(), Method::POST, path, &[], object.to_string().into_bytes()).await;
    assert_eq!(status, 422, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains(why), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_patch_of_too_many_operations_is_refused() {
    let served = served();
    let path = "/api/v1/namespaces/default/configmaps";
    let made = json!({"metadata": {"name": "a"}}).to_string().into_bytes();
    assert_eq!(served.ask(UserInfo::admin(), Method::POST, path, &[], made).await.0, 201);
    let operations = json!(vec![json!({"op": "add", "path": "/data", "value": {}}); 10_001]).to_string().into_bytes();
    let media = [("content-type", "application/json-patch+json")];
    let (status, answer) = served.ask(UserInfo::admin(), Method::PATCH, &format!("{path}/a"), &media, operations).await;
    assert_eq!(status, 413, "{answer}");
    // Each copy doubles the object.
    let mut bombs = vec![json!({"op": "add", "path": "/data", "value": {"k": "x".repeat(1 << 10)}})];
    bombs.extend((0..40).map(|index| json!({"op": "copy", "from": "/data", "path": format!("/data/d{index}")})));
    let (status, answer) =
        served.ask(UserInfo::admin(), Method::PATCH, &format!("{path}/a"), &media, json!(bombs).to_string().into_bytes()).await;
    assert_eq!(status, 422, "{answer}");
}

#[rstest]
#[case::not_utf8("application/json", b"{\"metadata\": {\"name\": \"\xff\xfe\"}}")]
#[case::cut("application/json", b"{\"metadata\": ")]
#[case::trailing("application/json", b"{} {}")]
#[case::a_list("application/json", b"[]")]
#[case::no_number("application/json", b"{\"metadata\": {\"generation\": 1e999}}")]
#[case::aliases("application/yaml", b"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n")]
#[case::no_message("application/vnd.kubernetes.protobuf", b"k8s\0\xff\xff\xff\xff\xff\xff")]
#[case::no_magic("application/vnd.kubernetes.protobuf", b"{}")]
#[tokio::test(start_paused = true)]
async fn broken_bodies_are_refused(#[case] media: &str, #[case] body: &[u8]) {
    let served = served();
    let path = "/api/v1/namespaces/default/configmaps";
    let (status, answer) = served.ask(UserInfo::admin(), Method::POST, path, &[("content-type", media)], body.to_vec()).await;
    assert!(matches!(status, 400 | 422), "{status} {answer}");
}

/// Expressions as deep as a request is long: of policies, of definitions.
#[rstest]
#[case("(", "1", ")")]
#[case("[", "1", "]")]
#[case("{'a': ", "1", "}")]
#[case("object.list.map(x, ", "1", ")")]
#[case("", "1", "+1")]
#[case("", "object", ".a")]
#[case("", "object", "[0]")]
#[case("true ? 1 : ", "1", "")]
#[case("!", "true", "")]
#[tokio::test(start_paused = true)]
async fn deep_expressions_are_refused(#[case] before: &str, #[case] inner: &str, #[case] after: &str) {
    let served = served();
    let mut last = 0;
    for depth in [60, 240, 1_000, 20_000] {
        let expression = format!("size([{}{inner}{}]) == 1", before.repeat(depth), after.repeat(depth));
        let policy = json!({"metadata": {"name": format!("p{depth}")}, "spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]},
            "validations": [{"expression": expression}]}});
        let path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
        let (status, answer) = served.ask(UserInfo::admin(), Method::POST, path, &[], policy.to_string().into_bytes()).await;
        assert!(matches!(status, 201 | 422), "{depth}: {status} {answer}");
        assert!(depth > 60 || status == 201, "{answer}");
        last = status;
    }
    assert!(last == 422 || before == "!", "{last}");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_come_ends_the_connection() {
    let served = served();
    let (mut client, end) = tokio::io::duplex(64);
    served.connect.send(Box::new(end)).await.unwrap();
    client.write_all(b"\x16\x03\x01").await.unwrap();
    let begin = tokio::time::Instant::now();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_mins(1), client.read_to_end(&mut rest)).await.unwrap();
    assert!(begin.elapsed() <= Duration::from_secs(15), "{:?}", begin.elapsed());
    assert!(served.is_well().await);
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<String>>);

impl tracing::field::Visit for Log {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        use std::fmt::Write as _;
        write!(self.0.lock().unwrap(), " {field}={value:?}").unwrap();
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, attributes: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        attributes.record(&mut self.clone());
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut self.clone());
    }
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// Every level is captured: not even at the finest may a credential or the content of a secret be written.
#[tokio::test(start_paused = true)]
async fn refusals_are_logged_and_secrets_are_not() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let served = served();
    let bad =
        "GET /api/v1/secrets?token=hidden-query HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hidden-token\r\nConnection: close\r\n\r\n";
    assert!(served.talk(None, bad.as_bytes()).await.starts_with("HTTP/1.1 401 "));
    let amy = || UserInfo::new("amy", &["system:authenticated"]);
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"k": "hidden-value"}}).to_string().into_bytes();
    let path = "/api/v1/namespaces/default/secrets";
    assert_eq!(served.ask(amy(), Method::POST, path, &[], secret.clone()).await.0, 403);
    assert_eq!(served.ask(UserInfo::admin(), Method::POST, path, &[], secret).await.0, 201);
    assert_eq!(served.ask(amy(), Method::GET, "/version", &[("impersonate-user", "root")], Vec::new()).await.0, 403);
    let log = log.0.lock().unwrap();
    for part in [
        "path=\"/api/v1/secrets\" user=\"\" code=401",
        "path=\"/api/v1/namespaces/default/secrets\" user=\"amy\" code=403",
        "path=\"/version\" user=\"amy\" code=403",
    ] {
        assert!(log.contains(part), "no {part} in {log}");
    }
    assert!(!log.contains("hidden"), "{log}");
}

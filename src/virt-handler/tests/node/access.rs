use fake_hypervisor::{AgentScript, GuestScript};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use runtime::Net;
use runtime::tls::{Identity, TlsClient, Usage};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{HANDLER_IP, World, request, wait_for};

const BASE: &str = "/v1/namespaces/default/virtualmachineinstances/vm";

impl World {
    async fn dial(&self, client: &str) -> Result<runtime::BoxStream, String> {
        let issued = self.authority.issue(&request(client, Usage::Client), &self.clock).unwrap();
        let identity = Identity::from_pem(&issued.certificate, &issued.key).unwrap();
        let tls = TlsClient::new(self.authority.certificate(), Some(&identity), &["http/1.1"], &self.clock).unwrap();
        let stream = self.net.dial(&format!("{HANDLER_IP}:8186")).await.map_err(|error| error.to_string())?;
        tls.connect("virt-handler", stream).await.map_err(|error| error.to_string())
    }

    async fn ask(&self, method: Method, verb: &str, body: &str) -> (StatusCode, String) {
        let stream = self.dial("kubevirt.io:system:client:virt-handler").await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(format!("{BASE}/{verb}")).header("host", "x");
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    /// A WebSocket to a stream of the guest, past the handshake.
    async fn websocket(&self, verb: &str) -> runtime::BoxStream {
        let mut stream = self.dial("kubevirt.io:system:client:virt-handler").await.unwrap();
        let request = format!(
            "GET {BASE}/{verb} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: plain.kubevirt.io\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101") && head.contains("sec-websocket-protocol: plain.kubevirt.io"), "{head}");
        stream
    }
}

/// One binary frame with a mask of zeros.
async fn send(stream: &mut runtime::BoxStream, bytes: &[u8]) {
    let mut frame = vec![0x82, 0x80 | u8::try_from(bytes.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(bytes);
    stream.write_all(&frame).await.unwrap();
}

/// Reads frames until their content ends with `end`.
async fn read_until(stream: &mut runtime::BoxStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        assert_eq!(stream.read_u8().await.unwrap(), 0x82, "a binary frame after {text:?}");
        let length = match stream.read_u8().await.unwrap() {
            126 => usize::from(stream.read_u16().await.unwrap()),
            length => usize::from(length),
        };
        let mut content = vec![0; length];
        stream.read_exact(&mut content).await.unwrap();
        text.push_str(&String::from_utf8_lossy(&content));
    }
    text
}

async fn running(script: GuestScript) -> (World, crate::world::Pod) {
    let mut world = World::new().await;
    world.start_handler();
    let uid = world.handed_over("vm", 30).await;
    let pod = world.pod("vm", &uid, script);
    world.phase("vm", "Running").await;
    (world, pod)
}

#[tokio::test(start_paused = true)]
async fn a_pause_by_the_user_shows_and_goes() {
    let (mut world, _pod) = running(GuestScript::default()).await;
    let paused = async || {
        let vmi = world.vmi("vm").await.unwrap();
        let conditions = vmi["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().find(|condition| condition["type"] == "Paused").cloned()
    };
    assert_eq!(world.ask(Method::PUT, "pause", "").await.0, StatusCode::ACCEPTED);
    wait_for("paused", async || paused().await.is_some()).await;
    let condition = paused().await.unwrap();
    assert_eq!((&condition["reason"], &condition["message"]), (&json!("PausedByUser"), &json!("VMI was paused by user")));
    tokio::time::sleep(std::time::Duration::from_secs(400)).await;
    assert!(paused().await.is_some(), "no sync ends it");
    assert_eq!(world.ask(Method::PUT, "unpause", "").await.0, StatusCode::ACCEPTED);
    wait_for("unpaused", async || paused().await.is_none()).await;
    assert_eq!(world.vmi("vm").await.unwrap()["status"]["phase"], "Running");
    assert_eq!(world.ask(Method::PUT, "reset", "").await.0, StatusCode::ACCEPTED);
    assert_eq!(world.ask(Method::PUT, "softreboot", "").await.0, StatusCode::ACCEPTED);
    wait_for("events", async || world.events("vm").await.iter().any(|event| event.starts_with("SoftRebooted"))).await;
    world.stop_handler().await;
}

#[tokio::test(start_paused = true)]
async fn the_agents_answers_are_served() {
    let script = GuestScript { agent: AgentScript::ConnectsAfter(std::time::Duration::ZERO), ..GuestScript::default() };
    let (mut world, _pod) = running(script).await;
    wait_for("os", async || world.vmi("vm").await.unwrap()["status"]["guestOSInfo"]["id"] == "fedora").await;
    let (status, body) = world.ask(Method::GET, "guestosinfo", "").await;
    let info: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &info["os"]["id"], &info["hostname"]), (StatusCode::OK, &json!("fedora"), &json!("vm")));
    let (_, body) = world.ask(Method::GET, "userlist", "").await;
    assert!(body.contains(r#""userName":"fedora""#), "{body}");
    let (_, body) = world.ask(Method::GET, "filesystemlist", "").await;
    assert!(body.contains(r#""mountPoint":"/""#), "{body}");
    assert_eq!(world.ask(Method::PUT, "freeze", "").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(world.ask(Method::PUT, "freeze", r#"{"unfreezeTimeout":"5s"}"#).await.0, StatusCode::ACCEPTED);
    wait_for("frozen", async || world.vmi("vm").await.unwrap()["status"]["fsFreezeStatus"] == "frozen").await;
    wait_for("thawed", async || world.vmi("vm").await.unwrap()["status"].get("fsFreezeStatus").is_none()).await;
    world.stop_handler().await;
}

#[tokio::test(start_paused = true)]
async fn the_console_talks_and_the_next_one_takes_over() {
    let (mut world, _pod) = running(GuestScript::default()).await;
    let mut first = world.websocket("console").await;
    read_until(&mut first, "vm login: ").await;
    send(&mut first, b"fedora\n").await;
    read_until(&mut first, "Password: ").await;
    let mut second = world.websocket("console").await;
    send(&mut second, b"secret\n").await;
    assert!(read_until(&mut second, "$ ").await.contains("[fedora@vm ~]$ "));
    assert_eq!(first.read_u8().await.unwrap(), 0x88, "the first is closed");
    let mut vnc = world.websocket("vnc").await;
    read_until(&mut vnc, "RFB 003.008\n").await;
    let (status, _) = world.ask(Method::GET, "vnc/screenshot", "").await;
    assert_eq!(status, StatusCode::OK);
    world.stop_handler().await;
}

#[tokio::test(start_paused = true)]
async fn strangers_and_unknown_vmis_are_refused() {
    let mut world = World::new().await;
    world.start_handler();
    wait_for("schedulable", async || {
        world.node().await.metadata.labels.unwrap_or_default().get("kubevirt.io/schedulable").is_some_and(|v| v == "true")
    })
    .await;
    let (status, body) = world.ask(Method::PUT, "pause", "").await;
    assert_eq!((status, body.as_str()), (StatusCode::NOT_FOUND, "VMI default/vm not found"));
    assert_eq!(world.ask(Method::GET, "nonsense", "").await.0, StatusCode::NOT_FOUND);
    let mut stranger = world.dial("somebody").await.unwrap();
    let _ = stranger.write_all(format!("PUT {BASE}/pause HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stranger.read_to_end(&mut answer).await;
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    world.stop_handler().await;
}

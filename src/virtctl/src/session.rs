//! A connection to a cluster: plain JSON over HTTP, and streams.

use std::fmt::Write as _;

use base64::Engine as _;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use runtime::Entropy;
use runtime::process::chain;
use serde_json::Value;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::error::{Error, Result};

/// The base path of the aggregated API.
pub const SUBRESOURCES: &str = "/apis/subresources.kubevirt.io/v1";

/// The protocol of streams: bytes, and nothing else (spec/api.md §4).
const PROTOCOL: &str = "plain.kubevirt.io";

/// An open stream.
pub type Stream = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// A cluster, and the namespace to work in.
#[derive(Clone)]
pub struct Session {
    /// The Kubernetes API.
    pub client: kube::Client,
    /// The namespace in force.
    pub namespace: String,
}

/// `virtualmachines` or `virtualmachineinstances`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// A VirtualMachine.
    Vm,
    /// A VirtualMachineInstance.
    Vmi,
}

impl Machine {
    /// The kind behind a word of the command line; `None` for any other word.
    pub fn parse(word: &str) -> Option<Self> {
        match word.to_lowercase().as_str() {
            "vm" | "vms" | "virtualmachine" | "virtualmachines" => Some(Self::Vm),
            "vmi" | "vmis" | "virtualmachineinstance" | "virtualmachineinstances" => Some(Self::Vmi),
            _ => None,
        }
    }

    /// The resource.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Vm => "virtualmachines",
            Self::Vmi => "virtualmachineinstances",
        }
    }

    /// The short name.
    pub fn short(self) -> &'static str {
        match self {
            Self::Vm => "vm",
            Self::Vmi => "vmi",
        }
    }
}

impl Session {
    /// The path of an object of the API group kubevirt.io.
    pub fn machine(&self, kind: Machine, name: &str) -> String {
        format!("/apis/kubevirt.io/v1/namespaces/{}/{}/{}", self.namespace, kind.plural(), segment(name))
    }

    /// The path of a subresource.
    pub fn subresource(&self, kind: Machine, name: &str, verb: &str) -> String {
        format!("{SUBRESOURCES}/namespaces/{}/{}/{}/{verb}", self.namespace, kind.plural(), segment(name))
    }

    /// The path of an object of the core group.
    pub fn core(&self, resource: &str, name: &str) -> String {
        if name.is_empty() {
            return format!("/api/v1/namespaces/{}/{resource}", self.namespace);
        }
        format!("/api/v1/namespaces/{}/{resource}/{}", self.namespace, segment(name))
    }

    /// The path of an object of another group: `cdi.kubevirt.io/v1beta1`, `datavolumes`.
    pub fn custom(&self, group: &str, resource: &str, name: &str) -> String {
        let name = if name.is_empty() { String::new() } else { format!("/{}", segment(name)) };
        format!("/apis/{group}/namespaces/{}/{resource}{name}", self.namespace)
    }

    /// Sends a request; the body of a success.
    ///
    /// # Errors
    /// The server's message, or why it could not be reached.
    pub async fn send(&self, method: Method, path: &str, kind: &str, body: Vec<u8>) -> Result<Bytes> {
        let mut request = Request::builder().method(method).uri(path).header(header::ACCEPT, "application/json");
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(Body::from(body)).map_err(|error| Error::new(error.to_string()))?;
        let response = self.client.send(request).await.map_err(|error| Error::new(chain(&error)))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| Error::new(error.to_string()))?.to_bytes();
        if status.is_success() { Ok(body) } else { Err(Error::answered(status.as_u16(), message(status, &body))) }
    }

    /// GET of JSON.
    ///
    /// # Errors
    /// As [`Session::send`]; an answer that is not JSON.
    pub async fn get(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_slice(&self.send(Method::GET, path, "", Vec::new()).await?)?)
    }

    /// GET of an object that need not exist.
    ///
    /// # Errors
    /// As [`Session::get`], except for 404.
    pub async fn find(&self, path: &str) -> Result<Option<Value>> {
        match self.get(path).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// PUT of JSON; `Null` is no body.
    ///
    /// # Errors
    /// As [`Session::send`].
    pub async fn put(&self, path: &str, body: &Value) -> Result<Bytes> {
        let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body)? };
        self.send(Method::PUT, path, "application/json", body).await
    }

    /// POST of JSON.
    ///
    /// # Errors
    /// As [`Session::get`].
    pub async fn create(&self, path: &str, object: &Value) -> Result<Value> {
        Ok(serde_json::from_slice(&self.send(Method::POST, path, "application/json", serde_json::to_vec(object)?).await?)?)
    }

    /// A JSON patch.
    ///
    /// # Errors
    /// As [`Session::get`].
    pub async fn patch(&self, path: &str, operations: &Value) -> Result<Value> {
        let body = serde_json::to_vec(operations)?;
        Ok(serde_json::from_slice(&self.send(Method::PATCH, path, "application/json-patch+json", body).await?)?)
    }

    /// DELETE.
    ///
    /// # Errors
    /// As [`Session::send`].
    pub async fn delete(&self, path: &str) -> Result<()> {
        self.send(Method::DELETE, path, "", Vec::new()).await.map(drop)
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// What the server says instead of switching protocols, with its status: the text of a Status, else the body.
    pub async fn open(&self, path: &str, entropy: &Entropy) -> Result<Stream> {
        let mut nonce = [0_u8; 16];
        for half in nonce.chunks_mut(8) {
            half.copy_from_slice(&entropy.next_u64().to_le_bytes());
        }
        let request = Request::get(path)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, base64::engine::general_purpose::STANDARD.encode(nonce))
            .header(header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL)
            .body(Body::empty())
            .map_err(|error| Error::new(error.to_string()))?;
        let cannot = |error: &dyn std::fmt::Display| Error::new(format!("Can't connect to websocket: {error}"));
        let response = self.client.send(request).await.map_err(|error| cannot(&chain(&error)))?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
            let body = response.into_body().collect().await.map_err(|error| cannot(&error))?.to_bytes();
            return Err(refusal(status, json, &body));
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(|error| cannot(&error))?;
        Ok(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await)
    }
}

/// A name as one segment of a path.
fn segment(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// What a failed request says: the message of a Status, else the body, else what client-go says in place of one.
fn message(status: StatusCode, body: &[u8]) -> String {
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    if let Some(text) = parsed.as_ref().and_then(|status| status["message"].as_str()).filter(|text| !text.is_empty()) {
        return text.to_owned();
    }
    let text = String::from_utf8_lossy(body).trim().to_owned();
    match (status.as_u16(), text.is_empty() || parsed.is_some()) {
        (_, false) => text,
        (401, true) => "the server has asked for the client to provide credentials".to_owned(),
        (404, true) => "the server could not find the requested resource".to_owned(),
        (422, true) => "the server rejected our request due to an error in our request".to_owned(),
        (code, true) => format!("the server responded with the status code {code} but did not return more information"),
    }
}

/// Why a stream was not opened (spec/virtctl.md §1).
fn refusal(status: StatusCode, json: bool, body: &[u8]) -> Error {
    let base = format!("Can't connect to websocket ({}): websocket: bad handshake", status.as_u16());
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(answer) if json && answer["message"].is_string() => answer["message"].as_str().unwrap_or_default().to_owned(),
        _ if body.is_empty() => base,
        _ => format!("{base}: application info: {}", String::from_utf8_lossy(body).trim()),
    };
    Error::answered(status.as_u16(), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(500, b"VMI is not running".as_slice(), "VMI is not running")]
    #[case(409, br#"{"kind":"Status","message":"no"}"#.as_slice(), "no")]
    #[case(422, b"".as_slice(), "the server rejected our request due to an error in our request")]
    #[case(503, b"{}".as_slice(), "the server responded with the status code 503 but did not return more information")]
    fn failures_say_what_the_server_says(#[case] code: u16, #[case] body: &[u8], #[case] expected: &str) {
        assert_eq!(message(StatusCode::from_u16(code).unwrap(), body), expected);
    }

    #[rstest]
    #[case(true, br#"{"message":"VMI is not running"}"#.as_slice(), "VMI is not running")]
    #[case(false, b"no".as_slice(), "Can't connect to websocket (400): websocket: bad handshake: application info: no")]
    #[case(false, b"".as_slice(), "Can't connect to websocket (400): websocket: bad handshake")]
    fn a_refused_stream_says_why(#[case] json: bool, #[case] body: &[u8], #[case] expected: &str) {
        let error = refusal(StatusCode::BAD_REQUEST, json, body);
        assert_eq!((error.text.as_str(), error.code), (expected, Some(400)));
    }

    #[test]
    fn names_stay_in_their_segment() {
        assert_eq!(segment("a/../b"), "a%2F..%2Fb");
    }
}

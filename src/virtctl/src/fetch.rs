//! HTTPS to servers beside the API server: the upload proxy, export servers.

use bytes::Bytes;
use http::{Request, Response, Uri, header};
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use runtime::process::chain;
use runtime::tls::TlsClient;

use crate::Deps;
use crate::error::{Error, Result};

/// Where Linux distributions keep the authorities that everybody trusts.
const SYSTEM_AUTHORITIES: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"];

/// Whose certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Everybody's: the user said so.
    Anyone,
    /// Those signed by the machine's authorities.
    System,
    /// Those signed by these authorities (PEM).
    Authorities(String),
}

/// A body that is sent.
pub(crate) type Outgoing = BoxBody<Bytes, std::io::Error>;

/// Sends a request to an absolute URL, `https` or `http`.
pub(crate) async fn send(mut request: Request<Outgoing>, trust: &Trust, deps: &Deps) -> Result<Response<Incoming>> {
    let url = request.uri().clone();
    let method = request.method().clone();
    let failed = |why: String| Error::new(format!("{method} {url:?}: {why}", url = url.to_string()));
    let host = url.host().ok_or_else(|| failed("no Host in request URL".to_owned()))?.to_owned();
    let encrypted = url.scheme_str() != Some("http");
    let port = url.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
    let stream = deps.net.dial(&format!("{host}:{port}")).await.map_err(|error| failed(error.to_string()))?;
    let stream = if encrypted {
        let tls = client(trust, deps).map_err(|error| failed(error.text))?;
        let name = host.trim_start_matches('[').trim_end_matches(']');
        tls.connect(name, stream).await.map_err(|error| failed(chain(&error)))?
    } else {
        stream
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(chain(&error)))?;
    // Ends with the answer's body.
    tokio::spawn(async move { drop(connection.await) });
    let authority = url.authority().map(ToString::to_string).unwrap_or_default();
    let target = url.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = target.parse::<Uri>().map_err(|error| failed(error.to_string()))?;
    let authority = header::HeaderValue::from_str(&authority).map_err(|error| failed(error.to_string()))?;
    request.headers_mut().insert(header::HOST, authority);
    sender.send_request(request).await.map_err(|error| failed(chain(&error)))
}

fn client(trust: &Trust, deps: &Deps) -> Result<TlsClient> {
    let unusable = |error: runtime::tls::TlsError| Error::new(error.to_string());
    match trust {
        Trust::Anyone => TlsClient::trusting_anyone(None, &deps.clock).map_err(unusable),
        Trust::Authorities(pem) => TlsClient::new(pem, None, &["http/1.1"], &deps.clock).map_err(unusable),
        Trust::System => {
            let found = SYSTEM_AUTHORITIES.iter().find_map(|path| deps.host.read(path).ok());
            let pem = found.ok_or_else(|| Error::new("tls: failed to verify certificate: this machine has no certificate authorities"))?;
            TlsClient::new(&String::from_utf8_lossy(&pem), None, &["http/1.1"], &deps.clock).map_err(unusable)
        }
    }
}

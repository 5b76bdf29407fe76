//! Passing a request on to an aggregated server.
//!
//! Facts: `kube-aggregator/pkg/apiserver/handler_proxy.go`, `apimachinery/pkg/util/proxy/upgradeaware.go`.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::{Aggregator, Backend, ProxyBody};
use crate::auth::{UserInfo, encode_header_key, remove_remote_headers};
use crate::http::{Body, answer};
use crate::serve::pool::{Failure, Pool};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Aggregator {
    /// Whether another server answers this path (`/apis/GROUP/VERSION…`).
    pub fn serves(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    fn find(&self, path: &str) -> Option<Arc<Backend>> {
        let mut parts = path.split('/');
        let (Some(""), Some("apis"), Some(group), Some(version)) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return None;
        };
        self.backends().get(&(group.to_owned(), version.to_owned())).cloned()
    }

    /// Passes a request of `user` on; ask [`Aggregator::serves`] first. The request must be authorized.
    ///
    /// An upgrade needs a connection that can be taken over: that of a listener, or of [`crate::serve::in_memory`].
    pub async fn serve<B>(&self, user: &UserInfo, parts: &mut Parts, body: B) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let path = parts.uri.path();
        let Some(backend) = self.find(path) else { return answer::text(404, "404 page not found\n") };
        if !backend.available {
            return plain(503, "service unavailable");
        }
        // What is authorized here by its path must not become another path there.
        if path.split('/').any(|segment| matches!(crate::http::decode(segment).as_str(), "." | "..")) {
            return plain(400, "the path must not contain . or .. segments");
        }
        let pool = match &backend.pool {
            Ok(pool) => pool.clone(),
            Err(error) => return plain(503, &format!("error trying to reach service: {error}")),
        };
        let upgrade = upgrade_protocol(parts);
        let Ok(headers) = outgoing(&backend, user, parts, upgrade.as_ref()) else {
            return plain(400, "the user cannot be written in headers");
        };
        let mut request = Request::new(body.map_err(std::io::Error::other).boxed_unsync());
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = parts.uri.path_and_query().map_or_else(|| "/".parse().unwrap_or_default(), |p| p.clone().into());
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers;
        let client = parts.extensions.remove::<OnUpgrade>();
        let result = match upgrade {
            Some(_) => upgraded(&pool, request, client).await,
            None => forward(&pool, request).await,
        };
        result.unwrap_or_else(|error| plain(503, &format!("error trying to reach service: {}", error.into_text())))
    }
}

/// `http.Error` of Go.
fn plain(code: u16, text: &str) -> Response<Body> {
    let mut response = answer::text(code, format!("{text}\n"));
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// The protocol that an HTTP/1.1 request wants to change to.
fn upgrade_protocol(parts: &Parts) -> Option<HeaderValue> {
    let asks = parts
        .headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case("upgrade"));
    parts.headers.get(UPGRADE).filter(|_| asks && parts.version == Version::HTTP_11).cloned()
}

/// The headers of the request that goes on: the client's without those of its connection, and the user as we know it.
fn outgoing(backend: &Backend, user: &UserInfo, parts: &Parts, upgrade: Option<&HeaderValue>) -> Result<HeaderMap, http::Error> {
    let mut headers = parts.headers.clone();
    end_to_end(&mut headers);
    remove_remote_headers(&mut headers);
    headers.remove(AUTHORIZATION);
    let authority = format!("{}:{}", backend.server_name(), backend.port);
    let host = headers.insert(HOST, HeaderValue::try_from(authority)?);
    let host = host.or_else(|| parts.uri.authority().and_then(|a| HeaderValue::from_str(a.as_str()).ok()));
    if let Some(host) = host {
        headers.insert("x-forwarded-host", host);
    }
    headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    headers.insert("x-forwarded-uri", HeaderValue::from_str(parts.uri.path())?);
    headers.insert("x-remote-user", HeaderValue::from_str(&user.name)?);
    if !user.uid.is_empty() {
        headers.insert("x-remote-uid", HeaderValue::from_str(&user.uid)?);
    }
    for group in &user.groups {
        headers.append("x-remote-group", HeaderValue::from_str(group)?);
    }
    for (key, values) in &user.extra {
        let name = HeaderName::try_from(format!("x-remote-extra-{}", encode_header_key(key)))?;
        for value in values {
            headers.append(name.clone(), HeaderValue::from_str(value)?);
        }
    }
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
    Ok(headers)
}

/// Removes what belongs to one connection, and what the sender names as such.
fn end_to_end(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    let fixed = [CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    for name in named.into_iter().chain(fixed) {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
}

/// A plain exchange. A kept connection may die unnoticed: what has no body is then sent once more.
async fn forward(pool: &Arc<Pool<ProxyBody>>, request: Request<ProxyBody>) -> Result<Response<Body>, Failure> {
    let repeat = http_body::Body::is_end_stream(request.body()).then(|| copied(&request));
    let response = pool.exchange(request, repeat).await?;
    let (mut parts, body) = response.into_parts();
    end_to_end(&mut parts.headers);
    parts.version = Version::default();
    parts.extensions = http::Extensions::new();
    Ok(Response::from_parts(parts, Body::pass(body)))
}

/// A copy of a request without body.
fn copied<B>(request: &Request<B>) -> Request<ProxyBody> {
    let empty = Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync();
    let mut copy = Request::new(empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    copy
}

/// An exchange that may turn both connections into one pipe.
async fn upgraded(pool: &Arc<Pool<ProxyBody>>, request: Request<ProxyBody>, client: Option<OnUpgrade>) -> Result<Response<Body>, Failure> {
    let Some(client) = client else {
        return Ok(plain(400, "this connection cannot be upgraded"));
    };
    let mut response = pool.exchange_anew(request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let (mut parts, body) = response.into_parts();
        end_to_end(&mut parts.headers);
        parts.extensions = http::Extensions::new();
        return Ok(Response::from_parts(parts, Body::pass(body)));
    }
    let server = hyper::upgrade::on(&mut response);
    tokio::spawn(async move {
        let (client, server) = match tokio::try_join!(client, server) {
            Ok(both) => both,
            Err(error) => return tracing::debug!(%error, "upgrade failed"),
        };
        let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
        if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut server).await {
            tracing::debug!(%error, "upgraded connection ended");
        }
    });
    let (mut parts, _) = response.into_parts();
    parts.extensions = http::Extensions::new();
    Ok(Response::from_parts(parts, Body::empty()))
}

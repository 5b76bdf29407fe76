//! Clients in process, and how many requests each component makes: API writes are a budget.

use apiserver::auth::UserInfo;
use apiserver::http::{ApiServer, Client as Service};
use http::{Method, Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// Who, which verb, which resource (with its subresource).
pub type Counted = (String, &'static str, String);

/// Counts of requests; clones share them.
#[derive(Clone, Debug, Default)]
pub struct RequestCounts(Arc<Mutex<BTreeMap<Counted, u64>>>);

impl RequestCounts {
    /// The counts so far.
    pub fn snapshot(&self) -> BTreeMap<Counted, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was written since `before`, without reads.
    pub fn writes_since(&self, before: &BTreeMap<Counted, u64>) -> BTreeMap<Counted, u64> {
        let mut all = self.snapshot();
        all.retain(|key, count| {
            *count -= before.get(key).copied().unwrap_or_default().min(*count);
            *count > 0 && !matches!(key.1, "get" | "watch")
        });
        all
    }

    fn count(&self, user: &str, request: &Request<Body>) {
        let verb = match *request.method() {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ if request.uri().query().is_some_and(|query| query.contains("watch=true")) => "watch",
            _ => "get",
        };
        let key = (user.to_owned(), verb, resource(request.uri().path()));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
    }
}

/// `pods/binding` of `/api/v1/namespaces/ns/pods/name/binding`.
fn resource(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let (["api", _, rest @ ..] | ["apis", _, _, rest @ ..]) = parts.as_slice() else { return path.to_owned() };
    match rest {
        ["namespaces", _, resource, rest @ ..] | [resource, rest @ ..] => named(resource, rest),
        [] => path.to_owned(),
    }
}

fn named(resource: &str, rest: &[&str]) -> String {
    match rest {
        [_, subresource, ..] => format!("{resource}/{subresource}"),
        _ => resource.to_owned(),
    }
}

/// A client of the API server whose requests are this user's.
pub fn client(server: &ApiServer, counts: &RequestCounts, user: UserInfo) -> Client {
    let name = user.name.clone();
    Client::new(Counting { service: server.client_service_as(user), user: name, counts: counts.clone() }, "default")
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Counts requests on their way.
#[derive(Clone)]
struct Counting {
    service: Service,
    user: String,
    counts: RequestCounts,
}

type AnswerBody = Either<apiserver::http::Body, Incoming>;

impl tower::Service<Request<Body>> for Counting {
    type Response = Response<AnswerBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.counts.count(&self.user, &request);
        if request.headers().contains_key(http::header::UPGRADE) {
            return Box::pin(upgrade(self.service.clone(), request));
        }
        let answered = tower::Service::call(&mut self.service, request);
        Box::pin(async move { Ok(answered.await?.map(Either::Left)) })
    }
}

/// A stream needs a connection of its own that both sides can take over: a pipe to the same server.
async fn upgrade(service: Service, mut request: Request<Body>) -> Result<Response<AnswerBody>, BoxError> {
    let pipe = apiserver::serve::in_memory(service);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(pipe)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "stream ended");
        }
    });
    request.headers_mut().insert(http::header::HOST, http::HeaderValue::from_static("cluster.local"));
    Ok(sender.send_request(request).await?.map(Either::Right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_named_by_resource_and_subresource() {
        assert_eq!(resource("/api/v1/namespaces/a/pods/b/binding"), "pods/binding");
        assert_eq!(resource("/apis/kubevirt.io/v1/namespaces/a/virtualmachines/b"), "virtualmachines");
        assert_eq!(resource("/api/v1/nodes/a"), "nodes");
        assert_eq!(resource("/version"), "/version");
    }
}

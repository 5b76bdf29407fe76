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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// Who, which verb, which resource (with its subresource).
pub type Counted = (String, &'static str, String);

/// Counts of requests; clones share them.
#[derive(Clone, Default)]
pub struct RequestCounts(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    counts: BTreeMap<Counted, u64>,
    /// Writes that are still to be answered before the fault, and the fault.
    fault: Option<(u64, Fault)>,
}

/// What happens after a write, before its writer sees the answer.
type Fault = Box<dyn FnOnce() + Send>;

impl std::fmt::Debug for RequestCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestCounts").field("counts", &self.state().counts).finish_non_exhaustive()
    }
}

impl RequestCounts {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counts so far.
    pub fn snapshot(&self) -> BTreeMap<Counted, u64> {
        self.state().counts.clone()
    }

    /// Lets `fault` happen once, after so many writes from now (at least 1), before the last one's writer sees the answer. Leases,
    /// events, nodes and access reviews do not count: they say nothing about a VM's life.
    pub fn after_writes(&self, count: u64, fault: impl FnOnce() + Send + 'static) {
        self.state().fault = Some((count, Box::new(fault)));
    }

    /// How many writes are still to come until the fault; none when it has happened.
    pub fn until_fault(&self) -> Option<u64> {
        self.state().fault.as_ref().map(|(left, _)| *left)
    }

    /// A write was answered.
    fn answered(&self) {
        let due = {
            let mut state = self.state();
            if let Some((left, _)) = &mut state.fault {
                *left = left.saturating_sub(1);
            }
            state.fault.take_if(|(left, _)| *left == 0)
        };
        if let Some((_, fault)) = due {
            fault();
        }
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

    /// Counts a request; whether it is a write of a VM's life.
    fn count(&self, user: &str, request: &Request<Body>) -> bool {
        let verb = match *request.method() {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ if request.uri().query().is_some_and(|query| query.contains("watch=true")) => "watch",
            _ => "get",
        };
        let resource = resource(request.uri().path());
        let aside = matches!(resource.as_str(), "leases" | "events" | "nodes" | "nodes/status") || resource.ends_with("accessreviews");
        let counts = !matches!(verb, "get" | "watch") && !aside;
        *self.state().counts.entry((user.to_owned(), verb, resource)).or_default() += 1;
        counts
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
        let write = self.counts.count(&self.user, &request);
        if request.headers().contains_key(http::header::UPGRADE) {
            return Box::pin(upgrade(self.service.clone(), request));
        }
        let answered = tower::Service::call(&mut self.service, request);
        let counts = write.then(|| self.counts.clone());
        Box::pin(async move {
            let answer = answered.await?.map(Either::Left);
            if let Some(counts) = counts {
                counts.answered();
            }
            Ok(answer)
        })
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

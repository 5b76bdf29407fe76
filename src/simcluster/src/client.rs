//! Requests to the API server: untyped bodies, typed answers, one place for URLs and errors.

use http::{Method, Request};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A Kubernetes type that this crate watches or writes.
pub(crate) trait Object: Resource + Metadata<Ty = ObjectMeta> + DeserializeOwned + Clone + Send + Sync + 'static {}

impl<K> Object for K where K: Resource + Metadata<Ty = ObjectMeta> + DeserializeOwned + Clone + Send + Sync + 'static {}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The server answered with a failure.
    #[error("{message}")]
    Status { code: u16, reason: String, message: String },
    /// There was no answer, or one that does not parse.
    #[error("request failed")]
    Transport(#[source] kube::Error),
    /// The request could not be formed.
    #[error("request cannot be formed")]
    Malformed(#[from] http::Error),
}

impl From<kube::Error> for RequestError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Status { code: status.code, reason: status.reason.clone(), message: status.message.clone() },
            other => Self::Transport(other),
        }
    }
}

impl RequestError {
    /// HTTP code of the answer, 0 without one.
    pub(crate) fn code(&self) -> u16 {
        match self {
            Self::Status { code, .. } => *code,
            _ => 0,
        }
    }

    /// Whether the object was not there.
    pub(crate) fn is_not_found(&self) -> bool {
        self.code() == 404
    }

    /// Whether the watch must start over from a list.
    pub(crate) fn is_gone(&self) -> bool {
        self.code() == 410
    }
}

/// What a request gave.
pub(crate) type Answer<T> = Result<T, RequestError>;

/// Treats an absent object as no answer.
pub(crate) fn optional<T>(answer: Answer<T>) -> Answer<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The path of a collection: `/api/v1/namespaces/ns/pods`; cluster-scoped or across namespaces when the namespace is empty.
pub(crate) fn collection(group: &str, version: &str, plural: &str, namespace: &str) -> String {
    let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    if namespace.is_empty() { format!("{root}/{plural}") } else { format!("{root}/namespaces/{namespace}/{plural}") }
}

/// The path of a type's collection.
pub(crate) fn collection_of<K: Object>(namespace: &str) -> String {
    collection(K::GROUP, K::VERSION, K::URL_PATH_SEGMENT, namespace)
}

/// The path of an object.
pub(crate) fn path_of<K: Object>(namespace: &str, name: &str) -> String {
    format!("{}/{name}", collection_of::<K>(namespace))
}

/// The client; cheap to clone.
#[derive(Clone)]
pub(crate) struct Client(pub(crate) kube::Client);

impl Client {
    async fn send<T: DeserializeOwned>(&self, method: Method, path: &str, media: &str, body: Vec<u8>) -> Answer<T> {
        self.send_for(method, path, media, body, "application/json").await
    }

    async fn send_for<T: DeserializeOwned>(&self, method: Method, path: &str, media: &str, body: Vec<u8>, accept: &str) -> Answer<T> {
        let mut request = Request::builder().method(method).uri(path).header("accept", accept);
        if !body.is_empty() {
            request = request.header("content-type", media);
        }
        let request = request.header("user-agent", "simcluster").body(body)?;
        Ok(self.0.request(request).await?)
    }

    /// GET.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Answer<T> {
        self.send(Method::GET, path, "", Vec::new()).await
    }

    /// GET in a form of its own.
    pub(crate) async fn get_as<T: DeserializeOwned>(&self, path: &str, accept: &str) -> Answer<T> {
        self.send_for(Method::GET, path, "", Vec::new(), accept).await
    }

    /// POST.
    pub(crate) async fn create(&self, path: &str, body: &Value) -> Answer<Value> {
        self.send(Method::POST, path, "application/json", body.to_string().into_bytes()).await
    }

    /// PUT.
    pub(crate) async fn replace(&self, path: &str, body: &Value) -> Answer<Value> {
        self.send(Method::PUT, path, "application/json", body.to_string().into_bytes()).await
    }

    /// PATCH as JSON merge patch.
    pub(crate) async fn merge(&self, path: &str, body: &Value) -> Answer<Value> {
        self.send(Method::PATCH, path, "application/merge-patch+json", body.to_string().into_bytes()).await
    }

    /// PATCH as strategic merge patch.
    pub(crate) async fn strategic(&self, path: &str, body: &Value) -> Answer<Value> {
        self.send(Method::PATCH, path, "application/strategic-merge-patch+json", body.to_string().into_bytes()).await
    }

    /// DELETE of exactly the object with this UID; an object that is gone already is fine.
    pub(crate) async fn delete(&self, path: &str, uid: &str, grace: Option<i64>, propagation: Option<&str>) -> Answer<()> {
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}});
        if let Some(grace) = grace {
            options["gracePeriodSeconds"] = json!(grace);
        }
        if let Some(propagation) = propagation {
            options["propagationPolicy"] = json!(propagation);
        }
        let answer: Answer<Value> = self.send(Method::DELETE, path, "application/json", options.to_string().into_bytes()).await;
        optional(answer).map(drop)
    }

    /// DELETE of all objects of a collection.
    pub(crate) async fn delete_all(&self, path: &str) -> Answer<()> {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        let answer: Answer<Value> = self.send(Method::DELETE, path, "application/json", options.to_string().into_bytes()).await;
        optional(answer).map(drop)
    }
}

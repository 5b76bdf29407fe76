//! The server as a tower service, and the way of one request through it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Limited};

use super::Body;
use super::answer::{self, AnswerTo};
use super::core::{Core, Kubelet};
use super::negotiate::{self, Accepted, Encoding};
use super::path::{Query, RequestInfo};
use super::protobuf;
use crate::admission::Chain;
use crate::aggregation::{self, Aggregator};
use crate::auth::service_account::ServiceAccountTokens;
use crate::auth::{self, Authentication, AuthenticationConfig, Authorizer, UserInfo};
use crate::crd::Definitions;
use crate::env::Env;
use crate::error::ApiError;
use crate::registry::decode::BODY_LIMIT;
use crate::registry::{Call, subresources};
use crate::resource::{Registry, ResourceInfo};
use crate::serve::tls::TlsError;
use crate::serve::{Pki, PkiError};
use crate::store::{Store, StoreError};

/// How long a client may take to send a body (kube-apiserver's `--request-timeout`).
const BODY_TIMEOUT: Duration = Duration::from_mins(1);

/// The API server. Clones share everything; as a tower service it authenticates each request.
#[derive(Clone, Debug)]
pub struct ApiServer(pub(crate) Arc<Core>);

/// The API server for one user: requests are authenticated already. For `kube::Client` in process.
#[derive(Clone, Debug)]
pub struct Client {
    core: Arc<Core>,
    user: UserInfo,
}

/// What a server is made of.
pub struct Builder {
    env: Env,
    store: Option<Store>,
    authentication: AuthenticationConfig,
    pki: Option<Pki>,
    kubelet: Option<Arc<dyn Kubelet>>,
    definitions: Definitions,
}

impl Builder {
    /// Uses this store, for example one with a data directory, instead of an empty one in memory.
    #[must_use]
    pub fn store(mut self, store: Store) -> Self {
        self.store = Some(store);
        self
    }

    /// Accepts the certificates and service-account tokens of these keys.
    #[must_use]
    pub fn pki(mut self, pki: &Pki) -> Self {
        self.authentication.client_ca = Some(pki.ca.cert_pem.clone());
        self.authentication.front_proxy_ca = Some(pki.front_proxy_ca.cert_pem.clone());
        self.pki = Some(pki.clone());
        self
    }

    /// Who may be who: certificates, tokens, anonymous access.
    #[must_use]
    pub fn authentication(mut self, config: AuthenticationConfig) -> Self {
        self.authentication = config;
        self
    }

    /// Reaches kubelets for logs.
    #[must_use]
    pub fn kubelet(mut self, kubelet: Arc<dyn Kubelet>) -> Self {
        self.kubelet = Some(kubelet);
        self
    }

    /// Serves custom resources from the beginning, as if their definitions had been created before.
    #[must_use]
    pub fn definitions(mut self, definitions: &Definitions) -> Self {
        self.definitions = definitions.clone();
        self
    }

    /// The server, with the objects that every cluster has.
    ///
    /// # Errors
    /// The certificates or the key for authentication cannot be read.
    pub fn build(self) -> Result<ApiServer, BuildError> {
        let Self { env, store, mut authentication, pki, kubelet, definitions } = self;
        let store = store.unwrap_or_default();
        if let Some(pki) = &pki {
            let tokens = ServiceAccountTokens::new(&pki.service_account_key_pem, store.clone(), env.clone())?;
            authentication.service_accounts = Some(Arc::new(tokens));
        }
        let tokens = authentication.service_accounts.clone();
        let resources = Registry::new(crate::builtin::catalog());
        for info in resources.all() {
            if let Some(strategy) = info.strategy()
                && !strategy.field_names().is_empty()
            {
                store.set_indexer(&info.storage_resource(), Arc::new(move |value| strategy.fields(value)));
            }
        }
        let authorizer = Authorizer::new(store.clone());
        let admission = Chain::new(env.clone(), store.clone(), resources.clone(), authorizer.clone());
        let identity = pki.as_ref().map(|pki| pki.front_proxy_client.clone());
        let core = Core {
            authentication: Authentication::new(authentication, &env.now)?,
            tokens,
            discovery: crate::discovery::Cache::default(),
            openapi: crate::openapi::OpenApi::new(resources.clone()),
            aggregation: Aggregator::new(env.clone(), store.clone(), resources.clone(), identity),
            service_addresses: crate::builtin::Addresses::default(),
            spaced_revisions: Mutex::default(),
            definitions: Mutex::new(0),
            indexed: Mutex::default(),
            env,
            store,
            resources,
            authorizer,
            admission,
            kubelet,
        };
        crate::builtin::bootstrap(&core);
        core.resources.replace_crds(definitions.install(&core.store, &core.env)?);
        core.follow_definitions();
        if let Some(pki) = &pki {
            aggregation::trust::publish(&core.store, &core.env, pki)?;
        }
        core.aggregation.register_local()?;
        // Versions from before the server was ready are history: reads of them answer 410.
        core.store.compact(core.store.revision());
        Ok(ApiServer(Arc::new(core)))
    }
}

/// Why a server cannot be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The certificates for authentication cannot be read.
    #[error("read the certificate authorities")]
    Certificates(#[from] TlsError),
    /// The key for service-account tokens cannot be read.
    #[error("read the service-account key")]
    TokenKey(#[from] PkiError),
    /// The objects that every cluster has cannot be stored.
    #[error("store the first objects")]
    Store(#[from] StoreError),
}

impl ApiServer {
    /// Starts to put a server together.
    pub fn builder(env: Env) -> Builder {
        let authentication = AuthenticationConfig {
            client_ca: None,
            front_proxy_ca: None,
            front_proxy_names: Vec::new(),
            tokens: Vec::new(),
            service_accounts: None,
            anonymous: true,
        };
        Builder { env, store: None, authentication, pki: None, kubelet: None, definitions: Definitions::default() }
    }

    /// The store, for controllers that live in this process.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Everything that requests share.
    pub fn core(&self) -> &Arc<Core> {
        &self.0
    }

    /// What the server does without being asked: it keeps the APIServices registered and their conditions true. Runs
    /// until dropped. Counting quotas is the work of a controller, which a cluster adds:
    /// [`crate::admission::quota::run`].
    pub async fn run(&self) {
        self.0.aggregation.clone().run().await;
    }

    /// A service whose requests come from `user`, for `kube::Client::new`.
    pub fn client_service_as(&self, user: UserInfo) -> Client {
        Client { core: self.0.clone(), user }
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<B> tower::Service<Request<B>> for ApiServer
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        let core = self.0.clone();
        Box::pin(async move { Ok(serve(core, None, request).await) })
    }
}

impl<B> tower::Service<Request<B>> for Client
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        let core = self.core.clone();
        let user = self.user.clone();
        Box::pin(async move { Ok(serve(core, Some(user), request).await) })
    }
}

/// Logs who was refused what: no query, header or body, which may carry secrets.
fn refused(parts: &Parts, user: &str, error: &ApiError) {
    tracing::info!(method = %parts.method, path = parts.uri.path(), user, code = error.code, "refused");
}

/// Serves one request; failures are answers.
async fn serve<B>(core: Arc<Core>, user: Option<UserInfo>, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut parts, body) = request.into_parts();
    let head = parts.method == Method::HEAD;
    let negotiated = negotiate::negotiate(&parts.headers);
    let encoding = negotiated.as_ref().map_or(Encoding::Json, |accepted| accepted.encoding);
    let wants_protobuf = negotiate::media_ranges(&parts.headers).first().is_some_and(|range| range.media == protobuf::MEDIA_TYPE);
    let mut response = match route(&core, user, &mut parts, body, negotiated).await {
        Ok(response) => response,
        // Who accepts this encoding only is told so in it.
        Err(error) if error.code == 406 && wants_protobuf => answer::bytes(406, protobuf::MEDIA_TYPE, protobuf::status(&error)),
        Err(error) => answer::error(encoding, &error),
    };
    if head {
        *response.body_mut() = Body::empty();
    }
    response
}

async fn route<B>(
    core: &Arc<Core>,
    user: Option<UserInfo>,
    parts: &mut Parts,
    body: B,
    accepted: Result<Accepted, ApiError>,
) -> Result<Response<Body>, ApiError>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut user = match user {
        Some(user) => user,
        None => core.authentication.authenticate(parts).inspect_err(|error| refused(parts, "", error))?,
    };
    let impersonated = auth::impersonate(&mut parts.headers, &user, &core.authorizer);
    if let Some(other) = impersonated.inspect_err(|error| refused(parts, &user.name, error))? {
        user = other;
    }
    let query = Query::parse(parts.uri.query());
    let watch = query.flag("watch");
    let request = RequestInfo::parse(parts.method.as_str(), parts.uri.path(), watch);
    authorize(core, &user, &request, &query).inspect_err(|error| refused(parts, &user.name, error))?;
    if core.aggregation.serves(parts.uri.path()) {
        return Ok(core.aggregation.serve(&user, parts, body).await);
    }
    if !request.is_resource {
        return crate::discovery::serve(core, &request, parts);
    }
    let found = core.resources.lookup(&request.group, &request.version, &request.resource);
    let Some(info) = found.filter(|info| scope_fits(info, &request)) else { return not_served(&request) };
    if request.verb.is_empty() {
        return Err(if info.is_custom() { ApiError::method_not_supported(&info.gr, "") } else { subresources::not_allowed() });
    }
    let accepted = accepted?;
    let body = match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_LIMIT + 1).collect()).await {
        Err(_) => return Err(ApiError::timeout("request did not complete within the allotted timeout", 0)),
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return Err(ApiError::too_large(BODY_LIMIT)),
        Ok(Err(error)) => return Err(ApiError::bad_request(format!("read the body: {error}"))),
    };
    let header =
        |name: http::header::HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (mut body, mut content_type) = (body, header(http::header::CONTENT_TYPE));
    if protobuf::is_protobuf(&content_type) && !body.is_empty() {
        if body.len() > BODY_LIMIT {
            return Err(ApiError::too_large(BODY_LIMIT));
        }
        let value = protobuf::decode(&body)
            .map_err(|why| ApiError::bad_request(format!("the object provided is unrecognized (must be of type {}): {why}", info.kind)))?;
        body = Bytes::from(value.to_string());
        "application/json".clone_into(&mut content_type);
    }
    let mut call = Call {
        core: core.clone(),
        user,
        version: request.version,
        verb: request.verb,
        namespace: if info.namespaced { request.namespace } else { String::new() },
        name: request.name,
        subresource: request.subresource,
        rest: request.rest,
        query,
        accepted,
        content_type,
        body,
        user_agent: header(http::header::USER_AGENT),
        warnings: Vec::new(),
        info,
    };
    if let Some(text) = deprecation(&call) {
        call.warn(text);
    }
    finish(call).await
}

/// Runs the call and encodes its answer.
async fn finish(call: Call) -> Result<Response<Body>, ApiError> {
    let shown = AnswerTo(Call {
        core: call.core.clone(),
        user: UserInfo::default(),
        info: call.info.clone(),
        version: call.version.clone(),
        verb: call.verb.clone(),
        namespace: call.namespace.clone(),
        name: call.name.clone(),
        subresource: call.subresource.clone(),
        rest: String::new(),
        query: call.query.clone(),
        accepted: call.accepted,
        content_type: String::new(),
        body: Bytes::new(),
        user_agent: String::new(),
        warnings: Vec::new(),
    });
    let (mut response, warnings) = match subresources::serve(call).await {
        Ok((output, warnings)) => (answer::output(&shown, output).await?, warnings),
        Err((error, warnings)) => (answer::error(shown.0.accepted.encoding, &error), warnings),
    };
    answer::warn(&mut response, &warnings);
    Ok(response)
}

/// Whether the path has a namespace where the resource needs one; only reads may span all namespaces.
fn scope_fits(info: &ResourceInfo, request: &RequestInfo) -> bool {
    match (info.namespaced, request.has_namespace) {
        (true, true) => true,
        (true, false) => request.name.is_empty() && matches!(request.verb.as_str(), "list" | "watch" | "deletecollection"),
        (false, has_namespace) => !has_namespace,
    }
}

fn not_served(request: &RequestInfo) -> Result<Response<Body>, ApiError> {
    if request.group.is_empty() {
        return Err(ApiError::unknown_resource());
    }
    Ok(answer::text(404, "404 page not found\n"))
}

fn deprecation(call: &Call) -> Option<String> {
    let version = call.version_info()?;
    if !version.deprecated {
        return None;
    }
    if let Some(text) = &version.deprecation_warning {
        return Some(text.clone());
    }
    let gvk = call.gvk();
    let mut text = format!("{} {} is deprecated", gvk.api_version(), gvk.kind);
    if let Some(newer) = call.info.versions.iter().find(|v| v.served && !v.deprecated) {
        let newer = call.info.gvk(&newer.name);
        text = format!("{text}; use {} {}", newer.api_version(), newer.kind);
    }
    Some(text)
}

fn authorize(core: &Core, user: &UserInfo, request: &RequestInfo, query: &Query) -> Result<(), ApiError> {
    if !request.is_resource {
        let verb = request.verb.as_str();
        return core.authorizer.check(&auth::Attributes::path(user, verb, &request.path));
    }
    // A list or watch of one name is covered by rights on that name.
    let named = match request.verb.as_str() {
        "list" | "watch" if request.name.is_empty() => query
            .get("fieldSelector")
            .and_then(|selector| crate::selector::FieldSelector::parse(selector).ok())
            .and_then(|selector| selector.required("metadata.name").map(str::to_owned)),
        _ => None,
    };
    let attributes = auth::Attributes {
        user,
        verb: &request.verb,
        group: &request.group,
        version: &request.version,
        resource: &request.resource,
        subresource: &request.subresource,
        namespace: &request.namespace,
        name: named.as_deref().unwrap_or(&request.name),
        path: &request.path,
    };
    core.authorizer.check(&attributes)
}

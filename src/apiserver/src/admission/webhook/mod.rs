//! Admission webhooks: MutatingWebhookConfigurations and ValidatingWebhookConfigurations.
//!
//! The configurations in the store are parsed when they changed and shared until then. Order is that of the
//! configurations' names, then of the webhooks in them.

pub mod client;
mod mutating;
mod review;
mod validating;

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

pub(super) use mutating::{fill_defaults, mutate};
pub(super) use review::{kind_value, resource_value};
pub(super) use validating::validate;

use self::client::{Client, Endpoint};
use super::matching::{Criteria, Shown};
use super::policy::conditions::{self, Conditions};
use super::{Attributes, Chain, Warning};
use crate::env::Env;
use crate::error::{ApiError, go_quote};
use crate::object;
use crate::resource::GroupResource;
use crate::store::Store;

/// One webhook of a configuration.
#[derive(Debug)]
struct Hook {
    /// `configuration/webhook`, for the audit log.
    id: String,
    name: String,
    endpoint: Result<Endpoint, String>,
    criteria: Criteria,
    /// `failurePolicy: Ignore`.
    ignores_failure: bool,
    /// Seconds.
    timeout: u64,
    /// `sideEffects` is `None` or `NoneOnDryRun`.
    dry_runnable: bool,
    /// `v1` is among `admissionReviewVersions`.
    speaks_v1: bool,
    /// `reinvocationPolicy: IfNeeded`.
    reinvocable: bool,
    conditions: Conditions,
}

impl Hook {
    fn of(configuration: &str, hook: &Value) -> Self {
        let text = |field| object::text(hook, &[field]);
        let name = text("name").to_owned();
        Self {
            id: format!("{configuration}/{name}"),
            endpoint: Endpoint::of(hook.get("clientConfig").unwrap_or(&Value::Null)),
            criteria: Criteria::of(hook, "rules"),
            ignores_failure: text("failurePolicy") == "Ignore",
            timeout: object::number(hook, &["timeoutSeconds"]).and_then(|s| u64::try_from(s).ok()).unwrap_or(10).clamp(1, 30),
            dry_runnable: matches!(text("sideEffects"), "None" | "NoneOnDryRun"),
            speaks_v1: object::strings(hook, &["admissionReviewVersions"]).contains(&"v1"),
            reinvocable: text("reinvocationPolicy") == "IfNeeded",
            conditions: Conditions::of(object::list(hook, &["matchConditions"])),
            name,
        }
    }

    /// How the request is shown to this webhook, when it is for it.
    fn select(&self, chain: &Chain, attributes: &Attributes) -> Result<Option<Shown>, ApiError> {
        let Some(shown) = self.criteria.matches(chain, attributes)? else { return Ok(None) };
        if self.conditions.is_empty() {
            return Ok(Some(shown));
        }
        let inputs = conditions::variables(chain, attributes);
        match self.conditions.evaluate(&inputs.bind()) {
            Ok(true) => Ok(Some(shown)),
            Ok(false) => Ok(None),
            Err(_) if self.ignores_failure => Ok(None),
            Err(error) => Err(attributes.forbidden(error)),
        }
    }
}

#[derive(Debug, Default)]
struct Cache {
    read_at: Option<[u64; 2]>,
    mutating: Arc<Vec<Hook>>,
    validating: Arc<Vec<Hook>>,
}

/// The webhooks of a server.
#[derive(Debug)]
pub struct Webhooks {
    env: Env,
    store: Store,
    client: Client,
    cache: Mutex<Cache>,
}

const GROUP: &str = "admissionregistration.k8s.io";

impl Webhooks {
    /// The webhooks whose configurations are in `store`.
    pub fn new(env: Env, store: Store) -> Self {
        Self { client: Client::new(env.clone(), store.clone()), env, store, cache: Mutex::default() }
    }

    /// The client, for other webhooks (conversion).
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn hooks(&self) -> (Arc<Vec<Hook>>, Arc<Vec<Hook>>) {
        let resources = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"].map(|r| GroupResource::new(GROUP, r));
        let now = resources.each_ref().map(|gr| self.store.last_write(gr));
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.read_at != Some(now) {
            let [mutating, validating] = resources.map(|gr| Arc::new(self.read(&gr)));
            // Kept connections of webhooks that are gone would else stay for ever; conversion webhooks reconnect.
            self.client.retain(mutating.iter().chain(validating.iter()).filter_map(|hook| hook.endpoint.as_ref().ok()));
            *cache = Cache { read_at: Some(now), mutating, validating };
        }
        (cache.mutating.clone(), cache.validating.clone())
    }

    fn read(&self, gr: &GroupResource) -> Vec<Hook> {
        let mut hooks = Vec::new();
        for stored in self.store.list(gr, None).0 {
            let configuration = stored.value();
            hooks.extend(object::list(&configuration, &["webhooks"]).iter().map(|hook| Hook::of(&stored.key.name, hook)));
        }
        hooks
    }

    /// Asks one webhook.
    ///
    /// # Errors
    /// [`Problem::Denied`] when it refuses, [`Problem::Failed`] when it could not be asked or answers nonsense.
    async fn ask(
        &self,
        hook: &Hook,
        attributes: &Attributes,
        mutating: bool,
        warnings: &mut Vec<Warning>,
    ) -> Result<Option<Vec<u8>>, Problem> {
        if attributes.dry_run && !hook.dry_runnable {
            let text = format!("admission webhook {} does not support dry run", go_quote(&hook.name));
            return Err(Problem::Denied(ApiError::bad_request(text)));
        }
        let failed = |why: String| Problem::Failed(format!("failed calling webhook {}: {why}", go_quote(&hook.name)));
        if !hook.speaks_v1 {
            return Err(failed(
                "could not create admission objects: webhook does not accept known AdmissionReview versions (v1)".to_owned(),
            ));
        }
        let endpoint = hook.endpoint.as_ref().map_err(|why| failed(format!("could not get REST client: {why}")))?;
        let uid = self.env.entropy.uuid();
        let question = review::question(attributes, &uid).map_err(failed)?;
        let (status, body) = self
            .client
            .post(endpoint, question, hook.timeout)
            .await
            .map_err(|error| failed(format!("failed to call webhook: {}", error.0)))?;
        if !status.is_success() {
            let text = String::from_utf8_lossy(&body);
            let error = ApiError::generic_server_response(status.as_u16(), "POST", &GroupResource::default(), "", text.trim());
            return Err(failed(format!("failed to call webhook: {}", error.message)));
        }
        let answer = review::answer(&body, &uid, mutating).map_err(failed)?;
        for (key, value) in &answer.audit {
            tracing::debug!(target: "audit", webhook = hook.id, key = format!("{}/{key}", hook.name), value);
        }
        warnings.extend(answer.warnings);
        match answer.denied {
            Some(status) => Err(Problem::Denied(review::refusal(&hook.name, &status))),
            None => Ok(answer.patch),
        }
    }
}

/// Why a webhook stands in the way.
enum Problem {
    /// It refuses.
    Denied(ApiError),
    /// It did not answer as it should; its failure policy decides.
    Failed(String),
}

impl Problem {
    /// The client's error, or nothing when the webhook's failure is to be ignored.
    fn resolve(self, hook: &Hook) -> Result<(), ApiError> {
        match self {
            Self::Denied(error) => Err(error),
            Self::Failed(why) if hook.ignores_failure => {
                tracing::warn!(webhook = hook.id, why, "failing open");
                Ok(())
            }
            Self::Failed(why) => Err(ApiError::internal(why)),
        }
    }
}

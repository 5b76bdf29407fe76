//! Service-account tokens: JSON Web Tokens signed with the cluster's key (ES256), bound to an account and, if asked, to
//! a pod, secret or node; checked against the store each time they are used.
//!
//! Facts: `pkg/serviceaccount/{claims,jwt}.go`, `pkg/registry/core/serviceaccount/storage/token.go`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::UserInfo;
use super::x509::CREDENTIAL_ID;
use crate::env::{Env, rfc3339};
use crate::error::{ApiError, FieldError, go_quote};
use crate::resource::{GroupResource, Gvk};
use crate::serve::PkiError;
use crate::store::{Key, Store};

/// Issuer of tokens, and the audience of the API server.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// Where the issuer's keys are served.
pub const JWKS_PATH: &str = "/openid/v1/jwks";
/// Prefix of the user names of service accounts.
const PREFIX: &str = "system:serviceaccount:";
/// Group of all service accounts.
const GROUP: &str = "system:serviceaccounts";
/// A token is refused this many seconds after its account or bound object began to be deleted.
const DELETION_LEEWAY: i64 = 60;
/// Tokens whose signature is remembered.
const MAX_SIGNED: usize = 4096;

/// User name of a service account.
pub fn user_name(namespace: &str, name: &str) -> String {
    format!("{PREFIX}{namespace}:{name}")
}

/// Namespace and name of a service account's user name.
pub fn split_user_name(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(PREFIX)?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

/// Groups of the service accounts of a namespace.
pub fn groups(namespace: &str) -> Vec<String> {
    vec![GROUP.to_owned(), format!("{GROUP}:{namespace}")]
}

/// A token that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The account as a user.
    pub user: UserInfo,
    /// The audiences that both the token and the asker name.
    pub audiences: Vec<String>,
}

/// Signs and verifies service-account tokens.
pub struct ServiceAccountTokens {
    key: EcdsaKeyPair,
    key_id: String,
    store: Store,
    env: Env,
    /// Claims of tokens whose signature was found good, by the token's digest; all else is checked at each use.
    signed: Mutex<BTreeMap<[u8; 32], Arc<Value>>>,
}

impl fmt::Debug for ServiceAccountTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccountTokens").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

fn core(resource: &str) -> GroupResource {
    GroupResource::new("", resource)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Why a token names nobody; without any part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is none that this cluster signed.
    #[error("the token is not one of this cluster")]
    Foreign,
    /// It is ours and no good.
    #[error("{0}")]
    Refused(String),
}

impl ServiceAccountTokens {
    /// `key_pem` is an ECDSA P-256 key in PKCS #8 ([`crate::serve::Pki::service_account_key_pem`]).
    pub fn new(key_pem: &str, store: Store, env: Env) -> Result<Self, PkiError> {
        let what = "service account key";
        let der = PrivatePkcs8KeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|_| PkiError::Pem { what })?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der(), &SystemRandom::new())
            .map_err(|_| PkiError::Pem { what })?;
        let key_id = URL_SAFE_NO_PAD.encode(Sha256::digest(key.public_key().as_ref()));
        Ok(Self { key, key_id, store, env, signed: Mutex::default() })
    }

    fn seconds(&self) -> i64 {
        (self.env.now)().as_second()
    }

    /// Answers a `TokenRequest` for `serviceaccounts/token`.
    ///
    /// # Errors
    /// 404 for an account or bound object that does not exist, 409 for another UID, 422 for a lifetime out of bounds.
    pub fn request(&self, namespace: &str, name: &str, request: &Value) -> Result<Value, ApiError> {
        let account = self
            .store
            .get(&Key::new(core("serviceaccounts"), namespace, name))
            .ok_or_else(|| ApiError::not_found(&core("serviceaccounts"), name))?;
        let asked_name = text(request, "/metadata/name");
        if !asked_name.is_empty() && asked_name != name {
            let message = format!("the name of the object ({asked_name}) does not match the name on the URL ({name})");
            return Err(ApiError::bad_request(message));
        }
        let lifetime = request.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or(3600);
        let problem = match lifetime {
            ..600 => Some("may not specify a duration less than 10 minutes"),
            0x1_0000_0001.. => Some("may not specify a duration larger than 2^32 seconds"),
            _ => None,
        };
        if let Some(problem) = problem {
            let gvk = Gvk::new("authentication.k8s.io", "v1", "TokenRequest");
            return Err(ApiError::invalid(&gvk, "", &[FieldError::invalid("spec.expirationSeconds", lifetime, problem)]));
        }
        let asked: Vec<String> = strings(request.pointer("/spec/audiences"));
        let audiences = if asked.is_empty() { vec![ISSUER.to_owned()] } else { asked };

        let mut private = json!({"namespace": namespace, "serviceaccount": {"name": name, "uid": account.uid}});
        let reference = request.pointer("/spec/boundObjectRef").filter(|r| r.is_object());
        if let Some(reference) = reference {
            for (claim, value) in self.bind(namespace, name, reference)? {
                private[claim] = value;
            }
        }
        let now = self.seconds();
        let claims = json!({
            "aud": audiences,
            "exp": now.saturating_add(lifetime),
            "iat": now,
            "iss": ISSUER,
            "jti": self.env.entropy.uuid(),
            "kubernetes.io": private,
            "nbf": now,
            "sub": user_name(namespace, name),
        });
        let token = self.sign(&claims)?;
        let expires = jiff::Timestamp::from_second(now.saturating_add(lifetime)).map_err(ApiError::internal)?;

        let mut answer = request.as_object().cloned().unwrap_or_default();
        answer.insert("apiVersion".into(), "authentication.k8s.io/v1".into());
        answer.insert("kind".into(), "TokenRequest".into());
        let mut metadata = answer.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
        for (key, value) in [
            ("name", name.to_owned()),
            ("namespace", namespace.to_owned()),
            ("uid", account.uid.clone()),
            ("creationTimestamp", self.env.timestamp()),
        ] {
            metadata.insert(key.into(), value.into());
        }
        answer.insert("metadata".into(), Value::Object(metadata));
        let reference = reference.cloned().unwrap_or(Value::Null);
        answer.insert("spec".into(), json!({"audiences": audiences, "expirationSeconds": lifetime, "boundObjectRef": reference}));
        answer.insert("status".into(), json!({"expirationTimestamp": rfc3339(&expires), "token": token}));
        Ok(Value::Object(answer))
    }

    /// The claims that bind a token to an object.
    fn bind(&self, namespace: &str, account: &str, reference: &Value) -> Result<Vec<(&'static str, Value)>, ApiError> {
        let (kind, version) = (text(reference, "/kind"), text(reference, "/apiVersion"));
        let (name, uid) = (text(reference, "/name"), text(reference, "/uid"));
        let (claim, resource, namespace) = match (version, kind) {
            ("v1", "Pod") => ("pod", core("pods"), namespace),
            ("v1", "Secret") => ("secret", core("secrets"), namespace),
            ("v1", "Node") => ("node", core("nodes"), ""),
            _ => {
                let group = version.split_once('/').map_or("", |(group, _)| group);
                let shown = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
                return Err(ApiError::bad_request(format!("cannot bind token to object of type {version}, Kind={shown}")));
            }
        };
        let object = self.store.get(&Key::new(resource.clone(), namespace, name)).ok_or_else(|| ApiError::not_found(&resource, name))?;
        if !uid.is_empty() && uid != object.uid {
            return Err(ApiError::conflict(
                &resource,
                name,
                format!(
                    "the UID in the bound object reference ({uid}) does not match the UID in record. The object might \
                     have been deleted and then recreated"
                ),
            ));
        }
        let mut claims = vec![(claim, json!({"name": name, "uid": object.uid}))];
        if claim == "pod" {
            let pod = object.value();
            if text(&pod, "/spec/serviceAccountName") != account {
                let account = go_quote(account);
                return Err(ApiError::bad_request(format!(
                    "cannot bind token for serviceaccount {account} to pod running with different serviceaccount name."
                )));
            }
            let node = text(&pod, "/spec/nodeName");
            if let Some(node) = (!node.is_empty()).then(|| self.store.get(&Key::new(core("nodes"), "", node))).flatten() {
                claims.push(("node", json!({"name": node.key.name, "uid": node.uid})));
            }
        }
        Ok(claims)
    }

    fn sign(&self, claims: &Value) -> Result<String, ApiError> {
        let header = json!({"alg": "ES256", "kid": self.key_id});
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self
            .key
            .sign(&SystemRandom::new(), signed.as_bytes())
            .map_err(|_| ApiError::internal("failed to create token: signing failed"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
    }

    /// Whose token it is. `audiences` are those of the asker; empty means the API server's.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify(&self, token: &str, audiences: &[String]) -> Result<Verified, TokenError> {
        let claims = self.claims(token).filter(|claims| text(claims, "/iss") == ISSUER).ok_or(TokenError::Foreign)?;
        self.check(&claims, audiences).map_err(TokenError::Refused)
    }

    fn check(&self, claims: &Value, audiences: &[String]) -> Result<Verified, String> {
        let own = [ISSUER.to_owned()];
        let wanted = if audiences.is_empty() { &own[..] } else { audiences };
        let named = match claims.get("aud") {
            Some(Value::String(one)) => vec![one.clone()],
            list => strings(list),
        };
        let common: Vec<String> = wanted.iter().filter(|audience| named.contains(audience)).cloned().collect();
        if common.is_empty() {
            let list = |values: &[String]| values.iter().map(|v| go_quote(v)).collect::<Vec<_>>().join(" ");
            return Err(format!("token audiences [{}] is invalid for the target audiences [{}]", list(&named), list(wanted)));
        }
        let now = self.seconds();
        let number = |name: &str| claims.get(name).and_then(Value::as_i64);
        if number("exp").is_none_or(|exp| now >= exp) {
            return Err("service account token has expired".to_owned());
        }
        if number("nbf").is_some_and(|nbf| now < nbf) {
            return Err("service account token is not valid yet".to_owned());
        }
        let private = claims.get("kubernetes.io").cloned().unwrap_or_default();
        let namespace = text(&private, "/namespace");
        let name = text(&private, "/serviceaccount/name");
        if text(claims, "/sub") != user_name(namespace, name) {
            return Err("service account token has been invalidated".to_owned());
        }
        let mut extra = BTreeMap::new();
        self.alive("serviceaccounts", namespace, &private, "serviceaccount", now)?;
        for (claim, resource) in [("pod", "pods"), ("secret", "secrets"), ("node", "nodes")] {
            let Some(bound) = private.get(claim) else { continue };
            // A pod's token outlives its node's record: only tokens bound to the node itself end with it.
            if claim != "node" || private.get("pod").is_none() {
                self.alive(resource, if claim == "node" { "" } else { namespace }, &private, claim, now)?;
            }
            if claim != "secret" {
                for part in ["name", "uid"] {
                    extra.insert(
                        format!("authentication.kubernetes.io/{claim}-{part}"),
                        vec![bound.get(part).and_then(Value::as_str).unwrap_or_default().to_owned()],
                    );
                }
            }
        }
        if let Some(id) = claims.get("jti").and_then(Value::as_str) {
            extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("JTI={id}")]);
        }
        let user = UserInfo {
            name: user_name(namespace, name),
            uid: text(&private, "/serviceaccount/uid").to_owned(),
            groups: groups(namespace),
            extra,
        };
        Ok(Verified { user, audiences: common })
    }

    /// The object that a claim names still exists, is the same, and is not long in deletion.
    fn alive(&self, resource: &str, namespace: &str, private: &Value, claim: &str, now: i64) -> Result<(), String> {
        let invalid = || "service account token has been invalidated".to_owned();
        let bound = private.get(claim).ok_or_else(invalid)?;
        let stored = self.store.get(&Key::new(core(resource), namespace, text(bound, "/name"))).ok_or_else(invalid)?;
        if stored.uid != text(bound, "/uid") {
            return Err(invalid());
        }
        let object = stored.value();
        let deleted: Option<jiff::Timestamp> =
            object.pointer("/metadata/deletionTimestamp").and_then(Value::as_str).and_then(|at| at.parse().ok());
        match deleted {
            Some(at) if at.as_second().saturating_add(DELETION_LEEWAY) < now => Err(invalid()),
            _ => Ok(()),
        }
    }

    /// The claims of a token that this key signed.
    fn claims(&self, token: &str) -> Option<Arc<Value>> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let lock = || self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claims) = lock().get(&digest) {
            return Some(claims.clone());
        }
        let claims = Arc::new(self.check_signature(token)?);
        let mut signed = lock();
        if signed.len() >= MAX_SIGNED {
            signed.clear();
        }
        signed.insert(digest, claims.clone());
        Some(claims)
    }

    fn check_signature(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        if text(&header, "/alg") != "ES256" {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref()).verify(signed.as_bytes(), &signature).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }

    /// The document at `/.well-known/openid-configuration`.
    pub fn openid_configuration(&self) -> Value {
        json!({
            "issuer": ISSUER,
            "jwks_uri": format!("{ISSUER}{JWKS_PATH}"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    /// The document at [`JWKS_PATH`].
    pub fn jwks(&self) -> Value {
        // An uncompressed point: 0x04, then both coordinates of 32 bytes.
        let point = self.key.public_key().as_ref();
        let coordinate = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(point.get(range).unwrap_or_default());
        let key: Map<String, Value> = [
            ("use", "sig".to_owned()),
            ("kty", "EC".to_owned()),
            ("kid", self.key_id.clone()),
            ("crv", "P-256".to_owned()),
            ("alg", "ES256".to_owned()),
            ("x", coordinate(1..33)),
            ("y", coordinate(33..65)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
        json!({"keys": [key]})
    }
}

fn strings(list: Option<&Value>) -> Vec<String> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // Cases of a table come by value.
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use rstest::rstest;

    use super::*;
    use crate::env::{Entropy, Now};
    use crate::serve::Pki;
    use crate::store::Expect;

    struct Setup {
        tokens: ServiceAccountTokens,
        store: Store,
        clock: Arc<AtomicI64>,
    }

    fn put(store: &Store, resource: &str, object: Value) {
        let key = Key::new(core(resource), text(&object, "/metadata/namespace"), text(&object, "/metadata/name"));
        store.commit(key, Expect::Any, Some(object)).unwrap();
    }

    fn setup() -> Setup {
        let clock = Arc::new(AtomicI64::new(1_800_000_000));
        let hand = clock.clone();
        let now: Now = Arc::new(move || jiff::Timestamp::from_second(hand.load(Ordering::Relaxed)).unwrap());
        let env = Env { now: now.clone(), entropy: Entropy::from_seed(1), dialer: Arc::new(crate::net::Unreachable) };
        let store = Store::new();
        put(&store, "serviceaccounts", json!({"metadata": {"name": "sa", "namespace": "n", "uid": "u1"}}));
        put(&store, "pods", json!({"metadata": {"name": "p", "namespace": "n", "uid": "u2"}, "spec": {"serviceAccountName": "sa"}}));
        let key = Pki::generate(&now, &[]).unwrap().service_account_key_pem;
        Setup { tokens: ServiceAccountTokens::new(&key, store.clone(), env).unwrap(), store, clock }
    }

    fn token(setup: &Setup, spec: Value) -> String {
        let answer = setup.tokens.request("n", "sa", &json!({"spec": spec})).unwrap();
        text(&answer, "/status/token").to_owned()
    }

    #[test]
    fn a_token_names_its_account_until_it_expires() {
        let s = setup();
        let token = token(&s, json!({"expirationSeconds": 600}));
        let verified = s.tokens.verify(&token, &[]).unwrap();
        assert_eq!(verified.user.name, "system:serviceaccount:n:sa");
        assert_eq!(verified.user.groups, ["system:serviceaccounts", "system:serviceaccounts:n"]);
        assert_eq!(verified.user.uid, "u1");
        s.clock.fetch_add(599, Ordering::Relaxed);
        assert!(s.tokens.verify(&token, &[]).is_ok());
        s.clock.fetch_add(1, Ordering::Relaxed);
        assert_eq!(s.tokens.verify(&token, &[]).unwrap_err().to_string(), "service account token has expired");
    }

    #[test]
    fn audiences_must_meet() {
        let s = setup();
        let token = token(&s, json!({"audiences": ["me"]}));
        assert_eq!(s.tokens.verify(&token, &["you".into(), "me".into()]).unwrap().audiences, ["me"]);
        let error = s.tokens.verify(&token, &["you".into()]).unwrap_err();
        assert_eq!(error.to_string(), "token audiences [\"me\"] is invalid for the target audiences [\"you\"]");
        assert!(s.tokens.verify(&token, &[]).is_err());
    }

    #[test]
    fn a_bound_token_ends_with_its_pod() {
        let s = setup();
        let token = token(&s, json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"}}));
        let user = s.tokens.verify(&token, &[]).unwrap().user;
        assert_eq!(user.extra["authentication.kubernetes.io/pod-name"], ["p"]);
        put(&s.store, "pods", json!({"metadata": {"name": "p", "namespace": "n", "uid": "other"}, "spec": {"serviceAccountName": "sa"}}));
        assert_eq!(s.tokens.verify(&token, &[]).unwrap_err().to_string(), "service account token has been invalidated");
    }

    #[test]
    fn an_account_that_is_made_anew_gets_no_old_tokens() {
        let s = setup();
        let token = token(&s, json!({}));
        put(&s.store, "serviceaccounts", json!({"metadata": {"name": "sa", "namespace": "n", "uid": "u9"}}));
        assert!(s.tokens.verify(&token, &[]).is_err());
    }

    #[test]
    fn forged_tokens_are_refused() {
        let s = setup();
        let good = token(&s, json!({}));
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let (_, claims) = signed.split_once('.').unwrap();
        let none = URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}");
        let other = token(&setup(), json!({}));
        for forged in [
            format!("{none}.{claims}."),
            format!("{none}.{claims}.{signature}"),
            format!("{signed}."),
            format!("{signed}A.{signature}"),
            other,
            String::new(),
            "a.b.c".into(),
        ] {
            assert!(s.tokens.verify(&forged, &[]).is_err(), "{forged}");
        }
    }

    #[rstest]
    #[case(json!({"spec": {"expirationSeconds": 60}}), 422, "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes")]
    #[case(json!({"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "nopod"}}}), 404, "pods \"nopod\" not found")]
    #[case(json!({"metadata": {"name": "x"}}), 400, "the name of the object (x) does not match the name on the URL (sa)")]
    fn bad_requests_say_why(#[case] request: Value, #[case] code: u16, #[case] message: &str) {
        let error = setup().tokens.request("n", "sa", &request).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (code, message));
    }
}

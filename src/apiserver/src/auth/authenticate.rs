//! The chain of authenticators.
//!
//! A credential that is presented and wrong ends in 401 even if anonymous requests are allowed, unless another
//! credential of the same request is right: that is kube-apiserver's union followed by "fail on error" for anonymous.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use http::request::Parts;
use percent::decode;
use sha2::{Digest, Sha256};

use super::service_account::{ServiceAccountTokens, TokenError};
use super::x509::{self, ClientCa};
use super::{ANONYMOUS, AUTHENTICATED, PeerCert, UNAUTHENTICATED, UserInfo};
use crate::env::Now;
use crate::error::ApiError;
use crate::serve::tls::{Clock, TlsError};

/// Subprotocol with which a browser presents a bearer token.
const WEBSOCKET_BEARER: &str = "base64url.bearer.authorization.k8s.io.";

/// One way to authenticate.
pub trait Authenticator: Send + Sync {
    /// `Ok(None)` when the request has no credential of this kind, an error when it has a wrong one.
    fn authenticate(&self, parts: &Parts, peer: Option<&PeerCert>) -> Result<Option<UserInfo>, ApiError>;
}

/// A token fixed at start, as of `--token-auth-file`. Only its digest is kept.
#[derive(Clone)]
pub struct StaticToken {
    digest: [u8; 32],
    user: UserInfo,
}

impl StaticToken {
    /// `token` authenticates `user`.
    pub fn new(token: &str, user: UserInfo) -> Self {
        Self { digest: Sha256::digest(token).into(), user }
    }
}

impl fmt::Debug for StaticToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticToken").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What a server accepts as credentials.
#[derive(Clone)]
pub struct AuthenticationConfig {
    /// PEM bundle whose client certificates name users.
    pub client_ca: Option<String>,
    /// PEM bundle whose client certificates may name users in `X-Remote-*` headers.
    pub front_proxy_ca: Option<String>,
    /// Common names that such a certificate may have; empty allows all.
    pub front_proxy_names: Vec<String>,
    /// Fixed tokens.
    pub tokens: Vec<StaticToken>,
    /// Service-account tokens.
    pub service_accounts: Option<Arc<ServiceAccountTokens>>,
    /// Whether requests without credentials are `system:anonymous`.
    pub anonymous: bool,
}

/// The chain of authenticators; made by [`Authentication::new`].
#[derive(Clone)]
pub struct Authentication {
    client_ca: Option<ClientCa>,
    front_proxy_ca: Option<ClientCa>,
    front_proxy_names: Vec<String>,
    tokens: Vec<StaticToken>,
    service_accounts: Option<Arc<ServiceAccountTokens>>,
    others: Vec<Arc<dyn Authenticator>>,
    anonymous: bool,
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentication").field("anonymous", &self.anonymous).finish_non_exhaustive()
    }
}

impl Authentication {
    /// The chain of a configuration.
    pub fn new(config: AuthenticationConfig, now: &Now) -> Result<Self, TlsError> {
        let ca = |pem: Option<String>| pem.map(|pem| ClientCa::new(&pem, Clock::new(now.clone()))).transpose();
        Ok(Self {
            client_ca: ca(config.client_ca)?,
            front_proxy_ca: ca(config.front_proxy_ca)?,
            front_proxy_names: config.front_proxy_names,
            tokens: config.tokens,
            service_accounts: config.service_accounts,
            others: Vec::new(),
            anonymous: config.anonymous,
        })
    }

    /// The same chain with one more authenticator, asked after the built-in ones.
    #[must_use]
    pub fn with(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.others.push(authenticator);
        self
    }

    /// Who sends this request. Credentials are taken out of `parts`, so that nothing behind can forward them.
    ///
    /// # Errors
    /// 401 when a presented credential is wrong, or none was presented and anonymous requests are off.
    pub fn authenticate(&self, parts: &mut Parts) -> Result<UserInfo, ApiError> {
        let peer = parts.extensions.get::<PeerCert>().cloned();
        let result = self.try_all(parts, peer.as_ref());
        take_credentials(&mut parts.headers);
        let mut user = match result? {
            Some(user) => user,
            None if self.anonymous => return Ok(UserInfo::anonymous()),
            None => return Err(ApiError::unauthorized()),
        };
        if user.name != ANONYMOUS && !user.is_in(UNAUTHENTICATED) {
            user.add_group(AUTHENTICATED);
        }
        Ok(user)
    }

    fn try_all(&self, parts: &Parts, peer: Option<&PeerCert>) -> Result<Option<UserInfo>, ApiError> {
        let mut refused = false;
        if let Some(peer) = peer {
            if let Ok(Some(user)) = self.by_front_proxy(&parts.headers, peer) {
                return Ok(Some(user));
            }
            match &self.client_ca {
                Some(ca) if ca.trusts(peer) => match x509::user(peer) {
                    Some(user) => return Ok(Some(user)),
                    None => refused = true,
                },
                _ => refused = true,
            }
        }
        if let Some(token) = bearer_token(&parts.headers) {
            match self.by_token(&token) {
                Ok(user) => return Ok(Some(user)),
                Err(_) => refused = true,
            }
        }
        for other in &self.others {
            match other.authenticate(parts, peer) {
                Ok(Some(user)) => return Ok(Some(user)),
                Ok(None) => {}
                Err(_) => refused = true,
            }
        }
        if refused { Err(ApiError::unauthorized()) } else { Ok(None) }
    }

    fn by_front_proxy(&self, headers: &HeaderMap, peer: &PeerCert) -> Result<Option<UserInfo>, ApiError> {
        let Some(ca) = &self.front_proxy_ca else { return Ok(None) };
        if !ca.trusts(peer) {
            return Ok(None);
        }
        let name = x509::user(peer).map(|user| user.name).unwrap_or_default();
        if !self.front_proxy_names.is_empty() && !self.front_proxy_names.contains(&name) {
            return Err(ApiError::unauthorized());
        }
        Ok(remote_user(headers))
    }

    /// The user of a bearer token, without the groups that every user gets.
    ///
    /// # Errors
    /// 401 when nobody knows the token.
    pub fn by_token(&self, token: &str) -> Result<UserInfo, ApiError> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let mut found = None;
        // All digests are compared, each in constant time, so that the answer's time says nothing about a token.
        for fixed in &self.tokens {
            if same(&fixed.digest, &digest) {
                found = Some(&fixed.user);
            }
        }
        if let Some(user) = found {
            return Ok(user.clone());
        }
        match &self.service_accounts {
            Some(tokens) => tokens.verify(token, &[]).map(|verified| verified.user).map_err(|_| ApiError::unauthorized()),
            None => Err(ApiError::unauthorized()),
        }
    }

    /// What `TokenReview` needs: the user with the common groups, and the audiences that both sides name.
    ///
    /// # Errors
    /// The text for `status.error`.
    pub fn review(&self, token: &str, audiences: &[String]) -> Result<(UserInfo, Vec<String>), String> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let fixed = self.tokens.iter().filter(|fixed| same(&fixed.digest, &digest)).map(|fixed| fixed.user.clone()).next_back();
        let (mut user, audiences) = match (fixed, &self.service_accounts) {
            (Some(user), _) => (user, audiences.to_vec()),
            (None, Some(tokens)) => {
                let verified = tokens.verify(token, audiences).map_err(|error| match error {
                    TokenError::Foreign => "invalid bearer token".to_owned(),
                    TokenError::Refused(why) => format!("[invalid bearer token, {why}]"),
                })?;
                (verified.user, verified.audiences)
            }
            (None, None) => return Err("invalid bearer token".to_owned()),
        };
        user.add_group(AUTHENTICATED);
        Ok((user, audiences))
    }
}

fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0_u8, |different, (a, b)| different | (a ^ b)) == 0
}

fn bearer_token(headers: &HeaderMap) -> Option<String> {
    if let Some(value) = headers.get(AUTHORIZATION)
        && let Ok(text) = value.to_str()
        && let Some((scheme, token)) = text.trim().split_once(' ')
        && scheme.eq_ignore_ascii_case("bearer")
        && !token.trim().is_empty()
    {
        return Some(token.trim().to_owned());
    }
    let encoded = protocols(headers).find_map(|p| p.strip_prefix(WEBSOCKET_BEARER).map(ToOwned::to_owned))?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

fn take_credentials(headers: &mut HeaderMap) {
    headers.remove(AUTHORIZATION);
    if protocols(headers).any(|p| p.starts_with(WEBSOCKET_BEARER)) {
        let rest: Vec<&str> = protocols(headers).filter(|p| !p.starts_with(WEBSOCKET_BEARER)).collect();
        let rest = HeaderValue::from_str(&rest.join(", ")).ok().filter(|value| !value.is_empty());
        headers.remove(SEC_WEBSOCKET_PROTOCOL);
        if let Some(rest) = rest {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, rest);
        }
    }
    remove_remote_headers(headers);
}

/// Removes every header with which a front proxy would name a user, in any spelling that a server may take for it:
/// gateways that turn headers into variables do not tell `_` from `-`.
pub(crate) fn remove_remote_headers(headers: &mut HeaderMap) {
    let remote: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().replace('_', "-").starts_with("x-remote-")).cloned().collect();
    for name in remote {
        headers.remove(name);
    }
}

fn remote_user(headers: &HeaderMap) -> Option<UserInfo> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim).unwrap_or_default().to_owned();
    let name = text("x-remote-user");
    if name.is_empty() {
        return None;
    }
    let groups = headers.get_all("x-remote-group").iter().filter_map(|v| v.to_str().ok()).map(ToOwned::to_owned).collect();
    let mut user = UserInfo { name, uid: text("x-remote-uid"), groups, ..UserInfo::default() };
    for (name, value) in headers {
        if let Some(key) = name.as_str().strip_prefix("x-remote-extra-")
            && let Ok(value) = value.to_str()
        {
            user.extra.entry(decode(key)).or_default().push(value.to_owned());
        }
    }
    Some(user)
}

/// Percent coding of keys in header names.
pub(crate) mod percent {
    use std::fmt::Write as _;

    /// `%2f` becomes `/`; text that is not valid coding stays.
    pub(crate) fn decode(text: &str) -> String {
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((&first, tail)) = rest.split_first() {
            if first == b'%'
                && let Some(pair) = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok())
                && let Ok(byte) = u8::from_str_radix(pair, 16)
            {
                out.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            } else {
                out.push(first);
                rest = tail;
            }
        }
        String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
    }

    /// Writes every byte that a header name must not have as `%XX`.
    pub(crate) fn encode(text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::percent::encode;
    use super::*;
    use crate::serve::Pki;

    fn now() -> Now {
        let at: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        Arc::new(move || at)
    }

    fn chain(pki: &Pki, anonymous: bool) -> Authentication {
        let config = AuthenticationConfig {
            client_ca: Some(pki.ca.cert_pem.clone()),
            front_proxy_ca: Some(pki.front_proxy_ca.cert_pem.clone()),
            front_proxy_names: vec!["front-proxy-client".into()],
            tokens: vec![StaticToken::new("s3cret", UserInfo::new("tess", &["testers"]))],
            service_accounts: None,
            anonymous,
        };
        Authentication::new(config, &now()).unwrap()
    }

    fn parts(headers: &[(&str, &str)], peer: Option<&crate::serve::Identity>) -> Parts {
        let mut request = http::Request::get("/api/v1/pods");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        if let Some(peer) = peer {
            parts.extensions.insert(PeerCert::new(peer.chain().unwrap()).unwrap());
        }
        parts
    }

    #[rstest]
    #[case(&[], "system:anonymous", &["system:unauthenticated"])]
    #[case(&[("authorization", "Bearer s3cret")], "tess", &["testers", "system:authenticated"])]
    #[case(&[("authorization", "bearer   s3cret")], "tess", &["testers", "system:authenticated"])]
    #[case(&[("sec-websocket-protocol", "v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.czNjcmV0")], "tess", &["testers", "system:authenticated"])]
    #[case(&[("x-remote-user", "root"), ("x-remote-group", "system:masters")], "system:anonymous", &["system:unauthenticated"])]
    fn headers_name_a_user(#[case] headers: &[(&str, &str)], #[case] name: &str, #[case] groups: &[&str]) {
        let pki = Pki::generate(&now(), &[]).unwrap();
        let mut parts = parts(headers, None);
        let user = chain(&pki, true).authenticate(&mut parts).unwrap();
        assert_eq!(
            (user.name.as_str(), user.groups.as_slice()),
            (name, groups.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice())
        );
        assert!(parts.headers.get(AUTHORIZATION).is_none());
        assert!(!format!("{:?}", parts.headers).contains("bearer.authorization"));
        assert!(parts.headers.get("x-remote-user").is_none());
    }

    #[test]
    fn a_wrong_token_is_refused_even_where_anonymous_is_allowed() {
        let pki = Pki::generate(&now(), &[]).unwrap();
        let error = chain(&pki, true).authenticate(&mut parts(&[("authorization", "Bearer nonsense")], None)).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (401, "Unauthorized"));
        assert_eq!(chain(&pki, false).authenticate(&mut parts(&[], None)).unwrap_err().code, 401);
    }

    #[test]
    fn certificates_name_users_and_foreign_ones_do_not() {
        let pki = Pki::generate(&now(), &[]).unwrap();
        let user = chain(&pki, true).authenticate(&mut parts(&[], Some(&pki.admin))).unwrap();
        assert_eq!(user.name, "kubernetes-admin");
        assert_eq!(user.groups, ["system:masters", "system:authenticated"]);
        assert!(user.extra[x509::CREDENTIAL_ID][0].starts_with("X509SHA256="));
        let foreign = Pki::generate(&now(), &[]).unwrap();
        assert_eq!(chain(&pki, true).authenticate(&mut parts(&[], Some(&foreign.admin))).unwrap_err().code, 401);
        // A wrong certificate beside a right token: the token counts.
        let mut both = parts(&[("authorization", "Bearer s3cret")], Some(&foreign.admin));
        assert_eq!(chain(&pki, true).authenticate(&mut both).unwrap().name, "tess");
        // The serving certificate is no client certificate.
        assert_eq!(chain(&pki, true).authenticate(&mut parts(&[], Some(&pki.serving))).unwrap_err().code, 401);
    }

    #[test]
    fn a_certificate_that_ran_out_is_noticed_on_an_open_connection() {
        use std::sync::atomic::{AtomicI64, Ordering};
        let clock = Arc::new(AtomicI64::new(1_800_000_000));
        let hand = clock.clone();
        let now: Now = Arc::new(move || jiff::Timestamp::from_second(hand.load(Ordering::Relaxed)).unwrap());
        let pki = Pki::generate(&now, &[]).unwrap();
        let mut config = AuthenticationConfig { client_ca: Some(pki.ca.cert_pem.clone()), ..empty() };
        config.anonymous = true;
        let chain = Authentication::new(config, &now).unwrap();
        let peer = PeerCert::new(pki.admin.chain().unwrap()).unwrap();
        let ask = || {
            let mut parts = parts(&[], None);
            parts.extensions.insert(peer.clone());
            chain.authenticate(&mut parts).map(|user| user.name)
        };
        assert_eq!(ask().unwrap(), "kubernetes-admin");
        clock.fetch_add(365 * 24 * 3600 - 30, Ordering::Relaxed);
        assert_eq!(ask().unwrap(), "kubernetes-admin");
        clock.fetch_add(60, Ordering::Relaxed);
        assert_eq!(ask().unwrap_err().code, 401);
    }

    fn empty() -> AuthenticationConfig {
        AuthenticationConfig {
            client_ca: None,
            front_proxy_ca: None,
            front_proxy_names: Vec::new(),
            tokens: Vec::new(),
            service_accounts: None,
            anonymous: false,
        }
    }

    #[test]
    fn only_the_front_proxy_may_name_users_in_headers() {
        let pki = Pki::generate(&now(), &[]).unwrap();
        let headers = [("x-remote-user", "amy"), ("x-remote-group", "g1"), ("x-remote-group", "g2"), ("x-remote-extra-a%2fb", "c")];
        let user = chain(&pki, true).authenticate(&mut parts(&headers, Some(&pki.front_proxy_client))).unwrap();
        assert_eq!(
            (user.name.as_str(), user.groups.as_slice()),
            ("amy", ["g1", "g2", "system:authenticated"].map(String::from).as_slice())
        );
        assert_eq!(user.extra["a/b"], ["c"]);
        let user = chain(&pki, true).authenticate(&mut parts(&headers, Some(&pki.admin))).unwrap();
        assert_eq!(user.name, "kubernetes-admin");
    }

    proptest! {
        #[test]
        fn percent_coding_round_trips(key in ".*") {
            prop_assert_eq!(decode(&encode(&key)), key);
        }
    }
}

//! Who sends a request, and may they: authenticators, impersonation, RBAC, and the review kinds that ask the same.
//!
//! Flow: [`Authentication::authenticate`] tries, in the order of kube-apiserver, the front proxy's headers, the client
//! certificate, the bearer token, and, when no credential was presented, the anonymous user; it takes the credentials
//! out of the request. Then [`impersonate`] exchanges the user when `Impersonate-*` headers ask for it and
//! [`rbac::Authorizer`] allows it. Every later step sees a [`UserInfo`] only.

mod authenticate;
mod impersonation;
pub mod rbac;
pub mod reviews;
pub mod service_account;
mod x509;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls_pki_types::CertificateDer;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) use authenticate::percent::encode as encode_header_key;
pub(crate) use authenticate::remove_remote_headers;
pub use authenticate::{Authentication, AuthenticationConfig, Authenticator, StaticToken};
pub use impersonation::impersonate;
pub use rbac::{Authorizer, Decision};

use crate::error::{ApiError, go_quote};
use crate::resource::GroupResource;

/// Group of every user with credentials.
pub const AUTHENTICATED: &str = "system:authenticated";
/// Group of users without credentials.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The user without credentials.
pub const ANONYMOUS: &str = "system:anonymous";
/// Group that may do everything.
pub const MASTERS: &str = "system:masters";

/// A user, as authenticators say and webhooks see (`authentication.k8s.io/v1` `UserInfo`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// The name that uniquely identifies the user.
    pub name: String,
    /// An identifier that survives reuse of the name; often empty.
    pub uid: String,
    /// Groups, in the order the authenticator gave them.
    pub groups: Vec<String>,
    /// More facts from the authenticator.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// A user with groups and nothing else.
    pub fn new(name: impl Into<String>, groups: &[&str]) -> Self {
        Self { name: name.into(), groups: groups.iter().map(ToString::to_string).collect(), ..Self::default() }
    }

    /// The administrator: a member of `system:masters`.
    pub fn admin() -> Self {
        Self::new("kubernetes-admin", &[MASTERS, AUTHENTICATED])
    }

    /// The user without credentials.
    pub fn anonymous() -> Self {
        Self::new(ANONYMOUS, &[UNAUTHENTICATED])
    }

    /// Whether the user is a member of `group`.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    /// The object of `authentication.k8s.io/v1`, without empty members.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        if !self.name.is_empty() {
            map.insert("username".into(), json!(self.name));
        }
        if !self.uid.is_empty() {
            map.insert("uid".into(), json!(self.uid));
        }
        if !self.groups.is_empty() {
            map.insert("groups".into(), json!(self.groups));
        }
        if !self.extra.is_empty() {
            map.insert("extra".into(), json!(self.extra));
        }
        Value::Object(map)
    }

    fn add_group(&mut self, group: &str) {
        if !self.is_in(group) {
            self.groups.push(group.to_owned());
        }
    }
}

/// The certificate chain that a client proved to own in the TLS handshake; nothing says yet that we trust its issuer.
/// Clones share what was read from it, so a connection's requests parse it once.
#[derive(Clone)]
pub struct PeerCert(Arc<Peer>);

struct Peer {
    chain: Vec<CertificateDer<'static>>,
    /// SHA-256 of the whole chain.
    digest: [u8; 32],
    user: OnceLock<Option<UserInfo>>,
}

impl PeerCert {
    /// A chain, the client's own certificate first; `None` when empty.
    pub fn new(chain: Vec<CertificateDer<'static>>) -> Option<Self> {
        if chain.is_empty() {
            return None;
        }
        let mut digest = Sha256::new();
        for cert in &chain {
            digest.update((cert.len() as u64).to_le_bytes());
            digest.update(cert);
        }
        Some(Self(Arc::new(Peer { chain, digest: digest.finalize().into(), user: OnceLock::new() })))
    }

    fn split(&self) -> Option<(&CertificateDer<'static>, &[CertificateDer<'static>])> {
        self.0.chain.split_first()
    }
}

impl fmt::Debug for PeerCert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerCert({})", self.0.chain.len())
    }
}

/// What a request wants to do: all that an authorizer may look at.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    /// Who.
    pub user: &'a UserInfo,
    /// `get`, `list`, `watch`, `create`, …; for paths outside of the API the lower-case HTTP method.
    pub verb: &'a str,
    /// API group.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Plural resource; empty for paths outside of the API.
    pub resource: &'a str,
    /// Subresource; empty for the resource itself.
    pub subresource: &'a str,
    /// Namespace; empty for cluster scope.
    pub namespace: &'a str,
    /// Object; empty for collections.
    pub name: &'a str,
    /// The path, for requests outside of the API.
    pub path: &'a str,
}

impl<'a> Attributes<'a> {
    /// A request on a resource.
    pub fn resource(user: &'a UserInfo, verb: &'a str, group: &'a str, resource: &'a str) -> Self {
        Self { user, verb, group, version: "", resource, subresource: "", namespace: "", name: "", path: "" }
    }

    /// A request on a path outside of the API.
    pub fn path(user: &'a UserInfo, verb: &'a str, path: &'a str) -> Self {
        Self { path, ..Self::resource(user, verb, "", "") }
    }

    /// Whether this is about a resource.
    pub fn is_resource(&self) -> bool {
        !self.resource.is_empty()
    }

    /// What Kubernetes says when this is not allowed; `reason` is the authorizer's, often empty.
    pub fn forbidden(&self, reason: &str) -> ApiError {
        use std::fmt::Write as _;
        let mut text = format!("User {} cannot {} ", go_quote(&self.user.name), self.verb);
        if self.is_resource() {
            let resource =
                if self.subresource.is_empty() { self.resource.to_owned() } else { format!("{}/{}", self.resource, self.subresource) };
            let _ = write!(text, "resource {} in API group {} ", go_quote(&resource), go_quote(self.group));
            if self.namespace.is_empty() {
                text.push_str("at the cluster scope");
            } else {
                let _ = write!(text, "in the namespace {}", go_quote(self.namespace));
            }
        } else {
            let _ = write!(text, "path {}", go_quote(self.path));
        }
        if !reason.is_empty() {
            text.push_str(": ");
            text.push_str(reason);
        }
        ApiError::forbidden(&GroupResource::new(self.group, self.resource), self.name, text)
    }
}

#[cfg(test)]
#[allow(clippy::too_many_arguments)] // Columns of a table.
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "list",
        "example.dev",
        "widgets",
        "",
        "n",
        "",
        "",
        "widgets.example.dev is forbidden: User \"amy\" cannot list resource \"widgets\" in API group \"example.dev\" in the namespace \"n\""
    )]
    #[case(
        "patch",
        "example.dev",
        "widgets",
        "status",
        "n",
        "w",
        "",
        "widgets.example.dev \"w\" is forbidden: User \"amy\" cannot patch resource \"widgets/status\" in API group \"example.dev\" in the namespace \"n\""
    )]
    #[case(
        "list",
        "",
        "nodes",
        "",
        "",
        "",
        "",
        "nodes is forbidden: User \"amy\" cannot list resource \"nodes\" in API group \"\" at the cluster scope"
    )]
    #[case("get", "", "", "", "", "", "/metrics", "forbidden: User \"amy\" cannot get path \"/metrics\"")]
    fn refusals_read_as_those_of_kubernetes(
        #[case] verb: &str,
        #[case] group: &str,
        #[case] resource: &str,
        #[case] subresource: &str,
        #[case] namespace: &str,
        #[case] name: &str,
        #[case] path: &str,
        #[case] expected: &str,
    ) {
        let user = UserInfo::new("amy", &[]);
        let attributes = Attributes { user: &user, verb, group, version: "v1", resource, subresource, namespace, name, path };
        assert_eq!(attributes.forbidden("").message, expected);
        assert_eq!(attributes.forbidden("why").message, format!("{expected}: why"));
    }
}

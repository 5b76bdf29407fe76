//! Who calls and whether they may (spec/rbac.md §6): the front proxy's headers, then a SubjectAccessReview.

use http::{HeaderMap, Method};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::{Api, Client};
use std::collections::BTreeMap;

/// How the front proxy is recognised, and how it tells who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontProxy {
    /// PEM bundle its certificate is signed by.
    pub authorities: String,
    /// Common names it may have; empty means any.
    pub allowed_names: Vec<String>,
    user_headers: Vec<String>,
    group_headers: Vec<String>,
    extra_prefixes: Vec<String>,
}

/// Who calls, by the front proxy's word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    user: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

/// What is asked, as a SubjectAccessReview asks it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Namespace of the object.
    pub namespace: String,
    /// `virtualmachines`, `virtualmachineinstances` or `expand-vm-spec`.
    pub resource: String,
    /// Name of the object; empty for `expand-vm-spec`.
    pub name: String,
    /// `start`, `sev/setupsession`, …; empty for `expand-vm-spec`.
    pub subresource: String,
    /// What follows `portforward`.
    pub rest: Vec<String>,
    verb: &'static str,
    version: String,
}

/// Why a caller is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unauthorized {
    /// The HTTP status.
    pub code: u16,
    /// The text.
    pub message: String,
}

fn unauthorized(message: impl Into<String>) -> Unauthorized {
    Unauthorized { code: 401, message: message.into() }
}

impl FrontProxy {
    /// Reads ConfigMap `extension-apiserver-authentication` of `kube-system`.
    pub async fn read(client: &Client) -> kube::Result<Self> {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-system");
        let data = maps.get("extension-apiserver-authentication").await?.data.unwrap_or_default();
        Ok(Self::parse(&data))
    }

    fn parse(data: &BTreeMap<String, String>) -> Self {
        let list = |key: &str, usual: &str| -> Vec<String> {
            let mut names: Vec<String> = data.get(key).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            if !usual.is_empty() && !names.iter().any(|name| name.eq_ignore_ascii_case(usual)) {
                names.insert(0, usual.to_owned());
            }
            names
        };
        Self {
            authorities: data.get("requestheader-client-ca-file").cloned().unwrap_or_default(),
            allowed_names: list("requestheader-allowed-names", ""),
            user_headers: list("requestheader-username-headers", "X-Remote-User"),
            group_headers: list("requestheader-group-headers", "X-Remote-Group"),
            extra_prefixes: list("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
        }
    }

    /// Who calls, by the headers of a front proxy whose certificate has these common names.
    pub fn caller(&self, common_names: Option<&[String]>, headers: &HeaderMap) -> Result<Caller, Unauthorized> {
        let names = common_names.ok_or_else(|| unauthorized("request is not authenticated"))?;
        if !self.allowed_names.is_empty() && !names.iter().any(|name| self.allowed_names.contains(name)) {
            return Err(unauthorized("request is not authenticated"));
        }
        let values = |keys: &[String]| -> Vec<String> {
            keys.iter().flat_map(|key| headers.get_all(key).iter().filter_map(|v| v.to_str().ok()).map(str::to_owned)).collect()
        };
        let user = values(&self.user_headers).into_iter().next().ok_or_else(|| unauthorized("failed to find user header"))?;
        let groups = values(&self.group_headers);
        if groups.is_empty() {
            return Err(unauthorized("failed to find group header"));
        }
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in headers {
            for prefix in &self.extra_prefixes {
                let (Some(head), Some(key)) = (name.as_str().get(..prefix.len()), name.as_str().get(prefix.len()..)) else { continue };
                if head.eq_ignore_ascii_case(prefix) {
                    let value = value.to_str().unwrap_or_default().to_owned();
                    extra.entry(percent_decoded(&key.to_lowercase())).or_default().push(value);
                }
            }
        }
        Ok(Caller { user, groups, extra })
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        if let Some(byte) = code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Attributes {
    /// What a path below `/apis/subresources.kubevirt.io` asks for.
    pub fn parse(method: &Method, path: &str) -> Result<Self, Unauthorized> {
        let parts: Vec<&str> = path.split('/').collect();
        let unknown = || unauthorized(format!("unknown api endpoint: {path}"));
        let ["", "apis", _, version, "namespaces", namespace, rest @ ..] = parts.as_slice() else { return Err(unknown()) };
        let verb = match *method {
            Method::GET | Method::HEAD => "get",
            Method::PUT => "update",
            Method::POST => "create",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => return Err(unauthorized(format!("unknown http verb {method}"))),
        };
        let mut attributes = Self { namespace: (*namespace).to_owned(), verb, version: (*version).to_owned(), ..Self::default() };
        match rest {
            ["expand-vm-spec"] => "expand-vm-spec".clone_into(&mut attributes.resource),
            [resource @ ("virtualmachines" | "virtualmachineinstances"), name, subresource @ ..] if !subresource.is_empty() => {
                (*resource).clone_into(&mut attributes.resource);
                (*name).clone_into(&mut attributes.name);
                match subresource {
                    ["portforward", rest @ ..] => {
                        "portforward".clone_into(&mut attributes.subresource);
                        attributes.rest = rest.iter().map(|&part| part.to_owned()).collect();
                    }
                    other => attributes.subresource = other.join("/"),
                }
            }
            _ => return Err(unknown()),
        }
        Ok(attributes)
    }
}

/// Asks the API server whether the caller may.
pub async fn authorize(client: &Client, caller: Caller, wanted: &Attributes) -> Result<(), Unauthorized> {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(caller.user),
            groups: Some(caller.groups),
            extra: Some(caller.extra),
            resource_attributes: Some(ResourceAttributes {
                namespace: some(&wanted.namespace),
                verb: Some(wanted.verb.to_owned()),
                group: Some("subresources.kubevirt.io".to_owned()),
                version: some(&wanted.version),
                resource: some(&wanted.resource),
                subresource: some(&wanted.subresource),
                name: some(&wanted.name),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let failed = |error: kube::Error| Unauthorized { code: 500, message: error.to_string() };
    let status = api.create(&PostParams::default(), &review).await.map_err(failed)?.status.unwrap_or_default();
    if status.allowed { Ok(()) } else { Err(unauthorized(status.reason.unwrap_or_default())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const BASE: &str = "/apis/subresources.kubevirt.io/v1/namespaces/ns";

    #[rstest]
    #[case("/virtualmachines/a/start", Some(("virtualmachines", "a", "start")))]
    #[case("/virtualmachineinstances/a/sev/setupsession", Some(("virtualmachineinstances", "a", "sev/setupsession")))]
    #[case("/virtualmachineinstances/a/portforward/22/tcp", Some(("virtualmachineinstances", "a", "portforward")))]
    #[case("/expand-vm-spec", Some(("expand-vm-spec", "", "")))]
    #[case("/pods/a/log", None)]
    #[case("/virtualmachines/a", None)]
    fn paths_ask_for_subresources(#[case] path: &str, #[case] expected: Option<(&str, &str, &str)>) {
        let parsed = Attributes::parse(&Method::PUT, &format!("{BASE}{path}")).ok();
        let seen = parsed.as_ref().map(|a| (a.resource.as_str(), a.name.as_str(), a.subresource.as_str()));
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_caller_needs_a_certificate_a_user_and_a_group() {
        let proxy = FrontProxy::parse(&BTreeMap::from([("requestheader-allowed-names".to_owned(), "[\"front-proxy\"]".to_owned())]));
        let mut headers = HeaderMap::new();
        headers.insert("x-remote-user", "pat".parse().unwrap());
        let names = ["front-proxy".to_owned()];
        assert_eq!(proxy.caller(None, &headers).unwrap_err().message, "request is not authenticated");
        assert_eq!(proxy.caller(Some(&["other".to_owned()]), &headers).unwrap_err().message, "request is not authenticated");
        assert!(proxy.caller(Some(&names), &headers).unwrap_err().message.contains("group"));
        headers.insert("x-remote-group", "devs".parse().unwrap());
        headers.insert("x-remote-extra-example.com%2fa", "1".parse().unwrap());
        let caller = proxy.caller(Some(&names), &headers).unwrap();
        assert_eq!((caller.user.as_str(), caller.groups.as_slice()), ("pat", ["devs".to_owned()].as_slice()));
        assert_eq!(caller.extra["example.com/a"], ["1"]);
    }
}

//! What a request path names: an API document, a resource, an object, a subresource.

/// The request line, taken apart as `k8s.io/apiserver/pkg/endpoints/request` does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// The whole path, without query.
    pub path: String,
    /// Whether it names a resource; all else is `false`-ish empty.
    pub is_resource: bool,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; else the method in lower case.
    pub verb: String,
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Namespace; for the namespaces resource the object's own name.
    pub namespace: String,
    /// Whether the path has `/namespaces/NAME/` before the resource.
    pub has_namespace: bool,
    /// Plural resource.
    pub resource: String,
    /// Object, empty for a collection.
    pub name: String,
    /// Subresource, with all that follows it.
    pub subresource: String,
    /// What follows the subresource, for `proxy` and custom handlers.
    pub rest: String,
}

/// Subresources of namespaces, which would else read as resources in a namespace.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

impl RequestInfo {
    /// Takes method and path apart; `watch` says whether the query asks for a watch.
    pub fn parse(method: &str, path: &str, watch: bool) -> Self {
        let mut info = Self { path: path.to_owned(), verb: method.to_lowercase(), ..Self::default() };
        let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
        let rest: &[String] = match parts.as_slice() {
            [api, version, rest @ ..] if api == "api" && !rest.is_empty() => {
                info.version.clone_from(version);
                rest
            }
            [apis, group, version, rest @ ..] if apis == "apis" && !rest.is_empty() => {
                info.group.clone_from(group);
                info.version.clone_from(version);
                rest
            }
            _ => return info,
        };
        let legacy_watch = rest.len() > 1 && rest.first().is_some_and(|part| part == "watch");
        let rest = if legacy_watch { rest.get(1..).unwrap_or_default() } else { rest };
        let rest = match rest {
            [namespaces, namespace, more @ ..] if namespaces == "namespaces" => {
                info.namespace.clone_from(namespace);
                match more {
                    [first, ..] if !NAMESPACE_SUBRESOURCES.contains(&first.as_str()) => {
                        info.has_namespace = true;
                        more
                    }
                    _ => rest,
                }
            }
            _ => rest,
        };
        info.is_resource = true;
        let mut rest = rest.iter();
        info.resource = rest.next().cloned().unwrap_or_default();
        info.name = rest.next().cloned().unwrap_or_default();
        info.subresource = rest.next().cloned().unwrap_or_default();
        info.rest = rest.map(String::as_str).collect::<Vec<_>>().join("/");
        let single = !info.name.is_empty();
        info.verb = match method {
            _ if legacy_watch => "watch",
            "GET" | "HEAD" if single => "get",
            "GET" | "HEAD" if watch => "watch",
            "GET" | "HEAD" => "list",
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" if single => "delete",
            "DELETE" => "deletecollection",
            _ => "",
        }
        .to_owned();
        info
    }
}

/// Percent-decodes a path segment; what is not UTF-8 after that is replaced.
pub fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The parameters of a query, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Takes a query apart.
    pub fn parse(query: Option<&str>) -> Self {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
                })
                .collect(),
        )
    }

    /// The first value of a parameter.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(of, _)| of == key).map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(of, _)| of == key).map(|(_, value)| value.as_str())
    }

    /// A flag as Go's conversion of query parameters reads it: present and not `false` or `0`.
    pub fn flag(&self, key: &str) -> bool {
        self.tri_state(key).unwrap_or(false)
    }

    /// A flag that may be absent.
    pub fn tri_state(&self, key: &str) -> Option<bool> {
        self.get(key).map(|value| !matches!(value.to_lowercase().as_str(), "false" | "0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("GET", "/api/v1/pods", "list", "", "", "pods", "", "")]
    #[case("GET", "/api/v1/namespaces/n/pods/p", "get", "", "n", "pods", "p", "")]
    #[case("GET", "/api/v1/namespaces/n", "get", "", "n", "namespaces", "n", "")]
    #[case("PUT", "/api/v1/namespaces/n/finalize", "update", "", "n", "namespaces", "n", "finalize")]
    #[case("POST", "/apis/apps/v1/namespaces/n/deployments", "create", "apps", "n", "deployments", "", "")]
    #[case("DELETE", "/apis/apps/v1/namespaces/n/deployments", "deletecollection", "apps", "n", "deployments", "", "")]
    #[case("PATCH", "/apis/apps/v1/namespaces/n/deployments/d/scale", "patch", "apps", "n", "deployments", "d", "scale")]
    #[case("GET", "/api/v1/watch/namespaces/n/pods", "watch", "", "n", "pods", "", "")]
    fn paths(
        #[case] method: &str,
        #[case] path: &str,
        #[case] verb: &str,
        #[case] group: &str,
        #[case] namespace: &str,
        #[case] resource: &str,
        #[case] name: &str,
        #[case] subresource: &str,
    ) {
        let info = RequestInfo::parse(method, path, false);
        assert_eq!(
            (&*info.verb, &*info.group, &*info.namespace, &*info.resource, &*info.name, &*info.subresource),
            (verb, group, namespace, resource, name, subresource)
        );
    }

    #[test]
    fn queries() {
        let query = Query::parse(Some("a=1&b=%2Fx+y&watch&c=false&a=2"));
        assert_eq!(query.get("b"), Some("/x y"));
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert!(query.flag("watch"));
        assert!(!query.flag("c"));
        assert!(!query.flag("d"));
    }
}

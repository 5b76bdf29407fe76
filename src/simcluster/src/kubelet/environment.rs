//! A container's environment and arguments, references resolved.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVarSource, Pod, Secret};

use crate::client::{Client, optional, path_of};
use crate::quantity::milli;

/// The pod's place in the cluster.
pub(super) struct Place<'a> {
    pub(super) node: &'a str,
    pub(super) host_ip: &'a str,
    pub(super) pod_ip: &'a str,
}

type Environment = BTreeMap<String, String>;

/// Resolves the environment.
///
/// # Errors
/// What is missing, as kubelet says it: `configmap "x" not found`, `couldn't find key k in Secret ns/x`.
pub(super) async fn resolve(client: &Client, pod: &Pod, container: &Container, place: &Place<'_>) -> Result<Environment, String> {
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let mut env = Environment::new();
    env.insert("HOSTNAME".to_owned(), pod.metadata.name.clone().unwrap_or_default());
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.clone().unwrap_or_default();
        let mut take = |values: Environment| {
            env.extend(values.into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)));
        };
        if let Some(reference) = &source.config_map_ref {
            match config_map(client, &namespace, &reference.name).await? {
                Some(values) => take(values),
                None if reference.optional == Some(true) => {}
                None => return Err(format!("configmap {:?} not found", reference.name)),
            }
        }
        if let Some(reference) = &source.secret_ref {
            match secret(client, &namespace, &reference.name).await? {
                Some(values) => take(values),
                None if reference.optional == Some(true) => {}
                None => return Err(format!("secret {:?} not found", reference.name)),
            }
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), _) => Some(expand(value, &env)),
            (None, Some(source)) => from_source(client, pod, container, place, &namespace, source).await?,
            (None, None) => Some(String::new()),
        };
        if let Some(value) = value {
            env.insert(variable.name.clone(), value);
        }
    }
    Ok(env)
}

async fn from_source(
    client: &Client,
    pod: &Pod,
    container: &Container,
    place: &Place<'_>,
    namespace: &str,
    source: &EnvVarSource,
) -> Result<Option<String>, String> {
    if let Some(reference) = &source.field_ref {
        return Ok(Some(field(pod, place, &reference.field_path)));
    }
    if let Some(reference) = &source.resource_field_ref {
        return Ok(Some(resource(container, &reference.resource, reference.divisor.as_ref().map_or("", |divisor| &divisor.0))));
    }
    if let Some(reference) = &source.config_map_key_ref {
        let optional = reference.optional == Some(true);
        return match config_map(client, namespace, &reference.name).await? {
            Some(values) => match values.get(&reference.key) {
                Some(value) => Ok(Some(value.clone())),
                None if optional => Ok(None),
                None => Err(format!("couldn't find key {} in ConfigMap {namespace}/{}", reference.key, reference.name)),
            },
            None if optional => Ok(None),
            None => Err(format!("configmap {:?} not found", reference.name)),
        };
    }
    if let Some(reference) = &source.secret_key_ref {
        let optional = reference.optional == Some(true);
        return match secret(client, namespace, &reference.name).await? {
            Some(values) => match values.get(&reference.key) {
                Some(value) => Ok(Some(value.clone())),
                None if optional => Ok(None),
                None => Err(format!("couldn't find key {} in Secret {namespace}/{}", reference.key, reference.name)),
            },
            None if optional => Ok(None),
            None => Err(format!("secret {:?} not found", reference.name)),
        };
    }
    Ok(Some(String::new()))
}

/// Whether a ConfigMap exists.
pub(super) async fn has_config_map(client: &Client, namespace: &str, name: &str) -> Result<bool, String> {
    config_map(client, namespace, name).await.map(|found| found.is_some())
}

/// Whether a Secret exists.
pub(super) async fn has_secret(client: &Client, namespace: &str, name: &str) -> Result<bool, String> {
    secret(client, namespace, name).await.map(|found| found.is_some())
}

async fn config_map(client: &Client, namespace: &str, name: &str) -> Result<Option<Environment>, String> {
    let found = optional(client.get::<ConfigMap>(&path_of::<ConfigMap>(namespace, name)).await);
    Ok(found.map_err(|error| error.to_string())?.map(|map| map.data.unwrap_or_default()))
}

async fn secret(client: &Client, namespace: &str, name: &str) -> Result<Option<Environment>, String> {
    let found = optional(client.get::<Secret>(&path_of::<Secret>(namespace, name)).await);
    Ok(found.map_err(|error| error.to_string())?.map(|secret| {
        let data = secret.data.unwrap_or_default();
        data.into_iter().map(|(name, value)| (name, String::from_utf8_lossy(&value.0).into_owned())).collect()
    }))
}

/// A field of the downward API; unknown ones are empty (the API server refuses them).
pub(super) fn field(pod: &Pod, place: &Place<'_>, path: &str) -> String {
    let meta = &pod.metadata;
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        let values = match map {
            "metadata.labels" => meta.labels.as_ref(),
            "metadata.annotations" => meta.annotations.as_ref(),
            _ => None,
        };
        return values.and_then(|values| values.get(key)).cloned().unwrap_or_default();
    }
    let spec = pod.spec.as_ref();
    match path {
        "metadata.name" => meta.name.clone().unwrap_or_default(),
        "metadata.namespace" => meta.namespace.clone().unwrap_or_default(),
        "metadata.uid" => meta.uid.clone().unwrap_or_default(),
        "spec.nodeName" => place.node.to_owned(),
        "spec.serviceAccountName" => spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default(),
        "status.hostIP" | "status.hostIPs" => place.host_ip.to_owned(),
        "status.podIP" | "status.podIPs" => place.pod_ip.to_owned(),
        _ => String::new(),
    }
}

/// A resource of the container in units of the divisor, rounded up.
fn resource(container: &Container, path: &str, divisor: &str) -> String {
    let Some((kind, name)) = path.split_once('.') else { return String::new() };
    let list = container.resources.as_ref().and_then(|resources| match kind {
        "limits" => resources.limits.as_ref(),
        _ => resources.requests.as_ref(),
    });
    let amount = list.and_then(|list| list.get(name)).map_or(0, |quantity| milli(&quantity.0));
    let unit = Some(milli(divisor)).filter(|unit| *unit > 0).unwrap_or(1000);
    ((amount + unit - 1) / unit).to_string()
}

/// Replaces `$(NAME)`; `$$` is a dollar sign, unknown names stay.
pub(super) fn expand(text: &str, env: &Environment) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(before);
        let after = from.get(1..).unwrap_or_default();
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            if let Some(value) = env.get(name) {
                out.push_str(value);
            } else {
                out.push_str("$(");
                out.push_str(name);
                out.push(')');
            }
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a $(X) b", "a 1 b")]
    #[case("$$(X)", "$(X)")]
    #[case("$(NONE) $", "$(NONE) $")]
    #[case("$(X", "$(X")]
    fn variables_expand(#[case] text: &str, #[case] expected: &str) {
        let env = Environment::from([("X".to_owned(), "1".to_owned())]);
        assert_eq!(expand(text, &env), expected);
    }
}

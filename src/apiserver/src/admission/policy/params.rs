//! Parameters of a policy: the objects that a binding's `paramRef` names or selects.

use serde_json::Value;

use crate::admission::{Attributes, Chain};
use crate::object;
use crate::resource::{Gvk, parse_api_version};
use crate::selector::LabelSelector;

/// The objects that the policy is evaluated with, one after the other; `null` for a policy without parameters.
///
/// # Errors
/// The parameters cannot be found, and that is not allowed.
pub(super) fn of(chain: &Chain, attributes: &Attributes, kind: Option<&(String, String)>, reference: &Value) -> Result<Vec<Value>, String> {
    let Some((api_version, kind)) = kind.filter(|_| reference.is_object()) else { return Ok(vec![Value::Null]) };
    let (group, version) = parse_api_version(api_version).ok_or("paramKind has no valid apiVersion")?;
    let info = chain
        .registry
        .lookup_kind(&Gvk::new(group, version, kind.as_str()))
        .ok_or_else(|| format!("failed to find resource referenced by paramKind: '{group}/{version}, Kind={kind}'"))?;
    let asked = object::text(reference, &["namespace"]);
    let namespace = match (info.namespaced, asked.is_empty()) {
        (true, false) => asked,
        (true, true) if attributes.namespace.is_empty() => {
            return Err("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources".to_owned());
        }
        (true, true) => attributes.namespace.as_str(),
        (false, true) => "",
        (false, false) => return Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned()),
    };
    let (name, selector) = (object::text(reference, &["name"]), reference.get("selector"));
    let gr = info.storage_resource();
    let found: Vec<Value> = match (name.is_empty(), selector) {
        (false, _) => chain.get(&gr.group, &gr.resource, namespace, name).into_iter().collect(),
        (true, Some(selector)) => {
            let selector = LabelSelector::from_object(Some(selector)).map_err(|error| error.message)?;
            let (all, _) = chain.store.list(&gr, Some(namespace).filter(|n| !n.is_empty()));
            all.iter().filter(|stored| selector.matches(&stored.labels)).map(|stored| stored.value()).collect()
        }
        (true, None) => return Err("paramRef.name or paramRef.selector must be set".to_owned()),
    };
    match (found.is_empty(), object::text(reference, &["parameterNotFoundAction"])) {
        (true, "Allow") => Ok(Vec::new()),
        (true, _) => Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned()),
        (false, _) => Ok(found),
    }
}

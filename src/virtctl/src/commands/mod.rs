//! The commands, a file a group.

pub mod adm;
pub mod completion;
pub mod console;
pub mod create;
pub mod credentials;
mod download;
pub mod expand;
pub mod expose;
pub mod forward;
pub mod graph;
pub mod guest;
pub mod guestfs;
pub mod lifecycle;
pub mod memory_dump;
pub mod permitted;
pub mod ssh;
pub mod template;
pub mod upload;
pub mod usb;
pub mod version;
pub mod vmexport;
pub mod vnc;
pub mod volumes;
pub mod why;

use crate::error::{Result, bail};
use serde::Serialize;
use serde_json::{Value, json};

/// Exactly so many arguments.
pub(crate) fn exact<const N: usize>(arguments: &[String]) -> Result<[&str; N]> {
    let given: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match given.try_into() {
        Ok(all) => Ok(all),
        Err(given) => bail!("accepts {N} arg(s), received {}", given.len()),
    }
}

/// Flags that must be given.
pub(crate) fn required(flags: &[(&str, bool)]) -> Result<()> {
    let missing: Vec<String> = flags.iter().filter(|(_, set)| !set).map(|(name, _)| format!("{name:?}")).collect();
    if missing.is_empty() { Ok(()) } else { bail!("required flag(s) {} not set", missing.join(", ")) }
}

/// Flags of which at most one may be given.
pub(crate) fn exclusive(flags: &[(&str, bool)]) -> Result<()> {
    let mut set: Vec<&str> = flags.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    if set.len() < 2 {
        return Ok(());
    }
    set.sort_unstable();
    let group: Vec<&str> = flags.iter().map(|(name, _)| *name).collect();
    bail!("if any flags in the group [{}] are set none of the others can be; [{}] were all set", group.join(" "), set.join(" "))
}

/// The text at a pointer, empty when there is none.
pub(crate) fn at<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// `dryRun` of a request.
pub(crate) fn dry(dry_run: bool) -> Value {
    if dry_run { json!(["All"]) } else { Value::Null }
}

/// Without members that are null, as Go leaves them out.
pub(crate) fn compact(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(key, value)| (key, compact(value))).filter(|(_, value)| !value.is_null()).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(compact).collect()),
        other => other,
    }
}

/// YAML as manifests are written.
pub(crate) fn yaml(object: &impl Serialize) -> Result<String> {
    serde_saphyr::to_string(object).map_err(|error| crate::Error::new(error.to_string()))
}

/// An owner reference, as Kubernetes' own controllers write it.
pub(crate) fn owner(object: &Value, controller: bool) -> Value {
    json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"], "name": object["metadata"]["name"], "uid": object["metadata"]["uid"],
        "controller": controller, "blockOwnerDeletion": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named_as_the_original_names_them() {
        assert_eq!(exact::<1>(&[]).unwrap_err().text, "accepts 1 arg(s), received 0");
        assert_eq!(required(&[("volume-name", false)]).unwrap_err().text, "required flag(s) \"volume-name\" not set");
        let both = exclusive(&[("a", true), ("b", true), ("c", false)]).unwrap_err().text;
        assert_eq!(both, "if any flags in the group [a b c] are set none of the others can be; [a b] were all set");
    }
}

//! Questions about metadata that every reconciler asks.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// A label's value.
pub fn label<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.labels.as_ref()?.get(key).map(String::as_str)
}

/// An annotation's value.
pub fn annotation<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// The object's name.
pub fn name(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

/// The object's namespace.
pub fn namespace(metadata: &ObjectMeta) -> &str {
    metadata.namespace.as_deref().unwrap_or_default()
}

/// The object's UID.
pub fn uid(metadata: &ObjectMeta) -> &str {
    metadata.uid.as_deref().unwrap_or_default()
}

/// Whether the object is being deleted.
pub fn is_deleting(metadata: &ObjectMeta) -> bool {
    metadata.deletion_timestamp.is_some()
}

/// The owner that controls the object.
pub fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true))
}

/// Whether the object with this UID controls it; names prove nothing (spec controllers §1.5).
pub fn is_controlled_by(metadata: &ObjectMeta, uid: &str) -> bool {
    controller(metadata).is_some_and(|owner| owner.uid == uid)
}

/// Whether the object carries a finalizer.
pub fn has_finalizer(metadata: &ObjectMeta, finalizer: &str) -> bool {
    metadata.finalizers.as_ref().is_some_and(|finalizers| finalizers.iter().any(|known| known == finalizer))
}

/// Adds a finalizer once.
pub fn add_finalizer(metadata: &mut ObjectMeta, finalizer: &str) {
    if !has_finalizer(metadata, finalizer) {
        metadata.finalizers.get_or_insert_default().push(finalizer.to_owned());
    }
}

/// Removes a finalizer.
pub fn remove_finalizer(metadata: &mut ObjectMeta, finalizer: &str) {
    if let Some(finalizers) = &mut metadata.finalizers {
        finalizers.retain(|known| known != finalizer);
    }
    if metadata.finalizers.as_ref().is_some_and(Vec::is_empty) {
        metadata.finalizers = None;
    }
}

/// Sets an entry of labels or annotations, or removes it.
pub fn set(map: &mut Option<BTreeMap<String, String>>, key: &str, value: Option<&str>) {
    match value {
        Some(value) => {
            map.get_or_insert_default().insert(key.to_owned(), value.to_owned());
        }
        None => {
            if let Some(map) = map {
                map.remove(key);
            }
        }
    }
    if map.as_ref().is_some_and(BTreeMap::is_empty) {
        *map = None;
    }
}

/// The patterns of labels or annotations that follow from one object to another: literal keys, or `prefix*`; a bare `*` is
/// ignored (spec controllers §1.1).
pub fn matches_any(patterns: &[String], key: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some("") => false,
        Some(prefix) => key.starts_with(prefix),
        None => pattern == key,
    })
}

/// The length Kubernetes cuts the base of a generated name to.
const GENERATED_BASE: usize = 58;
/// The letters of generated suffixes.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A name as `generateName` makes them, but the same for the same `seed`: a creation that is repeated because its answer was
/// lost meets the object it made, instead of making a second one.
pub fn generated_name(base: &str, seed: &str) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in seed.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 32;
    let mut name: String = base.chars().take(GENERATED_BASE).collect();
    for _ in 0..5 {
        let letters = ALPHABET.len() as u64;
        if let Some(letter) = ALPHABET.get((hash % letters) as usize) {
            name.push(char::from(*letter));
        }
        hash /= letters;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sync_lists() {
        let patterns = ["a.io/x".to_owned(), "b.io/*".to_owned(), "*".to_owned()];
        assert!(matches_any(&patterns, "a.io/x"));
        assert!(matches_any(&patterns, "b.io/anything"));
        assert!(!matches_any(&patterns, "a.io/y"));
    }

    #[test]
    fn generated_names_are_cut_and_stable() {
        let name = generated_name(&"x".repeat(70), "uid");
        assert_eq!(name.len(), 63);
        assert_eq!(name, generated_name(&"x".repeat(70), "uid"));
        assert_ne!(name, generated_name(&"x".repeat(70), "other"));
    }
}

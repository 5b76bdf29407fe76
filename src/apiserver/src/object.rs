//! Access to the metadata of dynamic objects, and small edits that many rules need.

use serde_json::{Map, Value};

/// The value below nested keys.
pub fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

/// The text below nested keys, or nothing.
pub fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// The whole number below nested keys.
pub fn number(value: &Value, path: &[&str]) -> Option<i64> {
    at(value, path).and_then(Value::as_i64)
}

/// The flag below nested keys; absent is false.
pub fn flag(value: &Value, path: &[&str]) -> bool {
    at(value, path).and_then(Value::as_bool).unwrap_or_default()
}

/// The elements of the list below nested keys; none when it is absent.
pub fn list<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The strings of the list below nested keys.
pub fn strings<'a>(value: &'a Value, path: &[&str]) -> Vec<&'a str> {
    list(value, path).iter().filter_map(Value::as_str).collect()
}

/// The map below nested keys.
pub fn map<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Map<String, Value>> {
    at(value, path).and_then(Value::as_object)
}

/// `metadata.name`.
pub fn name(value: &Value) -> &str {
    text(value, &["metadata", "name"])
}

/// `metadata.namespace`.
pub fn namespace(value: &Value) -> &str {
    text(value, &["metadata", "namespace"])
}

/// `metadata.uid`.
pub fn uid(value: &Value) -> &str {
    text(value, &["metadata", "uid"])
}

/// `metadata.resourceVersion`.
pub fn resource_version(value: &Value) -> &str {
    text(value, &["metadata", "resourceVersion"])
}

/// `metadata.finalizers`.
pub fn finalizers(value: &Value) -> Vec<&str> {
    strings(value, &["metadata", "finalizers"])
}

/// Whether the object waits for its end.
pub fn is_terminating(value: &Value) -> bool {
    at(value, &["metadata", "deletionTimestamp"]).is_some_and(|time| !time.is_null())
}

/// The map below a key, made when it is absent or something else.
pub fn child<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let child = &mut value[key];
    if !child.is_object() {
        *child = Value::Object(Map::new());
    }
    child
}

/// Sets the value below nested keys, making the maps on the way.
pub fn set(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    if let Some((last, parents)) = path.split_last() {
        let parent = parents.iter().fold(value, |value, key| child(value, key));
        if !parent.is_object() {
            *parent = Value::Object(Map::new());
        }
        if let Some(map) = parent.as_object_mut() {
            map.insert((*last).to_owned(), new.into());
        }
    }
}

/// Sets the value below nested keys if it is absent or null.
pub fn set_default(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    if at(value, path).is_none_or(Value::is_null) {
        set(value, path, new);
    }
}

/// Removes the value below nested keys and returns it.
pub fn remove(value: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    parents.iter().try_fold(value, |value, key| value.get_mut(key))?.as_object_mut()?.remove(*last)
}

/// Copies what is below nested keys from another object, or removes it when the other has nothing there.
pub fn copy(value: &mut Value, from: &Value, path: &[&str]) {
    match at(from, path) {
        Some(found) => set(value, path, found.clone()),
        None => {
            remove(value, path);
        }
    }
}

/// Mutable elements of the list below nested keys.
pub fn list_mut<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut [Value] {
    path.iter().try_fold(value, |value, key| value.get_mut(*key)).and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}

/// The object's kind as the JSON says.
pub fn kind(value: &Value) -> &str {
    text(value, &["kind"])
}

/// Sets `kind` and `apiVersion`.
pub fn set_type(value: &mut Value, api_version: &str, kind: &str) {
    set(value, &["apiVersion"], api_version);
    set(value, &["kind"], kind);
}

/// Whether two objects are the same but for `metadata.resourceVersion`.
pub fn same_but_version(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return a == b };
    a.len() == b.len()
        && a.iter().all(|(key, left)| {
            b.get(key).is_some_and(|right| match (key.as_str(), left, right) {
                ("metadata", Value::Object(left), Value::Object(right)) => {
                    let rest = |map: &Map<String, Value>| map.len() - usize::from(map.contains_key("resourceVersion"));
                    rest(left) == rest(right) && left.iter().all(|(key, left)| key == "resourceVersion" || right.get(key) == Some(left))
                }
                _ => left == right,
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sameness_ignores_the_resource_version_only() {
        let a = json!({"metadata": {"name": "a", "resourceVersion": "1"}, "spec": 1});
        let b = json!({"metadata": {"name": "a"}, "spec": 1});
        let c = json!({"metadata": {"name": "a", "labels": {}}, "spec": 1});
        assert!(same_but_version(&a, &b));
        assert!(same_but_version(&b, &a));
        assert!(!same_but_version(&a, &c));
        assert!(!same_but_version(&b, &json!({"metadata": {"name": "a"}})));
    }

    #[test]
    fn set_makes_its_way() {
        let mut value = json!({});
        set(&mut value, &["a", "b"], 1);
        set_default(&mut value, &["a", "b"], 2);
        set_default(&mut value, &["a", "c"], 3);
        assert_eq!(value, json!({"a": {"b": 1, "c": 3}}));
        assert_eq!(remove(&mut value, &["a", "b"]), Some(json!(1)));
    }
}

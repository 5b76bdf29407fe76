//! JSON patches that test what they replace (spec controllers §1.5): field-scoped optimistic locking.

use serde::Serialize;
use serde_json::{Value, json};

use crate::plan::{Action, ObjectRef, OnFailure, Patch};

/// A JSON patch whose every change tests that the field is as it was read: two writers then never overwrite each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuardedPatch {
    operations: Vec<Value>,
}

impl GuardedPatch {
    /// Changes a field whose zero value is absent on the wire; nothing when it stays as it is.
    pub fn change<T: Serialize + PartialEq>(&mut self, path: &str, old: &T, new: &T) {
        if old == new {
            return;
        }
        let (old, new) = (json!(old), json!(new));
        match (is_absent(&old), is_absent(&new)) {
            (true, true) => {}
            (true, false) => self.operations.push(json!({"op": "add", "path": path, "value": new})),
            (false, true) => {
                self.operations.push(json!({"op": "test", "path": path, "value": old}));
                self.operations.push(json!({"op": "remove", "path": path}));
            }
            (false, false) => {
                self.operations.push(json!({"op": "test", "path": path, "value": old}));
                self.operations.push(json!({"op": "replace", "path": path, "value": new}));
            }
        }
    }

    /// Changes the fields of an object one by one; the object itself has to exist.
    pub fn change_fields<T: Serialize>(&mut self, path: &str, old: &T, new: &T) {
        let (old, new) = (json!(old), json!(new));
        let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return };
        let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let escaped = name.replace('~', "~0").replace('/', "~1");
            let field = |object: &serde_json::Map<String, Value>| object.get(name).cloned().unwrap_or(Value::Null);
            self.change(&format!("{path}/{escaped}"), &field(old), &field(new));
        }
    }

    /// Adds an operation without a test.
    pub fn push(&mut self, operation: Value) {
        self.operations.push(operation);
    }

    /// Adds the operations of another patch.
    pub fn append(&mut self, other: Self) {
        self.operations.extend(other.operations);
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The write, if anything changes.
    pub fn into_action(self, object: ObjectRef) -> Option<Action> {
        self.into_subresource_action(object, None)
    }

    /// The write of a subresource, if anything changes.
    pub fn into_subresource_action(self, object: ObjectRef, subresource: Option<&'static str>) -> Option<Action> {
        (!self.operations.is_empty()).then(|| Action::Patch {
            object,
            subresource,
            patch: Patch::Json(self.operations),
            on_failure: OnFailure::default(),
        })
    }
}

fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_guarded() {
        let mut patch = GuardedPatch::default();
        patch.change("/a", &"", &"x");
        patch.change("/b", &"x", &"y");
        patch.change("/c", &vec!["x"], &vec![]);
        patch.change("/d", &1, &1);
        patch.change_fields("/s", &json!({"k/1": 1, "same": 2}), &json!({"k/1": 3, "same": 2, "new": true}));
        assert_eq!(
            Value::Array(patch.operations),
            json!([
                {"op": "add", "path": "/a", "value": "x"},
                {"op": "test", "path": "/b", "value": "x"},
                {"op": "replace", "path": "/b", "value": "y"},
                {"op": "test", "path": "/c", "value": ["x"]},
                {"op": "remove", "path": "/c"},
                {"op": "test", "path": "/s/k~11", "value": 1},
                {"op": "replace", "path": "/s/k~11", "value": 3},
                {"op": "add", "path": "/s/new", "value": true},
            ])
        );
    }
}

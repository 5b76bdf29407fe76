//! Laws of the store.

use super::*;
use serde_json::json;

fn gr() -> GroupResource {
    GroupResource::new("", "configmaps")
}

fn key(namespace: &str, name: &str) -> Key {
    Key::new(gr(), namespace, name)
}

#[test]
fn expectations_are_kept() {
    let store = Store::new();
    let a = store.commit(key("x", "a"), Expect::Absent, Some(json!({"metadata": {"name": "a"}}))).unwrap();
    assert_eq!(a.value()["metadata"]["resourceVersion"], a.revision.to_string());
    assert_eq!(
        store.commit(key("x", "a"), Expect::Absent, Some(json!({}))).unwrap_err(),
        StoreError::Exists(a.revision)
    );
    assert_eq!(
        store.commit(key("x", "a"), Expect::Revision(99), Some(json!({}))).unwrap_err(),
        StoreError::Changed(a.revision)
    );
    assert_eq!(store.commit(key("x", "b"), Expect::Any, None).unwrap_err(), StoreError::Missing);
    let gone = store.commit(key("x", "a"), Expect::Revision(a.revision), None).unwrap();
    assert!(gone.revision > a.revision);
    assert!(store.get(&key("x", "a")).is_none());
}

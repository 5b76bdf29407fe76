//! Laws of the store.

use super::*;
use proptest::prelude::*;
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
    assert_eq!(store.commit(key("x", "a"), Expect::Absent, Some(json!({}))).unwrap_err(), StoreError::Exists(a.revision));
    assert_eq!(store.commit(key("x", "a"), Expect::Revision(99), Some(json!({}))).unwrap_err(), StoreError::Changed(a.revision));
    assert_eq!(store.commit(key("x", "b"), Expect::Any, None).unwrap_err(), StoreError::Missing);
    let gone = store.commit(key("x", "a"), Expect::Revision(a.revision), None).unwrap();
    assert!(gone.revision > a.revision);
    assert!(store.get(&key("x", "a")).is_none());
}

#[test]
fn the_type_comes_first_and_can_be_left_out() {
    let store = Store::new();
    let object = json!({"apiVersion": "v1", "data": {"a": "b"}, "kind": "ConfigMap", "metadata": {"name": "a"}});
    let stored = store.commit(key("x", "a"), Expect::Any, Some(object)).unwrap();
    let text = std::str::from_utf8(&stored.json).unwrap();
    assert!(text.starts_with(r#"{"kind":"ConfigMap","apiVersion":"v1","data""#), "{text}");
    let untyped: Value = serde_json::from_slice(&[b"{", stored.untyped()].concat()).unwrap();
    assert_eq!(untyped, json!({"data": {"a": "b"}, "metadata": {"name": "a", "resourceVersion": "2"}}));
    let line: Value = serde_json::from_slice(&stored.line(EventKind::Added).concat()).unwrap();
    assert_eq!(line, json!({"type": "ADDED", "object": stored.value()}));
    let only_type = store.commit(key("x", "b"), Expect::Any, Some(json!({"kind": "K"}))).unwrap();
    assert_eq!(only_type.value()["kind"], "K");
}

/// A step of a random history: write or remove one of a few objects.
#[derive(Debug, Clone)]
struct Step {
    namespace: &'static str,
    name: &'static str,
    write: Option<u8>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (prop::sample::select(vec!["m", "n"]), prop::sample::select(vec!["a", "b", "c"]), prop::option::weighted(0.7, 0_u8..4))
        .prop_map(|(namespace, name, write)| Step { namespace, name, write });
    prop::collection::vec(step, 1..40)
}

/// Runs a history and returns what was listed after every revision.
fn run(store: &Store, steps: &[Step]) -> Vec<(u64, Vec<(String, String, u64)>)> {
    let shape = |items: &[Arc<Stored>]| items.iter().map(|s| (s.key.namespace.clone(), s.key.name.clone(), s.revision)).collect::<Vec<_>>();
    let mut moments = vec![(store.revision(), Vec::new())];
    for step in steps {
        let object = step.write.map(|value| json!({"metadata": {"name": step.name}, "data": {"v": value.to_string()}}));
        if store.commit(key(step.namespace, step.name), Expect::Any, object).is_ok() {
            let (items, revision) = store.list(&gr(), None);
            moments.push((revision, shape(&items)));
        }
    }
    moments
}

proptest! {
    #[test]
    fn a_watch_from_any_revision_replays_what_came_after(steps in steps(), from in 0_usize..40) {
        let store = Store::new();
        let moments = run(&store, &steps);
        let (revision, listed) = moments.get(from % moments.len()).unwrap();
        let mut state: BTreeMap<(String, String), u64> = listed.iter().map(|(ns, n, r)| ((ns.clone(), n.clone()), *r)).collect();
        let mut watch = store.watch(&gr(), None, *revision).unwrap();
        let mut last = *revision;
        for event in watch.poll_batch().unwrap() {
            prop_assert_eq!(event.object.revision, last + 1);
            last = event.object.revision;
            let place = (event.object.key.namespace.clone(), event.object.key.name.clone());
            prop_assert_eq!(event.previous.as_ref().map(|p| p.revision), state.get(&place).copied());
            match event.kind {
                EventKind::Deleted => { state.remove(&place); }
                EventKind::Added | EventKind::Modified => { state.insert(place, event.object.revision); }
            }
        }
        let now: BTreeMap<(String, String), u64> =
            store.list(&gr(), None).0.iter().map(|s| ((s.key.namespace.clone(), s.key.name.clone()), s.revision)).collect();
        prop_assert_eq!(state, now);
        prop_assert!(watch.poll_batch().unwrap().is_empty());
    }

    #[test]
    fn the_past_can_be_listed(steps in steps()) {
        let store = Store::new();
        for (revision, listed) in run(&store, &steps) {
            let then: Vec<_> = store
                .list_at(&gr(), None, revision)
                .unwrap()
                .iter()
                .map(|s| (s.key.namespace.clone(), s.key.name.clone(), s.revision))
                .collect();
            prop_assert_eq!(then, listed);
        }
    }

    #[test]
    fn what_is_compacted_is_refused_and_the_rest_is_whole(steps in steps(), cut in 0_usize..40) {
        let store = Store::new();
        let moments = run(&store, &steps);
        let (cut, _) = *moments.get(cut % moments.len()).unwrap();
        store.compact(cut);
        for (revision, _) in &moments {
            let watch = store.watch(&gr(), None, *revision);
            prop_assert_eq!(watch.is_ok(), *revision >= cut);
            prop_assert_eq!(store.list_at(&gr(), None, *revision).is_ok(), *revision >= cut);
            if let Ok(mut watch) = watch {
                prop_assert_eq!(watch.poll_batch().unwrap().len() as u64, store.revision() - revision);
            }
        }
    }

    #[test]
    fn a_small_history_cuts_slow_watches_and_serves_quick_ones(steps in steps()) {
        let limits = Limits { events: 4, bytes: usize::MAX, at_least: 1 };
        let store = Store::with_limits(limits);
        let mut slow = store.watch(&gr(), None, store.revision()).unwrap();
        let mut quick = store.watch(&gr(), Some("m"), store.revision()).unwrap();
        let mut seen = 0;
        let mut commits = 0;
        for step in &steps {
            let object = step.write.map(|value| json!({"v": value}));
            if store.commit(key(step.namespace, step.name), Expect::Any, object).is_ok() {
                commits += 1;
                let events = quick.poll_batch().unwrap();
                prop_assert_eq!(events.len(), usize::from(step.namespace == "m"));
                seen += events.len();
            }
        }
        prop_assert!(seen <= commits);
        match slow.poll_batch() {
            Ok(events) => prop_assert_eq!(events.len(), commits),
            Err(gone) => prop_assert!(commits > 4 && gone.asked < gone.oldest),
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_and_a_torn_tail_does_not_hurt() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut last = 0;
    for index in 0..50 {
        let name = format!("o{}", index % 7);
        let object = json!({"metadata": {"name": name}, "data": {"i": index.to_string()}});
        last = store.commit(key("n", &name), Expect::Any, Some(object)).unwrap().revision;
    }
    last = store.commit(key("n", "o3"), Expect::Any, None).unwrap().revision.max(last);
    store.durable(last).await.unwrap();
    let before: Vec<Value> = store.list(&gr(), None).0.iter().map(|s| s.value()).collect();
    assert!(matches!(Store::open(folder.path()), Err(PersistError::InUse(_))));
    drop(store);
    let log = folder.path().join("objects.log");
    let mut bytes = wait_for_log(&log, folder.path()).await;
    bytes.extend_from_slice(b"\x40\0\0\0torn");
    std::fs::write(&log, &bytes).unwrap();
    let store = Store::open(folder.path()).unwrap();
    let after: Vec<Value> = store.list(&gr(), None).0.iter().map(|s| s.value()).collect();
    assert_eq!(before, after);
    assert!(store.revision() > last, "no revision is given twice");
    assert!(store.watch(&gr(), None, last).is_err(), "history from before the restart is gone");
    drop(store);
    // Damage in the middle is not a torn tail.
    let mut bytes = wait_for_log(&log, folder.path()).await;
    *bytes.get_mut(20).unwrap() ^= 0xff;
    std::fs::write(&log, &bytes).unwrap();
    assert!(matches!(Store::open(folder.path()), Err(PersistError::Damaged(_))));
}

/// The log after its writer has let go of the folder.
async fn wait_for_log(log: &std::path::Path, folder: &std::path::Path) -> Vec<u8> {
    let lock = std::fs::File::open(folder.join("lock")).unwrap();
    while lock.try_lock().is_err() {
        tokio::task::yield_now().await;
    }
    std::fs::read(log).unwrap()
}

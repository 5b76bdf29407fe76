//! `--data-dir`: a process that is killed, or a disk that tore or damaged its log, loses nothing that was acknowledged.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests assume, a child tells its parent, and a disk needs real time"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ferrovirt_apiserver::resource::GroupResource;
use ferrovirt_apiserver::store::{Expect, Key, PersistError, Store};
use serde_json::json;

const FOLDER: &str = "APISERVER_CRASH_FOLDER";
/// Real kills; more can be asked for with the variable of this name.
const KILLS: &str = "APISERVER_KILLS";
/// No test of this file takes longer, however slow the disk is.
const BUDGET: Duration = Duration::from_secs(40);

fn key(name: &str) -> Key {
    Key::new(GroupResource::new("", "configmaps"), "default", name)
}

/// Objects of the store with the number that each was last written with.
fn numbers(store: &Store) -> BTreeMap<String, u64> {
    let objects = store.list(&GroupResource::new("", "configmaps"), None).0;
    objects.iter().map(|stored| (stored.key.name.clone(), stored.value()["data"]["n"].as_str().unwrap().parse().unwrap())).collect()
}

/// Opens a store whose last owner may still be closing its log.
fn open(folder: &Path) -> Result<Store, PersistError> {
    let begin = Instant::now();
    loop {
        match Store::open(folder) {
            Err(PersistError::InUse(_)) if begin.elapsed() < BUDGET => std::thread::yield_now(),
            other => return other,
        }
    }
}

async fn write(store: &Store, n: u64) -> u64 {
    let name = format!("o{}", n % 17);
    let object = json!({"metadata": {"name": name}, "data": {"n": n.to_string(), "filler": "x".repeat(usize::try_from(n % 97).unwrap())}});
    let revision = store.commit(key(&name), Expect::Any, Some(object)).unwrap().revision;
    store.durable(revision).await.unwrap();
    revision
}

/// The process that is killed: writes and says each number once it is durable. Does nothing when it is not asked to.
#[tokio::test]
async fn writer() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let store = open(Path::new(&folder)).unwrap();
    let mut n = numbers(&store).values().max().map_or(0, |n| n + 1);
    let mut out = std::io::stdout();
    loop {
        write(&store, n).await;
        writeln!(out, "acknowledged {n}").unwrap();
        out.flush().unwrap();
        n += 1;
    }
}

#[test]
fn a_kill_at_any_moment_loses_no_acknowledged_write() {
    let kills: u32 = std::env::var(KILLS).ok().and_then(|kills| kills.parse().ok()).unwrap_or(15);
    let budget = BUDGET * kills.div_ceil(15);
    let folder = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let mut acknowledged = BTreeMap::new();
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // A different number of writes each time; the kill falls wherever the child is by then.
        let mut wanted = 1 + (kill * 7) % 23;
        let mut killed = false;
        for line in lines {
            // The harness writes into the same line.
            let line = line.unwrap();
            let Some((_, n)) = line.split_once("acknowledged ") else { continue };
            let n: u64 = n.parse().unwrap();
            acknowledged.insert(format!("o{}", n % 17), n);
            wanted = wanted.saturating_sub(1);
            if wanted == 0 && !killed {
                child.kill().unwrap();
                killed = true;
            }
        }
        child.wait().unwrap();
        assert!(killed, "the writer ended by itself");
        let store = open(folder.path()).unwrap();
        let found = numbers(&store);
        for (name, n) in &acknowledged {
            assert!(found.get(name).is_some_and(|found| found >= n), "kill {kill}: {name} was acknowledged as {n}, found {found:?}");
        }
        assert!(begin.elapsed() < budget, "too slow: {kill} kills in {:?}", begin.elapsed());
    }
}

/// A log, and for each write the length of the file when it was acknowledged.
async fn log(writes: u64) -> (Vec<u8>, Vec<(usize, u64)>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("objects.log");
    let store = Store::open(folder.path()).unwrap();
    let mut acknowledged = Vec::new();
    for n in 0..writes {
        write(&store, n).await;
        acknowledged.push((usize::try_from(std::fs::metadata(&path).unwrap().len()).unwrap(), n));
    }
    (std::fs::read(&path).unwrap(), acknowledged)
}

#[tokio::test]
async fn a_log_that_was_torn_anywhere_has_all_that_was_acknowledged_before() {
    const POINTS: usize = 1_000;
    let (bytes, acknowledged) = log(120).await;
    let folder = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    for point in 0..POINTS {
        let cut = bytes.len() * point / POINTS;
        std::fs::write(folder.path().join("objects.log"), &bytes[..cut]).unwrap();
        let store = open(folder.path()).unwrap_or_else(|error| panic!("cut at {cut} of {}: {error}", bytes.len()));
        let mut expected = BTreeMap::new();
        for (_, n) in acknowledged.iter().filter(|(length, _)| *length <= cut) {
            expected.insert(format!("o{}", n % 17), *n);
        }
        let found = numbers(&store);
        assert_eq!(found, expected, "cut at {cut}");
        drop(store);
        assert!(begin.elapsed() < BUDGET, "too slow: {point} cuts in {:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn a_damaged_log_is_refused_by_name_and_never_half_read() {
    let (bytes, acknowledged) = log(60).await;
    let last = acknowledged[acknowledged.len() - 2].0;
    let folder = tempfile::tempdir().unwrap();
    for point in 0..150 {
        let at = bytes.len() * point / 150;
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        std::fs::write(folder.path().join("objects.log"), &damaged).unwrap();
        match open(folder.path()) {
            Err(PersistError::Damaged(why)) => assert!(why.contains("byte"), "{why}"),
            Err(other) => panic!("byte {at}: {other}"),
            // Damage to the last record is a torn tail.
            Ok(store) => {
                assert!(at >= last, "byte {at} of {} was damaged and nobody noticed", bytes.len());
                assert!(numbers(&store).values().all(|n| *n < 60));
            }
        }
    }
}

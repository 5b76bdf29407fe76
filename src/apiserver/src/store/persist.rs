//! The log on disk: append-only, checksummed, synced before a commit is acknowledged.
//!
//! # Format
//! `objects.log` is a sequence of records: length of the body (u32, little endian), the first eight bytes of the body's
//! SHA-256, the body. A body is the kind of event (u8), the revision (u64, little endian), group, resource, namespace and
//! name (each a u32 length and UTF-8), and the encoded object (nothing for a removal).
//!
//! # Guarantees
//! One thread writes; it syncs once for all records that wait, then publishes the revision up to which all is safe.
//! After a crash a torn last record is cut off; revisions that may have been seen but were lost are never given again,
//! since recovery leaves a gap. When superseded records outweigh live ones, the live ones are written to a new file that
//! replaces the old one in one rename.
//!
//! # Errors
//! Damage before the tail is refused, not skipped. A failing disk stops all later commits.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::{EventKind, Key, Stored};
use crate::resource::GroupResource;

/// Revisions left out after a restart, so that none that was lost is given twice.
const REVISION_GAP: u64 = 1_000;
/// A log smaller than this is not rewritten.
const REWRITE_AT_LEAST: u64 = 4 << 20;
/// No record is larger; a length beyond it is damage.
const MAX_RECORD: usize = 64 << 20;
const HEADER: usize = 12;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PersistError {
    /// The operating system refused.
    #[error("{what} {path}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: String,
        /// What it said.
        source: io::Error,
    },
    /// Another server uses the folder.
    #[error("the data directory {0} is in use by another process")]
    InUse(String),
    /// The log is damaged before its tail.
    #[error("the log is damaged: {0}")]
    Damaged(String),
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PersistError {
    let path = path.display().to_string();
    move |source| PersistError::Io { what, path, source }
}

/// What a log held.
pub(super) struct Recovered {
    pub(super) revision: u64,
    pub(super) objects: Vec<(Key, u64, Value)>,
    pub(super) file: OpenLog,
}

/// The open log and the lock on its folder.
pub(super) struct OpenLog {
    folder: PathBuf,
    file: File,
    length: u64,
    live: BTreeMap<Key, (u64, Bytes)>,
    lock: File,
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("objects.log")
}

/// Reads the log of a folder, creating both when they are missing, and cuts off a torn tail.
pub(super) fn recover(folder: &Path) -> Result<Recovered, PersistError> {
    std::fs::create_dir_all(folder).map_err(failed("create the data directory", folder))?;
    let lock_path = folder.join("lock");
    let lock = File::create(&lock_path).map_err(failed("create", &lock_path))?;
    lock.try_lock().map_err(|_| PersistError::InUse(folder.display().to_string()))?;
    let path = log_path(folder);
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed("open", &path))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed("read", &path))?;
    let mut live: BTreeMap<Key, (u64, Bytes)> = BTreeMap::new();
    let mut revision = 1;
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let Some((body, size)) = read_record(rest) else {
            if later_record_exists(rest) {
                return Err(PersistError::Damaged(format!("bad record at byte {at}, with good ones after it")));
            }
            tracing::warn!(bytes = rest.len(), "cut off the torn tail of the log");
            break;
        };
        let record = decode(body).ok_or_else(|| PersistError::Damaged(format!("record at byte {at} cannot be decoded")))?;
        revision = revision.max(record.revision);
        if record.deleted {
            live.remove(&record.key);
        } else {
            live.insert(record.key, (record.revision, record.json));
        }
        at += size;
    }
    let length = at as u64;
    if length < bytes.len() as u64 {
        file.set_len(length).and_then(|()| file.sync_all()).map_err(failed("cut", &path))?;
    }
    file.seek(SeekFrom::Start(length)).map_err(failed("seek in", &path))?;
    if revision > 1 {
        revision += REVISION_GAP;
    }
    let mut objects = Vec::with_capacity(live.len());
    for (key, (revision, json)) in &live {
        let value = serde_json::from_slice(json).map_err(|error| PersistError::Damaged(error.to_string()))?;
        objects.push((key.clone(), *revision, value));
    }
    Ok(Recovered { revision, objects, file: OpenLog { folder: folder.to_owned(), file, length, live, lock } })
}

/// Whether a whole record starts anywhere after the first byte: then the damage is not a torn tail.
fn later_record_exists(bytes: &[u8]) -> bool {
    (1..bytes.len()).any(|at| bytes.get(at..).is_some_and(|rest| read_record(rest).is_some_and(|(b, _)| decode(b).is_some())))
}

fn read_record(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    if length == 0 || length > MAX_RECORD {
        return None;
    }
    let body = bytes.get(HEADER..HEADER + length)?;
    (checksum(body) == *bytes.get(4..HEADER)?).then_some((body, HEADER + length))
}

fn checksum(body: &[u8]) -> [u8; 8] {
    let digest = Sha256::digest(body);
    let mut sum = [0; 8];
    sum.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
    sum
}

struct Record {
    deleted: bool,
    revision: u64,
    key: Key,
    json: Bytes,
}

fn decode(body: &[u8]) -> Option<Record> {
    let deleted = *body.first()? == EventKind::Deleted as u8;
    let revision = u64::from_le_bytes(body.get(1..9)?.try_into().ok()?);
    let mut at = 9;
    let mut text = || -> Option<String> {
        let length = u32::from_le_bytes(body.get(at..at + 4)?.try_into().ok()?) as usize;
        let text = String::from_utf8(body.get(at + 4..at + 4 + length)?.to_vec()).ok()?;
        at += 4 + length;
        Some(text)
    };
    let key = Key { gr: GroupResource { group: text()?, resource: text()? }, namespace: text()?, name: text()? };
    Some(Record { deleted, revision, key, json: Bytes::copy_from_slice(body.get(at..)?) })
}

fn encode(deleted: bool, kind: u8, revision: u64, key: &Key, json: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(json.len() + 128);
    body.push(kind);
    body.extend_from_slice(&revision.to_le_bytes());
    for text in [&key.gr.group, &key.gr.resource, &key.namespace, &key.name] {
        body.extend_from_slice(&(text.len() as u32).to_le_bytes());
        body.extend_from_slice(text.as_bytes());
    }
    if !deleted {
        body.extend_from_slice(json);
    }
    let mut record = Vec::with_capacity(body.len() + HEADER);
    record.extend_from_slice(&(body.len() as u32).to_le_bytes());
    record.extend_from_slice(&checksum(&body));
    record.extend_from_slice(&body);
    record
}

/// The way into the writer's queue.
pub(super) struct Log {
    queue: mpsc::Sender<(EventKind, Arc<Stored>)>,
    failure: Arc<OnceLock<String>>,
}

impl Log {
    /// Queues a commit; [`Durable::wait`] says when it is safe.
    pub(super) fn append(&self, kind: EventKind, stored: &Arc<Stored>) {
        if self.queue.send((kind, stored.clone())).is_err() {
            let _ = self.failure.set("the writer has ended".to_owned());
        }
    }

    /// What the disk said when it failed.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.get().cloned()
    }
}

/// Up to which revision everything is on disk.
pub(super) struct Durable {
    revision: watch::Receiver<u64>,
    failure: Arc<OnceLock<String>>,
}

impl Durable {
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.revision.clone()
    }

    pub(super) async fn wait(&self, revision: u64) -> Result<(), String> {
        let mut receiver = self.revision.clone();
        loop {
            if *receiver.borrow_and_update() >= revision {
                return Ok(());
            }
            if let Some(failure) = self.failure.get() {
                return Err(failure.clone());
            }
            if receiver.changed().await.is_err() {
                return Err("the writer has ended".to_owned());
            }
        }
    }
}

/// Starts the writer. It ends, with everything written, when the [`Log`] is dropped.
pub(super) fn start(folder: &Path, revision: u64, log: OpenLog) -> Result<(Log, Durable), PersistError> {
    let (queue, commits) = mpsc::channel();
    let (published, receiver) = watch::channel(revision);
    let failure = Arc::new(OnceLock::new());
    let writer_failure = failure.clone();
    std::thread::Builder::new()
        .name("store-log".to_owned())
        .spawn(move || write_all(log, &commits, &published, &writer_failure))
        .map_err(failed("start the writer for", folder))?;
    Ok((Log { queue, failure: failure.clone() }, Durable { revision: receiver, failure }))
}

type Commit = (EventKind, Arc<Stored>);

fn write_all(mut log: OpenLog, commits: &mpsc::Receiver<Commit>, published: &watch::Sender<u64>, failure: &OnceLock<String>) {
    let mut live_bytes: u64 = log.live.values().map(|(_, json)| json.len() as u64 + 128).sum();
    while let Ok(first) = commits.recv() {
        let batch: Vec<Commit> = std::iter::once(first).chain(commits.try_iter()).collect();
        if failure.get().is_some() {
            continue;
        }
        let written = write_batch(&mut log, &batch, &mut live_bytes)
            .and_then(|()| if log.length > REWRITE_AT_LEAST && log.length > live_bytes * 3 { rewrite(&mut log) } else { Ok(()) });
        match written {
            Ok(()) => {
                if let Some((_, last)) = batch.last() {
                    published.send_replace(last.revision);
                }
            }
            Err(error) => {
                tracing::error!(%error, "the log cannot be written; no more commits are acknowledged");
                let _ = failure.set(error.to_string());
                published.send_modify(|_| ());
            }
        }
    }
    drop(log.lock);
}

fn write_batch(log: &mut OpenLog, batch: &[Commit], live_bytes: &mut u64) -> io::Result<()> {
    let mut bytes = Vec::new();
    for (kind, stored) in batch {
        let deleted = *kind == EventKind::Deleted;
        bytes.extend_from_slice(&encode(deleted, *kind as u8, stored.revision, &stored.key, &stored.json));
        let before = if deleted {
            log.live.remove(&stored.key)
        } else {
            *live_bytes += stored.json.len() as u64 + 128;
            log.live.insert(stored.key.clone(), (stored.revision, stored.json.clone()))
        };
        if let Some((_, json)) = before {
            *live_bytes = live_bytes.saturating_sub(json.len() as u64 + 128);
        }
    }
    log.file.write_all(&bytes)?;
    log.file.sync_data()?;
    log.length += bytes.len() as u64;
    Ok(())
}

/// Writes the live objects to a new file and puts it in place of the log.
fn rewrite(log: &mut OpenLog) -> io::Result<()> {
    let fresh_path = log.folder.join("objects.log.new");
    let mut fresh = BufWriter::new(File::create(&fresh_path)?);
    let mut length = 0;
    let mut ordered: Vec<(&Key, &(u64, Bytes))> = log.live.iter().collect();
    ordered.sort_by_key(|(_, (revision, _))| *revision);
    for (key, (revision, json)) in ordered {
        let record = encode(false, EventKind::Modified as u8, *revision, key, json);
        fresh.write_all(&record)?;
        length += record.len() as u64;
    }
    let fresh = fresh.into_inner().map_err(io::IntoInnerError::into_error)?;
    fresh.sync_all()?;
    std::fs::rename(&fresh_path, log_path(&log.folder))?;
    File::open(&log.folder)?.sync_all()?;
    log.file = fresh;
    log.length = length;
    Ok(())
}

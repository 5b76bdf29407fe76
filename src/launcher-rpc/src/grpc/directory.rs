//! The launchers of a real node: found in the kubelet's pod folders, remembered on the node's disk (node.md §2).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::attached::Attached;
use super::connect_launcher;
use super::path::connect;
use crate::{BoxPipe, GhostRecord, Launcher, LauncherDirectory, Notify, Presence, Result, RpcError};

const COMMAND_SOCKET: &str = "launcher-sock";
const UNRESPONSIVE: &str = "launcher-unresponsive";
const NOTIFY_SOCKET: &str = "domain-notify-pipe.sock";

/// The launchers of this node.
///
/// A pod's volumes `sockets`, `public` and `private` are where launcher and handler meet: the launcher's command socket, the socket on
/// which this handler listens for it, and the sockets of the guest's devices.
pub struct SocketDirectory {
    pods: PathBuf,
    records: PathBuf,
    /// Servers for launchers, by their pod; one ends when its guard goes.
    attached: Mutex<BTreeMap<String, Attached>>,
}

impl std::fmt::Debug for SocketDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketDirectory").field("pods", &self.pods).field("records", &self.records).finish_non_exhaustive()
    }
}

/// A record on disk, under the name of the VMI's UID.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    name: String,
    namespace: String,
    socket_file: PathBuf,
    uid: String,
}

impl SocketDirectory {
    /// The launchers whose pods' folders are in `pods` (the kubelet's, as the handler sees them); records go into `records`.
    ///
    /// # Errors
    /// The folder for records cannot be made.
    pub fn new(pods: &Path, records: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(records)?;
        Ok(Self { pods: pods.to_owned(), records: records.to_owned(), attached: Mutex::default() })
    }

    fn volume(&self, pod_uid: &str, volume: &str) -> PathBuf {
        self.pods.join(pod_uid).join("volumes/kubernetes.io~empty-dir").join(volume)
    }

    fn command_socket(&self, pod_uid: &str) -> PathBuf {
        self.volume(pod_uid, "sockets").join(COMMAND_SOCKET)
    }

    /// The pod whose command socket this is.
    fn pod_of(&self, socket: &Path) -> Option<String> {
        let pod = socket.strip_prefix(&self.pods).ok()?.components().next()?;
        pod.as_os_str().to_str().map(str::to_owned)
    }
}

/// The pod's addresses in its `/etc/hosts`: the lines that are not everybody's, up to those that its owner added.
fn own_addresses(hosts: &str) -> Vec<String> {
    let given = hosts.lines().take_while(|line| !line.starts_with("# Entries added by HostAliases"));
    let entries = given.filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?, words.next()?))
    });
    let own = entries.filter(|(_, name)| *name != "localhost" && !name.starts_with("ip6-"));
    own.map(|(address, _)| address.to_owned()).collect()
}

/// There as itself: a link there would lead out of the pod.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| !found.file_type().is_symlink())
}

#[async_trait]
impl LauncherDirectory for SocketDirectory {
    async fn presence(&self, pod_uid: &str) -> Presence {
        let folder = self.volume(pod_uid, "sockets");
        if !is_there(&folder) {
            Presence::Gone
        } else if is_there(&folder.join(UNRESPONSIVE)) {
            Presence::Unresponsive
        } else if is_there(&self.command_socket(pod_uid)) {
            Presence::Ready
        } else {
            Presence::NotListening
        }
    }

    async fn connect(&self, pod_uid: &str) -> Result<Arc<dyn Launcher>> {
        connect_launcher(&self.command_socket(pod_uid)).await
    }

    async fn attach(&self, pod_uid: &str, notify: Arc<dyn Notify>) -> Result<()> {
        let socket = self.volume(pod_uid, "public").join(NOTIFY_SOCKET);
        let mut attached = self.attached.lock().unwrap_or_else(PoisonError::into_inner);
        attached.insert(pod_uid.to_owned(), Attached::new(socket, notify));
        Ok(())
    }

    async fn mark_unresponsive(&self, pod_uid: &str) {
        let mark = self.volume(pod_uid, "sockets").join(UNRESPONSIVE);
        if let Err(error) = std::fs::write(&mark, []) {
            tracing::warn!(%error, mark = %mark.display(), "the launcher could not be marked as one that does not answer");
        }
    }

    async fn addresses(&self, pod_uid: &str) -> Vec<String> {
        // What the kubelet wrote for the pod's own use; a pod in its node's network has none of its own.
        std::fs::read_to_string(self.pods.join(pod_uid).join("etc-hosts")).map_or_else(|_| Vec::new(), |text| own_addresses(&text))
    }

    async fn open(&self, pod_uid: &str, vmi_uid: &str, socket: &str) -> io::Result<BoxPipe> {
        let path = self.volume(pod_uid, "private").join(vmi_uid).join(socket);
        Ok(Box::new(connect(&path).await?))
    }

    async fn add_record(&self, record: GhostRecord) -> Result<()> {
        if let Some(known) = self.record(&record.namespace, &record.name).await {
            return if known == record {
                Ok(())
            } else {
                let (namespace, name) = (&record.namespace, &record.name);
                Err(RpcError::Refused(format!("can not add ghost record when entry already exists with differing UID: {namespace}/{name}")))
            };
        }
        let written = Written {
            socket_file: self.command_socket(&record.pod_uid),
            name: record.name,
            namespace: record.namespace,
            uid: record.uid.clone(),
        };
        let path = self.records.join(&record.uid);
        let write = || {
            // Whole or not at all, whenever the power goes.
            let new = path.with_extension("new");
            std::fs::write(&new, serde_json::to_vec(&written)?)?;
            std::fs::rename(&new, &path)
        };
        write().map_err(|error: io::Error| RpcError::Refused(format!("write ghost record {}: {error}", path.display())))
    }

    async fn remove_record(&self, _namespace: &str, _name: &str, uid: &str) {
        let path = self.records.join(uid);
        if let Ok(content) = std::fs::read(&path)
            && let Ok(written) = serde_json::from_slice::<Written>(&content)
            && let Some(pod) = self.pod_of(&written.socket_file)
        {
            let attached = self.attached.lock().unwrap_or_else(PoisonError::into_inner).remove(&pod);
            if let Some(attached) = attached {
                attached.dismiss(written.socket_file);
            }
        }
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %path.display(), "a ghost record could not be removed");
            }
            Ok(()) | Err(_) => {}
        }
    }

    async fn record(&self, namespace: &str, name: &str) -> Option<GhostRecord> {
        let records = self.records().await;
        records.into_iter().find(|record| record.namespace == namespace && record.name == name)
    }

    async fn records(&self) -> Vec<GhostRecord> {
        let Ok(entries) = std::fs::read_dir(&self.records) else { return Vec::new() };
        let mut records: Vec<GhostRecord> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                if path.extension().is_some() {
                    return None;
                }
                let written: Written = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
                let pod_uid = self.pod_of(&written.socket_file)?;
                Some(GhostRecord { namespace: written.namespace, name: written.name, uid: written.uid, pod_uid })
            })
            .collect();
        records.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, uid: &str) -> GhostRecord {
        GhostRecord { namespace: "ns".to_owned(), name: name.to_owned(), uid: uid.to_owned(), pod_uid: format!("pod-{uid}") }
    }

    #[tokio::test]
    async fn records_outlive_the_handler_and_refuse_a_second_incarnation() {
        let folder = tempfile::tempdir().unwrap();
        let open = || SocketDirectory::new(&folder.path().join("pods"), &folder.path().join("ghost-records")).unwrap();
        let directory = open();
        directory.add_record(record("b", "1")).await.unwrap();
        directory.add_record(record("a", "2")).await.unwrap();
        directory.add_record(record("a", "2")).await.unwrap();
        let refused = directory.add_record(record("a", "3")).await.unwrap_err();
        assert!(refused.to_string().starts_with("can not add ghost record when entry already exists"), "{refused}");
        let directory = open();
        assert_eq!(directory.records().await, [record("a", "2"), record("b", "1")]);
        assert_eq!(directory.record("ns", "b").await, Some(record("b", "1")));
        directory.remove_record("ns", "a", "2").await;
        directory.add_record(record("a", "3")).await.unwrap();
        assert_eq!(directory.records().await, [record("a", "3"), record("b", "1")]);
    }

    #[test]
    fn a_pods_addresses_are_in_its_hosts_file() {
        let hosts = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
                     fe00::0\tip6-localnet\n10.244.0.5\tvirt-launcher-vm-abcde\nfd00::5\tvirt-launcher-vm-abcde\n\n\
                     # Entries added by HostAliases.\n1.2.3.4\tother\n";
        assert_eq!(own_addresses(hosts), ["10.244.0.5", "fd00::5"]);
    }

    #[tokio::test]
    async fn presence_follows_the_pods_folder() {
        let folder = tempfile::tempdir().unwrap();
        let directory = SocketDirectory::new(folder.path(), &folder.path().join("ghost-records")).unwrap();
        assert_eq!(directory.presence("pod").await, Presence::Gone);
        let sockets = directory.volume("pod", "sockets");
        std::fs::create_dir_all(&sockets).unwrap();
        assert_eq!(directory.presence("pod").await, Presence::NotListening);
        std::os::unix::fs::symlink("/dev/null", sockets.join(COMMAND_SOCKET)).unwrap();
        assert_eq!(directory.presence("pod").await, Presence::NotListening, "a link leads out of the pod");
        std::fs::remove_file(sockets.join(COMMAND_SOCKET)).unwrap();
        std::fs::write(sockets.join(COMMAND_SOCKET), []).unwrap();
        assert_eq!(directory.presence("pod").await, Presence::Ready);
        directory.mark_unresponsive("pod").await;
        assert_eq!(directory.presence("pod").await, Presence::Unresponsive);
    }
}

//! A cluster for the controller's tests: an API of plain objects, and a node that runs what is handed to it.

mod api;
mod node;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Parser;
use runtime::{Clock, Deps, Entropy, Files, MemoryNet, WriteCounts};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use virt_controller::Args;

pub use self::api::State;
pub use self::node::Script;

/// The cluster; clones share it.
#[derive(Clone)]
pub struct Cluster {
    state: Arc<Mutex<State>>,
    clock: Clock,
    net: MemoryNet,
    /// Writes of all controllers so far.
    pub counts: WriteCounts,
}

/// A running controller.
pub struct Controller {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), virt_controller::Error>>,
}

impl Cluster {
    /// A cluster with a node that follows `script`. Only under tokio's paused clock.
    pub fn start(script: Script) -> Self {
        let clock = Clock::virtual_from("2026-01-01T00:00:00Z".parse().unwrap());
        let state = Arc::new(Mutex::new(State::new(clock.clone())));
        let cluster = Self { state, clock, net: MemoryNet::new(), counts: WriteCounts::new() };
        tokio::spawn(node::run(cluster.clone(), script));
        cluster
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a controller under a pod name of its own.
    pub fn controller(&self, pod_name: &str) -> Controller {
        let shutdown = CancellationToken::new();
        let deps = Deps {
            client: kube::Client::new(api::service(Arc::clone(&self.state)), "default"),
            clock: self.clock.clone(),
            entropy: Entropy::from_seed(7),
            net: Arc::new(self.net.on_host(pod_name)),
            files: Files::memory(std::collections::BTreeMap::new()),
            shutdown: shutdown.clone(),
            pod_name: pod_name.to_owned(),
            namespace: "kubevirt".to_owned(),
            node_name: None,
            pod_ip: None,
        };
        let args = Args::parse_from(["virt-controller", "--launcher-image", "registry/virt-launcher:v1"]);
        let task = tokio::spawn(virt_controller::run_counted(args, deps, self.counts.clone()));
        Controller { shutdown, task }
    }

    /// Waits until `holds`; fails with the objects after twenty minutes.
    pub async fn wait_for(&self, what: &str, holds: impl Fn(&State) -> bool) {
        for _ in 0..120_000 {
            if holds(&self.state()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never: {what}\n{}", self.state().dump());
    }
}

impl Controller {
    /// Stops it as SIGTERM would.
    pub async fn stop(self) {
        self.shutdown.cancel();
        let _ = self.task.await;
    }

    /// Ends it as SIGKILL would: nothing is given back.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
        self.shutdown.cancel();
    }
}

/// A VM with one container disk.
pub fn vm(name: &str, strategy: &str) -> Value {
    serde_json::json!({
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "runStrategy": strategy,
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "architecture": "amd64",
                    "domain": {
                        "devices": {"disks": [{"name": "root", "disk": {"bus": "virtio"}}]},
                        "machine": {"type": "q35"},
                        "memory": {"guest": "256Mi"},
                        "firmware": {"uuid": "5d307ca9-b3ef-428c-8861-06e72d69f223"},
                        "resources": {"requests": {"memory": "256Mi"}}
                    },
                    "volumes": [{"name": "root", "containerDisk": {"image": "registry.example/disk:1"}}]
                }
            }
        }
    })
}

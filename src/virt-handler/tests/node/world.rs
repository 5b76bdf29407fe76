//! A node on an API server in this process: virt-handler, launchers on the fake hypervisor, time that stands still until all wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::v1::VirtualMachineInstance;
use apiserver::auth::UserInfo;
use apiserver::env::{Entropy as ServerEntropy, Env};
use apiserver::http::ApiServer;
use apiserver::net::Unreachable;
use fake_hypervisor::{FakeHypervisor, GuestScript, Host as FakeHost};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use launcher_rpc::local::LocalDirectory;
use runtime::tls::{CertificateAuthority, CertificateRequest, Usage};
use runtime::{Clock, Deps, Entropy, Files, MemoryNet, WriteCounts};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use virt_launcher::{HostFacts, Rendezvous};

pub const NODE: &str = "node1";
pub const HANDLER_IP: &str = "10.0.0.7";

pub struct World {
    pub client: kube::Client,
    pub clock: Clock,
    pub net: MemoryNet,
    pub directory: LocalDirectory,
    pub counts: WriteCounts,
    pub authority: CertificateAuthority,
    files: Files,
    handlers: u64,
    handler: Option<(CancellationToken, JoinHandle<()>)>,
}

/// A launcher's pod; gone when it is dropped.
pub struct Pod {
    pub hypervisor: FakeHypervisor,
    pub stop: CancellationToken,
    process: JoinHandle<()>,
}

impl Pod {
    pub fn has_ended(&self) -> bool {
        self.process.is_finished()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.process.abort();
    }
}

impl World {
    pub async fn new() -> Self {
        let start: jiff::Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let clock = Clock::virtual_from(start);
        let now = {
            let clock = clock.clone();
            Arc::new(move || clock.now())
        };
        let env = Env { now, entropy: ServerEntropy::from_seed(1), dialer: Arc::new(Unreachable) };
        let server = ApiServer::builder(env).build().unwrap();
        let client = kube::Client::new(server.client_service_as(UserInfo::admin()), "default");
        let authority = CertificateAuthority::new("kubevirt.io", Duration::from_hours(24), &clock).unwrap();
        let issued = authority.issue(&request("kubevirt.io:system:node:virt-handler", Usage::Serving), &clock).unwrap();
        let folder = "/etc/virt-handler/servercertificates";
        let files = Files::memory(BTreeMap::from([
            (format!("{folder}/tls.crt"), issued.certificate.into_bytes()),
            (format!("{folder}/tls.key"), issued.key.into_bytes()),
        ]));
        let world = Self {
            client,
            clock,
            net: MemoryNet::new(),
            directory: LocalDirectory::new(),
            counts: WriteCounts::new(),
            authority,
            files,
            handlers: 0,
            handler: None,
        };
        world.install().await;
        world
    }

    async fn install(&self) {
        let crds: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        for crd in api::crd::all().unwrap() {
            let name = crd.metadata.name.clone().unwrap();
            if matches!(name.as_str(), "virtualmachineinstances.kubevirt.io" | "kubevirts.kubevirt.io") {
                crds.create(&PostParams::default(), &crd).await.unwrap();
                wait_for("established", async || {
                    let crd = crds.get(&name).await.unwrap();
                    let conditions = crd.status.and_then(|status| status.conditions).unwrap_or_default();
                    conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True")
                })
                .await;
            }
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let kubevirt = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kubevirt"}});
        namespaces.create(&PostParams::default(), &serde_json::from_value(kubevirt).unwrap()).await.unwrap();
        let nodes: Api<Node> = Api::all(self.client.clone());
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
        nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), "kubevirt");
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kubevirt-ca"},
            "data": {"ca-bundle": self.authority.certificate()},
        });
        maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
    }

    pub fn deps(&self) -> Deps {
        Deps {
            client: self.client.clone(),
            clock: self.clock.clone(),
            entropy: Entropy::from_seed(7 + self.handlers),
            net: Arc::new(self.net.on_host(HANDLER_IP)),
            files: self.files.clone(),
            shutdown: CancellationToken::new(),
            pod_name: "virt-handler-x".to_owned(),
            namespace: "kubevirt".to_owned(),
            node_name: Some(NODE.to_owned()),
            pod_ip: Some(HANDLER_IP.to_owned()),
        }
    }

    pub fn start_handler(&mut self) {
        self.handlers += 1;
        let deps = self.deps();
        let shutdown = deps.shutdown.clone();
        let args = clap::Parser::parse_from(["virt-handler"]);
        let host = virt_handler::Host {
            directory: Arc::new(self.directory.clone()),
            capabilities: FakeHost::default().capabilities,
            device_plugins: Arc::new(virt_handler::AllocatablePatch::new(self.client.clone(), NODE)),
        };
        let counts = self.counts.clone();
        let task = tokio::spawn(async move { virt_handler::run_counted(args, deps, host, counts).await.unwrap() });
        self.handler = Some((shutdown, task));
    }

    /// Ends the handler as a crash would: it gets no chance to say anything.
    pub async fn crash_handler(&mut self) {
        if let Some((shutdown, task)) = self.handler.take() {
            task.abort();
            let _ = task.await;
            shutdown.cancel();
        }
    }

    pub async fn stop_handler(&mut self) {
        if let Some((shutdown, task)) = self.handler.take() {
            shutdown.cancel();
            task.await.unwrap();
        }
    }

    /// A launcher's pod comes up on the node.
    pub fn pod(&self, name: &str, uid: &str, script: GuestScript) -> Pod {
        let place = self.directory.pod(&format!("pod-of-{uid}"), vec!["10.244.0.5".to_owned()]);
        let hypervisor = FakeHypervisor::new(Arc::new(FakeHost::default()), script);
        let stop = CancellationToken::new();
        let facts = HostFacts::simulated(FakeHost::default().capabilities, false);
        let deps = virt_launcher::Deps {
            hypervisor: Arc::new(hypervisor.clone()),
            convert: facts.conversion(),
            disks: Arc::new(virt_launcher::storage::NoDisks),
            clock: self.clock.clone(),
            rendezvous: Rendezvous::Local(place),
            stop: stop.clone(),
        };
        let arguments = ["virt-launcher", "--name", name, "--namespace", "default", "--uid", uid, "--grace-period-seconds", "45"];
        let args: virt_launcher::Args = clap::Parser::parse_from(arguments);
        let process = tokio::spawn(async move {
            virt_launcher::run(&args, deps).await.unwrap();
        });
        Pod { hypervisor, stop, process }
    }

    pub fn vmis(&self) -> Api<VirtualMachineInstance> {
        Api::default_namespaced(self.client.clone())
    }

    /// A VMI as virt-controller hands it over, and its UID.
    pub async fn handed_over(&self, name: &str, grace: i64) -> String {
        let vmi = json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
            "metadata": {
                "name": name,
                "finalizers": ["kubevirt.io/foregroundDeleteVirtualMachine"],
            },
            "spec": {
                "architecture": "amd64", "terminationGracePeriodSeconds": grace,
                "domain": {
                    "machine": {"type": "q35"},
                    "firmware": {"uuid": "6a1a24a1-4061-4607-8bf4-a3963d0c5895"},
                    "features": {"acpi": {"enabled": true}},
                    "memory": {"guest": "64Mi"}, "resources": {"requests": {"memory": "64Mi"}},
                    "devices": {
                        "disks": [{"name": "root", "disk": {"bus": "virtio"}}],
                        "interfaces": [{"name": "default", "masquerade": {}, "macAddress": "02:00:00:00:00:01"}],
                    },
                },
                "networks": [{"name": "default", "pod": {}}],
                "volumes": [{"name": "root", "containerDisk": {"image": "cirros"}}],
            },
        });
        let created = self.vmis().create(&PostParams::default(), &serde_json::from_value(vmi).unwrap()).await.unwrap();
        let uid = created.metadata.uid.clone().unwrap();
        let status = json!({"metadata": {"labels": {"kubevirt.io/nodeName": NODE}}, "status": {
            "phase": "Scheduled", "nodeName": NODE, "activePods": {format!("pod-of-{uid}"): NODE},
            "volumeStatus": [{"name": "root", "target": ""}],
            "phaseTransitionTimestamps": [{"phase": "Scheduled", "phaseTransitionTimestamp": self.clock.time()}],
        }});
        self.vmis().patch(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
        uid
    }

    pub async fn vmi(&self, name: &str) -> Option<Value> {
        let vmi = self.vmis().get_opt(name).await.unwrap();
        vmi.map(|vmi| serde_json::to_value(vmi).unwrap())
    }

    pub async fn phase(&self, name: &str, phase: &str) {
        wait_for(&format!("{name} {phase}"), async || self.vmi(name).await.is_some_and(|vmi| vmi["status"]["phase"] == phase)).await;
    }

    pub async fn delete(&self, name: &str) {
        self.vmis().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// What virt-controller does when a VMI is final and its pods are gone.
    pub async fn release(&self, name: &str) {
        let patch = json!({"metadata": {"finalizers": null}});
        self.vmis().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// `REASON MESSAGE` of the events about a VMI, in the order they were written.
    pub async fn events(&self, name: &str) -> Vec<String> {
        let events: Api<Event> = Api::default_namespaced(self.client.clone());
        let list = events.list(&ListParams::default().fields(&format!("involvedObject.name={name}"))).await.unwrap();
        let mut items = list.items;
        items.sort_by_key(|event| event.metadata.resource_version.clone().and_then(|version| version.parse::<u64>().ok()));
        let line = |event: Event| format!("{} {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default());
        items.into_iter().map(line).collect()
    }

    pub async fn node(&self) -> Node {
        let nodes: Api<Node> = Api::all(self.client.clone());
        nodes.get(NODE).await.unwrap()
    }
}

pub fn request(name: &str, usage: Usage) -> CertificateRequest {
    CertificateRequest {
        common_name: name.to_owned(),
        organizations: Vec::new(),
        hosts: vec!["virt-handler".to_owned()],
        usage,
        lifetime: Duration::from_hours(1),
    }
}

/// Waits until `holds`, for at most an hour of virtual time.
pub async fn wait_for(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_hours(1), waiting).await.is_ok(), "never came: {what}");
}

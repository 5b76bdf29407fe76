//! Figures: how fast, how large, how many writes. `cargo run --release -p ferrovirt-tests --bin load -- --help`.
//!
//! The first three figures are taken from outside, over HTTPS, on the `ferrovirt` program beside this one (build it first:
//! `cargo build --release --bin ferrovirt`); the writes are counted in process, under virtual time, so they are exact.

#![allow(clippy::print_stdout, reason = "figures are its output")]
#![allow(clippy::disallowed_methods, reason = "it measures real time from outside")]

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use ferrovirt::cluster::{Cluster, Options};
use ferrovirt_tests::{manifest, wait};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{DynamicObject, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long anything may take before it is given up.
const PATIENCE: Duration = Duration::from_mins(5);

#[derive(Parser)]
#[command(about = "Measures ferrovirt up")]
struct Args {
    /// How many VMs to bring up at once.
    #[arg(long, default_value_t = 1000)]
    vms: usize,
    /// How many nodes to simulate.
    #[arg(long, default_value_t = 10)]
    nodes: u16,
    /// How many single creations to time first.
    #[arg(long, default_value_t = 200)]
    samples: usize,
    /// How many creations are under way at a time.
    #[arg(long, default_value_t = 32)]
    parallel: usize,
    /// Only count the writes of a VM's life.
    #[arg(long)]
    writes: bool,
}

/// A `ferrovirt up` that ends with this value.
struct Up {
    child: Child,
    /// What it prints: open as long as it runs.
    output: Lines<BufReader<ChildStdout>>,
    kubeconfig: PathBuf,
}

impl Up {
    fn start(folder: &Path, nodes: u16) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("ferrovirt");
        let kubeconfig = folder.join("kubeconfig");
        let mut child = Command::new(&program)
            .args(["up", "--listen", "127.0.0.1:0", "--nodes", &nodes.to_string(), "--kubeconfig"])
            .arg(&kubeconfig)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let output = BufReader::new(child.stdout.take().context("its output is not piped")?).lines();
        Ok(Self { child, output, kubeconfig })
    }

    /// A client, as soon as the program says that it is ready.
    async fn client(&mut self) -> Result<Client> {
        let ready = async {
            while let Some(line) = self.output.next_line().await? {
                if line.starts_with("ready after") {
                    return Ok(());
                }
            }
            bail!("ferrovirt ended before it was ready")
        };
        tokio::time::timeout(PATIENCE, ready).await.context("ferrovirt is not ready")??;
        let config = Config::from_custom_kubeconfig(Kubeconfig::read_from(&self.kubeconfig)?, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }

    /// A memory figure of the process in MiB: `VmRSS` now, `VmHWM` at its peak.
    fn memory(&self, what: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().context("it has ended")?))?;
        let line = status.lines().find(|line| line.starts_with(what)).with_context(|| format!("no {what}"))?;
        let kib: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).context("no number")?;
        Ok(kib / 1024)
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    if !args.writes {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(outside(&args))?;
    }
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(writes())
}

async fn outside(args: &Args) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let began = Instant::now();
    let mut up = Up::start(folder.path(), args.nodes)?;
    let client = up.client().await?;
    let vms = wait::api(&client, "VirtualMachine", Some("default"));
    create(&vms, "first").await?;
    println!("process start to first VM accepted: {} ms", began.elapsed().as_millis());
    println!("RSS idle: {} MiB", up.memory("VmRSS")?);

    let mut times = Vec::new();
    for index in 0..args.samples {
        times.push(create_to_running(&client, &format!("one-{index}")).await?);
    }
    times.sort();
    let at = |share: f64| times.get(((times.len() - 1) as f64 * share) as usize).map_or(0.0, |t| t.as_secs_f64() * 1000.0);
    if !times.is_empty() {
        println!("VM create to Running over HTTPS, {} samples: P50 {:.1} ms, P99 {:.1} ms", times.len(), at(0.5), at(0.99));
    }

    let began = Instant::now();
    let running = tokio::spawn(all_running(client.clone(), args.vms + args.samples + 1));
    let created: Result<Vec<()>> = stream::iter(0..args.vms)
        .map(|index| {
            let vms = &vms;
            async move { create(vms, &format!("many-{index}")).await }
        })
        .buffer_unordered(args.parallel)
        .try_collect()
        .await;
    created?;
    let accepted = began.elapsed();
    tokio::time::timeout(PATIENCE, running).await.context("not all VMs run: have the nodes room for them?")???;
    println!(
        "{} VMs: all accepted after {:.1} s, all Running after {:.1} s; peak RSS {} MiB",
        args.vms,
        accepted.as_secs_f64(),
        began.elapsed().as_secs_f64(),
        up.memory("VmHWM")?
    );
    Ok(())
}

async fn create(vms: &Api<DynamicObject>, name: &str) -> Result<()> {
    let vm: DynamicObject = serde_json::from_value(manifest::vm(name, ("runStrategy", json!("Always"))))?;
    vms.create(&PostParams::default(), &vm).await?;
    Ok(())
}

async fn create_to_running(client: &Client, name: &str) -> Result<Duration> {
    let vms = wait::api(client, "VirtualMachine", Some("default"));
    let vmis = wait::api(client, "VirtualMachineInstance", Some("default"));
    let params = WatchParams::default().fields(&format!("metadata.name={name}")).timeout(60);
    let events = vmis.watch(&params, "0").await?;
    let began = Instant::now();
    create(&vms, name).await?;
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.try_next().await? {
        if let WatchEvent::Added(vmi) | WatchEvent::Modified(vmi) = event
            && vmi.data.pointer("/status/phase") == Some(&json!("Running"))
        {
            return Ok(began.elapsed());
        }
    }
    bail!("{name} did not become Running")
}

/// Ends when so many VMIs are Running.
async fn all_running(client: Client, count: usize) -> Result<()> {
    let vmis = wait::api(&client, "VirtualMachineInstance", Some("default"));
    let mut running = BTreeSet::new();
    let mut events = std::pin::pin!(kube::runtime::watcher(vmis, kube::runtime::watcher::Config::default()));
    while let Some(event) = events.try_next().await? {
        if let kube::runtime::watcher::Event::InitApply(vmi) | kube::runtime::watcher::Event::Apply(vmi) = event
            && vmi.data.pointer("/status/phase") == Some(&json!("Running"))
        {
            running.insert(vmi.metadata.name);
            if running.len() >= count {
                return Ok(());
            }
        }
    }
    bail!("{} of {count} became Running", running.len())
}

/// Prints every change of a kind's objects, as it differs from the version before.
async fn show(api: Api<DynamicObject>, kind: &'static str) -> Result<()> {
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    let mut events = api.watch(&WatchParams::default(), "0").await?.boxed();
    while let Some(event) = events.try_next().await? {
        let (what, object) = match event {
            WatchEvent::Added(object) => ("added", object),
            WatchEvent::Modified(object) => ("changed", object),
            WatchEvent::Deleted(object) => ("deleted", object),
            _ => continue,
        };
        let name = object.metadata.name.clone().unwrap_or_default();
        let mut value = serde_json::to_value(object)?;
        if let Some(metadata) = value["metadata"].as_object_mut() {
            metadata.retain(|key, _| !matches!(key.as_str(), "managedFields" | "resourceVersion" | "generation"));
        }
        match (kind, known.insert(name.clone(), value.clone())) {
            ("Event", _) => println!("Event {} {} {}", value["involvedObject"]["kind"], value["reason"], value["message"]),
            (_, None) => println!("{kind} {name} {what}"),
            (_, Some(old)) => println!("{kind} {name} {what}: {}", serde_json::to_string(&json_patch::diff(&old, &value))?),
        }
    }
    Ok(())
}

/// Writes of one VM's life, by who, verb and resource.
async fn writes() -> Result<()> {
    let cluster = Cluster::start(Options { nodes: 1, ..Options::simulated(1) }).await?;
    let client = cluster.client();
    let vms = wait::api(&client, "VirtualMachine", Some("default"));
    let shown: Vec<_> = ["VirtualMachine", "VirtualMachineInstance", "Pod", "Event"]
        .into_iter()
        .map(|kind| tokio::spawn(show(wait::api(&client, kind, Some("default")), kind)))
        .collect();
    let before = cluster.requests().snapshot();
    create(&vms, "vm").await?;
    let shows = |status: &'static str| move |vm: Option<&Value>| vm.is_some_and(|vm| vm["status"]["printableStatus"] == status);
    wait::until(&vms, "vm", "Running", wait::PATIENCE, shows("Running")).await?;
    vms.delete("vm", &kube::api::DeleteParams::default()).await?;
    wait::until(&vms, "vm", "gone", wait::PATIENCE, |vm| vm.is_none()).await?;
    for task in shown {
        task.abort();
    }
    println!("\nAPI writes of one VM life (create, run, delete):");
    let mut total = 0;
    for ((who, verb, resource), count) in cluster.requests().writes_since(&before) {
        let ours = who.starts_with("system:serviceaccount:kubevirt:");
        if ours && resource != "leases" && !resource.ends_with("accessreviews") {
            total += count;
        }
        println!("  {count:>3}  {verb:<7} {resource:<40} {who}");
    }
    println!("  {total:>3}  by KubeVirt's components, leases apart");
    cluster.stop().await;
    Ok(())
}

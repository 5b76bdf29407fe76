//! How many admissions a second: `cargo run --release -p ferrovirt-tests --bin admissions -- --help`.
//!
//! virt-api's own server, over TLS and TCP, asked on connections that are kept alive; each admission is one review. Half of them
//! complete a new instance, half judge it. Two threads do all the work, the asking included.

#![allow(clippy::print_stdout, reason = "figures are its output")]
#![allow(clippy::disallowed_methods, reason = "it measures real time from outside")]

use anyhow::{Result, bail, ensure};
use base64::Engine as _;
use bytes::Bytes;
use clap::Parser;
use ferrovirt::cluster::{Cluster, Options};
use ferrovirt_tests::webhook::{Connection, Webhook};
use ferrovirt_tests::{manifest, parity};
use runtime::TcpNet;
use runtime::tls::CertificateAuthority;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Parser)]
#[command(about = "Measures admission through virt-api's webhooks")]
struct Args {
    /// How many reviews to send.
    #[arg(long, default_value_t = 20_000)]
    reviews: usize,
    /// How many connections to keep.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// How many reviews to send a second; as many as possible without.
    #[arg(long)]
    rate: Option<u32>,
}

const MUTATE: &str = "/virtualmachineinstances-mutate";
const VALIDATE: &str = "/virtualmachineinstances-validate-create";

fn review(object: &Value) -> Bytes {
    let request = json!({
        "uid": "7a4f2b4e-0d0c-4d0a-9a53-1d7d4f5a7e10", "kind": {"group": "kubevirt.io", "version": "v1", "kind": "VirtualMachineInstance"},
        "resource": {"group": "kubevirt.io", "version": "v1", "resource": "virtualmachineinstances"},
        "name": "vmi", "namespace": "default", "operation": "CREATE", "userInfo": {"username": "pat"}, "object": object, "oldObject": null,
    });
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string().into()
}

/// The reviews to send over and over: the measured instances that are accepted, before and after their defaults.
async fn questions(connection: &mut Connection) -> Result<Vec<(&'static str, Bytes)>> {
    let mut objects = vec![manifest::vmi("vmi")];
    for case in parity::pack::cases("vmi")?.into_iter().filter(|c| c.documents.len() == 1) {
        objects.extend(case.documents);
    }
    let mut questions = Vec::new();
    for mut object in objects {
        let asked = review(&object);
        let answer = connection.review(MUTATE, asked.clone()).await?;
        let Some(patch) = answer["patch"].as_str() else { continue };
        let patch: json_patch::Patch = serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(patch)?)?;
        json_patch::patch(&mut object, &patch)?;
        questions.extend([(MUTATE, asked), (VALIDATE, review(&object))]);
    }
    ensure!(questions.len() > 20, "there are {} reviews", questions.len());
    Ok(questions)
}

/// Asks in turn until all reviews are sent; how long each answer took.
async fn ask(
    mut connection: Connection,
    questions: Arc<Vec<(&'static str, Bytes)>>,
    from: usize,
    count: usize,
    pause: Option<Duration>,
) -> Result<Vec<Duration>> {
    let mut taken = Vec::with_capacity(count);
    let begin = Instant::now();
    for i in 0..count {
        if let Some(pause) = pause {
            tokio::time::sleep_until((begin + pause * u32::try_from(i)?).into()).await;
        }
        let Some((path, body)) = questions.get((from + i) % questions.len()) else { bail!("no reviews") };
        let asked = Instant::now();
        let answer = connection.review(path, body.clone()).await?;
        taken.push(asked.elapsed());
        ensure!(answer["uid"].is_string(), "an answer without its question: {answer}");
    }
    Ok(taken)
}

fn main() -> Result<()> {
    let args = Args::parse();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(run(args))
}

async fn run(args: Args) -> Result<()> {
    let cluster = Cluster::start(Options { nodes: 1, ..Options::real(1) }).await?;
    let authority = CertificateAuthority::new("measurement", Duration::from_hours(1), cluster.clock())?;
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
    let webhook = Webhook::start(&cluster, Arc::new(TcpNet::default()), port, &authority)?;
    let mut first = webhook.connect(&authority).await?;
    let questions = Arc::new(questions(&mut first).await?);
    let (connections, each) = (args.connections.max(1), args.reviews / args.connections.max(1));
    let pause = args.rate.map(|rate| Duration::from_secs(1) * u32::try_from(connections).unwrap_or(1) / rate.max(1));
    let mut tasks = Vec::new();
    let begin = Instant::now();
    for i in 0..connections {
        let connection = webhook.connect(&authority).await?;
        tasks.push(tokio::spawn(ask(connection, Arc::clone(&questions), i * 7, each, pause)));
    }
    let mut taken = Vec::new();
    for task in tasks {
        taken.extend(task.await??);
    }
    let elapsed = begin.elapsed();
    taken.sort_unstable();
    let at = |permille: usize| taken.get((taken.len() * permille / 1000).min(taken.len().saturating_sub(1))).copied().unwrap_or_default();
    println!(
        "{} reviews of {} kinds over {connections} connections in {:.2} s: {:.0} a second; P50 {:.2} ms, P99 {:.2} ms, slowest {:.2} ms",
        taken.len(),
        questions.len(),
        elapsed.as_secs_f64(),
        taken.len() as f64 / elapsed.as_secs_f64(),
        at(500).as_secs_f64() * 1e3,
        at(990).as_secs_f64() * 1e3,
        at(1000).as_secs_f64() * 1e3,
    );
    cluster.stop().await;
    Ok(())
}

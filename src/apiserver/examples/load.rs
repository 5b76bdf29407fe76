//! How much the server takes: many objects, many watches, many writes with watchers, and a watcher that does not read.
//!
//! ```text
//! cargo run --release --example load
//! cargo run --example load -- --objects 1000 --watches 100 --rate 200 --watchers 10 --seconds 2 --slow 20000
//! ```
//!
//! Without options: 100,000 objects, 10,000 watches, 5,000 writes a second for ten seconds with 100 watchers. Everything runs
//! in this process, on two threads, through the same service that the listener serves; what it says of memory is the
//! resident size of the process.

#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::cast_precision_loss, reason = "it tells and measures")]

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferrovirt_apiserver::auth::UserInfo;
use ferrovirt_apiserver::env::Env;
use ferrovirt_apiserver::http::{ApiServer, Body, Client};
use ferrovirt_apiserver::net::Unreachable;
use ferrovirt_apiserver::resource::GroupResource;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::ServiceExt as _;

type Failure = Box<dyn Error + Send + Sync>;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const WRITERS: u64 = 8;

/// A number from the command line.
fn option(name: &str, default: u64) -> Result<u64, Failure> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    match arguments.nth(1) {
        Some(text) => Ok(text.parse().map_err(|_| format!("{name} takes a number, not {text:?}"))?),
        None => Ok(default),
    }
}

/// Resident memory of this process in bytes; 0 where that is not known.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default() * 4096
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

async fn send(client: &Client, method: &str, path: &str, body: &Value) -> Result<Response<Body>, Failure> {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json").body(Full::new(body))?;
    let response = client.clone().oneshot(request).await?;
    if response.status().is_success() {
        return Ok(response);
    }
    let (status, text) = (response.status(), response.into_body().collect().await?.to_bytes());
    Err(format!("{method} {path}: {status} {}", String::from_utf8_lossy(&text)).into())
}

fn object(name: &str, filler: usize) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": "load"}}, "data": {"k": "dmFs".repeat(filler)}})
}

/// Creates objects, lists them all, and lists them in pages.
async fn objects(server: &ApiServer, client: &Client, count: u64) -> Result<(), Failure> {
    let (before, begin) = (resident(), Instant::now());
    for index in 0..count {
        send(client, "POST", MAPS, &object(&format!("c{index:06}"), 32)).await?;
    }
    let took = begin.elapsed();
    let (stored, _) = server.store().list(&GroupResource::new("", "configmaps"), None);
    let encoded: u64 = stored.iter().map(|stored| stored.json.len() as u64).sum();
    drop(stored);
    let grown = resident().saturating_sub(before);
    let each = |bytes: u64| bytes / count.max(1);
    println!(
        "objects: {count} created in {took:.2?} ({:.0} a second); {} bytes each encoded, {} bytes each resident beyond that, {:.0} MiB in all",
        count as f64 / took.as_secs_f64(),
        each(encoded),
        each(grown.saturating_sub(encoded)),
        mebibytes(resident())
    );
    let begin = Instant::now();
    let whole = send(client, "GET", MAPS, &Value::Null).await?.into_body().collect().await?.to_bytes();
    println!("list: {:.1} MiB in {:.2?}", mebibytes(whole.len() as u64), begin.elapsed());
    drop(whole);
    let (begin, mut pages, mut next) = (Instant::now(), 0, String::new());
    loop {
        let path = format!("{MAPS}?limit=500&continue={next}");
        let page: Value = serde_json::from_slice(&send(client, "GET", &path, &Value::Null).await?.into_body().collect().await?.to_bytes())?;
        pages += 1;
        page["metadata"]["continue"].as_str().unwrap_or_default().clone_into(&mut next);
        if next.is_empty() {
            break;
        }
    }
    println!("list: {pages} pages of 500 in {:.2?}", begin.elapsed());
    Ok(())
}

/// Counts the events of a watch, a line each; ends with the watch.
async fn count_events(watch: Response<Body>, seen: Arc<AtomicU64>) -> Result<(), Failure> {
    let mut body = pin!(watch.into_body());
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            seen.fetch_add(data.split(|byte| *byte == b'\n').count().saturating_sub(1) as u64, Ordering::Relaxed);
        }
    }
    Ok(())
}

async fn reached(seen: &AtomicU64, wanted: u64, patience: Duration) -> bool {
    let begin = Instant::now();
    while seen.load(Ordering::Relaxed) < wanted {
        if begin.elapsed() > patience {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    true
}

/// Opens watches and times how long one write takes to reach them all.
async fn watches(server: &ApiServer, client: &Client, count: u64) -> Result<(), Failure> {
    let revision = server.store().revision();
    let (before, begin, idle) = (resident(), Instant::now(), server.store().watches());
    let seen = Arc::new(AtomicU64::new(0));
    let mut open = Vec::new();
    for _ in 0..count {
        let watch = send(client, "GET", &format!("{SECRETS}?watch=1&resourceVersion={revision}"), &Value::Null).await?;
        open.push(tokio::spawn(count_events(watch, seen.clone())));
    }
    let (took, grown) = (begin.elapsed(), resident().saturating_sub(before));
    let begin = Instant::now();
    send(client, "POST", SECRETS, &object("seen-by-all", 1)).await?;
    let all = reached(&seen, count, Duration::from_mins(1)).await;
    let took_all = begin.elapsed();
    println!(
        "watches: {} opened in {took:.2?}, {} bytes each resident; one write reached {} of {count} in {took_all:.2?}{}",
        server.store().watches() - idle,
        grown / count.max(1),
        seen.load(Ordering::Relaxed),
        if all { "" } else { ": NOT ALL" }
    );
    for task in &open {
        task.abort();
    }
    drop(open);
    while server.store().watches() > idle {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("watches: all closed, {:.0} MiB in all", mebibytes(resident()));
    Ok(())
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Offers writes at a rate while watchers follow.
async fn writes(server: &ApiServer, client: &Client, rate: u64, watchers: u64, seconds: u64) -> Result<(), Failure> {
    let mut counters = Vec::new();
    let mut open = Vec::new();
    for index in 0..WRITERS * 16 {
        send(client, "POST", SECRETS, &object(&format!("w{index}"), 16)).await?;
    }
    let revision = server.store().revision();
    for _ in 0..watchers {
        let seen = Arc::new(AtomicU64::new(0));
        let watch = send(client, "GET", &format!("{SECRETS}?watch=1&resourceVersion={revision}"), &Value::Null).await?;
        open.push(tokio::spawn(count_events(watch, seen.clone())));
        counters.push(seen);
    }
    let (before, begin) = (resident(), Instant::now());
    let (took, mut taken) = mpsc::unbounded_channel();
    let each = Duration::from_secs_f64(WRITERS as f64 / rate.max(1) as f64);
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let (client, took) = (client.clone(), took.clone());
        writers.push(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(each);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
            for turn in 0..rate * seconds / WRITERS {
                ticks.tick().await;
                let path = format!("{SECRETS}/w{}", writer * 16 + turn % 16);
                let start = Instant::now();
                send(&client, "PUT", &path, &object(path.rsplit('/').next().unwrap_or_default(), 16 + usize::from(turn / 16 % 2 == 0)))
                    .await?;
                let _ = took.send(start.elapsed());
            }
            Ok::<_, Failure>(())
        }));
    }
    drop(took);
    let mut latencies = Vec::new();
    while let Some(latency) = taken.recv().await {
        latencies.push(latency);
    }
    for writer in writers {
        writer.await??;
    }
    let (spent, written) = (begin.elapsed(), latencies.len() as u64);
    let begin = Instant::now();
    let mut behind = 0;
    for seen in &counters {
        behind += u64::from(!reached(seen, written, Duration::from_secs(30)).await);
    }
    let (caught_up, delivered) = (begin.elapsed(), counters.iter().map(|seen| seen.load(Ordering::Relaxed)).sum::<u64>());
    latencies.sort_unstable();
    println!(
        "writes: {written} in {spent:.2?} ({:.0} a second of {rate} offered), p50 {:.2?}, p99 {:.2?}, longest {:.2?}",
        written as f64 / spent.as_secs_f64(),
        percentile(&latencies, 50),
        percentile(&latencies, 99),
        percentile(&latencies, 100)
    );
    println!(
        "writes: {watchers} watchers got {delivered} events, {:.3} of what was written, the last {caught_up:.2?} after the last write; {behind} \
         watchers got less; {:.0} MiB more, {:.0} MiB in all",
        delivered as f64 / (written * watchers).max(1) as f64,
        mebibytes(resident().saturating_sub(before)),
        mebibytes(resident())
    );
    open.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}

/// A watcher that does not read while there are more events than are kept: it is told, and goes on from a list.
async fn slow(client: &Client, count: u64) -> Result<(), Failure> {
    let watch = send(client, "GET", &format!("{SECRETS}?watch=1"), &Value::Null).await?;
    let before = resident();
    for turn in 0..count {
        send(client, "PUT", &format!("{SECRETS}/w0"), &object("w0", 16 + usize::from(turn % 2 == 0))).await?;
    }
    let grown = resident().saturating_sub(before);
    let mut body = pin!(watch.into_body());
    let (mut events, mut last) = (0_u64, String::new());
    let ended = tokio::time::timeout(Duration::from_secs(5), async {
        while let Some(frame) = body.frame().await {
            for line in frame?.data_ref().map(|data| String::from_utf8_lossy(data).into_owned()).unwrap_or_default().lines() {
                events += 1;
                line.clone_into(&mut last);
            }
        }
        Ok::<_, Failure>(())
    });
    let ended = ended.await.is_ok();
    let code = serde_json::from_str::<Value>(&last).unwrap_or_default()["object"]["code"].clone();
    println!(
        "slow watcher: {count} writes unread, {:.1} MiB more; then {events} events, ended: {ended}, last code {code}",
        mebibytes(grown)
    );
    let list = send(client, "GET", SECRETS, &Value::Null).await?.into_body().collect().await?.to_bytes();
    let revision = serde_json::from_slice::<Value>(&list)?["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    let seen = Arc::new(AtomicU64::new(0));
    let watch = send(client, "GET", &format!("{SECRETS}?watch=1&resourceVersion={revision}"), &Value::Null).await?;
    let task = tokio::spawn(count_events(watch, seen.clone()));
    send(client, "PUT", &format!("{SECRETS}/w0"), &object("w0", 40)).await?;
    println!("slow watcher: resumed from a list: {}", reached(&seen, 1, Duration::from_secs(5)).await);
    task.abort();
    Ok(())
}

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (count, open, rate) = (option("--objects", 100_000)?, option("--watches", 10_000)?, option("--rate", 5_000)?);
    let (watchers, seconds, unread) = (option("--watchers", 100)?, option("--seconds", 10)?, option("--slow", 200_000)?);
    runtime.block_on(async {
        let server = ApiServer::builder(Env::system(1, Arc::new(Unreachable))).build()?;
        let client = server.client_service_as(UserInfo::admin());
        println!("start: {:.0} MiB", mebibytes(resident()));
        objects(&server, &client, count).await?;
        watches(&server, &client, open).await?;
        writes(&server, &client, rate, watchers, seconds).await?;
        slow(&client, unread).await
    })
}

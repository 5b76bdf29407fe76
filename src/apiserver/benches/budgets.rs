//! The crate's budgets: from nothing to ready in 20 ms, a create in process in 50 µs, 3 KB of memory an object beyond its
//! own bytes. `cargo bench -p ferrovirt-apiserver`; the bytes an object are printed first.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench may assume, tells, and measures"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ferrovirt_apiserver::auth::UserInfo;
use ferrovirt_apiserver::env::{Entropy, Env};
use ferrovirt_apiserver::http::{ApiServer, Client};
use ferrovirt_apiserver::net::Unreachable;
use ferrovirt_apiserver::serve::Pki;
use http::Request;
use http_body_util::Full;
use tower::ServiceExt as _;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn env() -> Env {
    let at: jiff::Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    Env { now: Arc::new(move || at), entropy: Entropy::from_seed(1), dialer: Arc::new(Unreachable) }
}

fn server() -> ApiServer {
    ApiServer::builder(env()).build().unwrap()
}

fn config_map(index: u64) -> String {
    format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"c{index}","labels":{{"a":"b"}}}},"data":{{"k":"v"}}}}"#)
}

async fn send(client: Client, method: &str, path: &str, body: String) -> u16 {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let response = client.oneshot(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
    response.status().as_u16()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("a number of pages") * 4096
}

/// Memory that 20,000 objects need beyond their encoded bytes; once, since memory is not freed between runs.
fn bytes_an_object() {
    const COUNT: u64 = 20_000;
    let server = server();
    let client = server.client_service_as(UserInfo::admin());
    let before = resident();
    let begin = Instant::now();
    runtime().block_on(async {
        for index in 0..COUNT {
            assert_eq!(send(client.clone(), "POST", MAPS, config_map(index)).await, 201);
        }
    });
    let took = begin.elapsed() / u32::try_from(COUNT).unwrap();
    let objects = server.store().list(&ferrovirt_apiserver::resource::GroupResource::new("", "configmaps"), None).0;
    let encoded: usize = objects.iter().map(|stored| stored.json.len()).sum();
    let more = (resident() - before).saturating_sub(encoded as u64) / COUNT;
    println!("{COUNT} objects: {} bytes each encoded, {more} bytes each beyond that, {took:?} a create", encoded as u64 / COUNT);
}

fn budgets(criterion: &mut Criterion) {
    bytes_an_object();
    let runtime = runtime();

    criterion.bench_function("start/in_process", |bench| bench.iter(server));
    criterion.bench_function("start/ready_with_keys", |bench| {
        let pki = Pki::generate(&env().now, &[]).unwrap();
        bench.iter(|| {
            let server = ApiServer::builder(env()).pki(&pki).build().unwrap();
            let client = server.client_service_as(UserInfo::admin());
            assert_eq!(runtime.block_on(send(client, "GET", "/readyz", String::new())), 200);
        });
    });

    let server = server();
    let client = server.client_service_as(UserInfo::admin());
    let mut next = 0;
    criterion.bench_function("create/config_map", |bench| {
        bench.iter_batched(
            || {
                next += 1;
                config_map(next)
            },
            |body| assert_eq!(runtime.block_on(send(client.clone(), "POST", MAPS, body)), 201),
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function("get/config_map", |bench| {
        bench.iter(|| assert_eq!(runtime.block_on(send(client.clone(), "GET", &format!("{MAPS}/c1"), String::new())), 200));
    });
}

criterion_group! {
    name = all;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500)).sample_size(30);
    targets = budgets
}
criterion_main!(all);

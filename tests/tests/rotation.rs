//! Certificates of the webhooks rotate: a new one is served without a restart, and connections that are open stay.

#![allow(clippy::unwrap_used, reason = "tests may assume")]

use ferrovirt::cluster::{Cluster, Options};
use ferrovirt_tests::webhook::Webhook;
use http::StatusCode;
use runtime::tls::CertificateAuthority;
use runtime::{Files, MemoryNet};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_new_certificate_is_served_without_a_restart() {
    let cluster = Cluster::start(Options { nodes: 1, ..Options::simulated(3) }).await.unwrap();
    let authority = |name: &str| CertificateAuthority::new(name, Duration::from_hours(48), cluster.clock()).unwrap();
    let (old, new) = (authority("old"), authority("new"));
    let webhook = Webhook::start(&cluster, Arc::new(MemoryNet::new()), 8443, &old).unwrap();
    let mut kept = webhook.connect(&old).await.unwrap();
    assert_eq!(kept.send("GET", "/healthz", "text/plain", bytes::Bytes::new()).await.unwrap().0, StatusCode::OK);
    assert!(webhook.connect(&new).await.is_err());

    webhook.certify(&new, Duration::from_hours(24)).unwrap();
    assert!(webhook.connect(&old).await.is_ok(), "the old certificate is served until files are read again");
    let begin = tokio::time::Instant::now();
    while begin.elapsed() <= Files::RELOAD {
        tokio::time::sleep(Duration::from_secs(10)).await;
        // A connection that says nothing for long is closed, whatever becomes of certificates.
        assert_eq!(kept.send("GET", "/healthz", "text/plain", bytes::Bytes::new()).await.unwrap().0, StatusCode::OK);
    }
    assert!(webhook.connect(&new).await.is_ok());
    assert!(webhook.connect(&old).await.is_err());
    assert_eq!(kept.send("GET", "/healthz", "text/plain", bytes::Bytes::new()).await.unwrap().0, StatusCode::OK);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_webhook_answers_reviews_and_refuses_what_is_none() {
    let cluster = Cluster::start(Options { nodes: 1, ..Options::simulated(3) }).await.unwrap();
    let authority = CertificateAuthority::new("ca", Duration::from_hours(48), cluster.clock()).unwrap();
    let webhook = Webhook::start(&cluster, Arc::new(MemoryNet::new()), 8443, &authority).unwrap();
    let mut connection = webhook.connect(&authority).await.unwrap();
    let path = "/virtualmachines-validate";
    for (kind, body) in [("application/json", "{"), ("application/json", "{}"), ("text/plain", r#"{"request": {}}"#)] {
        let (status, answer) = connection.send("POST", path, kind, body.into()).await.unwrap();
        assert_eq!((status, answer.len()), (StatusCode::BAD_REQUEST, 0), "{kind} {body}");
    }
    let review = serde_json::json!({"request": {
        "uid": "u", "kind": {"kind": "VirtualMachine"}, "operation": "CREATE", "namespace": "default",
        "object": {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": "vm"}, "spec": {}},
    }});
    let response = connection.review(path, review.to_string().into()).await.unwrap();
    assert_eq!((&response["uid"], &response["allowed"]), (&"u".into(), &false.into()));
    assert_eq!(response["status"]["message"], "spec.template in body is required");
    cluster.stop().await;
}

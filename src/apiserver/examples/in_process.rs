//! A Kubernetes API server for a test, without a socket: ten lines.
//!
//! ```text
//! cargo run --example in_process
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::Arc;

use ferrovirt_apiserver::auth::UserInfo;
use ferrovirt_apiserver::env::Env;
use ferrovirt_apiserver::http::ApiServer;
use ferrovirt_apiserver::net::Unreachable;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ObjectMeta, PostParams};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = ApiServer::builder(Env::system(1, Arc::new(Unreachable))).build()?;
    let client = kube::Client::new(server.client_service_as(UserInfo::admin()), "default");
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let map = ConfigMap { metadata: ObjectMeta { name: Some("hello".into()), ..ObjectMeta::default() }, ..ConfigMap::default() };
    let created = maps.create(&PostParams::default(), &map).await?;
    println!("created at revision {}", created.metadata.resource_version.unwrap_or_default());
    Ok(())
}

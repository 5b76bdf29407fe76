//! A CustomResourceDefinition and its objects: validated by schema and CEL, served as soon as the definition is written.
//!
//! ```text
//! cargo run --example custom_resources
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::Arc;

use ferrovirt_apiserver::auth::UserInfo;
use ferrovirt_apiserver::env::Env;
use ferrovirt_apiserver::http::ApiServer;
use ferrovirt_apiserver::net::Unreachable;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = ApiServer::builder(Env::system(1, Arc::new(Unreachable))).build()?;
    let client = kube::Client::new(server.client_service_as(UserInfo::admin()), "default");

    let definition: CustomResourceDefinition = serde_json::from_value(json!({
        "metadata": {"name": "gears.example.dev"},
        "spec": {
            "group": "example.dev", "scope": "Namespaced",
            "names": {"plural": "gears", "singular": "gear", "kind": "Gear"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object",
                "properties": {"spec": {
                    "type": "object",
                    "properties": {"teeth": {"type": "integer", "default": 12}, "ratio": {"type": "number"}},
                    "x-kubernetes-validations": [{"rule": "self.teeth % 2 == 0", "message": "an even number of teeth"}],
                }},
            }}}],
        },
    }))?;
    Api::all(client.clone()).create(&PostParams::default(), &definition).await?;

    let gears: Api<DynamicObject> =
        Api::default_namespaced_with(client, &ApiResource::from_gvk(&GroupVersionKind::gvk("example.dev", "v1", "Gear")));
    let apply = |teeth: u32| Patch::Apply(json!({"apiVersion": "example.dev/v1", "kind": "Gear", "spec": {"teeth": teeth}}));
    let gear = gears.patch("small", &PatchParams::apply("me"), &apply(14)).await?;
    println!("stored: {}", gear.data);
    if let Err(refused) = gears.patch("small", &PatchParams::apply("me"), &apply(13)).await {
        println!("refused: {refused}");
    }
    Ok(())
}

//! Steps about clients that watch.

use cucumber::{then, when};
use ferrovirt_tests::wait::PATIENCE;
use ferrovirt_tests::watching::Watching;
use ferrovirt_tests::world::SpecWorld;
use kube::ResourceExt as _;
use serde_json::Value;

type Done = anyhow::Result<()>;

#[when(regex = r"^the client watches (\w+)s from version (\d+)$")]
async fn watches_from(world: &mut SpecWorld, kind: String, version: String) -> Done {
    world.watch(&kind, &version, 1).await
}

#[when(regex = r"^(\d+) clients watch (\w+)s$")]
async fn clients_watch(world: &mut SpecWorld, count: usize, kind: String) -> Done {
    let version = world.api(&kind).list(&kube::api::ListParams::default()).await?.metadata.resource_version;
    world.watch(&kind, &version.unwrap_or_default(), count).await
}

#[when("every other one of them hangs up")]
async fn hang_up(world: &mut SpecWorld) {
    let mut leaves = false;
    world.watching.retain(|_| {
        leaves = !leaves;
        !leaves
    });
}

#[then(regex = r#"^the watch ends with (\d+) and "(.*)"$"#)]
async fn watch_ends(world: &mut SpecWorld, code: u16, message: String) -> Done {
    let watch = world.watching.first_mut().ok_or_else(|| anyhow::anyhow!("nobody watches"))?;
    let refusal = watch.refusal().await?;
    anyhow::ensure!(refusal.code == code && refusal.message.contains(&message), "ended with {refusal:?}");
    Ok(())
}

#[then(regex = r#"^each of those left has seen the (?:VM|VMI) "([^"]+)"$"#)]
async fn all_saw(world: &mut SpecWorld, name: String) -> Done {
    each_saw(&mut world.watching, &name, |_| true).await
}

#[then(regex = r#"^each of those left has seen the VMI "([^"]+)" become (\w+)$"#)]
async fn all_saw_phase(world: &mut SpecWorld, name: String, phase: String) -> Done {
    each_saw(&mut world.watching, &name, |object| object.pointer("/status/phase").and_then(Value::as_str) == Some(&phase)).await
}

async fn each_saw(watching: &mut [Watching], name: &str, holds: impl Fn(&Value) -> bool) -> Done {
    anyhow::ensure!(!watching.is_empty(), "nobody watches");
    for watch in watching {
        let seen = watch.until(|object| object.name_any() == name && holds(&object.data));
        tokio::time::timeout(PATIENCE, seen).await??;
    }
    Ok(())
}

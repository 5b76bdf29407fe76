//! Steps about what is let in: sound objects, and changes that break a rule.

use anyhow::{Context as _, Result, bail, ensure};
use cucumber::gherkin::Step;
use cucumber::{then, when};
use ferrovirt_tests::manifest;
use ferrovirt_tests::world::SpecWorld;
use serde_json::{Value, json};

use crate::objects::{rows, text};

type Done = Result<()>;

/// The installation, to be changed in a dry run.
const INSTALLATION_DRY: &str = "/apis/kubevirt.io/v1/namespaces/kubevirt/kubevirts/kubevirt?dryRun=All";

fn sound(kind: &str, change: &str) -> Result<Value> {
    let mut object = manifest::sound(kind).with_context(|| format!("there is no sound {kind}"))?;
    let change: Value = serde_json::from_str(change).with_context(|| format!("the change {change}"))?;
    manifest::change(&mut object, &change);
    Ok(object)
}

#[then(expr = "a sound {word} is accepted")]
async fn sound_accepted(world: &mut SpecWorld, kind: String) -> Done {
    world.attempt_dry(&sound(&kind, "{}")?).await?;
    world.not_refused()
}

/// How the last answer differs from the refusal that a row expects.
fn misjudged(world: &SpecWorld, change: &str, code: &str, message: &str) -> Option<String> {
    match world.last_refusal() {
        Some(refusal) if refusal.code.to_string() == code && refusal.message.contains(message) => None,
        Some(refusal) => Some(format!("{change}: refused with {} and {:?}", refusal.code, refusal.message)),
        None => Some(format!("{change}: accepted")),
    }
}

/// Rows: the change as a JSON merge patch, the code, a part of the message.
#[then(expr = "these changes to a sound {word} are refused:")]
async fn changes_refused(world: &mut SpecWorld, kind: String, step: &Step) -> Done {
    let mut wrong = Vec::new();
    for row in rows(step).into_iter().skip(1) {
        let [change, code, message] = row.as_slice() else { bail!("a row has a change, a code and a message: {row:?}") };
        world.attempt_dry(&sound(&kind, change)?).await?;
        wrong.extend(misjudged(world, change, code, message));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Rows: the change as a JSON merge patch.
#[then(expr = "these changes to a sound {word} are accepted:")]
async fn changes_accepted(world: &mut SpecWorld, kind: String, step: &Step) -> Done {
    let mut wrong = Vec::new();
    for change in rows(step).into_iter().skip(1).flatten() {
        world.attempt_dry(&sound(&kind, &change)?).await?;
        if let Some(refusal) = world.last_refusal() {
            wrong.push(format!("{change}: refused with {} and {:?}", refusal.code, refusal.message));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Rows: the change as a JSON merge patch, the code, a part of the message.
#[then("these changes to the installation are refused:")]
async fn installation_changes_refused(world: &mut SpecWorld, step: &Step) -> Done {
    let mut wrong = Vec::new();
    for row in rows(step).into_iter().skip(1) {
        let [change, code, message] = row.as_slice() else { bail!("a row has a change, a code and a message: {row:?}") };
        world.attempt_raw("PATCH", INSTALLATION_DRY, "application/merge-patch+json", change.clone().into_bytes()).await?;
        wrong.extend(misjudged(world, change, code, message));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Rows: the change as a JSON merge patch, the code, a part of the message.
#[then(expr = "these changes to the {word} {string} are refused:")]
async fn stored_changes_refused(world: &mut SpecWorld, kind: String, name: String, step: &Step) -> Done {
    let mut wrong = Vec::new();
    for row in rows(step).into_iter().skip(1) {
        let [change, code, message] = row.as_slice() else { bail!("a row has a change, a code and a message: {row:?}") };
        world.attempt_change(&sound(&kind, "{}")?, &name, change).await?;
        wrong.extend(misjudged(world, change, code, message));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Rows: the change as a JSON merge patch.
#[then(expr = "these changes to the {word} {string} are accepted:")]
async fn stored_changes_accepted(world: &mut SpecWorld, kind: String, name: String, step: &Step) -> Done {
    let mut wrong = Vec::new();
    for change in rows(step).into_iter().skip(1).flatten() {
        world.attempt_change(&sound(&kind, "{}")?, &name, &change).await?;
        if let Some(refusal) = world.last_refusal() {
            wrong.push(format!("{change}: refused with {} and {:?}", refusal.code, refusal.message));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Rows: a JSON pointer into what would be stored, and what is there; `...` stands for anything that is set.
#[then(expr = "a sound {word} with {} is stored with:")]
async fn stored_with(world: &mut SpecWorld, kind: String, change: String, step: &Step) -> Done {
    let stored = world.admitted(&sound(&kind, &change)?).await?;
    has(&stored, step)
}

/// Rows: the change as a JSON merge patch.
#[then("these changes to the installation are accepted:")]
async fn installation_changes_accepted(world: &mut SpecWorld, step: &Step) -> Done {
    let mut wrong = Vec::new();
    for change in rows(step).into_iter().skip(1).flatten() {
        world.attempt_raw("PATCH", INSTALLATION_DRY, "application/merge-patch+json", change.clone().into_bytes()).await?;
        if let Some(refusal) = world.last_refusal() {
            wrong.push(format!("{change}: refused with {} and {:?}", refusal.code, refusal.message));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[then(expr = "a sound {word} with {} comes with the warning {string}")]
async fn warns(world: &mut SpecWorld, kind: String, change: String, warning: String) -> Done {
    let warnings = world.warnings(&sound(&kind, &change)?).await?;
    ensure!(warnings.iter().any(|given| given.contains(&warning)), "the warnings are {warnings:?}");
    Ok(())
}

#[then(expr = "a sound {word} comes without a warning")]
async fn does_not_warn(world: &mut SpecWorld, kind: String) -> Done {
    let warnings = world.warnings(&sound(&kind, "{}")?).await?;
    ensure!(warnings.is_empty(), "the warnings are {warnings:?}");
    Ok(())
}

/// Rows: the pod's spec as JSON, and a part of the refusal's message, or nothing.
#[then("launcher pods are judged so:")]
async fn launcher_pods(world: &mut SpecWorld, step: &Step) -> Done {
    let mut wrong = Vec::new();
    for row in rows(step).into_iter().skip(1) {
        let [spec, message] = row.as_slice() else { bail!("a row has a spec and a message: {row:?}") };
        let spec: Value = serde_json::from_str(spec)?;
        let labels = json!({"kubevirt.io": "virt-launcher"});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "virt-launcher-a", "labels": labels}, "spec": spec});
        world.attempt_create(&pod, "?dryRun=All").await?;
        match (world.last_refusal(), message.is_empty()) {
            (None, true) => {}
            (Some(refusal), false) if refusal.message.contains(message.as_str()) => {}
            (judged, _) => wrong.push(format!("{spec}: {judged:?}")),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[when(expr = "the client creates a {word} {string} with:")]
async fn creates(world: &mut SpecWorld, kind: String, name: String, step: &Step) -> Done {
    let mut object = sound(&kind, &text(step))?;
    object["metadata"]["name"] = json!(name);
    world.attempt_stored(&object).await?;
    world.not_refused()
}

/// Rows: a JSON pointer into the answer, and what is there.
#[then(expr = "the VM {string} expanded has:")]
async fn expanded_has(world: &mut SpecWorld, name: String, step: &Step) -> Done {
    let path = format!("/apis/subresources.kubevirt.io/v1/namespaces/default/virtualmachines/{name}/expand-spec");
    let answer = world.cluster()?.client().request_text(http::Request::get(path).body(Vec::new())?).await?;
    has(&serde_json::from_str(&answer)?, step)
}

#[when(expr = "the client asks what a VirtualMachine with these fields expands to:")]
async fn asks_expansion(world: &mut SpecWorld, step: &Step) -> Done {
    let object = sound("VirtualMachine", &text(step))?;
    world.attempt_raw("PUT", EXPAND_GIVEN, "application/json", serde_json::to_vec(&object)?).await
}

/// Where a machine that is not stored is expanded.
const EXPAND_GIVEN: &str = "/apis/subresources.kubevirt.io/v1/namespaces/default/expand-vm-spec";

/// Rows: a JSON pointer into the answer, and what is there.
#[then(expr = "a VirtualMachine of instance type {string} expands to one with:")]
async fn given_expands(world: &mut SpecWorld, instancetype: String, step: &Step) -> Done {
    let change = json!({"spec": {"instancetype": {"name": instancetype}, "template": {"spec": {"domain": {"memory": null}}}}});
    let object = sound("VirtualMachine", &change.to_string())?;
    let request = http::Request::put(EXPAND_GIVEN).header("Content-Type", "application/json").body(serde_json::to_vec(&object)?)?;
    let answer = world.cluster()?.client().request_text(request).await?;
    has(&serde_json::from_str(&answer)?, step)
}

fn has(object: &Value, step: &Step) -> Done {
    for row in rows(step) {
        let [pointer, wanted] = row.as_slice() else { bail!("a row has a pointer and a value: {row:?}") };
        let wanted: Value = serde_json::from_str(wanted).unwrap_or_else(|_| json!(wanted));
        let found = object.pointer(pointer).cloned().unwrap_or_default();
        let anything = wanted == "..." && !found.is_null();
        ensure!(found == wanted || anything, "{pointer} is {found}");
    }
    Ok(())
}

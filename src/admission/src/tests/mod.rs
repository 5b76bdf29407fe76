//! Rules, one case each: a sound object, the change that breaks the rule, and what is answered.

mod defaults;
mod hostile;
mod kinds;
mod machines;
mod specs;
mod updates;

use api::config::ClusterConfig;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Causes, Denial, Requester, Seeds};

/// Lays `patch` on `base` as a JSON merge patch does.
fn merged(mut base: Value, patch: &Value) -> Value {
    json_merge(&mut base, patch);
    base
}

fn json_merge(base: &mut Value, patch: &Value) {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    base.remove(key);
                } else {
                    json_merge(base.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (base, patch) => *base = patch.clone(),
    }
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A cluster with these gates and this configuration.
#[allow(clippy::needless_pass_by_value, reason = "cases read better without a borrow")]
pub(crate) fn cluster(gates: &[&str], configuration: Value) -> ClusterConfig {
    let gates = json!({"developerConfiguration": {"featureGates": gates}});
    let kubevirt = read(json!({"spec": {"configuration": merged(gates, &configuration)}}));
    ClusterConfig::from_kubevirt(Some(&kubevirt))
}

/// `field: message` of every cause.
fn lines(causes: &Causes) -> Vec<String> {
    causes.0.iter().map(|c| format!("{}: {}", c.field, c.message)).collect()
}

fn denied(outcome: Result<(), Denial>) -> Vec<String> {
    outcome.err().map(|d| lines(&Causes(d.causes, 0))).unwrap_or_default()
}

fn user() -> Requester {
    Requester::named("pat")
}

fn component(account: &str) -> Requester {
    Requester::named(format!("system:serviceaccount:kubevirt:{account}"))
}

/// A specification that breaks no rule.
fn sound_spec() -> Value {
    json!({
        "architecture": "amd64",
        "domain": {
            "machine": {"type": "q35"},
            "memory": {"guest": "1Gi"},
            "cpu": {"sockets": 1, "cores": 1, "threads": 1},
            "devices": {
                "disks": [{"name": "root", "disk": {"bus": "virtio"}}],
                "interfaces": [{"name": "default", "bridge": {}}],
            },
        },
        "networks": [{"name": "default", "pod": {}}],
        "volumes": [{"name": "root", "containerDisk": {"image": "registry.example/disk:1"}}],
    })
}

/// Acts with random values that are not.
fn seeded<T>(act: impl FnOnce(&mut Seeds<'_>) -> T) -> T {
    let mut count = 0;
    let mut uuid = || {
        count += 1;
        format!("00000000-0000-4000-8000-{count:012}")
    };
    let now = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    act(&mut Seeds { uuid: &mut uuid, now })
}

//! `why`: the chain a person would dig out by hand, from the VM to its node. Ours; the original has no such command.
//!
//! Each link is an object: its state in a line, then what it waits for and since when (conditions that are not as they should
//! be), then what happened to it (events, the newest last).

use super::at;
use crate::error::{Result, bail};
use crate::{ConnectionArgs, Deps, Machine, Session};
use jiff::Timestamp;
use serde_json::Value;

/// Events shown of one object.
const EVENTS: usize = 5;

/// `why`.
#[derive(Debug, clap::Args)]
pub struct Why {
    /// vm/NAME or vmi/NAME; a name alone is a virtual machine's
    #[arg(value_name = "TYPE/NAME")]
    names: Vec<String>,
}

/// Conditions whose normal state is False; every other one's is True.
const NORMALLY_FALSE: &[&str] = &[
    "Paused",
    "RestartRequired",
    "Failure",
    "ManualRecoveryRequired",
    "VolumesChange",
    "EvictionRequested",
    "HotVCPUChange",
    "HotMemoryChange",
    "MigrationRequired",
    "AgentUnsupported",
    "MemoryPressure",
    "DiskPressure",
    "PIDPressure",
    "NetworkUnavailable",
    "DisruptionTarget",
];

/// Conditions that tell of a capability, or of an agent that need not be there: no state waits for them.
const CAPABILITIES: &[&str] =
    &["LiveMigratable", "StorageLiveMigratable", "AgentConnected", "DataVolumesReady", "PodReadyToStartContainers"];

/// How long ago, in the largest unit.
fn ago(now: Timestamp, then: &str) -> String {
    let Ok(then) = then.parse::<Timestamp>() else { return String::new() };
    let seconds = (now.as_second() - then.as_second()).max(0);
    let text = match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    };
    format!(" since {text}")
}

/// What an object's conditions say about why it is not as it should be.
fn waits(object: &Value, now: Timestamp) -> Vec<String> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let mut lines = Vec::new();
    for condition in conditions.into_iter().flatten() {
        let (kind, status) = (at(condition, "/type"), at(condition, "/status"));
        let normal = if NORMALLY_FALSE.contains(&kind) { "False" } else { "True" };
        if status == normal || CAPABILITIES.contains(&kind) {
            continue;
        }
        let since = [at(condition, "/lastTransitionTime"), at(condition, "/lastProbeTime")].into_iter().find(|time| !time.is_empty());
        let reason = match (at(condition, "/reason"), at(condition, "/message")) {
            ("", "") => String::new(),
            (reason, "") => format!(": {reason}"),
            ("", message) => format!(": {message}"),
            (reason, message) => format!(": {reason}: {message}"),
        };
        lines.push(format!("{kind} is {status}{}{reason}", ago(now, since.unwrap_or_default())));
    }
    lines
}

/// What containers wait for.
fn containers(pod: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for list in ["/status/initContainerStatuses", "/status/containerStatuses"] {
        for container in pod.pointer(list).and_then(Value::as_array).into_iter().flatten() {
            let name = at(container, "/name");
            for state in ["waiting", "terminated"] {
                let reason = at(container, &format!("/state/{state}/reason"));
                if !reason.is_empty() && reason != "Completed" {
                    let message = at(container, &format!("/state/{state}/message"));
                    let message = if message.is_empty() { String::new() } else { format!(": {message}") };
                    lines.push(format!("container {name} is {state}: {reason}{message}"));
                }
            }
        }
    }
    lines
}

/// The newest events of an object, oldest first.
async fn events(session: &Session, kind: &str, name: &str, now: Timestamp) -> Vec<String> {
    let path = format!("{}?fieldSelector=involvedObject.kind%3D{kind}%2CinvolvedObject.name%3D{name}", session.core("events", ""));
    // Who may not read events still learns the rest.
    let list = session.get(&path).await.unwrap_or_default();
    let mut seen: Vec<(String, String)> = Vec::new();
    for event in list["items"].as_array().into_iter().flatten() {
        let times = ["/lastTimestamp", "/series/lastObservedTime", "/eventTime", "/metadata/creationTimestamp"];
        let time = times.iter().map(|pointer| at(event, pointer)).find(|time| !time.is_empty()).unwrap_or_default();
        let line = format!("{} {}{}: {}", at(event, "/type"), at(event, "/reason"), ago(now, time), at(event, "/message"));
        seen.push((time.to_owned(), line));
    }
    seen.sort();
    let skipped = seen.len().saturating_sub(EVENTS);
    seen.into_iter().skip(skipped).map(|(_, line)| line).collect()
}

/// The report, a link a line and what belongs to it below.
struct Report<'a> {
    session: &'a Session,
    deps: &'a Deps,
    now: Timestamp,
}

impl Report<'_> {
    async fn link(&self, kind: &str, object: &Value, state: &str, mut below: Vec<String>) {
        let name = at(object, "/metadata/name");
        self.deps.out.line(format!("{kind}/{name} is {state}"));
        if !at(object, "/metadata/deletionTimestamp").is_empty() {
            let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array);
            let held: Vec<&str> = finalizers.into_iter().flatten().filter_map(Value::as_str).collect();
            let held = if held.is_empty() { String::new() } else { format!(", held by {}", held.join(", ")) };
            below.insert(0, format!("being deleted{}{held}", ago(self.now, at(object, "/metadata/deletionTimestamp"))));
        }
        below.extend(waits(object, self.now));
        below.extend(events(self.session, kind, name, self.now).await.into_iter().map(|line| format!("event {line}")));
        for line in below {
            self.deps.out.line(format!("  {line}"));
        }
    }

    /// A phase, and since when the object is in it: by its own record, else by its age as long as it has only begun.
    fn phase(&self, object: &Value, phase: &str) -> String {
        let records = object.pointer("/status/phaseTransitionTimestamps").and_then(Value::as_array);
        let recorded = records.into_iter().flatten().find(|record| at(record, "/phase") == phase);
        let since = match recorded {
            Some(record) => at(record, "/phaseTransitionTimestamp"),
            None if matches!(phase, "" | "Pending" | "WaitForFirstConsumer" | "PendingPopulation") => {
                at(object, "/metadata/creationTimestamp")
            }
            None => "",
        };
        format!("{}{}", state(phase), ago(self.now, since))
    }

    fn absent(&self, text: &str) {
        self.deps.out.line(text);
    }
}

/// The state of an object in a word, empty is no state.
fn state(text: &str) -> &str {
    if text.is_empty() { "without a state yet" } else { text }
}

/// What a VM was told to be and was asked for.
fn wishes(vm: &Value) -> Vec<String> {
    let strategy = match (at(vm, "/spec/runStrategy"), vm.pointer("/spec/running").and_then(Value::as_bool)) {
        ("", Some(true)) => "Always",
        ("", _) => "Halted",
        (strategy, _) => strategy,
    };
    let mut lines = vec![format!("run strategy {strategy}")];
    for request in vm.pointer("/status/stateChangeRequests").and_then(Value::as_array).into_iter().flatten() {
        lines.push(format!("asked to {}, not done yet", at(request, "/action").to_lowercase()));
    }
    if let Some(failure) = vm.pointer("/status/startFailure") {
        let count = failure["consecutiveFailCount"].as_i64().unwrap_or_default();
        lines.push(format!("failed to start {count} times, tried again after {}", at(failure, "/retryAfterTimestamp")));
    }
    for volume in vm.pointer("/status/volumeRequests").and_then(Value::as_array).into_iter().flatten() {
        for (key, what) in [("addVolumeOptions", "attach"), ("removeVolumeOptions", "detach")] {
            if let Some(name) = volume[key]["name"].as_str() {
                lines.push(format!("asked to {what} the volume {name}, not done yet"));
            }
        }
    }
    lines
}

impl Why {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let (kind, name) = match self.names.as_slice() {
            [one] => match one.split_once('/') {
                None => (Machine::Vm, one.as_str()),
                Some((kind, name)) => match Machine::parse(kind) {
                    Some(kind) => (kind, name),
                    None => bail!("unsupported resource type '{kind}'"),
                },
            },
            [kind, name] => match Machine::parse(kind) {
                Some(kind) => (kind, name.as_str()),
                None => bail!("unsupported resource type '{kind}'"),
            },
            other => bail!("accepts 1 arg(s), received {}", other.len()),
        };
        let session = deps.connect.connect(flags).await?;
        let report = Report { session: &session, deps, now: deps.clock.now() };
        let mut vm = None;
        if kind == Machine::Vm {
            let found = session.get(&session.machine(Machine::Vm, name)).await?;
            report.link("VirtualMachine", &found, state(at(&found, "/status/printableStatus")), wishes(&found)).await;
            vm = Some(found);
        }
        let Some(vmi) = session.find(&session.machine(Machine::Vmi, name)).await? else {
            if kind == Machine::Vmi {
                bail!("virtualmachineinstance.kubevirt.io {name:?} not found");
            }
            report.absent("no VirtualMachineInstance: nothing is to run, or virt-controller has not created it");
            claims(&report, vm.as_ref().and_then(|vm| vm.pointer("/spec/template/spec"))).await;
            return Ok(());
        };
        for field in changed(&session, vm.as_ref(), &vmi).await {
            report.absent(&format!("  {field} was changed after the start: the guest has it after a restart"));
        }
        let reason = at(&vmi, "/status/reason");
        let below = if reason.is_empty() { Vec::new() } else { vec![format!("reason {reason}")] };
        report.link("VirtualMachineInstance", &vmi, &report.phase(&vmi, at(&vmi, "/status/phase")), below).await;
        claims(&report, vmi.get("spec")).await;
        let Some(pod) = launcher(&session, &vmi).await? else {
            report.absent("no launcher pod: virt-controller has not created it, or it is gone");
            return Ok(());
        };
        report.link("Pod", &pod, &report.phase(&pod, at(&pod, "/status/phase")), containers(&pod)).await;
        let node = [at(&vmi, "/status/nodeName"), at(&pod, "/spec/nodeName")].into_iter().find(|node| !node.is_empty());
        let Some(node) = node else {
            report.absent("no node: the scheduler has not found one");
            return Ok(());
        };
        match session.get(&format!("/api/v1/nodes/{node}")).await {
            Ok(object) => report.link("Node", &object, node_state(&object), node_notes(&object, report.now)).await,
            Err(error) if error.is_not_found() => report.absent(&format!("Node/{node} is gone")),
            Err(error) => report.absent(&format!("Node/{node}: {error}")),
        }
        migrations(&report, name).await;
        report.absent(&domain(&session, &vmi, name).await);
        Ok(())
    }
}

/// Which fields of the template a guest that has to be restarted was not started with.
async fn changed(session: &Session, vm: Option<&Value>, vmi: &Value) -> Vec<String> {
    let Some(vm) = vm else { return Vec::new() };
    let conditions = vm.pointer("/status/conditions").and_then(Value::as_array);
    let required =
        conditions.into_iter().flatten().any(|condition| at(condition, "/type") == "RestartRequired" && at(condition, "/status") == "True");
    if !required {
        return Vec::new();
    }
    let revision = session.custom("apps/v1", "controllerrevisions", at(vmi, "/status/virtualMachineRevisionName"));
    // Who may not read revisions still learns the rest.
    let Ok(Some(revision)) = session.find(&revision).await else { return Vec::new() };
    let mut fields = Vec::new();
    let nothing = Value::Null;
    let of = |object: &Value, pointer: &str| object.pointer(pointer).cloned().unwrap_or_default();
    differences("spec.template.spec", &of(&revision, "/data/spec/template/spec"), &of(vm, "/spec/template/spec"), &nothing, &mut fields);
    fields
}

/// The paths at which two values differ; members of lists go by their names.
fn differences(path: &str, old: &Value, new: &Value, nothing: &Value, fields: &mut Vec<String>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Value::Object(before), Value::Object(after)) => {
            let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for key in keys {
                let (old, new) = (before.get(key).unwrap_or(nothing), after.get(key).unwrap_or(nothing));
                differences(&format!("{path}.{key}"), old, new, nothing, fields);
            }
        }
        (Value::Array(before), Value::Array(after)) if before.iter().chain(after).all(|item| item["name"].is_string()) => {
            let names: std::collections::BTreeSet<&str> = before.iter().chain(after).filter_map(|item| item["name"].as_str()).collect();
            for name in names {
                let named = |all: &[Value]| all.iter().find(|item| item["name"] == name).cloned().unwrap_or_default();
                differences(&format!("{path}[{name}]"), &named(before), &named(after), nothing, fields);
            }
        }
        _ => fields.push(path.to_owned()),
    }
}

/// What the launcher says of the domain, through virt-handler: asked, not guessed.
async fn domain(session: &Session, vmi: &Value, name: &str) -> String {
    match at(vmi, "/status/phase") {
        "Scheduled" | "Running" => {}
        "Succeeded" | "Failed" => return "no domain any more: the guest has ended".to_owned(),
        _ => return "no domain yet: the launcher does not run".to_owned(),
    }
    match session.get(&session.subresource(Machine::Vmi, name, "domainstate")).await {
        Ok(domain) if at(&domain, "/state").is_empty() => "no domain yet: virt-launcher was not told to start one".to_owned(),
        Ok(domain) => {
            let reason = match at(&domain, "/reason") {
                "" | "Unknown" => String::new(),
                reason => format!(", because of {reason}"),
            };
            let panics = domain["panics"].as_u64().map(|count| format!(", panicked {count} times")).unwrap_or_default();
            let frozen = if at(&domain, "/fileSystems") == "frozen" { ", its file systems are frozen" } else { "" };
            format!("the domain is {}{reason}{panics}{frozen}, says virt-launcher", at(&domain, "/state"))
        }
        Err(error) => format!("the domain's state is not known: {error}"),
    }
}

/// Migrations of the guest that are under way.
async fn migrations(report: &Report<'_>, name: &str) {
    let session = report.session;
    let list = session.custom("kubevirt.io/v1", "virtualmachineinstancemigrations", "");
    // Who may not read them still learns the rest.
    let all = session.get(&format!("{list}?labelSelector=kubevirt.io%2Fvmi-name%3D{name}")).await.unwrap_or_default();
    for migration in all["items"].as_array().into_iter().flatten() {
        let phase = at(migration, "/status/phase");
        if !matches!(phase, "Succeeded" | "Failed") {
            report.link("VirtualMachineInstanceMigration", migration, &report.phase(migration, phase), Vec::new()).await;
        }
    }
}

/// Volumes that are not filled or not bound yet.
async fn claims(report: &Report<'_>, spec: Option<&Value>) {
    for volume in spec.and_then(|spec| spec["volumes"].as_array()).into_iter().flatten() {
        let name =
            [at(volume, "/persistentVolumeClaim/claimName"), at(volume, "/dataVolume/name")].into_iter().find(|name| !name.is_empty());
        let Some(name) = name else { continue };
        // A cluster without CDI has none; one that may not be read tells nothing.
        if let Ok(Some(filled)) = report.session.find(&report.session.custom("cdi.kubevirt.io/v1beta1", "datavolumes", name)).await {
            let phase = at(&filled, "/status/phase");
            if phase != "Succeeded" {
                let progress = at(&filled, "/status/progress");
                let done = if progress.ends_with('%') { vec![format!("{progress} are there")] } else { Vec::new() };
                report.link("DataVolume", &filled, &report.phase(&filled, phase), done).await;
            }
        }
        match report.session.find(&report.session.core("persistentvolumeclaims", name)).await {
            Ok(None) => report.absent(&format!("PersistentVolumeClaim/{name} does not exist")),
            Ok(Some(claim)) if at(&claim, "/status/phase") != "Bound" => {
                report.link("PersistentVolumeClaim", &claim, &report.phase(&claim, at(&claim, "/status/phase")), Vec::new()).await;
            }
            // A bound claim holds nothing up; one that may not be read tells nothing.
            Ok(Some(_)) | Err(_) => {}
        }
    }
}

/// The newest launcher pod of a VMI.
async fn launcher(session: &Session, vmi: &Value) -> Result<Option<Value>> {
    let uid = at(vmi, "/metadata/uid");
    let pods = session.get(&format!("{}?labelSelector=kubevirt.io%2Fcreated-by%3D{uid}", session.core("pods", ""))).await?;
    let all = pods["items"].as_array().cloned().unwrap_or_default();
    Ok(all.into_iter().max_by_key(|pod| at(pod, "/metadata/creationTimestamp").to_owned()))
}

fn node_state(node: &Value) -> &str {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.into_iter().flatten().find(|condition| at(condition, "/type") == "Ready");
    match ready.map(|condition| at(condition, "/status")) {
        Some("True") => "Ready",
        Some("False") => "NotReady",
        _ => "Unknown",
    }
}

/// Whether guests may run there, and whether virt-handler is alive.
fn node_notes(node: &Value, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    let label = |key: &str| node["metadata"]["labels"][key].as_str().unwrap_or_default();
    if label("kubevirt.io/schedulable") != "true" {
        lines.push("no new guest may be scheduled: label kubevirt.io/schedulable is not true".to_owned());
    }
    if node.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
        lines.push("cordoned".to_owned());
    }
    let heartbeat = node["metadata"]["annotations"]["kubevirt.io/heartbeat"].as_str().unwrap_or_default();
    if heartbeat.is_empty() {
        lines.push("virt-handler has not reported yet".to_owned());
    } else {
        lines.push(format!("virt-handler's last heartbeat{}", ago(now, heartbeat).replace("since", "was")).to_owned() + " ago");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_that_differ_are_named() {
        let old = json!({"domain": {"cpu": {"cores": 1}, "devices": {"disks": [{"name": "a", "disk": {}}, {"name": "b"}]}}, "x": 1});
        let new = json!({"domain": {"cpu": {"cores": 2}, "devices": {"disks": [{"name": "a", "lun": {}}]}}, "x": 1, "hostname": "h"});
        let mut fields = Vec::new();
        differences("spec", &old, &new, &Value::Null, &mut fields);
        let disks = "spec.domain.devices.disks";
        assert_eq!(
            fields,
            [
                "spec.domain.cpu.cores".to_owned(),
                format!("{disks}[a].disk"),
                format!("{disks}[a].lun"),
                format!("{disks}[b]"),
                "spec.hostname".to_owned(),
            ]
        );
    }

    #[test]
    fn only_what_is_not_as_it_should_be_is_told() {
        let now: Timestamp = "2026-01-01T00:10:00Z".parse().unwrap();
        let vmi = json!({"status": {"conditions": [
            {"type": "Ready", "status": "False", "reason": "PodNotExists", "message": "no pod", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {"type": "Paused", "status": "True", "reason": "PausedByUser", "lastTransitionTime": "2026-01-01T00:09:00Z"},
            {"type": "LiveMigratable", "status": "False"},
            {"type": "Synchronized", "status": "True"},
        ]}});
        assert_eq!(waits(&vmi, now), ["Ready is False since 10m: PodNotExists: no pod", "Paused is True since 60s: PausedByUser"]);
    }
}

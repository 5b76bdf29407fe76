//! Laws of the planners, over machines in any state.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use api::config::ClusterConfig;
use api::v1::{VirtualMachine, VirtualMachineInstance};
use ferrovirt_planner::plan::{Action, Patch};
use ferrovirt_planner::storage::Storage;
use ferrovirt_planner::vmi::Settings;
use ferrovirt_planner::{vm, vmi};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use serde_json::{Value, json};

const VM_UID: &str = "0f3c7c4e-6a56-4a3f-9d8f-0d5b8a1f7c11";
const VMI_UID: &str = "6a1d1a52-0b0f-4f5c-9f57-3e0a3a0f0001";

fn now() -> Time {
    Time("2026-01-01T00:00:00Z".parse().unwrap())
}

fn settings() -> Settings {
    Settings { launcher_image: "registry/virt-launcher:v1".to_owned(), qemu_timeout_seconds: 240, ..Settings::default() }
}

/// The objects of one machine, on the wire.
#[derive(Clone, Debug)]
struct Machine {
    vm: Value,
    vmi: Option<Value>,
    pod: Option<Value>,
    revisions: Vec<Value>,
    created_vmis: usize,
    created_pods: usize,
}

impl Machine {
    fn apply(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Event { .. } | Action::Call { .. } => {}
                Action::Create { object, body, .. } => match object.kind.as_ref() {
                    "VirtualMachineInstance" => {
                        assert!(self.vmi.is_none(), "a second VMI");
                        let mut vmi = body.clone();
                        vmi["metadata"]["uid"] = json!(format!("{VMI_UID}-{}", self.created_vmis));
                        self.created_vmis += 1;
                        self.vmi = Some(vmi);
                    }
                    "Pod" => {
                        assert!(self.pod.is_none(), "a second pod");
                        let mut pod = body.clone();
                        pod["metadata"]["uid"] = json!("pod-uid");
                        self.created_pods += 1;
                        self.pod = Some(pod);
                    }
                    "ControllerRevision" => self.revisions.push(body.clone()),
                    other => panic!("unexpected creation of {other}"),
                },
                Action::Delete { object, .. } => {
                    let target = match object.kind.as_ref() {
                        "VirtualMachineInstance" => &mut self.vmi,
                        "Pod" => &mut self.pod,
                        "ControllerRevision" => {
                            self.revisions.retain(|revision| revision["metadata"]["name"] != object.name);
                            continue;
                        }
                        other => panic!("unexpected deletion of {other}"),
                    };
                    if let Some(target) = target {
                        target["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
                    }
                }
                Action::Replace { object, body, .. } => *self.target(&object.kind) = body.clone(),
                Action::Patch { object, patch, .. } => apply(self.target(&object.kind), patch),
            }
        }
    }

    fn target(&mut self, kind: &str) -> &mut Value {
        match kind {
            "VirtualMachine" => &mut self.vm,
            "VirtualMachineInstance" => self.vmi.as_mut().unwrap(),
            "Pod" => self.pod.as_mut().unwrap(),
            other => panic!("unexpected change of {other}"),
        }
    }

    fn reconcile_vm(&mut self) -> usize {
        let machine: VirtualMachine = serde_json::from_value(self.vm.clone()).unwrap();
        let vmi: Option<VirtualMachineInstance> = self.vmi.clone().map(|vmi| serde_json::from_value(vmi).unwrap());
        let revisions: Vec<_> = self.revisions.iter().map(|revision| Arc::new(serde_json::from_value(revision.clone()).unwrap())).collect();
        let (storage, denials, config, settings) = (Storage::default(), BTreeMap::new(), ClusterConfig::default(), settings());
        let lookups = vm::look_up(&machine, &revisions, &storage, &admission::review::Known::default()).unwrap();
        let observed = vm::Observed {
            vm: &machine,
            vmi: vmi.as_ref().filter(|vmi| vm::controls(&machine, vmi)),
            revisions: &revisions,
            storage: &storage,
            lookups: &lookups,
            clone_denials: &denials,
            expected: vm::Expected::default(),
            config: &config,
            settings: &settings,
            spread: 0.5,
            now: now(),
        };
        let first = vm::sync(&observed);
        self.apply(&first.actions);
        let outcome = vm::Outcome {
            vm: first.vm.clone(),
            created: first.creates,
            deleted: first.deletes,
            ask_for_start: first.ask_for_start,
            error: first.error.clone(),
        };
        let second = vm::status(&observed, &outcome);
        self.apply(&second.actions);
        writes(&first.actions) + writes(&second.actions)
    }

    fn reconcile_vmi(&mut self) -> usize {
        let Some(vmi) = &self.vmi else { return 0 };
        let instance: VirtualMachineInstance = serde_json::from_value(vmi.clone()).unwrap();
        let pods: Vec<Arc<Pod>> = self.pod.iter().map(|pod| Arc::new(serde_json::from_value(pod.clone()).unwrap())).collect();
        let (storage, config, settings) = (Storage::default(), ClusterConfig::default(), settings());
        let observed = vmi::Observed {
            vmi: &instance,
            pods: &pods,
            storage: &storage,
            storage_classes: &[],
            migrations: &[],
            owner_exists: true,
            namespace: &convert::pod::Namespace::default(),
            config: &config,
            settings: &settings,
            jitter_seconds: 0,
            free_vsock_cid: 3,
            now: now(),
        };
        let first = vmi::sync(&observed);
        self.apply(&first.actions);
        let second = vmi::status(&observed, &vmi::Synced { created: first.creates.clone(), error: first.error.clone() });
        self.apply(&second.actions);
        writes(&first.actions) + writes(&second.actions)
    }
}

fn writes(actions: &[Action]) -> usize {
    actions.iter().filter(|action| !matches!(action, Action::Event { .. })).count()
}

fn apply(target: &mut Value, patch: &Patch) {
    match patch {
        Patch::Json(operations) => {
            let patch: json_patch::Patch = serde_json::from_value(Value::Array(operations.clone())).unwrap();
            json_patch::patch(target, &patch).unwrap();
        }
        Patch::Merge(body) => json_patch::merge(target, body),
        Patch::Strategic(body) => {
            let mut known = target["status"]["conditions"].as_array().cloned().unwrap_or_default();
            for condition in body["status"]["conditions"].as_array().unwrap() {
                known.retain(|old| old["type"] != condition["type"]);
                known.push(condition.clone());
            }
            target["status"]["conditions"] = Value::Array(known);
        }
    }
}

fn template() -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "architecture": "amd64",
            "domain": {
                "devices": {
                    "disks": [{"name": "root", "disk": {"bus": "virtio"}}],
                    "interfaces": [{"name": "default", "masquerade": {}}]
                },
                "machine": {"type": "q35"},
                "memory": {"guest": "256Mi"},
                "resources": {"requests": {"memory": "256Mi"}},
                "firmware": {"uuid": "5d307ca9-b3ef-428c-8861-06e72d69f223"}
            },
            "networks": [{"name": "default", "pod": {}}],
            "volumes": [{"name": "root", "containerDisk": {"image": "registry.example/disk:1"}}]
        }
    })
}

fn owner(kind: &str, uid: &str) -> Value {
    json!([{"apiVersion": "kubevirt.io/v1", "kind": kind, "name": "vm", "uid": uid, "controller": true, "blockOwnerDeletion": true}])
}

prop_compose! {
    fn conditions()(
        ready in prop::option::of(prop::sample::select(vec!["True", "False"])),
        paused in any::<bool>(),
        synchronized in prop::option::of(prop::sample::select(vec!["FailedPvcNotFound", "ErrImagePull", "FailedCreate"])),
    ) -> Value {
        let mut all = Vec::new();
        if let Some(status) = ready { all.push(json!({"type": "Ready", "status": status, "reason": "X"})); }
        if paused { all.push(json!({"type": "Paused", "status": "True", "reason": "PausedByUser"})); }
        if let Some(reason) = synchronized { all.push(json!({"type": "Synchronized", "status": "False", "reason": reason})); }
        Value::Array(all)
    }
}

prop_compose! {
    fn pods()(
        phase in prop::sample::select(vec!["Pending", "Running", "Succeeded", "Failed"]),
        deleting in any::<bool>(),
        node in any::<bool>(),
        running in any::<bool>(),
        unpaused in prop::option::of(any::<bool>()),
        hooks in any::<bool>(),
    ) -> Value {
        let state = if running { json!({"running": {}}) } else { json!({"waiting": {"reason": "ContainerCreating"}}) };
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "virt-launcher-vm-abcde", "namespace": "default", "uid": "pod-uid",
                "labels": {"kubevirt.io": "virt-launcher"}, "ownerReferences": owner("VirtualMachineInstance", VMI_UID)},
            "spec": {"containers": [{"name": "compute", "image": "registry/virt-launcher:v1"}]},
            "status": {"phase": phase, "qosClass": "Burstable", "containerStatuses": [
                {"name": "compute", "ready": running, "image": "i", "imageID": "i", "restartCount": 0, "state": state}]},
        });
        if deleting { pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z"); }
        if node { pod["spec"]["nodeName"] = json!("n1"); }
        if hooks { pod["metadata"]["annotations"] = json!({"pre.hook.backup.velero.io/container": "compute"}); }
        if let Some(unpaused) = unpaused {
            let status = if unpaused { "True" } else { "False" };
            pod["status"]["conditions"] = json!([{"type": "kubevirt.io/virtual-machine-unpaused", "status": status}, {"type": "Ready", "status": status}]);
        }
        pod
    }
}

prop_compose! {
    fn instances()(
        phase in prop::sample::select(vec!["", "Pending", "Scheduling", "Scheduled", "Running", "Succeeded", "Failed"]),
        deleting in any::<bool>(),
        ran in any::<bool>(),
        generation in prop::sample::select(vec!["1", "2"]),
        conditions in conditions(),
    ) -> Value {
        let mut vmi = json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
            "metadata": {"name": "vm", "namespace": "default", "uid": VMI_UID, "labels": {"app": "web"},
                "annotations": {"kubevirt.io/vm-generation": generation},
                "ownerReferences": owner("VirtualMachine", VM_UID),
                "finalizers": ["kubevirt.io/virtualMachineControllerFinalize", "kubevirt.io/foregroundDeleteVirtualMachine"]},
            "spec": template()["spec"],
            "status": {"phase": phase, "conditions": conditions, "virtualMachineRevisionName": format!("revision-start-vm-{VM_UID}-1")},
        });
        if deleting { vmi["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"); }
        if matches!(phase, "Scheduled" | "Running") { vmi["status"]["nodeName"] = json!("n1"); }
        if ran { vmi["status"]["phaseTransitionTimestamps"] = json!([{"phase": "Running", "phaseTransitionTimestamp": "2026-01-01T00:00:00Z"}]); }
        vmi
    }
}

prop_compose! {
    fn machines()(
        strategy in prop::sample::select(vec!["Always", "RerunOnFailure", "Manual", "Halted", "Once"]),
        request in prop::option::of(prop::sample::select(vec!["Start", "Stop", "StopOther"])),
        generation in 1..3_i64,
        finalizer in any::<bool>(),
        deleting in any::<bool>(),
        failures in prop::option::of(1..4_i64),
        restart in any::<bool>(),
        vmi in prop::option::of(instances()),
        pod in prop::option::of(pods()),
    ) -> Machine {
        let mut vm = json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
            "metadata": {"name": "vm", "namespace": "default", "uid": VM_UID, "generation": generation},
            "spec": {"runStrategy": strategy, "template": template()},
            "status": {"printableStatus": "Stopped"},
        });
        if finalizer || deleting { vm["metadata"]["finalizers"] = json!(["kubevirt.io/virtualMachineControllerFinalize"]); }
        if deleting { vm["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"); }
        if restart { vm["status"]["conditions"] = json!([{"type": "RestartRequired", "status": "True"}]); }
        match request {
            Some("Start") => vm["status"]["stateChangeRequests"] = json!([{"action": "Start"}]),
            Some("Stop") => vm["status"]["stateChangeRequests"] = json!([{"action": "Stop", "uid": VMI_UID}]),
            Some(_) => vm["status"]["stateChangeRequests"] = json!([{"action": "Stop", "uid": "other"}]),
            None => {}
        }
        if let Some(count) = failures {
            vm["status"]["startFailure"] = json!({"consecutiveFailCount": count, "lastFailedVMIUID": "old", "retryAfterTimestamp": "2026-01-01T00:01:00Z"});
        }
        let revision = json!({
            "apiVersion": "apps/v1", "kind": "ControllerRevision",
            "metadata": {"name": format!("revision-start-vm-{VM_UID}-1"), "namespace": "default", "ownerReferences": owner("VirtualMachine", VM_UID)},
            "data": {"spec": {"runStrategy": strategy, "template": template()}},
            "revision": 1,
        });
        let pod = pod.filter(|_| vmi.is_some());
        Machine { vm, vmi, pod, revisions: vec![revision], created_vmis: 0, created_pods: 0 }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// A machine that nobody else touches comes to rest: after a few looks there is nothing left to write, and there never
    /// was a second instance or a second pod at a time.
    #[test]
    fn reconciliations_come_to_rest(mut machine in machines()) {
        let mut last = (0, 0);
        for _ in 0..6 {
            last = (machine.reconcile_vm(), machine.reconcile_vmi());
        }
        prop_assert_eq!(last, (0, 0), "{:#?}", machine);
        prop_assert!(machine.created_vmis <= 1 && machine.created_pods <= 1);
    }

    /// The VM's plan, planned again from the same observation, is the same.
    #[test]
    fn plans_depend_on_the_observation_only(machine in machines()) {
        let (mut one, mut other) = (machine.clone(), machine);
        one.reconcile_vm();
        other.reconcile_vm();
        prop_assert_eq!(one.vm, other.vm);
        prop_assert_eq!(one.vmi, other.vmi);
    }

    /// An instance is let go by its VM only after the VM's status has what is kept of it.
    #[test]
    fn nothing_is_lost_with_an_instance(mut machine in machines()) {
        machine.reconcile_vm();
        let released = machine.vmi.as_ref().is_some_and(|vmi| {
            !vmi["metadata"]["finalizers"].to_string().contains("virtualMachineControllerFinalize")
        });
        if released {
            let vmi = machine.vmi.as_ref().unwrap();
            prop_assert!(matches!(vmi["status"]["phase"].as_str(), Some("Succeeded" | "Failed")));
            let ran = vmi["status"].get("phaseTransitionTimestamps").is_some();
            let counts = matches!(machine.vm["spec"]["runStrategy"].as_str(), Some("Always" | "RerunOnFailure" | "Once"));
            if counts && !ran {
                prop_assert_eq!(&machine.vm["status"]["startFailure"]["lastFailedVMIUID"], VMI_UID);
            }
        }
    }
}

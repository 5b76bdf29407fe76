//! `memorydump` and `removememorydump` of a VirtualMachine (spec/api.md §3.4).

use super::{Effect, Refusal, guarded, phase};
use api::quantity;
use api::v1::{VirtualMachine, VirtualMachineInstance, VirtualMachineMemoryDumpRequest};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::{Value, json};

const VM: &str = "virtualmachine";
/// What a dump needs beside the guest's memory, in bytes.
const EXTRA: i64 = 100 << 20;
const REQUEST: &str = "/status/memoryDumpRequest";

fn current(vm: &VirtualMachine) -> Option<&VirtualMachineMemoryDumpRequest> {
    vm.status.as_ref().and_then(|status| status.memory_dump_request.as_ref())
}

/// The claim that a request is about: the one it names, else the one already associated.
///
/// # Errors
/// 400 when neither is there, 409 when another one is associated.
pub fn claim_of(vm: &VirtualMachine, named: &str) -> Result<String, Refusal> {
    let name = vm.metadata.name.as_deref().unwrap_or_default();
    match (named, current(vm).map(|request| request.claim_name.as_str())) {
        ("", None | Some("")) => Err(Refusal::bad_request("Memory dump requires claim name to be set")),
        ("", Some(associated)) => Ok(associated.to_owned()),
        (named, Some(associated)) if !associated.is_empty() && named != associated => Err(Refusal::conflict(
            VM,
            name,
            format!("can't request memory dump for pvc [{named}] while pvc [{associated}] is still associated as the memory dump pvc"),
        )),
        (named, _) => Ok(named.to_owned()),
    }
}

/// Asks for a dump of the guest's memory to a claim.
///
/// # Errors
/// 409 in a state where no dump can be taken, or for a claim it does not fit in.
pub fn memory_dump(vm: &VirtualMachine, vmi: &VirtualMachineInstance, claim: &PersistentVolumeClaim) -> Result<Effect, Refusal> {
    let name = vm.metadata.name.as_deref().unwrap_or_default();
    let conflict = |why: String| Err(Refusal::conflict(VM, name, why));
    let claim_name = claim.metadata.name.as_deref().unwrap_or_default();
    if phase(vmi) != "Running" {
        return conflict("VMI is not running".to_owned());
    }
    let spec = claim.spec.clone().unwrap_or_default();
    if spec.volume_mode.as_deref() == Some("Block") {
        return conflict("pvc should be filesystem pvc".to_owned());
    }
    let modes = spec.access_modes.unwrap_or_default();
    if modes == ["ReadOnlyMany"] {
        return conflict("pvc access mode can't be read only".to_owned());
    }
    let has = spec.resources.and_then(|resources| resources.requests).and_then(|mut requests| requests.remove("storage"));
    let has = has.and_then(|size| quantity::parse(&size.0)).map(quantity::Amount::value).unwrap_or_default();
    let needs = guest_memory(vmi).saturating_add(EXTRA);
    if has < needs {
        return conflict(format!("pvc size [{has}] should be bigger then [{needs}]"));
    }
    if let Some(request) = current(vm) {
        if request.remove == Some(true) {
            return conflict(format!("can't dump memory for pvc [{claim_name}] a remove memory dump request is in progress"));
        }
        if !matches!(request.phase.as_str(), "Completed" | "Failed") {
            return conflict(format!("memory dump request for pvc [{claim_name}] already in progress"));
        }
    }
    Ok(patch(vm, &json!({"claimName": claim_name, "phase": "Associating"})))
}

/// Takes the claim of the last dump from the VM.
///
/// # Errors
/// 409 when there is none, or it is being taken away already.
pub fn remove_memory_dump(vm: &VirtualMachine) -> Result<Effect, Refusal> {
    let name = vm.metadata.name.as_deref().unwrap_or_default();
    let Some(request) = current(vm) else {
        return Err(Refusal::conflict(VM, name, format!("can't remove memory dump association for vm {name}, no association found")));
    };
    if request.remove == Some(true) {
        let why = format!("memory dump remove request for pvc [{}] already exists", request.claim_name);
        return Err(Refusal::conflict(VM, name, why));
    }
    Ok(patch(vm, &json!({"claimName": request.claim_name, "phase": "Dissociating", "remove": true})))
}

fn patch(vm: &VirtualMachine, new: &Value) -> Effect {
    let old = current(vm).map_or(Value::Null, |request| json!(request));
    let mut operations = guarded(REQUEST, &old, new);
    if vm.status.is_none() {
        operations = vec![json!({"op": "add", "path": "/status", "value": {"memoryDumpRequest": new}})];
    }
    Effect::PatchVmStatus(operations)
}

/// Bytes of memory the guest has.
fn guest_memory(vmi: &VirtualMachineInstance) -> i64 {
    let domain = &vmi.spec.domain;
    let guest = domain.memory.as_ref().and_then(|memory| memory.guest.as_ref());
    let requested = domain.resources.as_ref().and_then(|resources| resources.requests.get("memory"));
    guest.or(requested).and_then(|amount| quantity::parse(&amount.0)).map(quantity::Amount::value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn vm(request: &Value) -> VirtualMachine {
        let status = if request.is_null() { json!({}) } else { json!({"memoryDumpRequest": request}) };
        serde_json::from_value(
            json!({"metadata": {"name": "vm"}, "spec": {"template": {"spec": {"domain": {"devices": {}}}}}, "status": status}),
        )
        .unwrap()
    }

    fn vmi(phase: &str) -> VirtualMachineInstance {
        let spec = json!({"domain": {"devices": {}, "memory": {"guest": "128Mi"}}});
        serde_json::from_value(json!({"metadata": {"name": "vm"}, "spec": spec, "status": {"phase": phase}})).unwrap()
    }

    fn claim(size: &str, mode: &str) -> PersistentVolumeClaim {
        serde_json::from_value(json!({
            "metadata": {"name": "dump"},
            "spec": {"volumeMode": mode, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
        }))
        .unwrap()
    }

    #[rstest]
    #[case(json!(null), "Running", claim("1Gi", "Filesystem"), None)]
    #[case(json!({"claimName": "dump", "phase": "Completed"}), "Running", claim("1Gi", "Filesystem"), None)]
    #[case(json!(null), "Scheduled", claim("1Gi", "Filesystem"), Some("VMI is not running"))]
    #[case(json!(null), "Running", claim("1Gi", "Block"), Some("pvc should be filesystem pvc"))]
    #[case(json!(null), "Running", claim("128Mi", "Filesystem"), Some("pvc size [134217728] should be bigger then [239075328]"))]
    #[case(json!({"claimName": "dump", "phase": "InProgress"}), "Running", claim("1Gi", "Filesystem"), Some("memory dump request for pvc [dump] already in progress"))]
    fn dumps(#[case] request: Value, #[case] phase: &str, #[case] claim: PersistentVolumeClaim, #[case] refused: Option<&str>) {
        match (memory_dump(&vm(&request), &vmi(phase), &claim), refused) {
            (Ok(Effect::PatchVmStatus(patch)), None) => {
                assert_eq!(patch[1]["value"], json!({"claimName": "dump", "phase": "Associating"}));
                assert_eq!(patch[0]["value"].is_null(), request.is_null());
            }
            (Err(refusal), Some(why)) => assert!(refusal.message.ends_with(why), "{}", refusal.message),
            (got, wanted) => panic!("{got:?}, not {wanted:?}"),
        }
    }

    #[test]
    fn a_claim_is_named_or_associated_and_removed_once() {
        let none = vm(&Value::Null);
        assert_eq!(claim_of(&none, "").unwrap_err().message, "Memory dump requires claim name to be set");
        assert!(remove_memory_dump(&none).unwrap_err().message.ends_with("no association found"));
        let dumped = vm(&json!({"claimName": "dump", "phase": "Completed"}));
        assert_eq!(claim_of(&dumped, "").unwrap(), "dump");
        assert_eq!(claim_of(&dumped, "other").unwrap_err().code, 409);
        assert!(remove_memory_dump(&dumped).is_ok());
        let removing = vm(&json!({"claimName": "dump", "phase": "Dissociating", "remove": true}));
        assert!(remove_memory_dump(&removing).unwrap_err().message.ends_with("already exists"));
    }
}

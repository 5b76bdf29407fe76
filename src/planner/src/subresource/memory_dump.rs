//! `memorydump` and `removememorydump` of a VirtualMachine (spec/api.md §3.4).

use super::{Effect, Refusal, guarded, phase};
use api::config::ClusterConfig;
use api::quantity::{self, Amount};
use api::v1::{VirtualMachine, VirtualMachineInstance, VirtualMachineMemoryDumpRequest};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::{Value, json};

const VM: &str = "virtualmachine";
const CLAIM: &str = "persistentvolumeclaim";
/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;
/// The share of a claim that its file system takes where no configuration says so.
pub const USUAL_OVERHEAD: f64 = 0.055;
/// What a dump needs beside the guest's memory, in bytes.
const EXTRA: i64 = 100 << 20;
const REQUEST: &str = "/status/memoryDumpRequest";

fn current(vm: &VirtualMachine) -> Option<&VirtualMachineMemoryDumpRequest> {
    vm.status.as_ref().and_then(|status| status.memory_dump_request.as_ref())
}

/// The claim that a request is about: the one it names, else the one already associated.
///
/// # Errors
/// 400 when neither is there or no gate allows plugging, 409 when another one is associated.
pub fn claim_of(vm: &VirtualMachine, named: &str, config: &ClusterConfig) -> Result<String, Refusal> {
    super::volumes::pluggable(config)?;
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

/// Asks for a dump of the guest's memory to a claim, which is nothing where there is none of that name. `overhead` is the share of
/// a claim that its file system takes.
///
/// # Errors
/// 400 where no gate allows plugging, 404 without the claim, 409 in a state where no dump can be taken or for a claim that it does not
/// fit in.
pub fn memory_dump(
    vm: &VirtualMachine,
    vmi: &VirtualMachineInstance,
    claim_name: &str,
    claim: Option<&PersistentVolumeClaim>,
    overhead: f64,
) -> Result<Effect, Refusal> {
    let name = vm.metadata.name.as_deref().unwrap_or_default();
    if phase(vmi) != "Running" {
        return Err(Refusal::conflict("virtualmachineinstance", name, "VMI is not running"));
    }
    let claim = claim.ok_or_else(|| Refusal::not_found(CLAIM, claim_name))?;
    let unfit = |why: String| Err(Refusal::conflict(CLAIM, claim_name, why));
    let spec = claim.spec.clone().unwrap_or_default();
    if spec.volume_mode.as_deref() == Some("Block") {
        return unfit("pvc should be filesystem pvc".to_owned());
    }
    let modes = spec.access_modes.unwrap_or_default();
    if modes == ["ReadOnlyMany"] {
        return unfit("pvc access mode can't be read only".to_owned());
    }
    let has = spec.resources.and_then(|resources| resources.requests).and_then(|mut requests| requests.remove("storage"));
    let has = has.and_then(|size| quantity::parse(&size.0)).unwrap_or_default();
    // Kilobytes, rounded up: upstream compares what it shows.
    let has = Amount::whole(has.value().div_euclid(1000).saturating_add(i64::from(has.value() % 1000 != 0)).saturating_mul(1000));
    let needs = needed(vmi, overhead);
    if has < needs {
        return unfit(format!("pvc size [{has}] should be bigger then [{needs}]"));
    }
    if let Some(request) = current(vm) {
        let busy = |why: String| Err(Refusal::conflict(VM, name, why));
        if request.phase == "Dissociating" {
            return busy(format!("can't dump memory for pvc [{claim_name}] a remove memory dump request is in progress"));
        }
        if !matches!(request.phase.as_str(), "Completed" | "Failed") {
            return busy(format!("memory dump request for pvc [{claim_name}] already in progress"));
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

/// What a claim for the guest's memory has to have, in whole MiB.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "upstream's arithmetic; sizes are below 2^53")]
fn needed(vmi: &VirtualMachineInstance, overhead: f64) -> Amount {
    let domain = &vmi.spec.domain;
    // What clients that make claims go by, too.
    let requested = domain.resources.as_ref().and_then(|resources| resources.requests.get("memory"));
    let memory = requested.and_then(|amount| quantity::parse(&amount.0)).unwrap_or_default();
    let bytes = (1.0 + overhead) * (memory.value().saturating_add(EXTRA)) as f64;
    memory.with_value(((bytes / MIB).ceil().max(1.0) * MIB) as i64)
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
        let spec = json!({"domain": {"devices": {}, "resources": {"requests": {"memory": "128Mi"}}}});
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
    #[case(json!(null), "Running", claim("128Mi", "Filesystem"), Some("pvc size [134218k] should be bigger then [241Mi]"))]
    #[case(json!({"claimName": "dump", "phase": "InProgress"}), "Running", claim("1Gi", "Filesystem"), Some("memory dump request for pvc [dump] already in progress"))]
    fn dumps(#[case] request: Value, #[case] phase: &str, #[case] claim: PersistentVolumeClaim, #[case] refused: Option<&str>) {
        match (memory_dump(&vm(&request), &vmi(phase), "dump", Some(&claim), USUAL_OVERHEAD), refused) {
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
        let config = ClusterConfig::from_kubevirt(None);
        let none = vm(&Value::Null);
        let missing = memory_dump(&none, &vmi("Running"), "dump", None, USUAL_OVERHEAD).unwrap_err();
        assert_eq!((missing.code, missing.message.as_str()), (404, "persistentvolumeclaim.kubevirt.io \"dump\" not found"));
        assert_eq!(claim_of(&none, "", &config).unwrap_err().message, "Memory dump requires claim name to be set");
        assert!(remove_memory_dump(&none).unwrap_err().message.ends_with("no association found"));
        let dumped = vm(&json!({"claimName": "dump", "phase": "Completed"}));
        assert_eq!(claim_of(&dumped, "", &config).unwrap(), "dump");
        assert_eq!(claim_of(&dumped, "other", &config).unwrap_err().code, 409);
        assert!(remove_memory_dump(&dumped).is_ok());
        let removing = vm(&json!({"claimName": "dump", "phase": "Dissociating", "remove": true}));
        assert!(remove_memory_dump(&removing).unwrap_err().message.ends_with("already exists"));
    }
}

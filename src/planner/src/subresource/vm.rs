//! start, stop and restart of a VirtualMachine (spec/api.md §3.1.1–§3.1.3).

use super::{Effect, Refusal, guarded, is_final, phase};
use api::v1::{VirtualMachine, VirtualMachineInstance};
use serde_json::{Value, json};

const VM: &str = "virtualmachine";
const RECOVERY: &str = "VM recovery required: Volume migration failed, leaving some volumes pointing to non-consistent targets; manual \
                        intervention is needed to reassign them to their original volumes.";

/// The run strategy in force: the field, or what `running` means, or Halted.
fn strategy(vm: &VirtualMachine) -> &str {
    match (vm.spec.run_strategy.as_deref(), vm.spec.running) {
        (Some(strategy), _) => strategy,
        (None, Some(true)) => "Always",
        (None, _) => "Halted",
    }
}

fn name(vm: &VirtualMachine) -> &str {
    vm.metadata.name.as_deref().unwrap_or_default()
}

fn conflict(vm: &VirtualMachine, why: impl std::fmt::Display) -> Refusal {
    Refusal::conflict(VM, name(vm), why)
}

fn condition(vm: &VirtualMachine, kind: &str) -> bool {
    let conditions = vm.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|condition| condition.r#type == kind && condition.status == "True")
}

fn uid(vmi: &VirtualMachineInstance) -> Value {
    json!(vmi.metadata.uid)
}

fn start_request() -> Value {
    json!({"action": "Start"})
}

fn stop_request(vmi: &VirtualMachineInstance) -> Value {
    json!({"action": "Stop", "uid": uid(vmi)})
}

/// Makes the VM run.
///
/// # Errors
/// 409 when it runs already, needs recovery, or its strategy knows no manual start.
pub fn start(vm: &VirtualMachine, vmi: Option<&VirtualMachineInstance>, paused: bool) -> Result<Vec<Effect>, Refusal> {
    if vmi.is_some_and(|vmi| !is_final(vmi) && !matches!(phase(vmi), "" | "Unknown")) {
        return Err(conflict(vm, "VM is already running"));
    }
    if condition(vm, "ManualRecoveryRequired") {
        return Err(conflict(vm, RECOVERY));
    }
    let over = vmi.filter(|vmi| is_final(vmi));
    match strategy(vm) {
        "Halted" if paused => requests(vm, &[json!({"action": "Start", "data": {"paused": "true"}})]),
        "Halted" => Ok(vec![Effect::PatchVm(run(vm, "Always", true))]),
        "RerunOnFailure" if over.is_some_and(|vmi| phase(vmi) == "Failed") => {
            Err(conflict(vm, "RerunOnFailure does not support starting VM from failed state"))
        }
        "Manual" | "RerunOnFailure" => match over {
            Some(vmi) => requests(vm, &[stop_request(vmi), start_request()]),
            None => requests(vm, &[start_request()]),
        },
        strategy @ ("Always" | "Once") => Err(conflict(vm, format!("{strategy} does not support manual start requests"))),
        _ => Ok(Vec::new()),
    }
}

/// Makes the VM stop; with a grace period (seconds) the VMI gets that one first.
///
/// # Errors
/// 409 when there is nothing to stop, or a halted VM is given no shorter grace period.
pub fn stop(vm: &VirtualMachine, vmi: Option<&VirtualMachineInstance>, grace: Option<i64>) -> Result<Vec<Effect>, Refusal> {
    let live = vmi.filter(|vmi| !is_final(vmi) && !phase(vmi).is_empty());
    let current = live.and_then(|vmi| vmi.spec.termination_grace_period_seconds);
    let mut effects = Vec::new();
    if let (Some(seconds), Some(_)) = (grace, live) {
        effects.push(Effect::PatchVmi(guarded("/spec/terminationGracePeriodSeconds", &json!(current), &json!(seconds))));
    }
    match (strategy(vm), live) {
        ("Halted" | "Manual" | "RerunOnFailure", None) => return Err(conflict(vm, "VM is not running")),
        ("Halted", Some(vmi)) => {
            if grace.is_none_or(|seconds| current.is_some_and(|current| seconds >= current)) {
                return Err(conflict(vm, "Halted only supports manual stop requests with a shorter graceperiod"));
            }
            effects.extend(requests(vm, &[stop_request(vmi)])?);
        }
        ("Manual" | "RerunOnFailure", Some(vmi)) => effects.extend(requests(vm, &[stop_request(vmi)])?),
        ("Always" | "Once", _) => effects.push(Effect::PatchVm(run(vm, "Halted", false))),
        _ => {}
    }
    Ok(effects)
}

/// Gives a VMI its grace period back whose forced restart failed after [`restart`]'s first effect.
pub fn restore_grace_period(vmi: &VirtualMachineInstance) -> Effect {
    let path = "/spec/terminationGracePeriodSeconds";
    Effect::PatchVmi(guarded(path, &json!(1), &json!(vmi.spec.termination_grace_period_seconds.unwrap_or_default())))
}

/// Makes the VM stop and start again; grace period 0 kills the guest.
///
/// # Errors
/// 400 for another grace period, 409 when the strategy knows no restart or nothing runs.
pub fn restart(vm: &VirtualMachine, vmi: Option<&VirtualMachineInstance>, grace: Option<i64>) -> Result<Vec<Effect>, Refusal> {
    match grace {
        Some(seconds) if seconds > 0 => return Err(Refusal::bad_request("For force restart, only gracePeriod=0 is supported for now")),
        Some(seconds) if seconds < 0 => return Err(Refusal::bad_request("gracePeriod has to be greater or equal to 0")),
        _ => {}
    }
    if condition(vm, "VolumesChange") {
        return Err(conflict(vm, RECOVERY));
    }
    let strategy = strategy(vm);
    if matches!(strategy, "Halted" | "Once") {
        return Err(conflict(vm, format!("RunStategy {strategy} does not support manual restart requests")));
    }
    let Some(vmi) = vmi else {
        return Err(conflict(vm, "VM is not running: Halted"));
    };
    let mut effects = Vec::new();
    if grace == Some(0) {
        let current = json!(vmi.spec.termination_grace_period_seconds);
        effects.push(Effect::PatchVmi(guarded("/spec/terminationGracePeriodSeconds", &current, &json!(1))));
    }
    effects.extend(requests(vm, &[stop_request(vmi), start_request()])?);
    Ok(effects)
}

/// The patch that changes whichever of `runStrategy` and `running` the VM uses.
fn run(vm: &VirtualMachine, strategy: &str, running: bool) -> Vec<Value> {
    match vm.spec.running {
        Some(old) => guarded("/spec/running", &json!(old), &json!(running)),
        None => guarded("/spec/runStrategy", &json!(vm.spec.run_strategy), &json!(strategy)),
    }
}

/// Puts requests into the VM's status (spec/api.md §3.1.1, rule 4): an empty list gives way, and every list to a single Stop; another
/// one means that something is under way.
fn requests(vm: &VirtualMachine, wanted: &[Value]) -> Result<Vec<Effect>, Refusal> {
    let Some(status) = &vm.status else {
        return Ok(vec![Effect::PatchVmStatus(guarded("/status", &Value::Null, &json!({"stateChangeRequests": wanted})))]);
    };
    let old = &status.state_change_requests;
    let single_stop = matches!(wanted, [only] if only["action"] == "Stop");
    if !(old.is_empty() || single_stop) {
        return Err(Refusal::internal("unable to complete request: stop/start already underway"));
    }
    let before = if old.is_empty() { Value::Null } else { json!(old) };
    let mut patch = guarded("/status/stateChangeRequests", &before, &json!(wanted));
    if status.start_failure.is_some() {
        patch.push(json!({"op": "remove", "path": "/status/startFailure"}));
    }
    Ok(vec![Effect::PatchVmStatus(patch)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[allow(clippy::needless_pass_by_value, reason = "a literal at every use")]
    fn vm(strategy: &str, status: Value) -> VirtualMachine {
        serde_json::from_value(json!({
            "metadata": {"name": "vm"}, "spec": {"runStrategy": strategy, "template": {}}, "status": status,
        }))
        .unwrap()
    }

    fn vmi(phase: &str) -> VirtualMachineInstance {
        serde_json::from_value(json!({
            "metadata": {"name": "vm", "uid": "u"},
            "spec": {"domain": {"devices": {}}, "terminationGracePeriodSeconds": 30}, "status": {"phase": phase},
        }))
        .unwrap()
    }

    #[rstest]
    #[case::halted("Halted", None, Ok(json!("Always")))]
    #[case::always("Always", None, Err("Always does not support manual start requests"))]
    #[case::once("Once", None, Err("Once does not support manual start requests"))]
    #[case::running("Manual", Some("Running"), Err("VM is already running"))]
    #[case::manual("Manual", None, Ok(json!([{"action": "Start"}])))]
    #[case::manual_final("Manual", Some("Succeeded"), Ok(json!([{"action": "Stop", "uid": "u"}, {"action": "Start"}])))]
    #[case::rerun_failed("RerunOnFailure", Some("Failed"), Err("RerunOnFailure does not support starting VM from failed state"))]
    fn starts(#[case] strategy: &str, #[case] vmi_phase: Option<&str>, #[case] expected: Result<Value, &str>) {
        let vmi = vmi_phase.map(vmi);
        match (start(&vm(strategy, json!({"ready": false})), vmi.as_ref(), false), expected) {
            (Ok(effects), Ok(value)) => {
                let (Effect::PatchVm(patch) | Effect::PatchVmStatus(patch)) = &effects[0] else { panic!("{effects:?}") };
                assert_eq!(patch[1]["value"], value);
            }
            (Err(refusal), Err(why)) => {
                assert_eq!(refusal.code, 409);
                assert_eq!(refusal.message, format!("Operation cannot be fulfilled on virtualmachine.kubevirt.io \"vm\": {why}"));
            }
            (got, expected) => panic!("{got:?}, not {expected:?}"),
        }
    }

    #[test]
    fn a_request_under_way_is_not_overwritten_but_by_a_stop() {
        let busy = vm("Manual", json!({"stateChangeRequests": [{"action": "Start"}]}));
        assert_eq!(start(&busy, None, false).unwrap_err().code, 500);
        assert!(stop(&busy, Some(&vmi("Running")), None).is_ok());
        let stopping = vm("Manual", json!({"stateChangeRequests": [{"action": "Stop", "uid": "u"}]}));
        assert_eq!(restart(&stopping, Some(&vmi("Running")), None).unwrap_err().code, 500);
        assert!(stop(&stopping, Some(&vmi("Running")), None).is_ok());
    }

    #[test]
    fn a_restart_clears_the_back_off_and_kills_with_grace_zero() {
        let vm = vm("Always", json!({"startFailure": {"consecutiveFailCount": 2}}));
        let effects = restart(&vm, Some(&vmi("Running")), Some(0)).unwrap();
        let [Effect::PatchVmi(grace), Effect::PatchVmStatus(status)] = effects.as_slice() else { panic!("{effects:?}") };
        assert_eq!(grace[1], json!({"op": "replace", "path": "/spec/terminationGracePeriodSeconds", "value": 1}));
        assert_eq!(status[2], json!({"op": "remove", "path": "/status/startFailure"}));
        assert_eq!(restart(&vm, None, None).unwrap_err().code, 409);
        assert_eq!(restart(&vm, None, Some(5)).unwrap_err().code, 400);
        let Effect::PatchVmi(undo) = restore_grace_period(&vmi("Running")) else { panic!("no patch of the VMI") };
        assert_eq!((&undo[0]["value"], undo[1]["op"].as_str()), (&json!(1), Some("replace")));
    }
}

//! Plugging and unplugging volumes (spec/api.md §3.3).
//!
//! With the deprecated gate HotplugVolumes a virtual machine gets a request in its status; without it, its template is changed and
//! the controller carries the change to the instance. An instance of its own is changed itself.

use api::config::ClusterConfig;
use api::v1::{
    AddVolumeOptions, Disk, RemoveVolumeOptions, VirtualMachine, VirtualMachineInstance, VirtualMachineInstanceSpec,
    VirtualMachineVolumeRequest, Volume,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Effect, Refusal, guarded, phase};

const VM: &str = "virtualmachine";
const VMI: &str = "virtualmachineinstance";

/// Whether volumes may be plugged at all.
pub(super) fn pluggable(config: &ClusterConfig) -> Result<(), Refusal> {
    if config.gate("DeclarativeHotplugVolumes") || config.gate("HotplugVolumes") {
        return Ok(());
    }
    Err(Refusal::bad_request("Enable DeclarativeHotplugVolumes or HotplugVolumes feature gate to use this API."))
}

/// A request to change volumes.
#[derive(Clone, Debug, PartialEq)]
pub enum VolumeChange {
    /// Plug a volume.
    Add(Box<AddVolumeOptions>),
    /// Unplug a volume.
    Remove(RemoveVolumeOptions),
}

impl VolumeChange {
    /// Completes and checks a request: the disk gets the volume's name, and the source is marked as pluggable.
    ///
    /// # Errors
    /// 400 with what is missing, or when no gate allows plugging.
    pub fn accept(mut self, config: &ClusterConfig) -> Result<Self, Refusal> {
        pluggable(config)?;
        match &mut self {
            Self::Add(add) => {
                if add.name.is_empty() {
                    return Err(Refusal::bad_request("AddVolumeOptions requires name to be set"));
                }
                if add.disk == Disk::default() {
                    return Err(Refusal::bad_request("AddVolumeOptions requires disk to not be nil"));
                }
                let source = &mut add.volume_source;
                if source.persistent_volume_claim.is_none() && source.data_volume.is_none() {
                    return Err(Refusal::bad_request("AddVolumeOptions requires VolumeSource to not be nil"));
                }
                add.disk.name.clone_from(&add.name);
                if let Some(claim) = &mut source.persistent_volume_claim {
                    claim.hotpluggable = Some(true);
                }
                if let Some(data_volume) = &mut source.data_volume {
                    data_volume.hotpluggable = Some(true);
                }
            }
            Self::Remove(remove) if remove.name.is_empty() => {
                return Err(Refusal::bad_request("RemoveVolumeOptions requires name to be set"));
            }
            Self::Remove(_) => {}
        }
        Ok(self)
    }

    /// Makes the change in a specification.
    fn apply(&self, spec: &mut VirtualMachineInstanceSpec) -> Result<(), String> {
        match self {
            Self::Add(add) => {
                let source = source_name(add.volume_source.persistent_volume_claim.as_ref(), add.volume_source.data_volume.as_ref());
                for volume in &spec.volumes {
                    if volume.name == add.name {
                        return Err(format!("Unable to add volume [{}] because volume with that name already exists", add.name));
                    }
                    if source_name(volume.persistent_volume_claim.as_ref(), volume.data_volume.as_ref()) == source {
                        let source = source.unwrap_or_default();
                        return Err(format!("Unable to add volume source [{source}] because it already exists"));
                    }
                }
                spec.volumes.push(Volume {
                    name: add.name.clone(),
                    persistent_volume_claim: add.volume_source.persistent_volume_claim.clone(),
                    data_volume: add.volume_source.data_volume.clone(),
                    ..Volume::default()
                });
                spec.domain.devices.disks.push(add.disk.clone());
            }
            Self::Remove(remove) => {
                let found = spec.volumes.iter().find(|v| {
                    v.name == remove.name
                        || source_name(v.persistent_volume_claim.as_ref(), v.data_volume.as_ref()) == Some(remove.name.as_str())
                });
                let Some(volume) = found else {
                    return Err(format!("Unable to remove volume [{}] because it does not exist", remove.name));
                };
                let pluggable = volume.persistent_volume_claim.as_ref().is_some_and(|c| c.hotpluggable == Some(true))
                    || volume.data_volume.as_ref().is_some_and(|d| d.hotpluggable == Some(true));
                if !pluggable {
                    return Err(format!("Unable to remove volume [{}] because it is not hotpluggable", remove.name));
                }
                let name = volume.name.clone();
                spec.volumes.retain(|v| v.name != name);
                spec.domain.devices.disks.retain(|d| d.name != name);
            }
        }
        Ok(())
    }
}

fn source_name<'a>(
    claim: Option<&'a api::v1::PersistentVolumeClaimVolumeSource>,
    data_volume: Option<&'a api::v1::DataVolumeSource>,
) -> Option<&'a str> {
    claim.map(|c| c.claim_name.as_str()).or(data_volume.map(|d| d.name.as_str()))
}

fn value<T: Serialize>(of: &T) -> Value {
    match serde_json::to_value(of) {
        Ok(Value::Array(list)) if list.is_empty() => Value::Null,
        Ok(value) => value,
        Err(_) => Value::Null,
    }
}

/// The patch from one specification to the other, below a path.
fn patch(base: &str, old: &VirtualMachineInstanceSpec, new: &VirtualMachineInstanceSpec) -> Vec<Value> {
    let mut operations = guarded(&format!("{base}/volumes"), &value(&old.volumes), &value(&new.volumes));
    let disks = |s: &VirtualMachineInstanceSpec| value(&s.domain.devices.disks);
    operations.extend(guarded(&format!("{base}/domain/devices/disks"), &disks(old), &disks(new)));
    operations
}

/// Changes the volumes of an instance. `owned` tells whether a virtual machine stands behind it.
///
/// # Errors
/// 409 in a state or for a volume that does not allow it, 400 where the virtual machine has to be asked.
pub fn change_vmi_volumes(
    vmi: &VirtualMachineInstance,
    change: &VolumeChange,
    owned: bool,
    config: &ClusterConfig,
) -> Result<Effect, Refusal> {
    let name = vmi.metadata.name.as_deref().unwrap_or_default();
    if owned && !config.gate("HotplugVolumes") {
        let namespace = vmi.metadata.namespace.as_deref().unwrap_or_default();
        return Err(Refusal::bad_request(format!("VMI {namespace}/{name} is owned by a VM")));
    }
    if phase(vmi) != "Running" {
        return Err(Refusal::conflict(VMI, name, "VMI is not running"));
    }
    let mut spec = vmi.spec.clone();
    change.apply(&mut spec).map_err(|why| Refusal::conflict(VMI, name, why))?;
    Ok(Effect::PatchVmi(patch("/spec", &vmi.spec, &spec)))
}

/// Changes the volumes of a virtual machine.
///
/// # Errors
/// 409 for a volume that does not allow it.
pub fn change_vm_volumes(vm: &VirtualMachine, change: &VolumeChange, config: &ClusterConfig) -> Result<Effect, Refusal> {
    let name = vm.metadata.name.as_deref().unwrap_or_default();
    let refuse = |why: String| Refusal::conflict(VM, name, why);
    let old = vm.spec.template.spec.as_deref().cloned().unwrap_or_default();
    let mut new = old.clone();
    change.apply(&mut new).map_err(refuse)?;
    if !config.gate("HotplugVolumes") {
        return Ok(Effect::PatchVm(patch("/spec/template/spec", &old, &new)));
    }
    let before = vm.status.as_ref().map(|s| s.volume_requests.clone()).unwrap_or_default();
    let after = requested(before.clone(), change).map_err(refuse)?;
    if vm.status.is_none() {
        return Ok(Effect::PatchVmStatus(vec![json!({"op": "add", "path": "/status", "value": {"volumeRequests": after}})]));
    }
    Ok(Effect::PatchVmStatus(guarded("/status/volumeRequests", &value(&before), &value(&after))))
}

/// The queue of requests with one more; unplugging cancels a plugging that has not happened yet.
fn requested(mut queue: Vec<VirtualMachineVolumeRequest>, change: &VolumeChange) -> Result<Vec<VirtualMachineVolumeRequest>, String> {
    let adds = |r: &VirtualMachineVolumeRequest, name: &str| r.add_volume_options.as_ref().is_some_and(|a| a.name == name);
    let removes = |r: &VirtualMachineVolumeRequest, name: &str| r.remove_volume_options.as_ref().is_some_and(|a| a.name == name);
    match change {
        VolumeChange::Add(add) => {
            let name = &add.name;
            if queue.iter().any(|r| adds(r, name)) {
                return Err(format!("add volume request for volume [{name}] already exists"));
            }
            if queue.iter().any(|r| removes(r, name)) {
                return Err(format!(
                    "unable to add volume since a remove volume request for volume [{name}] already exists and is still being processed"
                ));
            }
            queue.push(VirtualMachineVolumeRequest { add_volume_options: Some(add.clone()), ..Default::default() });
        }
        VolumeChange::Remove(remove) => {
            let name = &remove.name;
            if queue.iter().any(|r| removes(r, name)) {
                return Err(format!("a remove volume request for volume [{name}] already exists and is still being processed"));
            }
            let waiting = queue.len();
            queue.retain(|r| !adds(r, name));
            if queue.len() == waiting {
                queue.push(VirtualMachineVolumeRequest { remove_volume_options: Some(remove.clone()), ..Default::default() });
            }
        }
    }
    Ok(queue)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn config(gates: &[&str]) -> ClusterConfig {
        let kubevirt = json!({"spec": {"configuration": {"developerConfiguration": {"featureGates": gates}}}});
        ClusterConfig::from_kubevirt(Some(&serde_json::from_value(kubevirt).unwrap()))
    }

    fn vm() -> VirtualMachine {
        serde_json::from_value(json!({
            "metadata": {"name": "vm", "namespace": "ns"},
            "spec": {"runStrategy": "Always", "template": {"spec": {
                "domain": {"devices": {"disks": [{"name": "root", "disk": {}}, {"name": "hp", "disk": {"bus": "scsi"}}]}},
                "volumes": [
                    {"name": "root", "persistentVolumeClaim": {"claimName": "root"}},
                    {"name": "hp", "dataVolume": {"name": "dv", "hotpluggable": true}},
                ],
            }}},
            "status": {},
        }))
        .unwrap()
    }

    fn add(name: &str, claim: &str) -> VolumeChange {
        let options = json!({
            "name": name, "disk": {"disk": {"bus": "scsi"}}, "volumeSource": {"persistentVolumeClaim": {"claimName": claim}}});
        VolumeChange::Add(serde_json::from_value(options).unwrap())
    }

    fn remove(name: &str) -> VolumeChange {
        VolumeChange::Remove(RemoveVolumeOptions { name: name.into(), dry_run: Vec::new() })
    }

    #[rstest]
    #[case::name(add("hp", "c"), "Unable to add volume [hp] because volume with that name already exists")]
    #[case::source(add("x", "dv"), "Unable to add volume source [dv] because it already exists")]
    #[case::permanent(remove("root"), "Unable to remove volume [root] because it is not hotpluggable")]
    #[case::unknown(remove("x"), "Unable to remove volume [x] because it does not exist")]
    fn refusals(#[case] change: VolumeChange, #[case] why: &str) {
        let refusal = change_vm_volumes(&vm(), &change, &config(&[])).unwrap_err();
        assert_eq!(refusal.message, format!("Operation cannot be fulfilled on virtualmachine.kubevirt.io \"vm\": {why}"));
    }

    #[test]
    fn a_template_is_changed_in_place() {
        let change = add("x", "c").accept(&config(&[])).unwrap();
        let Effect::PatchVm(patch) = change_vm_volumes(&vm(), &change, &config(&[])).unwrap() else { panic!("no patch of the VM") };
        let paths: Vec<&str> = patch.iter().filter_map(|o| o["path"].as_str()).collect();
        let (volumes, disks) = ("/spec/template/spec/volumes", "/spec/template/spec/domain/devices/disks");
        assert_eq!(paths, [volumes, volumes, disks, disks]);
        assert_eq!(patch[1]["value"][2], json!({"name": "x", "persistentVolumeClaim": {"claimName": "c", "hotpluggable": true}}));
        assert_eq!(patch[3]["value"][2]["name"], "x");
    }

    #[test]
    fn requests_queue_and_cancel_each_other() {
        let gates = config(&["HotplugVolumes"]);
        let change = add("x", "c").accept(&gates).unwrap();
        let Effect::PatchVmStatus(patch) = change_vm_volumes(&vm(), &change, &gates).unwrap() else { panic!("no patch of the status") };
        assert_eq!(patch[1]["op"], "add");
        let queue = requested(Vec::new(), &change).unwrap();
        assert!(requested(queue.clone(), &change).unwrap_err().contains("already exists"));
        assert_eq!(requested(queue, &remove("x")).unwrap(), Vec::new());
    }

    #[rstest]
    #[case(add("", "c"), "AddVolumeOptions requires name to be set")]
    #[case(remove(""), "RemoveVolumeOptions requires name to be set")]
    fn what_is_missing(#[case] change: VolumeChange, #[case] message: &str) {
        assert_eq!(change.accept(&config(&[])).unwrap_err().message, message);
    }
}

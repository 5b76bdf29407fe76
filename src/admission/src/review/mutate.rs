//! The mutating webhooks (spec/admission.md §1.1, §4).

use api::clone::v1beta1::VirtualMachineClone;
use api::config::ClusterConfig;
use api::v1::{VirtualMachine, VirtualMachineInstance, VirtualMachineInstanceMigration, VirtualMachineInstancePreset};
use serde::Serialize;
use serde_json::Value;

use super::known::kinds;
use super::{Known, Request, Stop, Surroundings, is_going, namespace_of, outsized};
use crate::instancetype;
use crate::matcher;
use crate::{Denial, Operation, Seeds, VmLookups, default_clone, default_migration, default_vm, default_vmi, revert_status};

/// The outcome of a mutating webhook.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mutated {
    /// The object as it is to be stored; `None` where nothing changes.
    pub object: Option<Value>,
    /// Warnings for the client.
    pub warnings: Vec<String>,
}

/// Completes an object.
///
/// # Errors
/// The request is refused, or an object must be looked up first.
pub fn mutate(request: &Request<'_>, config: &ClusterConfig, known: &Known, seeds: &mut Seeds<'_>) -> Result<Mutated, Stop> {
    // The schema refuses it in a moment.
    if outsized::refusal(request.object).is_some() {
        return Ok(Mutated::default());
    }
    let around = Surroundings { config, known };
    match (request.kind, request.operation) {
        ("VirtualMachine", operation) => vm(request, operation, &around, seeds),
        ("VirtualMachineInstance", Operation::Create) => vmi(request, &around, seeds),
        ("VirtualMachineInstance", Operation::Update) => vmi_update(request, config),
        ("VirtualMachineInstanceMigration", Operation::Create) => {
            request.check_form()?;
            let mut migration: VirtualMachineInstanceMigration = request.decode()?;
            default_migration(&mut migration);
            changed(&migration, Vec::new())
        }
        ("VirtualMachineClone", Operation::Create) => {
            request.check_form()?;
            let mut clone: VirtualMachineClone = request.decode()?;
            default_clone(&mut clone, &mut || suffix(seeds));
            changed(&clone, Vec::new())
        }
        _ => Ok(Mutated::default()),
    }
}

fn changed<T: Serialize>(object: &T, warnings: Vec<String>) -> Result<Mutated, Stop> {
    let value = serde_json::to_value(object).map_err(|e| Stop::Denied(Denial::with_code(500, e.to_string())))?;
    Ok(Mutated { object: Some(value), warnings })
}

/// Five characters of Kubernetes' name alphabet, made from a random UUID.
fn suffix(seeds: &mut Seeds<'_>) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let uuid = (seeds.uuid)();
    let digits: Vec<u32> = uuid.chars().filter_map(|c| c.to_digit(16)).collect();
    let pick = |pair: &[u32]| pair.iter().fold(0, |n, d| n * 16 + d) as usize % ALPHABET.len();
    digits.chunks(2).take(5).filter_map(|pair| ALPHABET.get(pick(pair))).map(|b| char::from(*b)).collect()
}

/// MVM1-MVM14.
fn vm(request: &Request<'_>, operation: Operation, around: &Surroundings<'_>, seeds: &mut Seeds<'_>) -> Result<Mutated, Stop> {
    request.check_form()?;
    if is_going(request.object) {
        return Ok(Mutated::default());
    }
    let mut vm: VirtualMachine = request.decode()?;
    let old: Option<VirtualMachine> = request.decode_old()?;
    let namespace = namespace_of(request);
    matcher::validate(&vm, old.as_ref())?;
    instancetype::infer(&mut vm, namespace, around.known)?;
    let lookups = VmLookups {
        preference: forgiving(instancetype::preference(&vm, namespace, around.known))?,
        data_source_architecture: data_source_architecture(&vm, namespace, around.known)?,
    };
    default_vm(&mut vm, operation, &lookups, around.config, seeds);
    changed(&vm, Vec::new())
}

/// What a look-up found; objects that do not exist are the VM controller's to report.
pub(super) fn forgiving<T>(found: Result<Option<T>, Stop>) -> Result<Option<T>, Stop> {
    match found {
        Err(Stop::Denied(_)) => Ok(None),
        other => other,
    }
}

/// MVM11: the architecture a DataSource of the machine is labelled with.
fn data_source_architecture(vm: &VirtualMachine, namespace: &str, known: &Known) -> Result<Option<String>, Stop> {
    let given = vm.spec.template.spec.as_ref().and_then(|s| s.architecture.as_deref()).unwrap_or_default();
    if !given.is_empty() {
        return Ok(None);
    }
    let label =
        |source: &Value| source.pointer("/metadata/labels/template.kubevirt.io~1architecture").and_then(Value::as_str).map(str::to_owned);
    for reference in vm.spec.data_volume_templates.iter().filter_map(|t| t.spec.source_ref.as_ref()) {
        if !reference.kind.eq_ignore_ascii_case("datasource") {
            continue;
        }
        let at = reference.namespace.as_deref().filter(|n| !n.is_empty()).unwrap_or(namespace);
        let Some(mut source) = known.get::<Value>(kinds::DATA_SOURCE, at, &reference.name)? else { continue };
        if let Some(nested) = source.pointer("/spec/source/dataSource").cloned() {
            let field = |name: &str| nested.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            // Without a namespace nothing is found: the one of the outer source does not count.
            if field("namespace").is_empty() {
                continue;
            }
            match known.get::<Value>(kinds::DATA_SOURCE, &field("namespace"), &field("name"))? {
                Some(found) => source = found,
                None => continue,
            }
        }
        if let Some(architecture) = label(&source).filter(|a| ["amd64", "arm64", "s390x"].contains(&a.as_str())) {
            return Ok(Some(architecture));
        }
    }
    Ok(None)
}

/// MVI1-MVI28.
fn vmi(request: &Request<'_>, around: &Surroundings<'_>, seeds: &mut Seeds<'_>) -> Result<Mutated, Stop> {
    request.check_form()?;
    let mut vmi: VirtualMachineInstance = request.decode()?;
    let presets: Vec<VirtualMachineInstancePreset> = around.known.list(kinds::PRESET, namespace_of(request))?;
    let defaulted = default_vmi(&mut vmi, &presets, around.config, seeds)?;
    changed(&vmi, defaulted.warnings)
}

fn vmi_update(request: &Request<'_>, config: &ClusterConfig) -> Result<Mutated, Stop> {
    let mut vmi: VirtualMachineInstance = request.decode()?;
    let Some(old) = request.decode_old::<VirtualMachineInstance>()? else { return Ok(Mutated::default()) };
    match revert_status(&vmi, &old, request.requester, config) {
        None => Ok(Mutated::default()),
        Some(status) => {
            vmi.status = Some(status);
            changed(&vmi, Vec::new())
        }
    }
}

//! Plugins (spec/admission.md §11.3): their expressions compile and give what they must.
//!
//! Flow: an expression that is not nested too deeply ([`nesting`]) is parsed, and its type inferred ([`check`]) from the types of what it may name ([`types`]) and of the
//! functions it may call ([`functions`]). Nothing is evaluated: what an expression works on exists on the node only.
//!
//! Conditions and mutations of domains see Go's names (`vmi.Spec.Domain`, `domainSpec.Devices`), conditions of node hooks those of
//! manifests (`vmi.spec.domain`), as in KubeVirt.

mod check;
mod functions;
mod nesting;
mod types;

#[cfg(test)]
mod tests;

use api::config::ClusterConfig;
use api::plugin::v1alpha1::{DomainHook, PluginSpec};

use self::check::Environment;
use self::types::{Naming, Type};
use crate::{CauseKind, Causes, Denial, Operation, text};

/// Characters of all expressions of a plugin together, at most: to compile them is what takes time in a review.
const LONGEST_TOGETHER: usize = 40_000;
/// The type of a libvirt domain.
const DOMAIN: &str = "libvirtxml.Domain";

/// Where conditions of plugins and domain hooks, and mutations, are evaluated: in the launcher.
const LAUNCHER: Environment = Environment {
    variables: &[("vmi", "v1.VirtualMachineInstance"), ("domainSpec", DOMAIN)],
    container: "libvirtxml",
    naming: Naming::Go,
    extended: false,
    compares_numbers: false,
};

/// Where conditions of node hooks are evaluated.
const NODE: Environment = Environment {
    variables: &[("vmi", "v1.VirtualMachineInstance")],
    container: "",
    naming: Naming::Json,
    extended: true,
    compares_numbers: true,
};

/// PL1-PL5 and the gate.
///
/// # Errors
/// The gate is off (to create one), or every rule that is broken; the text is the first one's only, and there is no code.
pub fn validate_plugin(spec: &PluginSpec, operation: Operation, config: &ClusterConfig) -> Result<(), Denial> {
    if operation == Operation::Create && !config.gate("Plugins") {
        return Err(Denial::bad_request("Plugins feature gate is not enabled"));
    }
    let length = length(spec);
    if length > LONGEST_TOGETHER {
        let message = format!("the expressions of a plugin must have no more than {LONGEST_TOGETHER} characters together, not {length}");
        return Err(Denial { code: 0, ..Denial::cause(CauseKind::Invalid, "spec", message) });
    }
    let mut causes = Causes::default();
    judge("spec.condition", spec.condition.as_deref(), condition, &mut causes);
    for (i, hook) in spec.domain_hooks.iter().enumerate() {
        domain_hook(&format!("spec.domainHooks[{i}]"), hook, &mut causes);
    }
    for (i, hook) in spec.node_hooks.iter().enumerate() {
        judge(&format!("spec.nodeHooks[{i}].condition"), hook.condition.as_deref(), node_condition, &mut causes);
    }
    for (i, hook) in spec.domain_hooks.iter().enumerate() {
        socket_path(&format!("spec.domainHooks[{i}].sidecar.socketPath"), hook, &mut causes);
    }
    if causes.0.is_empty() {
        return Ok(());
    }
    let mut denial = Denial::invalid_uncapped(causes.0);
    denial.message = denial.causes.first().map(|c| c.message.clone()).unwrap_or_default();
    denial.code = 0;
    Err(denial)
}

/// How long all expressions are together.
fn length(spec: &PluginSpec) -> usize {
    let hooks = spec.domain_hooks.iter().flat_map(|hook| [hook.cel.as_ref().map(|cel| &cel.expression), hook.condition.as_ref()]);
    let all = hooks.chain(spec.node_hooks.iter().map(|hook| hook.condition.as_ref())).chain([spec.condition.as_ref()]);
    all.flatten().map(String::len).sum()
}

/// An expression that is there must pass.
fn judge(field: &str, expression: Option<&str>, rule: fn(&str) -> Result<(), String>, causes: &mut Causes) {
    if let Some(Err(message)) = expression.filter(|e| !e.is_empty()).map(rule) {
        causes.invalid(field, message);
    }
}

/// PL2, PL3.
fn domain_hook(at: &str, hook: &DomainHook, causes: &mut Causes) {
    judge(&format!("{at}.cel.expression"), hook.cel.as_ref().map(|cel| cel.expression.as_str()), mutation, causes);
    judge(&format!("{at}.condition"), hook.condition.as_deref(), condition, causes);
}

/// PL1, PL3.
fn condition(expression: &str) -> Result<(), String> {
    let outcome = match LAUNCHER.type_of(expression) {
        Ok(Type::Bool) => return Ok(()),
        Ok(other) => format!("condition must return bool, got {other}"),
        Err(why) => format!("compiling expression: {why}"),
    };
    Err(format!("invalid CEL condition expression: {outcome}"))
}

/// PL2.
fn mutation(expression: &str) -> Result<(), String> {
    let outcome = match LAUNCHER.type_of(expression) {
        Ok(Type::Object(name)) if name == DOMAIN => return Ok(()),
        Ok(other) => format!("mutation must return Domain, got {other}"),
        Err(why) => format!("compiling expression: {why}"),
    };
    Err(format!("invalid CEL mutation expression: {outcome}"))
}

/// PL4.
fn node_condition(expression: &str) -> Result<(), String> {
    let outcome = match NODE.type_of(expression) {
        Ok(Type::Bool) => return Ok(()),
        Ok(other) => format!("CEL expression must return bool, got {other}"),
        Err(why) => format!("CEL compilation failed: {why}"),
    };
    Err(format!("invalid CEL condition expression: {outcome}"))
}

/// PL5.
fn socket_path(field: &str, hook: &DomainHook, causes: &mut Causes) {
    let Some(path) = hook.sidecar.as_ref().map(|s| s.socket_path.as_str()) else { return };
    if text::clean_path(path) != path {
        causes.invalid(field, "socketPath must be a clean path (no '..' segments or redundant separators)");
    }
}

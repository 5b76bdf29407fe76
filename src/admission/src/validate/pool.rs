//! Pools of virtual machines (spec/admission.md §8.2).

use std::num::IntErrorKind;

use api::config::ClusterConfig;
use api::pool::v1beta1::{VirtualMachinePool, VirtualMachinePoolSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::spec::{SpecContext, validate_spec};
use super::vm::machine_rules;
use super::{metadata, network, remaining, same};
use crate::{Causes, Denial, Operation, Requester, selector};

const TEMPLATE: &str = "spec.virtualMachineTemplate.spec";

/// A pool under judgement.
#[derive(Clone, Copy, Debug)]
pub struct PoolReview<'a> {
    /// The pool.
    pub pool: &'a VirtualMachinePool,
    /// Its selector, if it has one: none selects nothing, an empty one everything.
    pub selector: Option<&'a LabelSelector>,
    /// The pool before, for an update.
    pub old: Option<&'a VirtualMachinePool>,
    /// What is to be done.
    pub operation: Operation,
    /// Who asks.
    pub requester: &'a Requester,
    /// The cluster's configuration.
    pub config: &'a ClusterConfig,
}

/// Judges a pool: its template as it stands, and PO2-PO9, PO11.
///
/// # Errors
/// Every rule that is broken.
pub fn validate_pool(review: &PoolReview<'_>) -> Result<(), Denial> {
    let PoolReview { pool, selector, old, operation, requester, config } = *review;
    let mut causes = Causes::default();
    let machine = pool.spec.virtual_machine_template.spec.as_deref().cloned().unwrap_or_default();
    let template = machine.template.spec.as_deref().cloned().unwrap_or_default();
    let base = format!("{TEMPLATE}.template.spec");
    let cx = SpecContext { base: &base, spec: &template, config };
    let meta = machine.template.metadata.as_deref().cloned().unwrap_or_default();
    let (labels, annotations) = (meta.labels.unwrap_or_default(), meta.annotations.unwrap_or_default());
    let meta_at = format!("{TEMPLATE}.template.metadata");
    metadata::validate(&meta_at, &labels, &annotations, requester, config, &mut causes);
    remaining::grace_annotations(&cx, &meta_at, &annotations, &mut causes);
    causes.extend(validate_spec(&cx));
    machine_rules(TEMPLATE, &machine, &cx, &mut causes);
    let own = pool.spec.virtual_machine_template.metadata.as_deref().and_then(|m| m.labels.clone()).unwrap_or_default();
    match selector.map_or(Ok(false), |selector| selector::matches(selector, &own)) {
        Err(error) => causes.invalid("spec.selector", error),
        Ok(false) => causes.invalid("spec.selector", "selector does not match labels."),
        Ok(true) => {}
    }
    max_unavailable(&pool.spec, &mut causes);
    strategies(&pool.spec, &mut causes);
    if let Some(old) = old.filter(|_| operation == Operation::Update)
        && !same(&old.spec.selector, &pool.spec.selector)
    {
        causes.invalid("spec.selector", "selector is immutable after creation.");
    }
    if operation == Operation::Create {
        network::discontinued_gates(&cx, &mut causes);
    }
    causes.into_result()
}

/// PO4-PO7.
fn max_unavailable(spec: &VirtualMachinePoolSpec, causes: &mut Causes) {
    let field = "spec.maxUnavailable";
    match &spec.max_unavailable {
        Some(IntOrString::Int(n)) if *n <= 0 => causes.invalid(field, "maxUnavailable must be greater than 0"),
        Some(IntOrString::String(text)) => match text.strip_suffix('%') {
            None => causes.invalid(field, "maxUnavailable percentage must end with %"),
            Some(number) => match number.parse::<i64>() {
                Err(error) => {
                    let far = matches!(error.kind(), IntErrorKind::PosOverflow | IntErrorKind::NegOverflow);
                    let why = if far { "value out of range" } else { "invalid syntax" };
                    let error = format!("strconv.Atoi: parsing {number:?}: {why}");
                    causes.invalid(field, format!("maxUnavailable percentage value {number:?} is invalid: {error}"));
                }
                Ok(n) if n <= 0 || n > 100 => {
                    causes.invalid(field, format!("maxUnavailable percentage value {n} must be between 1 and 100"));
                }
                Ok(_) => {}
            },
        },
        _ => {}
    }
}

/// PO8, PO9.
fn strategies(spec: &VirtualMachinePoolSpec, causes: &mut Causes) {
    let update = spec.update_strategy.as_ref().map(|s| (s.unmanaged.is_some(), s.opportunistic.is_some(), s.proactive.is_some()));
    let scale_in = spec.scale_in_strategy.as_ref().map(|s| (s.unmanaged.is_some(), s.opportunistic.is_some(), s.proactive.is_some()));
    for (field, set) in [("spec.updateStrategy", update), ("spec.scaleInStrategy", scale_in)] {
        let Some((unmanaged, opportunistic, proactive)) = set else { continue };
        let named: Vec<&str> = [(unmanaged, "unmanaged"), (opportunistic, "opportunistic"), (proactive, "proactive")]
            .into_iter()
            .filter_map(|(set, name)| set.then_some(name))
            .collect();
        if named.len() > 1 {
            let message = format!("only one strategy can be configured at a time: but found {} strategies", named.join(", "));
            causes.invalid(field, message);
        }
    }
}

//! Admission policies: validation ([`validate`]) and changes ([`mutating`]) written in CEL, bound to requests and parameters by
//! bindings.
//!
//! Facts: `k8s.io/apiserver/pkg/admission/plugin/policy/{generic,validating,mutating}`.

pub(super) mod conditions;
pub(super) mod mutating;
mod params;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use self::conditions::{Compiled, Conditions};
use super::matching::{Criteria, converted};
use super::{Attributes, Chain, Warning};
use crate::cel::{Composed, Environment, Program};
use crate::error::{ApiError, StatusCause};
use crate::object;
use crate::resource::GroupResource;

const GROUP: &str = "admissionregistration.k8s.io";
/// Bytes of a message made by an expression.
const MAX_MESSAGE: usize = 5 * 1024;

#[derive(Debug)]
struct Validation {
    expression: Compiled,
    message: String,
    message_expression: Option<Compiled>,
    reason: String,
}

struct Policy {
    name: String,
    criteria: Criteria,
    ignores_failure: bool,
    conditions: Conditions,
    variables: Vec<(String, Program)>,
    validations: Vec<Validation>,
    mutations: Vec<mutating::Mutation>,
    /// A mutating policy that runs once more when something later changed the object.
    reinvocable: bool,
    /// `apiVersion` and kind of parameters.
    param_kind: Option<(String, String)>,
    /// A variable that does not compile: the policy fails.
    broken: Option<String>,
    bindings: Vec<Binding>,
}

struct Binding {
    name: String,
    criteria: Option<Criteria>,
    actions: Vec<String>,
    param_ref: Value,
}

#[derive(Default)]
struct Cache {
    read_at: Option<[u64; 2]>,
    policies: Arc<Vec<Policy>>,
}

/// The policies of a server, compiled.
#[derive(Default)]
pub(super) struct Policies {
    validating: Mutex<Cache>,
    mutating: Mutex<Cache>,
}

const VALIDATING: [&str; 2] = ["validatingadmissionpolicies", "validatingadmissionpolicybindings"];
const MUTATING: [&str; 2] = ["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"];

impl Policies {
    fn validating(&self, chain: &Chain) -> Arc<Vec<Policy>> {
        current(&self.validating, chain, VALIDATING)
    }

    fn mutating(&self, chain: &Chain) -> Arc<Vec<Policy>> {
        current(&self.mutating, chain, MUTATING)
    }
}

fn current(cache: &Mutex<Cache>, chain: &Chain, resources: [&str; 2]) -> Arc<Vec<Policy>> {
    let now = resources.map(|resource| chain.store.last_write(&GroupResource::new(GROUP, resource)));
    let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.read_at != Some(now) {
        *cache = Cache { read_at: Some(now), policies: Arc::new(read(chain, resources)) };
    }
    cache.policies.clone()
}

fn read(chain: &Chain, [policies, bound]: [&str; 2]) -> Vec<Policy> {
    let mut bindings: BTreeMap<String, Vec<Binding>> = BTreeMap::new();
    for object in chain.list(GROUP, bound, None) {
        let text = |field| object::text(&object, &["spec", field]);
        bindings.entry(text("policyName").to_owned()).or_default().push(Binding {
            name: object::name(&object).to_owned(),
            criteria: object::at(&object, &["spec", "matchResources"]).map(|m| Criteria::of(m, "resourceRules")),
            actions: object::strings(&object, &["spec", "validationActions"]).into_iter().map(ToOwned::to_owned).collect(),
            param_ref: object::at(&object, &["spec", "paramRef"]).cloned().unwrap_or_default(),
        });
    }
    let policies = chain.list(GROUP, policies, None);
    policies.iter().filter_map(|policy| Some(Policy::of(policy, bindings.remove(object::name(policy))?))).collect()
}

impl Policy {
    fn of(object: &Value, bindings: Vec<Binding>) -> Self {
        let empty = Value::Null;
        let spec = object.get("spec").unwrap_or(&empty);
        let param_kind = spec
            .get("paramKind")
            .filter(|kind| kind.is_object())
            .map(|kind| (object::text(kind, &["apiVersion"]).to_owned(), object::text(kind, &["kind"]).to_owned()));
        let mut environment = Environment::admission(param_kind.is_some(), true);
        let mutations = object::list(spec, &["mutations"]);
        if !mutations.is_empty() {
            environment = environment.with_objects();
        }
        let (mut variables, mut broken) = (Vec::new(), None);
        for variable in object::list(spec, &["variables"]) {
            let name = object::text(variable, &["name"]).to_owned();
            match Program::compile(object::text(variable, &["expression"]), &environment) {
                Ok(program) => {
                    environment = environment.with_composed(name.as_str());
                    variables.push((name, program));
                }
                Err(error) => broken = broken.or(Some(format!("variable {name}: compilation error: {error}"))),
            }
        }
        let compiled = |value: &Value, field: &str| Compiled::new(object::text(value, &[field]), &environment);
        let validation = |validation: &Value| Validation {
            expression: compiled(validation, "expression"),
            message: object::text(validation, &["message"]).trim().to_owned(),
            message_expression: validation
                .get("messageExpression")
                .and_then(Value::as_str)
                .filter(|expression| !expression.is_empty())
                .map(|_| compiled(validation, "messageExpression")),
            reason: object::text(validation, &["reason"]).to_owned(),
        };
        Self {
            name: object::name(object).to_owned(),
            criteria: Criteria::of(spec.get("matchConstraints").unwrap_or(&empty), "resourceRules"),
            ignores_failure: object::text(spec, &["failurePolicy"]) == "Ignore",
            conditions: Conditions::within(object::list(spec, &["matchConditions"]), &Environment::admission(param_kind.is_some(), true)),
            mutations: mutations.iter().map(|mutation| mutating::Mutation::of(mutation, &environment)).collect(),
            reinvocable: object::text(spec, &["reinvocationPolicy"]) == "IfNeeded",
            validations: object::list(spec, &["validations"]).iter().map(validation).collect(),
            variables,
            param_kind,
            broken,
            bindings,
        }
    }
}

/// A validation that does not hold.
struct Denial {
    policy: String,
    binding: String,
    message: String,
    reason: String,
}

/// Asks every policy; the first denial in the order of policies and bindings is told.
///
/// # Errors
/// 403 or 422, as the validation's reason says.
pub(super) fn validate(chain: &Chain, attributes: &Attributes, warnings: &mut Vec<Warning>) -> Result<(), ApiError> {
    let policies = chain.policies.validating(chain);
    let mut first = None;
    for policy in policies.iter() {
        let Some(shown) = policy.criteria.matches(chain, attributes)? else { continue };
        let view = converted(attributes, &shown);
        for binding in &policy.bindings {
            if !binding.applies(chain, attributes)? {
                continue;
            }
            for (message, reason) in policy.evaluate(chain, &view, binding) {
                for action in &binding.actions {
                    match action.as_str() {
                        "Deny" if first.is_none() => {
                            first = Some(Denial {
                                policy: policy.name.clone(),
                                binding: binding.name.clone(),
                                message: message.clone(),
                                reason: reason.clone(),
                            });
                        }
                        "Warn" => warnings.push(format!(
                            "Validation failed for ValidatingAdmissionPolicy '{}' with binding '{}': {message}",
                            policy.name, binding.name
                        )),
                        "Audit" => tracing::info!(target: "audit", policy = policy.name, binding = binding.name, message),
                        _ => {}
                    }
                }
            }
        }
    }
    first.map_or(Ok(()), |denial| Err(denial.error(attributes)))
}

impl Binding {
    fn applies(&self, chain: &Chain, attributes: &Attributes) -> Result<bool, ApiError> {
        match &self.criteria {
            Some(criteria) if criteria.has_rules() => Ok(criteria.matches(chain, attributes)?.is_some()),
            Some(criteria) => criteria.selects(chain, attributes),
            None => Ok(true),
        }
    }
}

impl Denial {
    fn error(&self, attributes: &Attributes) -> ApiError {
        let message =
            format!("ValidatingAdmissionPolicy '{}' with binding '{}' denied request: {}", self.policy, self.binding, self.message);
        let mut error = attributes.forbidden(&message);
        (error.reason, error.code) = match self.reason.as_str() {
            "Forbidden" => ("Forbidden", 403),
            "Unauthorized" => ("Unauthorized", 401),
            "RequestEntityTooLarge" => ("RequestEntityTooLarge", 413),
            _ => ("Invalid", 422),
        };
        if let Some(details) = &mut error.details {
            details.causes.push(StatusCause { message, ..StatusCause::default() });
        }
        error
    }
}

impl Policy {
    /// Messages and reasons of what does not hold.
    fn evaluate(&self, chain: &Chain, attributes: &Attributes, binding: &Binding) -> Vec<(String, String)> {
        let failed = |why: String| if self.ignores_failure { Vec::new() } else { vec![(why, String::new())] };
        if let Some(broken) = &self.broken {
            return failed(format!("failed to configure policy: {broken}"));
        }
        let params = match params::of(chain, attributes, self.param_kind.as_ref(), &binding.param_ref) {
            Ok(params) => params,
            Err(error) => return failed(format!("failed to configure binding: {error}")),
        };
        let inputs = conditions::variables(chain, attributes);
        let mut denials = Vec::new();
        for param in &params {
            let mut variables = inputs.bind();
            if self.param_kind.is_some() {
                variables = variables.with("params", param);
            }
            match self.conditions.evaluate(&variables) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    denials.extend(failed(error));
                    continue;
                }
            }
            let composed = Composed::new(&self.variables);
            let variables = variables.clone().with_composed(&composed);
            for validation in &self.validations {
                match validation.expression.flag(&variables) {
                    Ok(true) => {}
                    Ok(false) => denials.push((validation.explain(&variables), validation.reason.clone())),
                    Err(error) => denials.extend(failed(error)),
                }
            }
        }
        denials
    }
}

impl Validation {
    fn explain(&self, variables: &crate::cel::Variables<'_>) -> String {
        let computed = self
            .message_expression
            .as_ref()
            .and_then(|expression| expression.text(variables).ok())
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty() && !text.contains('\n') && text.len() <= MAX_MESSAGE);
        match computed {
            Some(text) => text,
            None if !self.message.is_empty() => self.message.clone(),
            None => format!("failed expression: {}", self.expression.source.trim()),
        }
    }
}

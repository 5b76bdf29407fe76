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
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

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
    definition: Arc<Definition>,
    bindings: Vec<Binding>,
}

/// What a policy says, without those that bind it: as long as it stays the same, what was compiled of it does too.
struct Definition {
    name: String,
    revision: u64,
    criteria: Criteria,
    ignores_failure: bool,
    /// A mutating policy that runs once more when something later changed the object.
    reinvocable: bool,
    /// `apiVersion` and kind of parameters.
    param_kind: Option<(String, String)>,
    spec: Value,
    code: OnceLock<Code>,
}

/// The expressions of a policy. They are compiled when a request first matches: most policies of a server never see one.
struct Code {
    conditions: Conditions,
    variables: Vec<(String, Program)>,
    validations: Vec<Validation>,
    mutations: Vec<mutating::Mutation>,
    /// A variable that does not compile: the policy fails.
    broken: Option<String>,
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
        *cache = Cache { read_at: Some(now), policies: Arc::new(read(chain, resources, &cache.policies)) };
    }
    cache.policies.clone()
}

fn read(chain: &Chain, [policies, bound]: [&str; 2], known: &[Policy]) -> Vec<Policy> {
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
    let known: BTreeMap<&str, &Arc<Definition>> = known.iter().map(|one| (one.definition.name.as_str(), &one.definition)).collect();
    let stored = chain.store.list(&GroupResource::new(GROUP, policies), None).0;
    let bound = stored.iter().filter_map(|stored| {
        let bindings = bindings.remove(&stored.key.name)?;
        let same = known.get(stored.key.name.as_str()).filter(|known| known.revision == stored.revision);
        let definition = same.map_or_else(|| Arc::new(Definition::of(&stored.value(), stored.revision)), |known| Arc::clone(known));
        Some(Policy { definition, bindings })
    });
    bound.collect()
}

impl Definition {
    fn of(object: &Value, revision: u64) -> Self {
        let spec = object.get("spec").cloned().unwrap_or_default();
        let kind = spec.get("paramKind").filter(|kind| kind.is_object());
        Self {
            name: object::name(object).to_owned(),
            revision,
            criteria: Criteria::of(spec.get("matchConstraints").unwrap_or(&Value::Null), "resourceRules"),
            ignores_failure: object::text(&spec, &["failurePolicy"]) == "Ignore",
            reinvocable: object::text(&spec, &["reinvocationPolicy"]) == "IfNeeded",
            param_kind: kind.map(|kind| (object::text(kind, &["apiVersion"]).to_owned(), object::text(kind, &["kind"]).to_owned())),
            spec,
            code: OnceLock::new(),
        }
    }

    fn code(&self) -> &Code {
        self.code.get_or_init(|| Code::of(&self.spec, self.param_kind.is_some()))
    }
}

impl Code {
    fn of(spec: &Value, has_params: bool) -> Self {
        let mut environment = Environment::admission(has_params, true);
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
            conditions: Conditions::within(object::list(spec, &["matchConditions"]), &Environment::admission(has_params, true)),
            mutations: mutations.iter().map(|mutation| mutating::Mutation::of(mutation, &environment)).collect(),
            validations: object::list(spec, &["validations"]).iter().map(validation).collect(),
            variables,
            broken,
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
        let Policy { definition, bindings } = policy;
        let Some(shown) = definition.criteria.matches(chain, attributes)? else { continue };
        let view = converted(attributes, &shown);
        for binding in bindings {
            if !binding.applies(chain, attributes)? {
                continue;
            }
            for (message, reason) in definition.evaluate(chain, &view, binding) {
                for action in &binding.actions {
                    match action.as_str() {
                        "Deny" if first.is_none() => {
                            first = Some(Denial {
                                policy: definition.name.clone(),
                                binding: binding.name.clone(),
                                message: message.clone(),
                                reason: reason.clone(),
                            });
                        }
                        "Warn" => warnings.push(format!(
                            "Validation failed for ValidatingAdmissionPolicy '{}' with binding '{}': {message}",
                            definition.name, binding.name
                        )),
                        "Audit" => tracing::info!(target: "audit", policy = definition.name, binding = binding.name, message),
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

impl Definition {
    /// Messages and reasons of what does not hold.
    fn evaluate(&self, chain: &Chain, attributes: &Attributes, binding: &Binding) -> Vec<(String, String)> {
        let failed = |why: String| if self.ignores_failure { Vec::new() } else { vec![(why, String::new())] };
        let code = self.code();
        if let Some(broken) = &code.broken {
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
            match code.conditions.evaluate(&variables) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    denials.extend(failed(error));
                    continue;
                }
            }
            let composed = Composed::new(&code.variables);
            let variables = variables.clone().with_composed(&composed);
            for validation in &code.validations {
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

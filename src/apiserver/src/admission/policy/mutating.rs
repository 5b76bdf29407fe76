//! MutatingAdmissionPolicy: changes written in CEL, as apply configurations or JSON patches.
//!
//! Facts: `k8s.io/apiserver/pkg/admission/plugin/policy/mutating/{dispatcher,reinvocationcontext}.go`, `patch/{smd,json_patch}.go`,
//! `generic/policy_dispatcher.go`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::conditions::{self, Compiled};
use super::{Binding, Definition, Policy, params};
use crate::admission::matching::{Shown, converted, take_back};
use crate::admission::webhook::fill_defaults;
use crate::admission::{Attributes, Chain};
use crate::cel::{Composed, Environment};
use crate::error::{ApiError, StatusCause};
use crate::fieldmanager;
use crate::object;
use crate::patch::tested_patch;

/// One change of a policy.
pub(super) enum Mutation {
    Apply(Compiled),
    Patch(Compiled),
}

impl Mutation {
    pub(super) fn of(mutation: &Value, environment: &Environment) -> Self {
        let expression = |field: &str| Compiled::new(object::text(mutation, &[field, "expression"]), environment);
        if object::text(mutation, &["patchType"]) == "JSONPatch" {
            Self::Patch(expression("jsonPatch"))
        } else {
            Self::Apply(expression("applyConfiguration"))
        }
    }
}

/// A policy with a binding and a parameter.
type Invocation = (String, String, String);

/// What ran for one request, for those that run again.
#[derive(Debug, Default)]
pub(in crate::admission) struct Run {
    /// Ran and may run again.
    ran: BTreeSet<Invocation>,
    /// Must run again.
    again: BTreeSet<Invocation>,
    /// The object as the policies left it.
    left: Option<Value>,
    /// A policy changed the object.
    pub(in crate::admission) changed: bool,
}

/// What one invocation came to.
struct Problem {
    policy: String,
    binding: String,
    message: String,
    reason: &'static str,
}

impl Run {
    /// Runs every policy that matches.
    ///
    /// # Errors
    /// 403 with the first failure of a policy that does not ignore its failures.
    pub(in crate::admission) fn first(chain: &Chain, attributes: &mut Attributes) -> Result<Self, ApiError> {
        let mut run = Self::default();
        run.all(chain, attributes, false)?;
        Ok(run)
    }

    /// Runs those again that ask for it, after a later one or somebody else changed the object.
    ///
    /// # Errors
    /// As [`Run::first`].
    pub(in crate::admission) fn again(&mut self, chain: &Chain, attributes: &mut Attributes) -> Result<(), ApiError> {
        if self.left != attributes.object {
            self.require_all();
        }
        if self.again.is_empty() {
            return Ok(());
        }
        self.all(chain, attributes, true)
    }

    fn require_all(&mut self) {
        self.again.append(&mut self.ran);
    }

    fn all(&mut self, chain: &Chain, attributes: &mut Attributes, again: bool) -> Result<(), ApiError> {
        if attributes.object.is_none() {
            return Ok(());
        }
        let policies = chain.policies.mutating(chain);
        let mut problems = Vec::new();
        for policy in policies.iter() {
            let Policy { definition, bindings } = policy;
            let Some(shown) = definition.criteria.matches(chain, attributes)? else { continue };
            for binding in bindings {
                if binding.applies(chain, attributes)? {
                    self.invoke(chain, attributes, (definition, binding), &shown, again, &mut problems);
                }
            }
        }
        self.left.clone_from(&attributes.object);
        refuse(attributes, problems)
    }

    /// Runs a policy for each parameter of a binding.
    fn invoke(
        &mut self,
        chain: &Chain,
        attributes: &mut Attributes,
        (policy, binding): (&Definition, &Binding),
        shown: &Shown,
        again: bool,
        problems: &mut Vec<Problem>,
    ) {
        let mut failed = |message: String, reason| {
            if !policy.ignores_failure {
                problems.push(Problem { policy: policy.name.clone(), binding: binding.name.clone(), message, reason });
            }
        };
        if let Some(broken) = &policy.code().broken {
            return failed(format!("failed to configure policy: {broken}"), "Forbidden");
        }
        let params = match params::of(chain, attributes, policy.param_kind.as_ref(), &binding.param_ref) {
            Ok(params) => params,
            Err(error) => return failed(format!("failed to configure binding: {error}"), "Forbidden"),
        };
        for param in &params {
            let key = (policy.name.clone(), binding.name.clone(), format!("{}/{}", object::namespace(param), object::name(param)));
            let before = attributes.object.clone();
            match policy.matches_conditions(chain, attributes, param, shown) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    failed(error, "Invalid");
                    continue;
                }
            }
            if again && !self.again.contains(&key) {
                continue;
            }
            for mutation in &policy.code().mutations {
                if let Err(error) = policy.mutate(chain, attributes, param, shown, mutation) {
                    failed(error, "Invalid");
                }
            }
            if attributes.object != before {
                self.changed = true;
                self.require_all();
            }
            if policy.reinvocable {
                self.ran.insert(key);
            }
        }
    }
}

impl Definition {
    fn matches_conditions(&self, chain: &Chain, attributes: &Attributes, param: &Value, shown: &Shown) -> Result<bool, String> {
        let view = converted(attributes, shown);
        let inputs = conditions::variables(chain, &view);
        let variables = inputs.bind();
        self.code().conditions.evaluate(&if self.param_kind.is_some() { variables.with("params", param) } else { variables })
    }

    /// Makes one change; each is evaluated on what the one before left.
    fn mutate(&self, chain: &Chain, attributes: &mut Attributes, param: &Value, shown: &Shown, mutation: &Mutation) -> Result<(), String> {
        let changed = {
            let view = converted(attributes, shown);
            let Some(current) = &view.object else { return Ok(()) };
            let inputs = conditions::variables(chain, &view);
            let mut variables = inputs.bind();
            if self.param_kind.is_some() {
                variables = variables.with("params", param);
            }
            let composed = Composed::new(&self.code().variables);
            let variables = variables.clone().with_composed(&composed);
            match mutation {
                Mutation::Patch(expression) => {
                    let Value::Array(operations) = expression.json(&variables)? else {
                        return Err("type mismatch: JSONPatchType.expression should evaluate to array".to_owned());
                    };
                    tested_patch(current, &operations).map_err(|error| format!("JSONPath: {error}"))?
                }
                Mutation::Apply(expression) => {
                    let mut configuration = expression.json(&variables)?;
                    if !configuration.is_object() {
                        return Err("unsupported return type from ApplyConfiguration expression".to_owned());
                    }
                    object::set_type(&mut configuration, &view.gvk.api_version(), &view.gvk.kind);
                    let schema = chain.registry.lookup_resource(&view.gr()).and_then(|info| info.schema(&view.gvk.version));
                    let changed = fieldmanager::overlay(current, &configuration, schema.as_deref());
                    Some(changed.map_err(|error| format!("error applying patch: {error}"))?)
                }
            }
        };
        if let Some(changed) = changed.filter(|changed| Some(changed) != attributes.object.as_ref()) {
            take_back(attributes, changed);
            fill_defaults(chain, attributes);
        }
        Ok(())
    }
}

/// The refusal that tells all problems.
fn refuse(attributes: &Attributes, problems: Vec<Problem>) -> Result<(), ApiError> {
    let mut error = attributes.forbidden("admission request denied by policy");
    let mut first = true;
    for Problem { policy, binding, message, reason } in problems {
        let message = format!("policy '{policy}' with binding '{binding}' denied request: {message}");
        if first {
            message.clone_into(&mut error.message);
            error.reason = reason;
            first = false;
        }
        if let Some(details) = &mut error.details {
            details.causes.push(StatusCause { message, ..StatusCause::default() });
        }
    }
    if first { Ok(()) } else { Err(error) }
}

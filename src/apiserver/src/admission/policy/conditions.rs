//! What CEL expressions of admission see, and `matchConditions`.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::admission::webhook::{kind_value, resource_value};
use crate::admission::{Attributes, Chain};
use crate::auth::{self, Authorizer, Decision, UserInfo};
use crate::cel::{AccessCheck, Authorize, Environment, Program, Variables};
use crate::object;

static NULL: Value = Value::Null;

/// The variables of one request.
pub(in crate::admission) struct Inputs<'a> {
    object: &'a Value,
    old_object: &'a Value,
    request: Value,
    namespace: Value,
    authorizer: Arc<dyn Authorize>,
    check: AccessCheck,
}

/// What expressions may name for this request.
pub(in crate::admission) fn variables<'a>(chain: &Chain, attributes: &'a Attributes) -> Inputs<'a> {
    let namespace = if attributes.namespace.is_empty() {
        Value::Null
    } else {
        chain.get("", "namespaces", "", &attributes.namespace).unwrap_or_default()
    };
    let check = AccessCheck {
        group: attributes.gvr.group.clone(),
        resource: attributes.gvr.resource.clone(),
        subresource: attributes.subresource.clone(),
        namespace: attributes.namespace.clone(),
        name: attributes.name.clone(),
        ..AccessCheck::default()
    };
    Inputs {
        object: attributes.object.as_ref().unwrap_or(&NULL),
        old_object: attributes.old_object.as_deref().unwrap_or(&NULL),
        request: request(attributes),
        namespace,
        authorizer: Arc::new(Asker { authorizer: chain.authorizer.clone(), user: attributes.user.clone() }),
        check,
    }
}

impl Inputs<'_> {
    /// For an evaluation.
    pub(in crate::admission) fn bind(&self) -> Variables<'_> {
        Variables::new()
            .with("object", self.object)
            .with("oldObject", self.old_object)
            .with("request", &self.request)
            .with("namespaceObject", &self.namespace)
            .with_authorizer(self.authorizer.clone(), Some(self.check.clone()))
    }
}

/// `request`, as an `AdmissionRequest` without the objects.
fn request(attributes: &Attributes) -> Value {
    let mut request = Map::new();
    for (key, value) in [
        ("kind", kind_value(&attributes.gvk)),
        ("resource", resource_value(&attributes.gvr)),
        ("requestKind", kind_value(&attributes.request_kind)),
        ("requestResource", resource_value(&attributes.request_resource)),
        ("operation", attributes.operation.as_str().into()),
        ("userInfo", attributes.user.to_value()),
        ("dryRun", attributes.dry_run.into()),
        ("options", attributes.options.clone()),
    ] {
        request.insert(key.to_owned(), value);
    }
    for (key, value) in [
        ("subResource", &attributes.subresource),
        ("requestSubResource", &attributes.subresource),
        ("name", &attributes.name),
        ("namespace", &attributes.namespace),
    ] {
        request.insert(key.to_owned(), json!(value));
    }
    Value::Object(request)
}

/// Lets expressions ask the authorizer.
struct Asker {
    authorizer: Authorizer,
    user: UserInfo,
}

impl Authorize for Asker {
    fn check(&self, check: &AccessCheck) -> Result<(bool, String), String> {
        let account = check.service_account.as_ref().map(|(namespace, name)| UserInfo {
            name: auth::service_account::user_name(namespace, name),
            groups: auth::service_account::groups(namespace),
            ..UserInfo::default()
        });
        let user = account.as_ref().unwrap_or(&self.user);
        let attributes = match &check.path {
            Some(path) => auth::Attributes::path(user, &check.verb, path),
            None => auth::Attributes {
                subresource: &check.subresource,
                namespace: &check.namespace,
                name: &check.name,
                ..auth::Attributes::resource(user, &check.verb, &check.group, &check.resource)
            },
        };
        Ok(match self.authorizer.authorize(&attributes) {
            Decision::Allow(reason) => (true, reason),
            Decision::NoOpinion(reason) => (false, reason),
        })
    }
}

/// `matchConditions`, compiled.
#[derive(Debug, Default)]
pub(in crate::admission) struct Conditions(Vec<Compiled>);

/// An expression that may not have compiled; then every evaluation fails.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) source: String,
    program: Result<Program, String>,
}

impl Compiled {
    pub(super) fn new(source: &str, environment: &Environment) -> Self {
        let program = Program::compile(source, environment).map_err(|error| format!("compilation error: {error}"));
        Self { source: source.to_owned(), program }
    }

    /// The value as a flag.
    pub(super) fn flag(&self, variables: &Variables<'_>) -> Result<bool, String> {
        let result = match &self.program {
            Ok(program) => program.eval_bool(variables).map_err(|error| error.to_string()),
            Err(error) => Err(error.clone()),
        };
        result.map_err(|error| format!("expression '{}' resulted in error: {error}", self.source))
    }

    /// The value as JSON.
    pub(super) fn json(&self, variables: &Variables<'_>) -> Result<Value, String> {
        let result = match &self.program {
            Ok(program) => program.eval_json(variables).map_err(|error| error.to_string()),
            Err(error) => Err(error.clone()),
        };
        result.map_err(|error| format!("expression '{}' resulted in error: {error}", self.source))
    }

    /// The value as a text.
    pub(super) fn text(&self, variables: &Variables<'_>) -> Result<String, String> {
        match &self.program {
            Ok(program) => program.eval_string(variables).map_err(|error| error.to_string()),
            Err(error) => Err(error.clone()),
        }
    }
}

impl Conditions {
    /// From the list in a webhook or policy.
    pub(in crate::admission) fn of(list: &[Value]) -> Self {
        Self::within(list, &Environment::admission(false, true))
    }

    /// As [`Conditions::of`], where expressions may name more.
    pub(super) fn within(list: &[Value], environment: &Environment) -> Self {
        Self(list.iter().map(|condition| Compiled::new(object::text(condition, &["expression"]), environment)).collect())
    }

    pub(in crate::admission) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all hold. One that does not outweighs those that fail.
    ///
    /// # Errors
    /// The failures, when no condition is false.
    pub(in crate::admission) fn evaluate(&self, variables: &Variables<'_>) -> Result<bool, String> {
        let mut errors = Vec::new();
        for condition in &self.0 {
            match condition.flag(variables) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) => errors.push(error),
            }
        }
        match errors.as_slice() {
            [] => Ok(true),
            [one] => Err(one.clone()),
            many => Err(format!("[{}]", many.join(", "))),
        }
    }
}

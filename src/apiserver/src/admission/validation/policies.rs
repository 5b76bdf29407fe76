//! Whether admission policies and their bindings may be stored.

use serde_json::{Value, json};

use super::{check_conditions, check_expression, check_rule, check_selectors, one_of};
use crate::cel::Environment;
use crate::error::FieldError;
use crate::object;

/// A ValidatingAdmissionPolicy.
pub fn validating(object: &Value) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let empty = Value::Null;
    let spec = object.get("spec").unwrap_or(&empty);
    let environment = common(spec, |environment| environment, &mut wrong);
    let validations = object::list(spec, &["validations"]);
    if validations.is_empty() && object::list(spec, &["auditAnnotations"]).is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        wrong.push(FieldError::required("spec.validations", detail));
        wrong.push(FieldError::required("spec.auditAnnotations", detail));
    }
    for (index, validation) in validations.iter().enumerate() {
        check_validation(validation, &format!("spec.validations[{index}]"), &environment, &mut wrong);
    }
    wrong
}

/// A MutatingAdmissionPolicy.
pub fn mutating(object: &Value) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let empty = Value::Null;
    let spec = object.get("spec").unwrap_or(&empty);
    let environment = common(spec, Environment::with_objects, &mut wrong);
    let mutations = object::list(spec, &["mutations"]);
    if mutations.is_empty() {
        wrong.push(FieldError::required("spec.mutations", "mutations must contain at least one item"));
    }
    for (index, mutation) in mutations.iter().enumerate() {
        check_mutation(mutation, &format!("spec.mutations[{index}]"), &environment, &mut wrong);
    }
    match object::text(spec, &["reinvocationPolicy"]) {
        "" => wrong.push(FieldError::required("spec.reinvocationPolicy", "")),
        policy => one_of("spec.reinvocationPolicy", policy, &["IfNeeded", "Never"], &mut wrong),
    }
    wrong
}

fn check_mutation(mutation: &Value, at: &str, environment: &Environment, wrong: &mut Vec<FieldError>) {
    let kind = object::text(mutation, &["patchType"]);
    let forms = [("ApplyConfiguration", "applyConfiguration", "Object"), ("JSONPatch", "jsonPatch", "list(JSONPatch)")];
    match kind {
        "" => wrong.push(FieldError::required(format!("{at}.patchType"), "")),
        kind => one_of(&format!("{at}.patchType"), kind, &["ApplyConfiguration", "JSONPatch"], wrong),
    }
    for (form, field, result) in forms {
        let at = format!("{at}.{field}");
        let given = mutation.get(field).filter(|given| given.is_object());
        match given {
            Some(given) if kind == form => {
                check_expression(object::text(given, &["expression"]), &format!("{at}.expression"), result, environment, wrong);
            }
            None if kind == form => wrong.push(FieldError::required(at, format!("must be specified when patchType is {form}"))),
            Some(_) if !kind.is_empty() => {
                wrong.push(FieldError::forbidden(at, format!("may not be specified when patchType is {kind}")));
            }
            _ => {}
        }
    }
}

/// What both kinds of policies have; what the expressions after it may name.
fn common(spec: &Value, extend: fn(Environment) -> Environment, wrong: &mut Vec<FieldError>) -> Environment {
    let text = |name: &str| object::text(spec, &[name]);
    one_of("spec.failurePolicy", text("failurePolicy"), &["Fail", "Ignore"], wrong);
    let param_kind = spec.get("paramKind").filter(|kind| kind.is_object());
    if let Some(kind) = param_kind {
        for field in ["apiVersion", "kind"] {
            if object::text(kind, &[field]).is_empty() {
                wrong.push(FieldError::required(format!("spec.paramKind.{field}"), ""));
            }
        }
    }
    match spec.get("matchConstraints").filter(|constraints| constraints.is_object()) {
        None => wrong.push(FieldError::required("spec.matchConstraints", "")),
        Some(constraints) => {
            check_match(constraints, "spec.matchConstraints", wrong);
            if object::list(constraints, &["resourceRules"]).is_empty() {
                wrong.push(FieldError::required("spec.matchConstraints.resourceRules", ""));
            }
        }
    }
    let mut environment = Environment::admission(param_kind.is_some(), true);
    check_conditions(spec, "spec", &environment, wrong);
    environment = extend(environment);
    for (index, variable) in object::list(spec, &["variables"]).iter().enumerate() {
        let field = |name: &str| format!("spec.variables[{index}].{name}");
        let name = object::text(variable, &["name"]);
        if name.is_empty() {
            wrong.push(FieldError::required(field("name"), "name is not specified"));
        } else if !is_identifier(name) {
            wrong.push(FieldError::invalid(field("name"), name, "name is not a valid CEL identifier"));
        }
        let expression = object::text(variable, &["expression"]);
        check_expression(expression, &field("expression"), "dyn", &environment, wrong);
        environment = environment.with_composed(name);
    }
    environment
}

fn check_validation(validation: &Value, at: &str, environment: &Environment, wrong: &mut Vec<FieldError>) {
    let field = |name: &str| format!("{at}.{name}");
    let text = |name: &str| object::text(validation, &[name]);
    if text("expression").trim().is_empty() {
        wrong.push(FieldError::required(field("expression"), "expression is not specified"));
    } else {
        check_expression(text("expression"), &field("expression"), "bool", environment, wrong);
    }
    if !text("messageExpression").trim().is_empty() {
        check_expression(text("messageExpression"), &field("messageExpression"), "string", environment, wrong);
    }
    if text("message").trim().contains('\n') {
        wrong.push(FieldError::invalid(field("message"), text("message"), "message must not contain line breaks"));
    }
    let reasons = ["Unauthorized", "Forbidden", "Invalid", "RequestEntityTooLarge"];
    one_of(&field("reason"), text("reason"), &reasons, wrong);
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_') && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn check_match(constraints: &Value, at: &str, wrong: &mut Vec<FieldError>) {
    one_of(&format!("{at}.matchPolicy"), object::text(constraints, &["matchPolicy"]), &["Equivalent", "Exact"], wrong);
    check_selectors(constraints, at, wrong);
    for list in ["resourceRules", "excludeResourceRules"] {
        for (index, rule) in object::list(constraints, &[list]).iter().enumerate() {
            check_rule(rule, &format!("{at}.{list}[{index}]"), wrong);
        }
    }
}

/// A binding; those of validating policies say what a failed validation does.
pub fn binding(object: &Value, validates: bool) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let empty = Value::Null;
    let spec = object.get("spec").unwrap_or(&empty);
    if object::text(spec, &["policyName"]).is_empty() {
        wrong.push(FieldError::required("spec.policyName", ""));
    }
    if let Some(reference) = spec.get("paramRef").filter(|reference| reference.is_object()) {
        let has_name = !object::text(reference, &["name"]).is_empty();
        let has_selector = reference.get("selector").is_some_and(Value::is_object);
        if has_name == has_selector {
            let detail = if has_name { "name and selector are mutually exclusive" } else { "one of name or selector must be specified" };
            wrong.push(FieldError::required("spec.paramRef", detail));
        }
        let action = object::text(reference, &["parameterNotFoundAction"]);
        if action.is_empty() {
            wrong.push(FieldError::required("spec.paramRef.parameterNotFoundAction", ""));
        }
        one_of("spec.paramRef.parameterNotFoundAction", action, &["Deny", "Allow"], &mut wrong);
    }
    if let Some(resources) = spec.get("matchResources").filter(|resources| resources.is_object()) {
        check_match(resources, "spec.matchResources", &mut wrong);
    }
    if validates {
        check_actions(spec, &mut wrong);
    }
    wrong
}

fn check_actions(spec: &Value, wrong: &mut Vec<FieldError>) {
    let actions = object::strings(spec, &["validationActions"]);
    let field = "spec.validationActions";
    if actions.is_empty() {
        wrong.push(FieldError::required(field, "at least one validation action is required"));
    }
    for (index, action) in actions.iter().enumerate() {
        one_of(&format!("{field}[{index}]"), action, &["Audit", "Deny", "Warn"], wrong);
        if actions.iter().take(index).any(|earlier| earlier == action) {
            wrong.push(FieldError::duplicate(format!("{field}[{index}]"), *action));
        }
    }
    if actions.contains(&"Deny") && actions.contains(&"Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and \
                      headers serves no purpose)";
        wrong.push(FieldError::invalid(field, json!(actions), detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(wrong: &[FieldError]) -> Vec<String> {
        wrong.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_policy_must_compile_and_give_the_right_types() {
        let rules = json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}]);
        let with = |validation: Value| json!({"spec": {"matchConstraints": {"resourceRules": rules}, "validations": [validation]}});
        assert_eq!(texts(&validating(&with(json!({"expression": "variables == null || object.a > 1"})))).len(), 1);
        let wrong = texts(&validating(&with(json!({"expression": "object.nope +"}))));
        assert!(
            wrong[0]
                .starts_with("spec.validations[0].expression: Invalid value: \"object.nope +\": compilation failed: ERROR: <input>:1:14"),
            "{wrong:?}"
        );
        assert_eq!(
            texts(&validating(&with(json!({"expression": "'a'"})))),
            ["spec.validations[0].expression: Invalid value: \"'a'\": must evaluate to bool"]
        );
        assert_eq!(texts(&validating(&with(json!({"expression": "object.metadata.name != 'x'"})))), Vec::<String>::new());
        let mut composed = with(json!({"expression": "variables.n > 1"}));
        composed["spec"]["variables"] = json!([{"name": "n", "expression": "1 + 1"}]);
        assert_eq!(texts(&validating(&composed)), Vec::<String>::new());
        assert_eq!(
            texts(&validating(&json!({"spec": {}}))),
            [
                "spec.matchConstraints: Required value",
                "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
                "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
            ]
        );
    }

    #[test]
    fn clashing_actions_are_refused() {
        let wrong = texts(&binding(&json!({"spec": {"policyName": "x", "validationActions": ["Deny", "Warn", "Sing"]}}), true));
        assert_eq!(wrong[0], "spec.validationActions[2]: Unsupported value: \"Sing\": supported values: \"Audit\", \"Deny\", \"Warn\"");
        assert!(
            wrong[1].starts_with("spec.validationActions: Invalid value: [\"Deny\",\"Warn\",\"Sing\"]: must not contain both"),
            "{wrong:?}"
        );
    }
}

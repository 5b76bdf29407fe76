//! Compilation of the rules in a CustomResourceDefinition's schema.

use serde_json::{Value, json};

use super::types::{Scope, Type, infer, of_schema};
use super::{ast, stack};
use crate::error::FieldError;
use crate::schema::structural::{child, property};
use crate::schema::{ListType, Schema, ValidationRule};

/// Compiles every rule in a schema and reports what does not compile, does not give a boolean, or compares with the old
/// value where old values cannot be found.
pub(crate) fn check(schema: &Schema, base: &str, errors: &mut Vec<FieldError>) {
    walk(schema, base, None, errors);
}

/// `lost` is the path of the list below which old values have no counterpart.
fn walk(schema: &Schema, at: &str, lost: Option<&str>, errors: &mut Vec<FieldError>) {
    if !schema.subtree.rules {
        return;
    }
    if let Some(rules) = &schema.rules {
        for (index, rule) in rules.list.iter().enumerate() {
            let at = format!("{}[{index}]", child(at, "x-kubernetes-validations"));
            one(schema, rule, &at, lost, errors);
        }
    }
    for (name, below) in &schema.properties {
        walk(below.resolve(), &property(at, name), lost, errors);
    }
    if let Some(additional) = schema.additional_schema() {
        walk(additional, &child(at, "additionalProperties"), lost, errors);
    }
    if let Some(items) = schema.element() {
        let lost_here = schema.list_type != Some(ListType::Map);
        let lost = lost.or(lost_here.then_some(at));
        walk(items, &child(at, "items"), lost, errors);
    }
}

/// The rule as Go prints its struct; a JSON map would lose the order of the fields.
fn shown(rule: &ValidationRule) -> String {
    format!(
        "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{},\"FieldPath\":{},\"OptionalOldSelf\":{}}}",
        json!(rule.rule),
        json!(rule.message),
        json!(rule.message_expression),
        json!(rule.reason),
        json!(rule.field_path),
        json!(rule.optional_old_self),
    )
}

fn one(schema: &Schema, rule: &ValidationRule, at: &str, lost: Option<&str>, errors: &mut Vec<FieldError>) {
    let scope = || {
        let of = of_schema(schema);
        let mut scope = Scope::new();
        let old = if rule.optional_old_self == Some(true) { Type::Optional(Box::new(of.clone())) } else { of.clone() };
        scope.declare("self", of);
        scope.declare("oldSelf", old);
        scope
    };
    let rule_at = child(at, "rule");
    match compile(&rule.rule, scope()) {
        Err(text) => errors.push(refused(rule, rule_at.clone(), &format!("compilation failed: {text}"))),
        Ok((Type::Bool | Type::Dyn, transition)) => {
            if let Some(lost) = lost.filter(|_| transition) {
                errors.push(FieldError::invalid(
                    rule_at,
                    rule.rule.as_str(),
                    format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {lost}"),
                ));
            }
            if rule.optional_old_self.is_some() && !transition {
                errors.push(FieldError::invalid(
                    child(at, "optionalOldSelf"),
                    rule.optional_old_self,
                    "may not be set if oldSelf is not used in rule",
                ));
            }
        }
        Ok(_) => errors.push(refused(rule, rule_at, "cel expression must evaluate to a bool")),
    }
    if !rule.message_expression.is_empty() {
        let at = child(at, "messageExpression");
        match compile(&rule.message_expression, scope()) {
            Err(text) => {
                errors.push(refused(rule, at, &format!("messageExpression compilation failed: {text}")));
            }
            Ok((Type::String | Type::Dyn, _)) => {}
            Ok(_) => {
                errors.push(refused(rule, at, "messageExpression must evaluate to a string"));
            }
        }
    }
}

fn refused(rule: &ValidationRule, at: String, detail: &str) -> FieldError {
    let mut error = FieldError::invalid(at, Value::Null, format!("{}: {detail}", shown(rule)));
    error.bad_value = None;
    error
}

fn compile<'a>(source: &str, mut scope: Scope<'a>) -> Result<(Type<'a>, bool), String> {
    let expr = ast::parse(source)?;
    stack::walk(&expr, || {
        let of = infer(&expr, &mut scope).map_err(|problem| problem.text(source))?;
        Ok((of, ast::uses(&expr, "oldSelf")))
    })
}

//! `x-kubernetes-validations`: the CEL rules of custom resources.

use std::sync::Arc;

use kube_cel::cel::objects::OptionalValue;
use kube_cel::cel::{Context, IdedExpr, Value as Cel};
use serde_json::Value;

use super::program::{BUDGET, run_error, worst_case};
use super::value::{typed, widest};
use super::{ast, library, stack};
use crate::error::FieldError;
use crate::schema::path::Path;
use crate::schema::{Counterparts, JsonType, Rules, Schema, ValidationRule};

/// The rules of one schema, compiled.
#[derive(Debug, Default)]
pub struct CompiledRules {
    rules: Vec<CompiledRule>,
    /// Fields of `self` and `oldSelf` that the rules read; all when `None`.
    fields: Option<std::collections::BTreeSet<String>>,
}

#[derive(Debug)]
struct CompiledRule {
    /// `None` when it does not compile, which the definition's validation has refused before.
    program: Option<IdedExpr>,
    message: Option<IdedExpr>,
    field_path: Vec<String>,
    transition: bool,
    optional: bool,
    nesting: u32,
}

impl CompiledRules {
    fn of(rules: &[ValidationRule]) -> Self {
        let rules: Vec<CompiledRule> = rules.iter().map(compile).collect();
        let mut fields = Some(std::collections::BTreeSet::new());
        for expr in rules.iter().flat_map(|rule| rule.program.iter().chain(&rule.message)) {
            for variable in ["self", "oldSelf"] {
                fields = match (fields, ast::fields_of(expr, variable)) {
                    (Some(mut known), Some(more)) => {
                        known.extend(more);
                        Some(known)
                    }
                    _ => None,
                };
            }
        }
        Self { rules, fields }
    }
}

fn compile(rule: &ValidationRule) -> CompiledRule {
    let parse = |source: &str| {
        let mut expr = ast::parse(source).ok()?;
        stack::lower(&mut expr);
        Some(expr)
    };
    let program = parse(&rule.rule);
    let message = (!rule.message_expression.is_empty()).then(|| parse(&rule.message_expression)).flatten();
    CompiledRule {
        transition: program.as_ref().is_some_and(|expr| ast::uses(expr, "oldSelf")),
        optional: rule.optional_old_self == Some(true),
        field_path: field_path(&rule.field_path).unwrap_or_default(),
        nesting: program.as_ref().map_or(0, ast::nesting),
        program,
        message,
    }
}

fn compiled(rules: &Rules) -> &CompiledRules {
    rules.compiled.get_or_init(|| Arc::new(CompiledRules::of(&rules.list)))
}

/// Runs every rule that applies to a value; rules that compare with `oldSelf` need an old value.
///
/// # Guarantees
/// - Rules of a schema run before those of its fields; fields are taken in the order of the schema.
/// - A rule without `oldSelf` that fails on a value which did not change is not reported (ratcheting).
/// - Work is bounded: a rule whose loops could exceed the budget is an internal error, and no rule after it runs.
pub fn validate(schema: &Schema, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut walk = Walk { errors: Vec::new(), exhausted: false };
    walk.node(schema.resolve(), value, old, Path::Root);
    walk.errors
}

struct Walk {
    errors: Vec<FieldError>,
    exhausted: bool,
}

impl Walk {
    fn node(&mut self, schema: &Schema, value: &Value, old: Option<&Value>, path: Path<'_>) {
        if !schema.subtree.rules || value.is_null() || self.exhausted {
            return;
        }
        if let Some(rules) = &schema.rules {
            self.rules(schema, rules, value, old, path);
        }
        match value {
            Value::Object(map) => {
                for (name, property) in &schema.properties {
                    if let Some(value) = map.get(&**name) {
                        let old = old.and_then(|old| old.get(&**name));
                        self.node(property.resolve(), value, old, path.field(name));
                    }
                }
                if let Some(additional) = schema.additional_schema() {
                    for (key, value) in map {
                        if !schema.properties.contains_key(key.as_str()) {
                            self.node(additional, value, old.and_then(|old| old.get(key)), path.key(key));
                        }
                    }
                }
            }
            Value::Array(list) => {
                let Some(items) = schema.element() else { return };
                let counterparts = Counterparts::of(schema, old);
                for (index, value) in list.iter().enumerate() {
                    self.node(items, value, counterparts.find(schema, value), path.index(index));
                }
            }
            _ => {}
        }
    }

    fn rules(&mut self, schema: &Schema, rules: &Rules, value: &Value, old: Option<&Value>, path: Path<'_>) {
        let compiled = compiled(rules);
        let old = old.filter(|old| !old.is_null());
        let due = |rule: &CompiledRule| !rule.transition || rule.optional || old.is_some();
        if !compiled.rules.iter().any(due) {
            return;
        }
        let fields = compiled.fields.as_ref();
        let mut context = library::base().new_inner_scope();
        context.add_variable_from_value("self", typed(schema, value, None, fields));
        let old_self =
            compiled.rules.iter().any(|rule| rule.transition).then(|| old.map(|old| typed(schema, old, Some(value), fields))).flatten();
        let loops = compiled.rules.iter().any(|rule| rule.nesting > 1);
        let size = if loops { widest(value).max(old.map_or(0, widest)) } else { 0 };
        let unchanged = old == Some(value);
        for (rule, compiled) in rules.list.iter().zip(&compiled.rules) {
            let Some(program) = compiled.program.as_ref().filter(|_| due(compiled)) else { continue };
            if compiled.nesting > 1 && worst_case(size, compiled.nesting) > BUDGET {
                self.errors.push(FieldError::internal(
                    path.field_name(),
                    format!(
                        "operation cancelled: actual cost limit exceeded: no further validation rules will be run due \
                         to call cost exceeds limit for rule: {}",
                        words(rule)
                    ),
                ));
                self.exhausted = true;
                return;
            }
            if compiled.transition {
                match (compiled.optional, &old_self) {
                    (true, found) => {
                        let optional = found.clone().map_or_else(OptionalValue::none, OptionalValue::of);
                        context.add_variable_from_value("oldSelf", Cel::Opaque(Arc::new(optional)));
                    }
                    (false, Some(found)) => context.add_variable_from_value("oldSelf", found.clone()),
                    (false, None) => continue,
                }
            }
            match library::resolve(program, &context) {
                Ok(Cel::Bool(true)) => {}
                // An unchanged value that a rule without `oldSelf` refuses was accepted before the rule came.
                _ if unchanged && !compiled.transition => {}
                Ok(_) => self.errors.push(refusal(rule, compiled, value, path, &context)),
                Err(error) => {
                    let text = run_error(&error);
                    let detail = if text.starts_with("no such overload") {
                        format!(
                            "{text}: call arguments did not match a supported operator, function or macro signature \
                             for rule: {}",
                            words(rule)
                        )
                    } else {
                        format!("{text} evaluating rule: {}", words(rule))
                    };
                    // What could not be evaluated is told by the type of its value.
                    let found = schema.types.map_or("", JsonType::as_str);
                    self.errors.push(FieldError::invalid(path.field_name(), found, detail));
                }
            }
        }
    }
}

/// How a rule is called in messages.
fn words(rule: &ValidationRule) -> &str {
    if rule.message.is_empty() { rule.rule.trim() } else { rule.message.trim() }
}

/// Objects and lists are not printed.
fn invalid(field: String, value: &Value, detail: String) -> FieldError {
    let mut error = FieldError::invalid(field, Value::Null, detail);
    error.bad_value = (!value.is_object() && !value.is_array()).then(|| value.clone());
    error
}

fn refusal(rule: &ValidationRule, compiled: &CompiledRule, value: &Value, path: Path<'_>, context: &Context<'_>) -> FieldError {
    let computed = compiled.message.as_ref().and_then(|message| match library::resolve(message, context) {
        Ok(Cel::String(text)) if !text.trim().is_empty() && !text.contains('\n') && text.len() <= 5120 => Some(text.trim().to_owned()),
        _ => None,
    });
    let detail = computed.unwrap_or_else(|| {
        if rule.message.is_empty() { format!("failed rule: {}", rule.rule.trim()) } else { rule.message.trim().to_owned() }
    });
    let (field, value) = pointed(compiled, value, path);
    match rule.reason.as_deref() {
        Some("FieldValueForbidden") => FieldError::forbidden(field, detail),
        Some("FieldValueRequired") => FieldError::required(field, detail),
        Some("FieldValueDuplicate") => {
            let mut error = FieldError::duplicate(field, Value::Null);
            error.bad_value = (!value.is_object() && !value.is_array()).then(|| value.clone());
            error
        }
        _ => invalid(field, value, detail),
    }
}

/// The field that a failure is about: `fieldPath` moves it, but the value stays that of the rule.
fn pointed<'a>(compiled: &CompiledRule, value: &'a Value, path: Path<'_>) -> (String, &'a Value) {
    if compiled.field_path.is_empty() {
        return (path.field_name(), value);
    }
    let mut field = path.text();
    for part in &compiled.field_path {
        if !field.is_empty() {
            field.push('.');
        }
        field.push_str(part);
    }
    (field, value)
}

/// The parts of a rule's `fieldPath`: `.a.b['c.d']`; `None` when it is not one.
pub fn field_path(path: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("['") {
            let end = after.find("']")?;
            parts.push(after.get(..end)?.to_owned());
            rest = after.get(end + 2..)?;
        } else {
            let after = rest.strip_prefix('.')?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            if end == 0 {
                return None;
            }
            parts.push(after.get(..end)?.to_owned());
            rest = after.get(end..)?;
        }
    }
    (!parts.is_empty()).then_some(parts)
}

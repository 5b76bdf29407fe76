//! JSONPath in the dialect of `k8s.io/client-go/util/jsonpath`: printer columns, scale paths, selectable fields.
//!
//! Understood: `$`, `@`, `.field` (dots in names escaped as `\.`), `['field']`, unions `['a','b']` and `[0,2]`, indices (from
//! the end when negative), slices `[from:to:step]`, `[*]` and `.*`, recursive descent `..field`, filters
//! `[?(@.type=="Ready")]` with `==`, `!=`, `<`, `<=`, `>`, `>=` or bare existence. Braces around the whole are optional.

mod parse;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use serde_json::Value;

use crate::fieldmanager::set::compare_values;

/// A parsed path.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Wildcard,
    Descend,
    Union(Vec<Step>),
    Index(i64),
    Slice { from: Option<i64>, to: Option<i64>, step: i64 },
    Filter(Box<Filter>),
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Literal(Value),
    Path { steps: Vec<Step>, absolute: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparator {
    Exists,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq)]
struct Filter {
    left: Operand,
    comparator: Comparator,
    right: Operand,
}

impl JsonPath {
    /// Parses a path.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::path(text).map(|steps| Self { steps })
    }

    /// All values at the path, in document order (fields of objects by name).
    pub fn find<'v>(&self, root: &'v Value) -> Vec<&'v Value> {
        walk(&self.steps, root, root)
    }

    /// The first value at the path.
    pub fn first<'v>(&self, root: &'v Value) -> Option<&'v Value> {
        self.find(root).into_iter().next()
    }

    /// The names of a path that is nothing but fields (`.spec.replicas`), for writing at it.
    pub fn field_names(&self) -> Option<Vec<&str>> {
        self.steps
            .iter()
            .map(|step| match step {
                Step::Field(name) => Some(name.as_str()),
                _ => None,
            })
            .collect()
    }
}

fn walk<'v>(steps: &[Step], root: &'v Value, from: &'v Value) -> Vec<&'v Value> {
    let mut current = vec![from];
    for step in steps {
        let mut next = Vec::new();
        for value in current {
            apply(step, root, value, &mut next);
        }
        current = next;
    }
    current
}

fn apply<'v>(step: &Step, root: &'v Value, value: &'v Value, out: &mut Vec<&'v Value>) {
    match step {
        Step::Field(name) => out.extend(value.get(name.as_str())),
        Step::Wildcard => match value {
            Value::Array(items) => out.extend(items),
            Value::Object(fields) => out.extend(fields.values()),
            _ => {}
        },
        Step::Descend => descend(value, out),
        Step::Union(steps) => steps.iter().for_each(|step| apply(step, root, value, out)),
        Step::Index(index) => {
            if let Value::Array(items) = value {
                out.extend(position(*index, items.len()).and_then(|at| items.get(at)));
            }
        }
        Step::Slice { from, to, step } => {
            if let Value::Array(items) = value {
                let len = i64::try_from(items.len()).unwrap_or(i64::MAX);
                let clamp = |bound: i64| (if bound < 0 { bound.saturating_add(len) } else { bound }).clamp(0, len);
                let (mut at, end) = (clamp(from.unwrap_or(0)), clamp(to.unwrap_or(len)));
                while at < end {
                    out.extend(usize::try_from(at).ok().and_then(|at| items.get(at)));
                    at = at.saturating_add(*step);
                }
            }
        }
        Step::Filter(filter) => match value {
            Value::Array(items) => out.extend(items.iter().filter(|item| holds(filter, root, item))),
            Value::Object(fields) => out.extend(fields.values().filter(|item| holds(filter, root, item))),
            _ => {}
        },
    }
}

fn position(index: i64, len: usize) -> Option<usize> {
    let len = i64::try_from(len).ok()?;
    usize::try_from(if index < 0 { index.checked_add(len)? } else { index }).ok()
}

fn descend<'v>(value: &'v Value, out: &mut Vec<&'v Value>) {
    out.push(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| descend(item, out)),
        Value::Object(fields) => fields.values().for_each(|field| descend(field, out)),
        _ => {}
    }
}

fn resolve<'v>(operand: &'v Operand, root: &'v Value, item: &'v Value) -> Option<&'v Value> {
    match operand {
        Operand::Literal(value) => Some(value),
        Operand::Path { steps, absolute } => walk(steps, root, if *absolute { root } else { item }).into_iter().next(),
    }
}

fn holds(filter: &Filter, root: &Value, item: &Value) -> bool {
    let Some(left) = resolve(&filter.left, root, item) else { return false };
    if filter.comparator == Comparator::Exists {
        return true;
    }
    let Some(right) = resolve(&filter.right, root, item) else { return false };
    let comparable = std::mem::discriminant(left) == std::mem::discriminant(right);
    let order = compare_values(left, right);
    match filter.comparator {
        Comparator::Exists => true,
        Comparator::Equal => order == Ordering::Equal,
        Comparator::NotEqual => order != Ordering::Equal,
        Comparator::Less => comparable && order == Ordering::Less,
        Comparator::LessOrEqual => comparable && order != Ordering::Greater,
        Comparator::Greater => comparable && order == Ordering::Greater,
        Comparator::GreaterOrEqual => comparable && order != Ordering::Less,
    }
}

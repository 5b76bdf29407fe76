//! Syntax trees: parsing, macros that the parser does not know, and what an expression refers to.

use std::collections::BTreeSet;

use kube_cel::cel::IdedExpr;
use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, operators};
use kube_cel::cel::parser::Parser;

use super::{objects, stack};

/// Parses an expression and expands the macros that `cel`'s parser leaves as calls.
///
/// # Errors
/// What kube-apiserver prints after `compilation failed: `.
pub fn parse(source: &str) -> Result<IdedExpr, String> {
    parse_with(source, false)
}

/// As [`parse`]; with `objects` also with literals of the types of mutating policies.
pub(super) fn parse_with(source: &str, objects: bool) -> Result<IdedExpr, String> {
    let refused = || at(source, 1, 1, stack::TOO_DEEP);
    stack::parse(source, || match Parser::default().enable_optional_syntax(true).max_recursion_depth(u16::MAX).parse(source) {
        Ok(expr) if stack::is_too_deep(&expr) => Err(refused()),
        Ok(mut expr) => {
            rewrite(&mut expr, &mut expand);
            refuse(&expr, source, objects)?;
            Ok(expr)
        }
        Err(errors) => Err(errors
            .errors
            .iter()
            .map(|error| {
                let (line, column) = (usize::try_from(error.pos.0).unwrap_or(1).max(1), error.pos.1.max(0) as usize);
                at(source, line, column, &syntax(&error.msg))
            })
            .collect::<Vec<_>>()
            .join("\n")),
    })
    .unwrap_or_else(|| Err(refused()))
}

fn syntax(message: &str) -> String {
    let message = message.replace('\u{fffd}', "");
    if message.starts_with("Syntax error") { message } else { format!("Syntax error: {message}") }
}

/// A compile error as cel-go prints it, with the line and a caret.
fn at(source: &str, line: usize, column: usize, message: &str) -> String {
    let snippet = source.lines().nth(line - 1).unwrap_or_default();
    let column = column.max(1);
    format!("ERROR: <input>:{line}:{column}: {message}\n | {snippet}\n | {}^", ".".repeat(column - 1))
}

/// A compile error at the first place where `needle` stands in the source (its dot, for a selected field).
pub(crate) fn error_at(source: &str, needle: &str, message: &str) -> String {
    let index = source.find(needle).unwrap_or(0);
    let before = source.get(..index).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    at(source, line, column, message)
}

/// The evaluator has no messages: refuse them before it meets one that is not turned into a map.
fn refuse(expr: &IdedExpr, source: &str, objects: bool) -> Result<(), String> {
    let mut found = None;
    walk(expr, &mut |expr| match &expr.expr {
        Expr::Struct(message) if !(objects && objects::is_known(&message.type_name)) => found = Some(message.type_name.clone()),
        Expr::Unspecified => found = Some(String::new()),
        _ => {}
    });
    match found {
        None => Ok(()),
        Some(name) => Err(error_at(source, &name, &format!("undeclared reference to '{name}' (in container '')"))),
    }
}

/// The expressions directly within one.
fn inner(expr: &IdedExpr) -> Vec<&IdedExpr> {
    match &expr.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(loops) => vec![&loops.iter_range, &loops.accu_init, &loops.loop_cond, &loops.loop_step, &loops.result],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => {
            let entries = map.entries.iter().filter_map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => Some([&entry.key, &entry.value]),
                EntryExpr::StructField(_) => None,
            });
            entries.flatten().collect()
        }
        Expr::Select(select) => vec![&select.operand],
        Expr::Struct(literal) => objects::fields(literal).map(|(_, value)| value).collect(),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    }
}

/// Whether a tree has more levels than `limit`; does not recurse.
pub(super) fn is_deeper(expr: &IdedExpr, limit: usize) -> bool {
    let mut open = vec![(expr, 1)];
    while let Some((expr, level)) = open.pop() {
        if level > limit {
            return true;
        }
        open.extend(inner(expr).into_iter().map(|inner| (inner, level + 1)));
    }
    false
}

/// Visits every expression, the outer before the inner.
pub(crate) fn walk<'a>(expr: &'a IdedExpr, visit: &mut dyn FnMut(&'a IdedExpr)) {
    visit(expr);
    for inner in inner(expr) {
        walk(inner, visit);
    }
}

/// Changes every expression, the inner before the outer.
fn rewrite(expr: &mut IdedExpr, change: &mut dyn FnMut(&mut IdedExpr)) {
    match &mut expr.expr {
        Expr::Call(call) => {
            for inner in call.target.as_deref_mut().into_iter().chain(&mut call.args) {
                rewrite(inner, change);
            }
        }
        Expr::Comprehension(loops) => {
            let loops = &mut **loops;
            for inner in [&mut loops.iter_range, &mut loops.accu_init, &mut loops.loop_cond, &mut loops.loop_step, &mut loops.result] {
                rewrite(inner, change);
            }
        }
        Expr::List(list) => list.elements.iter_mut().for_each(|inner| rewrite(inner, change)),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    rewrite(&mut entry.key, change);
                    rewrite(&mut entry.value, change);
                }
            }
        }
        Expr::Select(select) => rewrite(&mut select.operand, change),
        Expr::Struct(literal) => {
            for entry in &mut literal.entries {
                if let EntryExpr::StructField(field) = &mut entry.expr {
                    rewrite(&mut field.value, change);
                }
            }
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
    change(expr);
}

/// Makes a checked expression ready to run: the evaluator fails on an absent field of `a.?b`, but not of `a[?"b"]`.
pub(crate) fn lower(expr: &mut IdedExpr) {
    rewrite(expr, &mut |expr| {
        if let Expr::Call(call) = &mut expr.expr
            && call.func_name == operators::OPT_SELECT
        {
            operators::OPT_INDEX.clone_into(&mut call.func_name);
        }
        if let Expr::Struct(literal) = &mut expr.expr {
            expr.expr = objects::lowered(literal);
        }
    });
}

fn expand(expr: &mut IdedExpr) {
    if let Expr::Call(call) = &expr.expr
        && let Some(expanded) = macro_call(call)
    {
        expr.expr = expanded;
    }
    // The request under admission is one variable with a dot in its name.
    if let Expr::Select(select) = &expr.expr
        && select.field == "requestResource"
        && ident(&select.operand) == Some("authorizer")
    {
        expr.expr = Expr::Ident("authorizer.requestResource".to_owned());
    }
}

fn ident(expr: &IdedExpr) -> Option<&str> {
    match &expr.expr {
        Expr::Ident(name) => Some(name),
        _ => None,
    }
}

fn node(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

fn call(name: &str, target: Option<IdedExpr>, args: Vec<IdedExpr>) -> IdedExpr {
    node(Expr::Call(CallExpr { func_name: name.to_owned(), target: target.map(Box::new), args }))
}

/// Binds a name in an expression: a loop over nothing whose accumulator is the name.
fn bind(name: &str, value: IdedExpr, body: IdedExpr) -> Expr {
    Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: node(Expr::List(ListExpr::default())),
        iter_var: "@unused".to_owned(),
        iter_var2: None,
        accu_var: name.to_owned(),
        accu_init: value,
        loop_cond: node(Expr::Literal(LiteralValue::Boolean(false.into()))),
        loop_step: node(Expr::Ident(name.to_owned())),
        result: body,
    }))
}

fn macro_call(found: &CallExpr) -> Option<Expr> {
    let target = found.target.as_deref()?;
    match (found.func_name.as_str(), found.args.as_slice()) {
        ("bind", [name, value, body]) if ident(target) == Some("cel") => Some(bind(ident(name)?, value.clone(), body.clone())),
        (which @ ("optMap" | "optFlatMap"), [name, body]) => {
            let bound = node(bind(ident(name)?, call("value", Some(target.clone()), Vec::new()), body.clone()));
            let optional = || Some(node(Expr::Ident("optional".to_owned())));
            let some = if which == "optMap" { call("of", optional(), vec![bound]) } else { bound };
            let has = call("hasValue", Some(target.clone()), Vec::new());
            let none = call("none", optional(), Vec::new());
            Some(call(operators::CONDITIONAL, None, vec![has, some, none]).expr)
        }
        _ => None,
    }
}

/// Which fields of a variable an expression reads; `None` when it uses the variable as a whole.
pub(crate) fn fields_of(expr: &IdedExpr, variable: &str) -> Option<BTreeSet<String>> {
    let (mut fields, mut selected, mut all) = (BTreeSet::new(), 0_usize, 0_usize);
    walk(expr, &mut |expr| match &expr.expr {
        Expr::Select(select) if ident(&select.operand) == Some(variable) => {
            fields.insert(select.field.clone());
            selected += 1;
        }
        Expr::Ident(name) if name == variable => all += 1,
        _ => {}
    });
    (selected == all).then_some(fields)
}

/// Whether an expression names a variable.
pub(crate) fn uses(expr: &IdedExpr, variable: &str) -> bool {
    let mut found = false;
    walk(expr, &mut |expr| found |= ident(expr) == Some(variable));
    found
}

/// How deep loops (`all`, `exists`, `map`, `filter`) are nested: the exponent of the work that an expression can do.
pub fn nesting(expr: &IdedExpr) -> u32 {
    match &expr.expr {
        Expr::Comprehension(loops) => {
            let own = u32::from(loops.iter_var != "@unused");
            let inner = [&loops.loop_step, &loops.loop_cond, &loops.result].map(nesting).into_iter().max();
            nesting(&loops.iter_range).max(nesting(&loops.accu_init)).max(own + inner.unwrap_or(0))
        }
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).map(nesting).max().unwrap_or(0),
        Expr::List(list) => list.elements.iter().map(nesting).max().unwrap_or(0),
        Expr::Map(map) => map
            .entries
            .iter()
            .filter_map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => Some(nesting(&entry.key).max(nesting(&entry.value))),
                EntryExpr::StructField(_) => None,
            })
            .max()
            .unwrap_or(0),
        Expr::Select(select) => nesting(&select.operand),
        Expr::Struct(literal) => objects::fields(literal).map(|(_, value)| nesting(value)).max().unwrap_or(0),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => 0,
    }
}

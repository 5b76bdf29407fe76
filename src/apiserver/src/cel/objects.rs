//! Objects in expressions of mutating policies: `Object{spec: Object.spec{replicas: 3}}` and `JSONPatch{op: "add", …}`.
//!
//! To the evaluator they are maps; which type a literal names is checked against where it stands, as
//! `k8s.io/apiserver/pkg/cel/mutation/dynamic` does when a policy runs.

use kube_cel::cel::IdedExpr;
use kube_cel::cel::common::ast::{EntryExpr, Expr, IdedEntryExpr, LiteralValue, MapEntryExpr, MapExpr, StructExpr};

/// The type of the object under admission, and with a path below it (`Object.spec`) of its fields.
const OBJECT: &str = "Object";
/// The type of an operation of a JSON patch.
const PATCH: &str = "JSONPatch";
/// Its fields.
const PATCH_FIELDS: [&str; 4] = ["op", "path", "from", "value"];

/// Whether there is a type of this name.
pub(super) fn is_known(type_name: &str) -> bool {
    type_name == PATCH || type_name == OBJECT || type_name.strip_prefix(OBJECT).is_some_and(|path| path.starts_with('.'))
}

/// The fields that a literal sets, with their values.
pub(super) fn fields(literal: &StructExpr) -> impl Iterator<Item = (&str, &IdedExpr)> {
    literal.entries.iter().filter_map(|entry| match &entry.expr {
        EntryExpr::StructField(field) => Some((field.field.as_str(), &field.value)),
        EntryExpr::MapEntry(_) => None,
    })
}

/// A field that the literal's type does not have.
pub(super) fn unknown_field(literal: &StructExpr) -> Option<&str> {
    fields(literal).map(|(name, _)| name).find(|name| literal.type_name == PATCH && !PATCH_FIELDS.contains(name))
}

/// The first literal that does not have the type of the field that it is the value of.
pub(super) fn mismatch(expr: &IdedExpr) -> Option<String> {
    let mut found = None;
    super::ast::walk(expr, &mut |expr| {
        if let Expr::Struct(outer) = &expr.expr
            && outer.type_name != PATCH
        {
            for (name, value) in fields(outer) {
                let expected = format!("{}.{name}", outer.type_name);
                for inner in outermost(value) {
                    if inner.type_name != expected && found.is_none() {
                        found = Some(format!(
                            "unexpected type name {:?}, expected {expected:?}, which matches field name path from root Object type",
                            inner.type_name
                        ));
                    }
                }
            }
        }
    });
    found
}

/// The literals in an expression that are not within another.
fn outermost(expr: &IdedExpr) -> Vec<&StructExpr> {
    match &expr.expr {
        Expr::Struct(literal) => vec![literal],
        Expr::List(list) => list.elements.iter().flat_map(outermost).collect(),
        Expr::Map(map) => {
            let values = map.entries.iter().filter_map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => Some(&entry.value),
                EntryExpr::StructField(_) => None,
            });
            values.flat_map(outermost).collect()
        }
        Expr::Call(call) => call.args.iter().flat_map(outermost).collect(),
        Expr::Comprehension(loops) => outermost(&loops.loop_step).into_iter().chain(outermost(&loops.result)).collect(),
        Expr::Select(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    }
}

/// What the evaluator is given in place of a literal.
pub(super) fn lowered(literal: &mut StructExpr) -> Expr {
    let entry = |entry: IdedEntryExpr| match entry.expr {
        EntryExpr::StructField(field) => IdedEntryExpr {
            id: entry.id,
            expr: EntryExpr::MapEntry(MapEntryExpr {
                key: IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::String(field.field.into())) },
                value: field.value,
                optional: field.optional,
            }),
        },
        EntryExpr::MapEntry(_) => entry,
    };
    Expr::Map(MapExpr { entries: std::mem::take(&mut literal.entries).into_iter().map(entry).collect() })
}

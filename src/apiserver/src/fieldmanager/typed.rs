//! The walk over values by schema that ownership needs: structured-merge-diff's typed values.
//!
//! What a value is decides how it merges: scalars and atomic lists and maps are leaves, sets are told apart by value, keyed
//! lists by their keys (defaults count), everything else field by field. Without schema (and below
//! `x-kubernetes-preserve-unknown-fields`) objects merge by field and lists are leaves.

use std::cmp::Ordering;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::set::{FieldSet, PathElement, Scalar, compare_values};
use crate::schema::{Additional, JsonType, ListType, MapType, Schema};

/// The type of a value: a schema, or whatever the value itself says.
#[derive(Clone, Copy)]
pub(super) enum Type<'a> {
    Of(&'a Schema),
    Deduced,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalars {
    Text,
    Number,
    Boolean,
    Any,
}

#[derive(Clone, Copy)]
pub(super) enum Shape<'a> {
    Scalar(Scalars),
    /// An atomic list or map.
    Leaf(JsonType),
    Set(Type<'a>),
    Keyed(&'a Schema, Type<'a>),
    Map(Type<'a>),
}

static OBJECT_META: LazyLock<Option<std::sync::Arc<Schema>>> = LazyLock::new(|| {
    let root = crate::schema::builtin::schema_of(&crate::resource::Gvk::new("", "v1", "ConfigMap"))?;
    root.properties.get("metadata").cloned()
});

static TEXT: LazyLock<Schema> = LazyLock::new(|| Schema { types: Some(JsonType::String), ..Schema::default() });

static EMPTY: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));

static NULL: Value = Value::Null;

/// What a path element means for its parent, and the value's type.
pub(super) struct Member<'a> {
    pub(super) kind: Type<'a>,
    /// Whether the schema names the field.
    pub(super) declared: bool,
}

impl<'a> Type<'a> {
    pub(super) fn of(schema: Option<&'a Schema>) -> Self {
        schema.map_or(Self::Deduced, |schema| Self::Of(schema.resolve()))
    }

    /// The field of an object; `None` if the schema has no such field.
    pub(super) fn member(self, name: &str) -> Option<Member<'a>> {
        let Self::Of(schema) = self else { return Some(Member { kind: Self::Deduced, declared: false }) };
        if let Some(field) = schema.properties.get(name) {
            return Some(Member { kind: Self::Of(field.resolve()), declared: true });
        }
        if schema.resource_root || schema.embedded_resource {
            match name {
                "apiVersion" | "kind" => return Some(Member { kind: Self::Of(&TEXT), declared: true }),
                "metadata" => {
                    return Some(Member { kind: Self::of(OBJECT_META.as_deref()), declared: true });
                }
                _ => {}
            }
        }
        match &schema.additional {
            Some(Additional::Schema(element)) => Some(Member { kind: Self::Of(element.resolve()), declared: false }),
            Some(Additional::Allowed(true)) => Some(Member { kind: Self::Deduced, declared: false }),
            _ if schema.preserve_unknown || open(schema) => Some(Member { kind: Self::Deduced, declared: false }),
            _ => None,
        }
    }

    fn element(self) -> Self {
        match self {
            Self::Of(schema) => Self::of(schema.element()),
            Self::Deduced => Self::Deduced,
        }
    }

    /// How a value of this type is walked; `value` decides only where the schema does not.
    pub(super) fn shape(self, value: &Value) -> Shape<'a> {
        let Self::Of(schema) = self else { return deduce(value) };
        if schema.int_or_string || crate::patch::is_text_union(schema) && schema.types != Some(JsonType::Object) {
            return Shape::Scalar(Scalars::Any);
        }
        let kind = schema.types.or(if !schema.properties.is_empty() || schema.additional.is_some() {
            Some(JsonType::Object)
        } else if schema.items.is_some() {
            Some(JsonType::Array)
        } else {
            None
        });
        match kind {
            None => deduce(value),
            Some(JsonType::String) => Shape::Scalar(Scalars::Text),
            Some(JsonType::Integer | JsonType::Number) => Shape::Scalar(Scalars::Number),
            Some(JsonType::Boolean) => Shape::Scalar(Scalars::Boolean),
            Some(JsonType::Object) if schema.map_type == Some(MapType::Atomic) => Shape::Leaf(JsonType::Object),
            Some(JsonType::Object) => Shape::Map(self),
            Some(JsonType::Array) => match schema.list_type {
                Some(ListType::Set) => Shape::Set(self.element()),
                Some(ListType::Map) if !schema.list_map_keys.is_empty() => Shape::Keyed(schema, self.element()),
                _ => Shape::Leaf(JsonType::Array),
            },
        }
    }

    /// What an absent field of a built-in object is when Go prints it: structs are empty, required values null.
    fn implied(self, name: &str) -> Option<&'static Value> {
        let Self::Of(schema) = self else { return None };
        let definition = schema.definition_kind()?;
        let structure = match name {
            "metadata" | "spec" | "status" | "template" | "strategy" | "updateStrategy" => true,
            "resources" => definition == "Container" || definition == "PersistentVolumeClaimSpec",
            "source" | "involvedObject" => definition == "Event",
            "loadBalancer" => definition == "ServiceStatus",
            "nodeInfo" | "daemonEndpoints" => definition == "NodeStatus",
            _ => false,
        };
        if structure && schema.properties.contains_key(name) {
            Some(&EMPTY)
        } else if schema.required.iter().any(|required| &**required == name) {
            Some(&NULL)
        } else {
            None
        }
    }
}

/// Built-in objects without known fields hold anything.
fn open(schema: &Schema) -> bool {
    schema.definition.is_some() && schema.properties.is_empty()
}

fn deduce<'a>(value: &Value) -> Shape<'a> {
    match value {
        Value::Object(_) => Shape::Map(Type::Deduced),
        Value::Array(_) => Shape::Leaf(JsonType::Array),
        _ => Shape::Scalar(Scalars::Any),
    }
}

fn same_shape(a: Shape<'_>, b: Shape<'_>) -> bool {
    std::mem::discriminant(&a) == std::mem::discriminant(&b)
}

fn present(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

fn same(a: &Value, b: &Value) -> bool {
    compare_values(a, b) == Ordering::Equal
}

fn named(fields: Option<&Map<String, Value>>) -> impl Iterator<Item = &String> {
    fields.into_iter().flat_map(Map::keys)
}

/// The path element of a list's element.
pub(super) fn list_element(shape: Shape<'_>, item: &Value) -> Result<PathElement, String> {
    match shape {
        Shape::Keyed(list, element) => {
            let fields = match item {
                Value::Object(fields) => fields,
                Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
                _ => return Err("associative list with keys may not have non-map elements".to_owned()),
            };
            let mut keys = Vec::with_capacity(list.list_map_keys.len());
            for name in &list.list_map_keys {
                let default = match element {
                    Type::Of(schema) => schema.properties.get(&**name).and_then(|field| field.default.as_ref()),
                    Type::Deduced => None,
                };
                match present(fields.get(&**name)).or(default) {
                    Some(value) => keys.push((name.clone(), Scalar(value.clone()))),
                    None => {
                        return Err(format!(
                            "associative list with keys has an element that omits key field {name:?} (and doesn't have default value)"
                        ));
                    }
                }
            }
            keys.sort();
            Ok(PathElement::Key(keys))
        }
        _ => match item {
            Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
            Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
            Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
            scalar => Ok(PathElement::Value(Scalar(scalar.clone()))),
        },
    }
}

fn element_type(shape: Shape<'_>) -> Type<'_> {
    match shape {
        Shape::Set(element) | Shape::Keyed(_, element) => element,
        _ => Type::Deduced,
    }
}

/// The elements of a list in order, each once with all its values (a list may hold duplicates).
fn indexed<'v>(shape: Shape<'_>, items: &'v [Value]) -> Vec<(PathElement, Vec<&'v Value>)> {
    let mut order: Vec<(PathElement, Vec<&Value>)> = Vec::with_capacity(items.len());
    let mut seen: std::collections::BTreeMap<PathElement, usize> = std::collections::BTreeMap::new();
    for item in items {
        let Ok(element) = list_element(shape, item) else { continue };
        if let Some(at) = seen.get(&element) {
            if let Some((_, values)) = order.get_mut(*at) {
                values.push(item);
            }
        } else {
            seen.insert(element.clone(), order.len());
            order.push((element, vec![item]));
        }
    }
    order
}

/// Collects the fields that an applied configuration names.
pub(super) fn field_set(kind: Type<'_>, value: &Value) -> FieldSet {
    let mut set = FieldSet::new();
    collect(kind, value, &mut Vec::new(), &mut set);
    set
}

fn collect(kind: Type<'_>, value: &Value, path: &mut Vec<PathElement>, set: &mut FieldSet) {
    let shape = kind.shape(value);
    match shape {
        Shape::Scalar(_) | Shape::Leaf(_) => set.insert(path),
        Shape::Map(kind) => {
            let Value::Object(fields) = value else { return };
            for (name, field) in fields {
                let Some(member) = kind.member(name) else { continue };
                path.push(PathElement::field(name));
                collect(member.kind, field, path, set);
                let empty = field.is_null() || field.as_object().is_some_and(Map::is_empty);
                if empty || !member.declared {
                    set.insert(path);
                }
                path.pop();
            }
        }
        Shape::Set(_) | Shape::Keyed(..) => {
            let Value::Array(items) = value else { return };
            for (element, values) in indexed(shape, items) {
                path.push(element);
                if let [only] = values.as_slice() {
                    collect(element_type(shape), only, path, set);
                }
                set.insert(path);
                path.pop();
            }
        }
    }
}

/// What differs between two versions of an object.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) added: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) removed: FieldSet,
}

impl Comparison {
    pub(super) fn between(kind: Type<'_>, old: &Value, new: &Value) -> Self {
        let mut result = Self::default();
        compare(kind, Some(old), Some(new), &mut Vec::new(), &mut result);
        result
    }

    pub(super) fn map(self, keep: impl Fn(FieldSet) -> FieldSet) -> Self {
        Self { added: keep(self.added), modified: keep(self.modified), removed: keep(self.removed) }
    }

    pub(super) fn changed(&self) -> FieldSet {
        self.modified.union(&self.added)
    }
}

fn compare(kind: Type<'_>, old: Option<&Value>, new: Option<&Value>, path: &mut Vec<PathElement>, out: &mut Comparison) {
    let leaf = match (present(old), present(new)) {
        (None, None) => compare_leaf(old, new, path, out),
        (Some(value), None) | (None, Some(value)) => compare_as(kind.shape(value), old, new, path, out),
        (Some(a), Some(b)) => {
            let (shape_a, shape_b) = (kind.shape(a), kind.shape(b));
            if !same_shape(shape_a, shape_b) {
                compare_as(shape_a, old, new, path, out);
            }
            compare_as(shape_b, old, new, path, out)
        }
    };
    if !leaf {
        match (old, new) {
            (None, _) => out.added.insert(path),
            (_, None) => out.removed.insert(path),
            _ => {}
        }
    }
}

/// Returns true: it was a leaf, and is done.
fn compare_leaf(old: Option<&Value>, new: Option<&Value>, path: &[PathElement], out: &mut Comparison) -> bool {
    match (old, new) {
        (None, None) => {}
        (None, Some(_)) => out.added.insert(path),
        (Some(_), None) => out.removed.insert(path),
        (Some(a), Some(b)) if same(a, b) => {}
        _ => out.modified.insert(path),
    }
    true
}

fn compare_as(shape: Shape<'_>, old: Option<&Value>, new: Option<&Value>, path: &mut Vec<PathElement>, out: &mut Comparison) -> bool {
    match shape {
        Shape::Scalar(_) | Shape::Leaf(_) => compare_leaf(old, new, path, out),
        Shape::Map(kind) => {
            let (a, b) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
            if a.is_none_or(Map::is_empty) && b.is_none_or(Map::is_empty) {
                return compare_leaf(old, new, path, out);
            }
            let added = named(b).filter(|name| !a.is_some_and(|a| a.contains_key(*name)));
            for name in named(a).chain(added) {
                let Some(member) = kind.member(name) else { continue };
                let left = a.and_then(|fields| fields.get(name).or_else(|| kind.implied(name)));
                let right = b.and_then(|fields| fields.get(name).or_else(|| kind.implied(name)));
                // Most of an object stays as it is: equal values need no walk and no path.
                if left == right {
                    continue;
                }
                path.push(PathElement::field(name));
                compare(member.kind, left, right, path, out);
                path.pop();
            }
            false
        }
        Shape::Set(_) | Shape::Keyed(..) => {
            let (a, b) = (old.and_then(Value::as_array), new.and_then(Value::as_array));
            if a.is_none_or(Vec::is_empty) && b.is_none_or(Vec::is_empty) {
                return compare_leaf(old, new, path, out);
            }
            let left = indexed(shape, a.map_or(&[], Vec::as_slice));
            let right = indexed(shape, b.map_or(&[], Vec::as_slice));
            let find = |list: &[(PathElement, Vec<&Value>)], element: &PathElement| -> Option<usize> {
                list.iter().position(|(other, _)| other == element)
            };
            for (element, old_values) in &left {
                let new_values = find(&right, element).and_then(|at| right.get(at)).map_or(&[][..], |(_, values)| values);
                path.push(element.clone());
                compare_elements(element_type(shape), old_values, new_values, path, out);
                path.pop();
            }
            for (element, new_values) in &right {
                if find(&left, element).is_none() {
                    path.push(element.clone());
                    compare_elements(element_type(shape), &[], new_values, path, out);
                    path.pop();
                }
            }
            false
        }
    }
}

/// Duplicated elements are compared as a whole.
fn compare_elements(kind: Type<'_>, old: &[&Value], new: &[&Value], path: &mut Vec<PathElement>, out: &mut Comparison) {
    match (old, new) {
        ([], []) => {}
        ([], [only]) => compare(kind, None, Some(only), path, out),
        ([only], []) => compare(kind, Some(only), None, path, out),
        ([a], [b]) if a == b => {}
        ([a], [b]) => compare(kind, Some(a), Some(b), path, out),
        ([], _) => out.added.insert(path),
        (_, []) => out.removed.insert(path),
        _ => {
            if old.len() != new.len() || !old.iter().zip(new).all(|(a, b)| same(a, b)) {
                out.modified.insert(path);
            }
        }
    }
}

/// Paths of the lists and objects in a value that its type replaces as a whole.
pub(super) fn atomics(kind: Type<'_>, value: &Value) -> Vec<String> {
    fn visit(kind: Type<'_>, value: &Value, path: &str, found: &mut Vec<String>) {
        match (kind.shape(value), value) {
            (Shape::Leaf(_), Value::Array(_) | Value::Object(_)) => found.push(path.to_owned()),
            (Shape::Map(kind), Value::Object(map)) => {
                for (name, value) in map {
                    if let Some(member) = kind.member(name) {
                        visit(member.kind, value, &format!("{path}.{name}"), found);
                    }
                }
            }
            (Shape::Keyed(_, kind), Value::Array(items)) => {
                for (index, value) in items.iter().enumerate() {
                    visit(kind, value, &format!("{path}[{index}]"), found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    visit(kind, value, "", &mut found);
    found
}

/// Lays an applied configuration over the live object.
pub(super) fn merge(kind: Type<'_>, live: Option<&Value>, applied: Option<&Value>) -> Option<Value> {
    let newer = || applied.or(live).cloned();
    let shape = match (present(live), present(applied)) {
        (None, None) => return newer(),
        (Some(value), None) | (_, Some(value)) => kind.shape(value),
    };
    match shape {
        Shape::Scalar(_) | Shape::Leaf(_) => newer(),
        Shape::Map(kind) => {
            let (a, b) = (live.and_then(Value::as_object), applied.and_then(Value::as_object));
            if a.is_none_or(Map::is_empty) && b.is_none_or(Map::is_empty) {
                return newer();
            }
            let mut out = Map::new();
            let added = named(b).filter(|name| !a.is_some_and(|a| a.contains_key(*name)));
            for name in named(a).chain(added) {
                let (left, right) = (a.and_then(|fields| fields.get(name)), b.and_then(|fields| fields.get(name)));
                let field = match kind.member(name) {
                    Some(member) => merge(member.kind, left, right),
                    None => right.or(left).cloned(),
                };
                if let Some(field) = field {
                    out.insert(name.clone(), field);
                }
            }
            (!out.is_empty()).then_some(Value::Object(out))
        }
        Shape::Set(_) | Shape::Keyed(..) => {
            let (a, b) = (live.and_then(Value::as_array), applied.and_then(Value::as_array));
            let (a, b) = (a.map_or(&[][..], Vec::as_slice), b.map_or(&[][..], Vec::as_slice));
            if a.is_empty() && b.is_empty() {
                return newer();
            }
            let out = merge_list(shape, a, b);
            (!out.is_empty()).then_some(Value::Array(out))
        }
    }
}

/// Elements of both lists; the applied order wins, live elements keep their place where that leaves room.
fn merge_list(shape: Shape<'_>, live: &[Value], applied: &[Value]) -> Vec<Value> {
    let right = indexed(shape, applied);
    let left_index = indexed(shape, live);
    let left: Vec<(PathElement, &Value)> =
        live.iter().filter_map(|item| list_element(shape, item).ok().map(|element| (element, item))).collect();
    let single = |list: &[(PathElement, Vec<&Value>)], element: &PathElement| -> Option<Value> {
        let (_, values) = list.iter().find(|(other, _)| other == element)?;
        match values.as_slice() {
            [only] => Some((*only).clone()),
            _ => None,
        }
    };
    let in_right = |element: &PathElement| right.iter().any(|(other, _)| other == element);
    let in_left = |element: &PathElement| left_index.iter().any(|(other, _)| other == element);
    let mut shared = right.iter().map(|(element, _)| element).filter(|element| in_left(element));
    let mut next_shared = shared.next();
    let mut taken: std::collections::BTreeSet<PathElement> = std::collections::BTreeSet::new();
    let mut out = Vec::with_capacity(left.len() + right.len());
    let kind = element_type(shape);
    let (mut at_left, mut at_right) = (0, 0);
    while at_left < left.len() || at_right < right.len() {
        if let (Some((element, _)), Some((wanted, _))) = (left.get(at_left), right.get(at_right)) {
            if element == wanted {
                taken.insert(element.clone());
                let (a, b) = (single(&left_index, element), single(&right, element));
                out.extend(merge(kind, a.as_ref(), b.as_ref()));
                at_left += 1;
                at_right += 1;
                next_shared = shared.next();
                continue;
            }
            if in_right(element) && next_shared.is_some_and(|next| next != element) {
                at_left += 1;
                continue;
            }
        }
        if let Some((element, item)) = left.get(at_left) {
            if !in_right(element) {
                out.extend(merge(kind, Some(item), None));
                at_left += 1;
                continue;
            }
            if taken.contains(element) {
                at_left += 1;
            }
        }
        if let Some((element, _)) = right.get(at_right) {
            taken.insert(element.clone());
            let (a, b) = (single(&left_index, element), single(&right, element));
            out.extend(merge(kind, a.as_ref(), b.as_ref()));
            at_right += 1;
            if next_shared == Some(element) {
                next_shared = shared.next();
            }
        }
    }
    out
}

/// The value without the fields of a set; `None` when nothing is left.
pub(super) fn remove(kind: Type<'_>, value: &Value, set: &FieldSet) -> Option<Value> {
    let shape = kind.shape(value);
    match (shape, value) {
        (Shape::Map(kind), Value::Object(fields)) if !fields.is_empty() => {
            let mut out = Map::new();
            for (name, field) in fields {
                let element = PathElement::field(name);
                if set.has_element(&element) {
                    continue;
                }
                let kept = match (set.below(&element), kind.member(name)) {
                    (Some(below), Some(member)) => remove(member.kind, field, below),
                    _ => Some(field.clone()),
                };
                if let Some(kept) = kept {
                    out.insert(name.clone(), kept);
                }
            }
            (!out.is_empty()).then_some(Value::Object(out))
        }
        (Shape::Set(_) | Shape::Keyed(..), Value::Array(items)) if !items.is_empty() => {
            let mut out = Vec::with_capacity(items.len());
            for item in items {
                let Ok(element) = list_element(shape, item) else {
                    out.push(item.clone());
                    continue;
                };
                if set.has_element(&element) {
                    continue;
                }
                out.extend(match set.below(&element) {
                    Some(below) => remove(element_type(shape), item, below),
                    None => Some(item.clone()),
                });
            }
            (!out.is_empty()).then_some(Value::Array(out))
        }
        (Shape::Leaf(_), _) => None,
        _ => Some(value.clone()),
    }
}

/// The set with every declared field that leads to a member made a member itself, so that removals take empty parents along.
pub(super) fn with_named_parents(kind: Type<'_>, set: &FieldSet) -> FieldSet {
    let mut out = FieldSet::new();
    for (element, member, below) in set.elements() {
        let (below_kind, named) = match (element, kind) {
            (PathElement::Field(name), kind) => match kind.member(name) {
                Some(member) => (member.kind, member.declared),
                None => (Type::Deduced, false),
            },
            (PathElement::Key(_), kind) => (kind.element(), false),
            _ => (Type::Deduced, false),
        };
        out.put(element.clone(), member || (named && !below.is_empty()), with_named_parents(below_kind, below));
    }
    out
}

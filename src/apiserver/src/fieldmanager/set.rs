//! Sets of field paths, as `structured-merge-diff` keeps and prints them (`FieldsV1`).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::error::go_quote;

/// A JSON value that can be ordered: numbers (by value), strings, booleans, lists, maps, null.
#[derive(Debug, Clone)]
pub struct Scalar(pub Value);

fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

/// The order of values; equal numbers of different notation are equal.
pub fn compare_values(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => x.cmp(&y),
            _ => x.as_f64().unwrap_or(0.0).total_cmp(&y.as_f64().unwrap_or(0.0)),
        },
        (Value::String(x), Value::String(y)) => x.cmp(y),
        (Value::Bool(x), Value::Bool(y)) => x.cmp(y),
        (Value::Array(x), Value::Array(y)) => {
            for (x, y) in x.iter().zip(y) {
                let order = compare_values(x, y);
                if order != Ordering::Equal {
                    return order;
                }
            }
            x.len().cmp(&y.len())
        }
        (Value::Object(x), Value::Object(y)) => {
            // Keys of serde_json's maps are sorted here (no `preserve_order`).
            for ((name_x, x), (name_y, y)) in x.iter().zip(y) {
                let order = name_x.cmp(name_y).then_with(|| compare_values(x, y));
                if order != Ordering::Equal {
                    return order;
                }
            }
            x.len().cmp(&y.len())
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        compare_values(&self.0, &other.0) == Ordering::Equal
    }
}

impl Eq for Scalar {}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_values(&self.0, &other.0)
    }
}

/// One step of a path. The order is that of conflict messages: fields, keys, values, indices.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathElement {
    /// A field of an object: `f:name`.
    Field(Box<str>),
    /// An element of a keyed list: `k:{"name":"x"}`, keys sorted by name.
    Key(Vec<(Box<str>, Scalar)>),
    /// An element of a set: `v:"x"`.
    Value(Scalar),
    /// An element by index: `i:0`; nothing produces it, but clients may send it.
    Index(i64),
}

impl PathElement {
    /// A field.
    pub fn field(name: &str) -> Self {
        Self::Field(name.into())
    }

    /// As a key of `FieldsV1`.
    pub fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => {
                let map: Map<String, Value> = keys.iter().map(|(name, value)| (name.to_string(), value.0.clone())).collect();
                format!("k:{}", Value::Object(map))
            }
            Self::Value(value) => format!("v:{}", value.0),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// From a key of `FieldsV1`.
    ///
    /// # Errors
    /// What is wrong with the key.
    pub fn decode(text: &str) -> Result<Self, String> {
        let Some((kind, rest)) = text.split_at_checked(2) else { return Err("key must be 2 characters long".to_owned()) };
        match kind {
            "f:" => Ok(Self::field(rest)),
            "v:" => Ok(Self::Value(Scalar(serde_json::from_str(rest).map_err(|error| error.to_string())?))),
            "k:" => {
                let map: BTreeMap<String, Value> = serde_json::from_str(rest).map_err(|error| error.to_string())?;
                Ok(Self::Key(map.into_iter().map(|(name, value)| (name.into(), Scalar(value))).collect()))
            }
            "i:" => Ok(Self::Index(rest.parse().map_err(|_| format!("bad index {}", go_quote(rest)))?)),
            _ if text.as_bytes().get(1) == Some(&b':') => Err(format!("unknown key type {}", go_quote(kind))),
            _ => Err("missing colon".to_owned()),
        }
    }
}

fn write_scalar(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        Value::Null => f.write_str("null"),
        Value::String(text) => f.write_str(&go_quote(text)),
        Value::Array(items) => {
            f.write_str("[")?;
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    f.write_str(",")?;
                }
                write_scalar(item, f)?;
            }
            f.write_str("]")
        }
        Value::Object(fields) => {
            f.write_str("{")?;
            for (i, (name, value)) in fields.iter().enumerate() {
                if i > 0 {
                    f.write_str(";")?;
                }
                write!(f, "{name}=")?;
                write_scalar(value, f)?;
            }
            f.write_str("}")
        }
        other => write!(f, "{other}"),
    }
}

struct Shown<'a>(&'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_scalar(self.0, f)
    }
}

impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(keys) => {
                f.write_str("[")?;
                for (i, (name, value)) in keys.iter().enumerate() {
                    if i > 0 {
                        f.write_str(",")?;
                    }
                    write!(f, "{name}={}", Shown(&value.0))?;
                }
                f.write_str("]")
            }
            Self::Value(value) => write!(f, "[={}]", Shown(&value.0)),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A path from the root of an object, printed as in conflict messages: `.spec.containers[name="a"].image`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(pub Vec<PathElement>);

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|element| write!(f, "{element}"))
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    member: bool,
    children: FieldSet,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }
}

/// A set of paths. Every operation keeps it free of empty branches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    nodes: BTreeMap<PathElement, Node>,
}

impl FieldSet {
    /// Nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// From paths of field names.
    pub fn of_fields<'a>(paths: impl IntoIterator<Item = &'a [&'a str]>) -> Self {
        let mut set = Self::new();
        for path in paths {
            let path: Vec<PathElement> = path.iter().map(|name| PathElement::field(name)).collect();
            set.insert(&path);
        }
        set
    }

    /// Whether it holds no path.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds a path; the empty path is ignored.
    pub fn insert(&mut self, path: &[PathElement]) {
        let Some((last, parents)) = path.split_last() else { return };
        let mut at = self;
        for element in parents {
            at = &mut at.nodes.entry(element.clone()).or_default().children;
        }
        at.nodes.entry(last.clone()).or_default().member = true;
    }

    /// Whether the path is a member.
    pub fn has(&self, path: &[PathElement]) -> bool {
        let Some((last, parents)) = path.split_last() else { return false };
        let mut at = self;
        for element in parents {
            match at.nodes.get(element) {
                Some(node) => at = &node.children,
                None => return false,
            }
        }
        at.has_element(last)
    }

    /// Whether the element directly below is a member.
    pub fn has_element(&self, element: &PathElement) -> bool {
        self.nodes.get(element).is_some_and(|node| node.member)
    }

    /// What is below an element.
    pub fn below(&self, element: &PathElement) -> Option<&Self> {
        self.nodes.get(element).map(|node| &node.children).filter(|set| !set.is_empty())
    }

    /// The elements directly below: whether each is a member, and what is below it.
    pub fn elements(&self) -> impl Iterator<Item = (&PathElement, bool, &Self)> {
        self.nodes.iter().map(|(element, node)| (element, node.member, &node.children))
    }

    pub(super) fn put(&mut self, element: PathElement, member: bool, children: Self) {
        let node = Node { member, children };
        if !node.is_empty() {
            self.nodes.insert(element, node);
        }
    }

    /// Paths of either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut result = self.clone();
        result.extend(other);
        result
    }

    /// Adds the paths of another set.
    pub fn extend(&mut self, other: &Self) {
        for (element, node) in &other.nodes {
            match self.nodes.get_mut(element) {
                Some(mine) => {
                    mine.member |= node.member;
                    mine.children.extend(&node.children);
                }
                None => {
                    self.nodes.insert(element.clone(), node.clone());
                }
            }
        }
    }

    /// Paths of both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut result = Self::new();
        for (element, node) in &self.nodes {
            if let Some(theirs) = other.nodes.get(element) {
                result.put(element.clone(), node.member && theirs.member, node.children.intersection(&theirs.children));
            }
        }
        result
    }

    /// Paths of this one that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut result = Self::new();
        for (element, node) in &self.nodes {
            match other.nodes.get(element) {
                Some(theirs) => {
                    result.put(element.clone(), node.member && !theirs.member, node.children.difference(&theirs.children));
                }
                None => {
                    result.nodes.insert(element.clone(), node.clone());
                }
            }
        }
        result
    }

    /// Takes the paths of another set out of this one; costs as much as the other is large.
    pub fn subtract(&mut self, other: &Self) {
        for (element, theirs) in &other.nodes {
            if let Some(mine) = self.nodes.get_mut(element) {
                mine.member &= !theirs.member;
                mine.children.subtract(&theirs.children);
                if mine.is_empty() {
                    self.nodes.remove(element);
                }
            }
        }
    }

    /// Paths of this one that are neither in the other nor below a member of it.
    #[must_use]
    pub fn recursive_difference(&self, other: &Self) -> Self {
        let mut result = Self::new();
        for (element, node) in &self.nodes {
            match other.nodes.get(element) {
                Some(theirs) if theirs.member => {}
                Some(theirs) => {
                    result.put(element.clone(), node.member, node.children.recursive_difference(&theirs.children));
                }
                None => {
                    result.nodes.insert(element.clone(), node.clone());
                }
            }
        }
        result
    }

    /// Paths of this one that are at or below a member of the other, or lead to one.
    #[must_use]
    pub fn restricted_to(&self, prefixes: &Self) -> Self {
        let mut result = Self::new();
        for (element, node) in &self.nodes {
            match prefixes.nodes.get(element) {
                Some(theirs) if theirs.member => {
                    result.nodes.insert(element.clone(), node.clone());
                }
                Some(theirs) => {
                    result.put(element.clone(), false, node.children.restricted_to(&theirs.children));
                }
                None => {}
            }
        }
        result
    }

    /// All paths, members of a level before what is below that level: the order of conflict messages.
    pub fn paths(&self) -> Vec<Path> {
        let mut out = Vec::new();
        self.collect(&mut Vec::new(), &mut out);
        out
    }

    fn collect(&self, prefix: &mut Vec<PathElement>, out: &mut Vec<Path>) {
        for (element, node) in &self.nodes {
            if node.member {
                let mut path = prefix.clone();
                path.push(element.clone());
                out.push(Path(path));
            }
        }
        for (element, node) in &self.nodes {
            prefix.push(element.clone());
            node.children.collect(prefix, out);
            prefix.pop();
        }
    }

    /// As `FieldsV1`.
    pub fn to_fields_v1(&self) -> Value {
        let mut map = Map::new();
        for (element, node) in &self.nodes {
            let mut children = node.children.to_fields_v1();
            if node.member
                && !node.children.is_empty()
                && let Value::Object(fields) = &mut children
            {
                fields.insert(".".to_owned(), Value::Object(Map::new()));
            }
            map.insert(element.encode(), children);
        }
        Value::Object(map)
    }

    /// From `FieldsV1`.
    ///
    /// # Errors
    /// What is wrong with the text of a key, or that something is no object.
    pub fn from_fields_v1(value: &Value) -> Result<Self, String> {
        let Value::Object(map) = value else { return Err("expected an object".to_owned()) };
        let mut set = Self::new();
        for (key, below) in map {
            // The member mark of the root has no path.
            if key == "." {
                continue;
            }
            let element = PathElement::decode(key)?;
            let children = Self::from_fields_v1(below)?;
            let member = children.is_empty() || below.get(".").is_some();
            set.put(element, member, children);
        }
        Ok(set)
    }
}

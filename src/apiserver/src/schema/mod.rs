//! One schema type for custom and built-in resources, and what the server does with it.
//!
//! A [`Schema`] is a structural schema (`apiextensions.k8s.io/v1` `JSONSchemaProps` without references) with the
//! `x-kubernetes-*` extensions that list merging, pruning and rules need. It is parsed once and shared: children are
//! `Arc`s, and equal definitions of built-in kinds are one value.
//!
//! The order in which a write uses it: [`prune`] (unknown fields), [`default()`], then [`validate()`] or, for custom
//! resources, [`custom::validate_object`] which adds list types, embedded objects, scale paths and CEL rules in the order of
//! kube-apiserver.
//!
//! `resolve` follows the one recursive type there is (`JSONSchemaProps` inside CustomResourceDefinitions); walkers call
//! [`Schema::resolve`] on every child they enter.

pub mod builtin;
pub mod custom;
pub mod decode;
mod default;
mod facts;
mod formats;
mod lists;
mod numbers;
pub mod openapi;
mod parse;
pub mod path;
mod prune;
pub mod structural;
#[cfg(test)]
mod tests;
mod validate;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

pub use default::default;
pub use lists::{unique_lists, unique_lists_on_update};
pub use prune::prune;
pub(crate) use validate::Counterparts;
pub use validate::validate;

use crate::cel::rules::CompiledRules;
use crate::error::FieldError;

/// `type` of a schema. Absent for int-or-string and for values of any type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JsonType {
    /// A JSON object.
    Object,
    /// A JSON array.
    Array,
    /// A string.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
}

impl JsonType {
    /// The name in a schema.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }

    /// The type by its name in a schema.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "object" => Self::Object,
            "array" => Self::Array,
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            _ => return None,
        })
    }
}

/// `additionalProperties`.
#[derive(Debug, Clone)]
pub enum Additional {
    /// `true`, or `false` which forbids unspecified fields.
    Allowed(bool),
    /// The schema of every unspecified field.
    Schema(Arc<Schema>),
}

/// `x-kubernetes-list-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListType {
    /// Replaced as a whole.
    Atomic,
    /// Scalars, each at most once.
    Set,
    /// Objects told apart by [`Schema::list_map_keys`].
    Map,
}

/// `x-kubernetes-map-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MapType {
    /// Replaced as a whole.
    Atomic,
    /// Merged field by field; the default.
    Granular,
}

/// `x-kubernetes-patch-strategy` of built-in kinds; none set means "replace" for lists and "merge" for objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PatchStrategy {
    /// Lists are merged (by [`Schema::patch_merge_key`] if they hold objects).
    pub merge: bool,
    /// Replaced as a whole.
    pub replace: bool,
    /// Only the keys named in the patch's `$retainKeys` survive.
    pub retain_keys: bool,
}

/// A regular expression of a schema, compiled at first use.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// As written in the schema.
    pub source: Box<str>,
    compiled: OnceLock<Option<regex::Regex>>,
}

impl Pattern {
    /// Takes over the text; a text that does not compile matches everything (structural checks refuse it before).
    pub fn new(source: impl Into<Box<str>>) -> Self {
        Self { source: source.into(), compiled: OnceLock::new() }
    }

    /// Whether `text` contains a match, as Go's `regexp.MatchString` says.
    pub fn is_match(&self, text: &str) -> bool {
        self.compiled.get_or_init(|| regex::Regex::new(&self.source).ok()).as_ref().is_none_or(|re| re.is_match(text))
    }
}

/// Bounds of values; most schemas have none.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Lowest number.
    pub minimum: Option<f64>,
    /// Whether `minimum` itself is excluded.
    pub exclusive_minimum: bool,
    /// Highest number.
    pub maximum: Option<f64>,
    /// Whether `maximum` itself is excluded.
    pub exclusive_maximum: bool,
    /// Numbers are a multiple of it.
    pub multiple_of: Option<f64>,
    /// Fewest characters.
    pub min_length: Option<u64>,
    /// Most characters.
    pub max_length: Option<u64>,
    /// Fewest elements.
    pub min_items: Option<u64>,
    /// Most elements.
    pub max_items: Option<u64>,
    /// Fewest fields.
    pub min_properties: Option<u64>,
    /// Most fields.
    pub max_properties: Option<u64>,
    /// No element twice.
    pub unique_items: bool,
    /// Strings match it.
    pub pattern: Option<Pattern>,
}

/// Combinations of value validations; their schemas neither prune nor default.
#[derive(Debug, Clone, Default)]
pub struct Logic {
    /// All must hold.
    pub all_of: Vec<Arc<Schema>>,
    /// At least one must hold.
    pub any_of: Vec<Arc<Schema>>,
    /// Exactly one must hold.
    pub one_of: Vec<Arc<Schema>>,
    /// Must not hold.
    pub not: Option<Arc<Schema>>,
}

/// Words about a schema: published in OpenAPI, no effect on values.
#[derive(Debug, Clone, Default)]
pub struct Docs {
    /// `description`.
    pub description: Option<Box<str>>,
    /// `title`.
    pub title: Option<Box<str>>,
    /// `example`.
    pub example: Option<Value>,
    /// `externalDocs`.
    pub external_docs: Option<Value>,
}

/// One of `x-kubernetes-validations`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValidationRule {
    /// CEL over `self` and, for transitions, `oldSelf`.
    pub rule: String,
    /// What a failure says.
    pub message: String,
    /// CEL that computes what a failure says; the message is used when it fails.
    pub message_expression: String,
    /// `FieldValueInvalid` (default), `FieldValueForbidden`, `FieldValueRequired`, `FieldValueDuplicate`.
    pub reason: Option<String>,
    /// JSON path below the schema of the field that a failure is about.
    pub field_path: String,
    /// `oldSelf` is an optional, so the rule runs on creation too.
    pub optional_old_self: Option<bool>,
}

/// The rules of one schema, and their programs once they were needed.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// In order.
    pub list: Vec<ValidationRule>,
    /// Compiled by [`crate::cel::rules`].
    pub(crate) compiled: OnceLock<Arc<CompiledRules>>,
}

/// What occurs in a schema or below it, so that walks skip what has nothing for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Subtree {
    /// A `default`.
    pub defaults: bool,
    /// A field that is not nullable: true for every object with properties.
    pub properties: bool,
    /// A set or map list.
    pub unique_lists: bool,
    /// An embedded object.
    pub embedded: bool,
    /// CEL rules.
    pub rules: bool,
    /// Any value validation, type included.
    pub checks: bool,
}

/// The one type that contains itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recursive {
    /// `JSONSchemaProps`.
    JsonSchemaProps,
}

/// A structural schema.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// `type`.
    pub types: Option<JsonType>,
    /// `properties`.
    pub properties: BTreeMap<Box<str>, Arc<Schema>>,
    /// `additionalProperties`.
    pub additional: Option<Additional>,
    /// `items`.
    pub items: Option<Arc<Schema>>,
    /// `required`, in order.
    pub required: Vec<Box<str>>,
    /// `enum`; empty when any value goes.
    pub enum_values: Vec<Value>,
    /// `default`.
    pub default: Option<Value>,
    /// `nullable`.
    pub nullable: bool,
    /// `format`.
    pub format: Option<Box<str>>,
    /// Bounds.
    pub limits: Option<Box<Limits>>,
    /// `allOf`, `anyOf`, `oneOf`, `not`.
    pub logic: Option<Box<Logic>>,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub preserve_unknown: bool,
    /// `x-kubernetes-int-or-string`.
    pub int_or_string: bool,
    /// `x-kubernetes-embedded-resource`.
    pub embedded_resource: bool,
    /// The root of a custom resource: `apiVersion`, `kind` and `metadata` are implied.
    pub resource_root: bool,
    /// `x-kubernetes-list-type`.
    pub list_type: Option<ListType>,
    /// `x-kubernetes-list-map-keys`.
    pub list_map_keys: Vec<Box<str>>,
    /// `x-kubernetes-map-type`.
    pub map_type: Option<MapType>,
    /// `x-kubernetes-patch-strategy` (built-in kinds).
    pub patch_strategy: Option<PatchStrategy>,
    /// `x-kubernetes-patch-merge-key` (built-in kinds).
    pub patch_merge_key: Option<Box<str>>,
    /// `x-kubernetes-validations`.
    pub rules: Option<Box<Rules>>,
    /// Words.
    pub docs: Option<Box<Docs>>,
    /// Name of the OpenAPI definition that this is, for built-in types: `io.k8s.api.core.v1.Pod`.
    pub definition: Option<Box<str>>,
    /// Stands for a recursive type; see [`Schema::resolve`].
    pub recursive: Option<Recursive>,
    /// What is in here or below.
    pub subtree: Subtree,
}

impl Schema {
    /// Parses an `openAPIV3Schema` after the structural checks of CustomResourceDefinitions.
    ///
    /// # Errors
    /// What Kubernetes says of a schema that is not structural; fields are relative to the schema.
    pub fn from_openapi_v3(value: &Value) -> Result<Self, Vec<FieldError>> {
        let errors = structural::check(value, "");
        if errors.is_empty() { Ok(Self::parse_resource(value)) } else { Err(errors) }
    }

    /// The schema itself, or what a recursive reference stands for.
    #[inline]
    pub fn resolve(&self) -> &Self {
        match self.recursive {
            None => self,
            Some(Recursive::JsonSchemaProps) => builtin::json_schema_props(),
        }
    }

    /// The schema of a field: a property, else that of additional properties.
    pub fn field(&self, name: &str) -> Option<&Self> {
        match self.properties.get(name) {
            Some(schema) => Some(schema.resolve()),
            None => match &self.additional {
                Some(Additional::Schema(schema)) => Some(schema.resolve()),
                _ => None,
            },
        }
    }

    /// The schema of list elements.
    pub fn element(&self) -> Option<&Self> {
        self.items.as_deref().map(Self::resolve)
    }

    /// `additionalProperties` when it is a schema.
    pub fn additional_schema(&self) -> Option<&Self> {
        match &self.additional {
            Some(Additional::Schema(schema)) => Some(schema.resolve()),
            _ => None,
        }
    }

    /// The description, empty if there is none.
    pub fn description(&self) -> &str {
        self.docs.as_ref().and_then(|docs| docs.description.as_deref()).unwrap_or_default()
    }

    /// The last part of [`Schema::definition`]: `Pod`.
    pub fn definition_kind(&self) -> Option<&str> {
        self.definition.as_deref().map(|name| name.rsplit('.').next().unwrap_or(name))
    }
}

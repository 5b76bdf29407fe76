//! Schemas from JSON. Parsing never fails: what does not belong is ignored, and [`structural`](super::structural)
//! reports it before.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Additional, Docs, JsonType, Limits, ListType, Logic, MapType, PatchStrategy, Pattern, Rules, Schema, Subtree, ValidationRule};

fn boxed(map: &Map<String, Value>, key: &str) -> Option<Box<str>> {
    map.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(Into::into)
}

fn text(map: &Map<String, Value>, key: &str) -> String {
    map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn flag(map: &Map<String, Value>, key: &str) -> bool {
    map.get(key).and_then(Value::as_bool).unwrap_or_default()
}

fn texts(map: &Map<String, Value>, key: &str) -> Vec<Box<str>> {
    map.get(key).and_then(Value::as_array).map(|list| list.iter().filter_map(Value::as_str).map(Into::into).collect()).unwrap_or_default()
}

fn schemas(map: &Map<String, Value>, key: &str) -> Vec<Arc<Schema>> {
    map.get(key).and_then(Value::as_array).map(|list| list.iter().map(|one| Arc::new(Schema::parse(one))).collect()).unwrap_or_default()
}

impl Schema {
    /// Parses a schema below the root of a resource.
    pub fn parse(value: &Value) -> Self {
        match value {
            Value::Object(map) => Self::parse_map(map),
            _ => Self::default(),
        }
    }

    /// Parses the root schema of a custom resource: `apiVersion`, `kind` and `metadata` are implied.
    pub fn parse_resource(value: &Value) -> Self {
        let mut schema = Self::parse(value);
        schema.resource_root = true;
        schema
    }

    fn parse_map(map: &Map<String, Value>) -> Self {
        let types = map.get("type").and_then(Value::as_str).and_then(JsonType::parse);
        let properties: BTreeMap<Box<str>, Arc<Self>> = map
            .get("properties")
            .and_then(Value::as_object)
            .map(|fields| fields.iter().map(|(name, schema)| (name.as_str().into(), Arc::new(Self::parse(schema)))).collect())
            .unwrap_or_default();
        let additional = match map.get("additionalProperties") {
            Some(Value::Bool(allowed)) => Some(Additional::Allowed(*allowed)),
            Some(schema @ Value::Object(_)) => Some(Additional::Schema(Arc::new(Self::parse(schema)))),
            _ => None,
        };
        let items = map.get("items").filter(|items| items.is_object()).map(|items| Arc::new(Self::parse(items)));
        let schema = Self {
            types,
            properties,
            additional,
            items,
            required: texts(map, "required"),
            enum_values: map.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
            default: map.get("default").cloned(),
            nullable: flag(map, "nullable"),
            format: boxed(map, "format"),
            limits: limits(map),
            logic: logic(map),
            preserve_unknown: flag(map, "x-kubernetes-preserve-unknown-fields"),
            int_or_string: flag(map, "x-kubernetes-int-or-string"),
            embedded_resource: flag(map, "x-kubernetes-embedded-resource"),
            resource_root: false,
            list_type: match map.get("x-kubernetes-list-type").and_then(Value::as_str) {
                Some("atomic") => Some(ListType::Atomic),
                Some("set") => Some(ListType::Set),
                Some("map") => Some(ListType::Map),
                _ => None,
            },
            list_map_keys: texts(map, "x-kubernetes-list-map-keys"),
            map_type: match map.get("x-kubernetes-map-type").and_then(Value::as_str) {
                Some("atomic") => Some(MapType::Atomic),
                Some("granular") => Some(MapType::Granular),
                _ => None,
            },
            patch_strategy: patch_strategy(map),
            patch_merge_key: boxed(map, "x-kubernetes-patch-merge-key"),
            rules: rules(map),
            docs: docs(map),
            definition: None,
            recursive: None,
            subtree: Subtree::default(),
        };
        schema.finished()
    }

    /// Computes [`Schema::subtree`] from the fields and the children, which must be finished.
    pub(crate) fn finished(mut self) -> Self {
        let own_checks = self.types.is_some()
            || self.int_or_string
            || !self.required.is_empty()
            || !self.enum_values.is_empty()
            || self.format.is_some()
            || self.limits.is_some()
            || self.logic.is_some();
        let mut subtree = Subtree {
            defaults: self.default.is_some(),
            properties: !self.properties.is_empty(),
            unique_lists: matches!(self.list_type, Some(ListType::Set | ListType::Map)),
            embedded: self.embedded_resource,
            rules: self.rules.is_some(),
            checks: own_checks,
        };
        let additional = match &self.additional {
            Some(Additional::Schema(schema)) => Some(schema),
            Some(Additional::Allowed(false)) => {
                subtree.checks = true;
                None
            }
            _ => None,
        };
        for child in self.properties.values().chain(additional).chain(self.items.as_ref()) {
            let below = child.subtree;
            subtree.defaults |= below.defaults;
            subtree.properties |= below.properties;
            subtree.unique_lists |= below.unique_lists;
            subtree.embedded |= below.embedded;
            subtree.rules |= below.rules;
            subtree.checks |= below.checks;
        }
        self.subtree = subtree;
        self
    }
}

fn limits(map: &Map<String, Value>) -> Option<Box<Limits>> {
    let number = |key: &str| map.get(key).and_then(Value::as_f64);
    let count = |key: &str| map.get(key).and_then(|value| value.as_u64().or_else(|| value.as_f64().map(|f| f as u64)));
    let limits = Limits {
        minimum: number("minimum"),
        exclusive_minimum: flag(map, "exclusiveMinimum"),
        maximum: number("maximum"),
        exclusive_maximum: flag(map, "exclusiveMaximum"),
        multiple_of: number("multipleOf"),
        min_length: count("minLength"),
        max_length: count("maxLength"),
        min_items: count("minItems"),
        max_items: count("maxItems"),
        min_properties: count("minProperties"),
        max_properties: count("maxProperties"),
        unique_items: flag(map, "uniqueItems"),
        pattern: boxed(map, "pattern").map(Pattern::new),
    };
    let any = limits.minimum.is_some()
        || limits.maximum.is_some()
        || limits.multiple_of.is_some()
        || limits.min_length.is_some()
        || limits.max_length.is_some()
        || limits.min_items.is_some()
        || limits.max_items.is_some()
        || limits.min_properties.is_some()
        || limits.max_properties.is_some()
        || limits.unique_items
        || limits.pattern.is_some();
    any.then(|| Box::new(limits))
}

fn logic(map: &Map<String, Value>) -> Option<Box<Logic>> {
    let logic = Logic {
        all_of: schemas(map, "allOf"),
        any_of: schemas(map, "anyOf"),
        one_of: schemas(map, "oneOf"),
        not: map.get("not").filter(|not| not.is_object()).map(|not| Arc::new(Schema::parse(not))),
    };
    let any = !logic.all_of.is_empty() || !logic.any_of.is_empty() || !logic.one_of.is_empty() || logic.not.is_some();
    any.then(|| Box::new(logic))
}

fn docs(map: &Map<String, Value>) -> Option<Box<Docs>> {
    let docs = Docs {
        description: boxed(map, "description"),
        title: boxed(map, "title"),
        example: map.get("example").cloned(),
        external_docs: map.get("externalDocs").cloned(),
    };
    let any = docs.description.is_some() || docs.title.is_some() || docs.example.is_some() || docs.external_docs.is_some();
    any.then(|| Box::new(docs))
}

fn rules(map: &Map<String, Value>) -> Option<Box<Rules>> {
    let list = map.get("x-kubernetes-validations")?.as_array()?;
    let list: Vec<ValidationRule> = list.iter().filter_map(Value::as_object).map(rule).collect();
    (!list.is_empty()).then(|| Box::new(Rules { list, ..Rules::default() }))
}

fn rule(map: &Map<String, Value>) -> ValidationRule {
    ValidationRule {
        rule: text(map, "rule"),
        message: text(map, "message"),
        message_expression: text(map, "messageExpression"),
        reason: map.get("reason").and_then(Value::as_str).map(str::to_owned),
        field_path: text(map, "fieldPath"),
        optional_old_self: map.get("optionalOldSelf").and_then(Value::as_bool),
    }
}

fn patch_strategy(map: &Map<String, Value>) -> Option<PatchStrategy> {
    let text = map.get("x-kubernetes-patch-strategy")?.as_str()?;
    let mut strategy = PatchStrategy::default();
    for part in text.split(',') {
        match part.trim() {
            "merge" => strategy.merge = true,
            "replace" => strategy.replace = true,
            "retainKeys" => strategy.retain_keys = true,
            _ => {}
        }
    }
    Some(strategy)
}

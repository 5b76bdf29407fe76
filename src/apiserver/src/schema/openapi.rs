//! Schemas as OpenAPI v3 documents publish them.

use serde_json::{Map, Value, json};

use super::{Additional, ListType, MapType, PatchStrategy, Schema};

/// How to write references to named types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum References {
    /// Named types in place of references.
    Inline,
    /// `{"$ref": "PREFIX…"}`, in `allOf` when the field has a description of its own (OpenAPI v3).
    V3,
    /// `{"$ref": "PREFIX…", "description": …}` (OpenAPI v2).
    V2,
}

impl References {
    fn prefix(self) -> &'static str {
        match self {
            Self::V2 => "#/definitions/",
            Self::V3 | Self::Inline => "#/components/schemas/",
        }
    }
}

impl Schema {
    /// The schema as `openAPIV3Schema` holds it, with named types written out.
    pub fn to_openapi(&self) -> Value {
        self.to_openapi_with(References::Inline)
    }

    /// The schema itself written out, with named types below it as `references` says.
    pub fn to_openapi_with(&self, references: References) -> Value {
        let mut map = Map::new();
        let v2 = references == References::V2;
        if let Some(docs) = &self.docs {
            for (key, text) in [("description", &docs.description), ("title", &docs.title)] {
                if let Some(text) = text {
                    map.insert(key.into(), (&**text).into());
                }
            }
            for (key, value) in [("example", &docs.example), ("externalDocs", &docs.external_docs)] {
                if let Some(value) = value {
                    map.insert(key.into(), value.clone());
                }
            }
        }
        if let Some(kind) = self.types {
            map.insert("type".into(), kind.as_str().into());
        }
        if let Some(format) = &self.format {
            map.insert("format".into(), (&**format).into());
        }
        if self.nullable {
            map.insert("nullable".into(), true.into());
        }
        if let Some(default) = self.default.as_ref().filter(|_| !(v2 && self.definition.is_none())) {
            map.insert("default".into(), default.clone());
        }
        if !self.enum_values.is_empty() {
            map.insert("enum".into(), Value::Array(self.enum_values.clone()));
        }
        if !self.required.is_empty() {
            map.insert("required".into(), self.required.iter().map(|name| Value::from(&**name)).collect());
        }
        if !self.properties.is_empty() {
            let properties = self.properties.iter().map(|(name, schema)| {
                let mut value = schema.reference(references);
                // Fields that Go holds by value show an empty object as their default; others cannot be told apart.
                let by_value = matches!(&**name, "metadata" | "spec" | "status") || self.required.contains(name);
                if references == References::V3
                    && by_value
                    && self.definition.is_some()
                    && let Some(map) = value.as_object_mut()
                    && map.contains_key("allOf")
                {
                    map.insert("default".into(), json!({}));
                }
                ((**name).to_owned(), value)
            });
            map.insert("properties".into(), Value::Object(properties.collect()));
        }
        match &self.additional {
            Some(Additional::Allowed(allowed)) => {
                map.insert("additionalProperties".into(), (*allowed).into());
            }
            Some(Additional::Schema(schema)) => {
                map.insert("additionalProperties".into(), schema.reference(references));
            }
            None => {}
        }
        if let Some(items) = &self.items {
            map.insert("items".into(), items.reference(references));
        }
        self.write_limits(&mut map);
        if !v2 {
            self.write_logic(references, &mut map);
        }
        self.write_extensions(&mut map);
        Value::Object(map)
    }

    fn reference(&self, references: References) -> Value {
        let Some(name) = self.definition.as_deref().filter(|_| references != References::Inline) else {
            return self.to_openapi_with(references);
        };
        let target = json!({"$ref": format!("{}{name}", references.prefix())});
        let Some(named) = super::builtin::definition(name) else { return target };
        let mut map = Map::new();
        if self.description() != named.description() && !self.description().is_empty() {
            map.insert("description".into(), self.description().into());
        }
        if map.is_empty() && self.patch_strategy.is_none() {
            return target;
        }
        if references == References::V2 {
            map.extend(target.as_object().cloned().unwrap_or_default());
        } else {
            map.insert("allOf".into(), Value::Array(vec![target]));
        }
        write_patch(self.patch_strategy, self.patch_merge_key.as_deref(), &mut map);
        Value::Object(map)
    }

    fn write_limits(&self, map: &mut Map<String, Value>) {
        let Some(limits) = &self.limits else { return };
        for (key, number) in [("minimum", limits.minimum), ("maximum", limits.maximum), ("multipleOf", limits.multiple_of)] {
            if let Some(number) = number {
                map.insert(key.into(), float(number));
            }
        }
        for (key, set) in [
            ("exclusiveMinimum", limits.exclusive_minimum),
            ("exclusiveMaximum", limits.exclusive_maximum),
            ("uniqueItems", limits.unique_items),
        ] {
            if set {
                map.insert(key.into(), true.into());
            }
        }
        for (key, count) in [
            ("minLength", limits.min_length),
            ("maxLength", limits.max_length),
            ("minItems", limits.min_items),
            ("maxItems", limits.max_items),
            ("minProperties", limits.min_properties),
            ("maxProperties", limits.max_properties),
        ] {
            if let Some(count) = count {
                map.insert(key.into(), count.into());
            }
        }
        if let Some(pattern) = &limits.pattern {
            map.insert("pattern".into(), (&*pattern.source).into());
        }
    }

    fn write_logic(&self, references: References, map: &mut Map<String, Value>) {
        let Some(logic) = &self.logic else { return };
        for (key, list) in [("allOf", &logic.all_of), ("anyOf", &logic.any_of), ("oneOf", &logic.one_of)] {
            if !list.is_empty() {
                map.insert(key.into(), list.iter().map(|schema| schema.reference(references)).collect());
            }
        }
        if let Some(not) = &logic.not {
            map.insert("not".into(), not.reference(references));
        }
    }

    fn write_extensions(&self, map: &mut Map<String, Value>) {
        for (key, set) in [
            ("x-kubernetes-preserve-unknown-fields", self.preserve_unknown && self.definition.is_none()),
            ("x-kubernetes-int-or-string", self.int_or_string),
            ("x-kubernetes-embedded-resource", self.embedded_resource),
        ] {
            if set {
                map.insert(key.into(), true.into());
            }
        }
        if let Some(list_type) = self.list_type {
            let text = match list_type {
                ListType::Atomic => "atomic",
                ListType::Set => "set",
                ListType::Map => "map",
            };
            map.insert("x-kubernetes-list-type".into(), text.into());
        }
        if !self.list_map_keys.is_empty() {
            let keys = self.list_map_keys.iter().map(|key| Value::from(&**key)).collect();
            map.insert("x-kubernetes-list-map-keys".into(), keys);
        }
        if let Some(map_type) = self.map_type.filter(|_| self.definition.is_none() || !self.preserve_unknown) {
            let text = match map_type {
                MapType::Atomic => "atomic",
                MapType::Granular => "granular",
            };
            map.insert("x-kubernetes-map-type".into(), text.into());
        }
        write_patch(self.patch_strategy, self.patch_merge_key.as_deref(), map);
        if let Some(rules) = &self.rules {
            let list = rules.list.iter().map(|rule| {
                let mut map = Map::new();
                for (key, text) in [
                    ("rule", rule.rule.as_str()),
                    ("message", &rule.message),
                    ("messageExpression", &rule.message_expression),
                    ("reason", rule.reason.as_deref().unwrap_or_default()),
                    ("fieldPath", &rule.field_path),
                ] {
                    if !text.is_empty() {
                        map.insert(key.into(), text.into());
                    }
                }
                if let Some(optional) = rule.optional_old_self {
                    map.insert("optionalOldSelf".into(), optional.into());
                }
                Value::Object(map)
            });
            map.insert("x-kubernetes-validations".into(), list.collect());
        }
    }
}

fn write_patch(strategy: Option<PatchStrategy>, merge_key: Option<&str>, map: &mut Map<String, Value>) {
    if let Some(strategy) = strategy {
        let words: Vec<&str> = [(strategy.merge, "merge"), (strategy.replace, "replace"), (strategy.retain_keys, "retainKeys")]
            .into_iter()
            .filter_map(|(set, word)| set.then_some(word))
            .collect();
        map.insert("x-kubernetes-patch-strategy".into(), words.join(",").into());
    }
    if let Some(key) = merge_key {
        map.insert("x-kubernetes-patch-merge-key".into(), key.into());
    }
}

/// A whole number without a fraction, as Go's encoder writes floats.
fn float(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 1e15 { (number as i64).into() } else { number.into() }
}

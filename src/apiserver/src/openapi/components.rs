//! Named schemas of a document.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Served;
use crate::resource::Gvk;
use crate::schema::openapi::References;
use crate::schema::{Schema, builtin};

/// Types that operations refer to besides the resources' own.
const ALWAYS: [&str; 4] = ["DeleteOptions", "Patch", "Status", "ListMeta"];
const LIST_META: &str =
    "Standard list metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
const OBJECT_META: &str =
    "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
const CONVENTIONS: &str = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";

impl Served {
    /// Name of the kind's definition: `io.k8s.api.apps.v1.Deployment`, `dev.example.v1.Widget`.
    pub(crate) fn definition(&self) -> String {
        if let Some(name) = self.builtin_schema().and_then(|schema| schema.definition.clone()) {
            return name.into();
        }
        let mut parts: Vec<&str> = self.info.gr.group.split('.').collect();
        parts.reverse();
        format!("{}.{}.{}", parts.join("."), self.version, self.info.kind)
    }

    /// Name of the list's definition.
    pub(crate) fn list_definition(&self) -> String {
        let name = self.definition();
        let package = name.rsplit_once('.').map(|(package, _)| package).unwrap_or_default();
        format!("{package}.{}", self.info.list_kind)
    }

    /// Group, version, kind.
    pub(crate) fn gvk(&self) -> Gvk {
        self.info.gvk(&self.version)
    }

    fn builtin_schema(&self) -> Option<Arc<Schema>> {
        if self.info.is_custom() { None } else { self.info.schema(&self.version) }
    }

    /// Whether `/scale` exists.
    pub(crate) fn has_scale(&self) -> bool {
        self.info.version(&self.version).is_some_and(|version| version.subresource_scale.is_some()) || self.has("scale")
    }

    /// Whether `/status` exists.
    pub(crate) fn has_status(&self) -> bool {
        self.info.version(&self.version).is_some_and(|version| version.subresource_status) || self.has("status")
    }

    /// Whether a built-in resource has a subresource.
    fn has(&self, name: &str) -> bool {
        !self.info.is_custom()
            && crate::builtin::catalog::entry_of(&self.info.gr)
                .is_some_and(|entry| entry.subresources.iter().any(|subresource| subresource.name == name))
    }
}

/// `x-kubernetes-group-version-kind` of a type.
pub(crate) fn kinds(gvk: &Gvk) -> Value {
    json!([{"group": gvk.group, "version": gvk.version, "kind": gvk.kind}])
}

/// All named schemas that a document with these resources needs, for OpenAPI v3.
pub(super) fn of(resources: &[Served]) -> Map<String, Value> {
    collect(resources.iter(), References::V3)
}

/// All named schemas, with references as asked.
pub(super) fn collect<'a>(resources: impl Iterator<Item = &'a Served>, references: References) -> Map<String, Value> {
    let mut out = Map::new();
    let mut wanted: Vec<Arc<Schema>> = ALWAYS.iter().filter_map(|kind| builtin::schema_of(&Gvk::new("meta.k8s.io", "v1", *kind))).collect();
    let mut gvks: BTreeMap<String, Gvk> = BTreeMap::new();
    let mut scale = false;
    for served in resources {
        scale |= served.has_scale();
        match served.builtin_schema() {
            Some(schema) => {
                gvks.insert(served.definition(), served.gvk());
                wanted.push(schema);
            }
            None if served.info.is_custom() => {
                out.insert(served.definition(), custom(served, references));
            }
            None => continue,
        }
        out.insert(served.list_definition(), list(served, references));
    }
    if let Some(schema) = builtin::schema_of(&Gvk::new("autoscaling", "v1", "Scale")).filter(|_| scale) {
        wanted.push(schema);
    }
    if let Some(schema) = builtin::schema_of(&Gvk::new("meta.k8s.io", "v1", "ObjectMeta")) {
        wanted.push(schema);
    }
    let mut seen = BTreeSet::new();
    while let Some(schema) = wanted.pop() {
        let Some(name) = schema.definition.as_deref().map(str::to_owned) else { continue };
        if !seen.insert(name.clone()) {
            continue;
        }
        let mut names = BTreeSet::new();
        references_of(&schema, true, &mut names);
        for name in names {
            match builtin::definition(&name) {
                Some(schema) => wanted.push(schema),
                // Either of two types, which neither version can say.
                None => {
                    let of = name.rsplit(".JSONSchemaPropsOr").next().unwrap_or_default();
                    out.insert(name.clone(), json!({"description": format!("Either a schema or a value of another type ({of}).")}));
                }
            }
        }
        let mut value = schema.to_openapi_with(references);
        let gvk = gvks.get(&name).cloned().or_else(|| own_gvk(&name));
        if let (Some(gvk), Some(map)) = (gvk, value.as_object_mut()) {
            map.insert("x-kubernetes-group-version-kind".into(), kinds(&gvk));
        }
        out.insert(name, value);
    }
    out
}

/// Kinds that belong to no served resource.
fn own_gvk(name: &str) -> Option<Gvk> {
    match name.rsplit('.').next()? {
        kind @ ("Status" | "DeleteOptions") if name.contains(".meta.v1.") => Some(Gvk::new("", "v1", kind)),
        "Scale" if name.contains(".autoscaling.v1.") => Some(Gvk::new("autoscaling", "v1", "Scale")),
        _ => None,
    }
}

fn references_of(schema: &Schema, root: bool, names: &mut BTreeSet<String>) {
    if let Some(name) = schema.definition.as_deref().filter(|_| !root) {
        names.insert(name.to_owned());
        return;
    }
    for below in schema.properties.values().chain(&schema.items) {
        references_of(below, false, names);
    }
    if let Some(crate::schema::Additional::Schema(below)) = &schema.additional {
        references_of(below, false, names);
    }
}

fn described(name: &str) -> Value {
    let description = builtin::schema_of(&Gvk::new("", "v1", "ConfigMap"))
        .and_then(|schema| schema.field(name).map(|field| field.description().to_owned()));
    json!({"type": "string", "description": description.unwrap_or_default()})
}

/// A reference with a description of its own.
fn described_reference(definition: &str, description: &str, references: References) -> Value {
    if references == References::V2 {
        json!({"$ref": format!("#/definitions/{definition}"), "description": description})
    } else {
        json!({"allOf": [{"$ref": format!("#/components/schemas/{definition}")}], "description": description})
    }
}

fn reference(definition: &str, references: References) -> Value {
    if references == References::V2 {
        json!({"$ref": format!("#/definitions/{definition}")})
    } else {
        json!({"$ref": format!("#/components/schemas/{definition}")})
    }
}

/// The schema of a custom resource with what is implied: type, metadata, selectable fields.
fn custom(served: &Served, references: References) -> Value {
    let Some(version) = served.info.version(&served.version) else { return json!({}) };
    let mut value = match &version.schema {
        Some(schema) if references == References::V2 && schema.preserve_unknown => json!({"type": "object"}),
        Some(schema) => schema.to_openapi_with(references),
        None => json!({"type": "object"}),
    };
    publish(&mut value, references);
    let Some(map) = value.as_object_mut() else { return value };
    let properties = map.entry("properties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        properties.insert("apiVersion".into(), described("apiVersion"));
        properties.insert("kind".into(), described("kind"));
        properties.insert("metadata".into(), described_reference(builtin::OBJECT_META, OBJECT_META, references));
    }
    map.insert("x-kubernetes-group-version-kind".into(), kinds(&served.gvk()));
    selectable(served, map);
    value
}

/// What the published form of a schema has besides its own: alternatives of int-or-string, type and metadata of
/// embedded resources.
fn publish(value: &mut Value, references: References) {
    let Some(map) = value.as_object_mut() else { return };
    if references != References::V2 {
        if map.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) && !map.contains_key("anyOf") {
            map.insert("anyOf".into(), json!([{"type": "integer"}, {"type": "string"}]));
        }
        if map.get("x-kubernetes-embedded-resource") == Some(&Value::Bool(true)) {
            embed(map, references);
        }
    }
    if let Some(properties) = map.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(|property| publish(property, references));
    }
    for key in ["items", "additionalProperties"] {
        if let Some(below) = map.get_mut(key) {
            publish(below, references);
        }
    }
}

fn embed(map: &mut Map<String, Value>, references: References) {
    let properties = map.entry("properties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        properties.insert(
            "apiVersion".into(),
            json!({"type": "string", "description": format!(
                "apiVersion defines the versioned schema of this representation of an object. More info: \
                 {CONVENTIONS}#resources"
            )}),
        );
        properties.insert(
            "kind".into(),
            json!({"type": "string", "description": format!(
                "kind is a string value representing the type of this object. In CamelCase. More info: \
                 {CONVENTIONS}#types-kinds"
            )}),
        );
        properties.insert("metadata".into(), described_reference(builtin::OBJECT_META, OBJECT_META, references));
    }
    let mut required: Vec<Value> = map.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    for name in ["kind", "apiVersion"] {
        if !required.iter().any(|known| known == name) {
            required.push(name.into());
        }
    }
    map.insert("required".into(), Value::Array(required));
}

fn selectable(served: &Served, map: &mut Map<String, Value>) {
    let Some(version) = served.info.version(&served.version) else { return };
    if !version.selectable_fields.is_empty() {
        let fields: Vec<Value> =
            version.selectable_fields.iter().map(|path| json!({"fieldPath": path.strip_prefix('.').unwrap_or(path)})).collect();
        map.insert("x-kubernetes-selectable-fields".into(), Value::Array(fields));
    }
}

fn list(served: &Served, references: References) -> Value {
    let kind = &served.info.kind;
    let custom = served.info.is_custom();
    let (description, items) = if custom {
        (format!("{} is a list of {kind}", served.info.list_kind), format!("List of {}. More info: {CONVENTIONS}", served.info.gr.resource))
    } else {
        (format!("{} is a list of {kind} objects.", served.info.list_kind), format!("items is the list of {}.", served.info.gr.resource))
    };
    let mut value = json!({
        "description": description,
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": described("apiVersion"),
            "kind": described("kind"),
            "metadata": described_reference(builtin::LIST_META, LIST_META, references),
            "items": {
                "description": items,
                "type": "array",
                "items": reference(&served.definition(), references),
            },
        },
    });
    let gvk = Gvk { kind: served.info.list_kind.clone(), ..served.gvk() };
    if let Some(map) = value.as_object_mut() {
        map.insert("x-kubernetes-group-version-kind".into(), kinds(&gvk));
        if custom {
            selectable(served, map);
        }
    }
    value
}

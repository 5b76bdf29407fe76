//! The CustomResourceDefinitions, made from the types.
//!
//! A schema follows from the Rust types (field names, required fields, descriptions from the doc comments) and from the
//! `schemars` attributes beside them (limits, enumerations, list types, rules); what a kind is called and how it is listed is in
//! `kinds`. All versions of a kind share one schema, as upstream's do (spec/api.md §1).

mod kinds;
mod kubernetes;
mod structural;

use std::sync::OnceLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Map, Value, json};

use self::kinds::{KINDS, Kind, Scope};
use self::structural::Schemas;

/// Every CustomResourceDefinition of KubeVirt, the kinds of kubevirt.io first.
///
/// # Errors
/// Fails only if a type's schema is no valid CRD schema, which the crate's tests rule out.
pub fn all() -> Result<Vec<CustomResourceDefinition>, serde_json::Error> {
    values().into_iter().map(serde_json::from_value).collect()
}

/// The same as [`all`], as they are sent to an API server.
pub fn values() -> Vec<Value> {
    let mut schemas = Schemas::new();
    KINDS.iter().map(|kind| definition(kind, &mut schemas)).collect()
}

/// Where the objects of a kind are: the plural, and whether they are namespaced.
pub fn plural(kind: &str) -> Option<(&'static str, bool)> {
    let kind = KINDS.iter().find(|one| one.name == kind)?;
    Some((kind.plural, matches!(kind.scope, Scope::Namespaced)))
}

/// A definition as a YAML document, as it stands in `deploy/crds/`.
///
/// # Errors
/// Fails if the definition cannot be written as YAML.
pub fn to_yaml(definition: &CustomResourceDefinition) -> Result<String, serde_saphyr::ser::Error> {
    let mut value = serde_json::to_value(definition).map_err(|e| serde_saphyr::ser::Error::from(e.to_string()))?;
    whole_numbers(&mut value);
    serde_saphyr::to_string(&value)
}

/// Bounds are floating point numbers in Rust's type; a whole one is written without a fraction.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        Value::Array(list) => list.iter_mut().for_each(whole_numbers),
        Value::Number(n) => {
            if let Some(whole) = n.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9e15) {
                *value = Value::from(whole as i64);
            }
        }
        _ => {}
    }
}

/// The structural schemas of a kind's parts, without descriptions.
#[derive(Debug)]
pub struct Parts {
    /// Of the specification.
    pub spec: Value,
    /// Of the status, where there is one.
    pub status: Option<Value>,
}

/// The parts of a kind, for checks outside the API server. They are made at the first use.
pub fn parts(kind: &str) -> Option<&'static Parts> {
    static MADE: [OnceLock<Parts>; KINDS.len()] = [const { OnceLock::new() }; KINDS.len()];
    let index = KINDS.iter().position(|k| k.name == kind)?;
    let kind = KINDS.get(index)?;
    let made = MADE.get(index)?.get_or_init(|| {
        let mut schemas = Schemas::new();
        let mut part = |source| {
            let mut schema = schemas.schema(source);
            structural::strip_descriptions(&mut schema);
            schema
        };
        Parts { spec: part(kind.spec), status: kind.status.as_ref().map(|s| part(s.schema)) }
    });
    Some(made)
}

fn definition(kind: &Kind, schemas: &mut Schemas) -> Value {
    let schema = root_schema(kind, schemas);
    let columns: Vec<Value> = kind
        .columns
        .iter()
        .map(|c| {
            let mut column = json!({"name": c.name, "type": c.kind, "jsonPath": c.path});
            if c.wide {
                insert(&mut column, "priority", json!(1));
            }
            column
        })
        .collect();
    let versions: Vec<Value> = kind
        .versions
        .iter()
        .map(|v| {
            let mut version = json!({
                "name": v.name,
                "served": true,
                "storage": v.storage,
                "schema": {"openAPIV3Schema": schema},
            });
            if let Some(warning) = v.deprecated {
                insert(&mut version, "deprecated", json!(true));
                insert(&mut version, "deprecationWarning", json!(warning));
            }
            if !columns.is_empty() {
                insert(&mut version, "additionalPrinterColumns", json!(columns));
            }
            if kind.status_subresource || kind.scale {
                insert(&mut version, "subresources", subresources(kind));
            }
            version
        })
        .collect();
    let mut names = json!({
        "plural": kind.plural,
        "singular": kind.name.to_lowercase(),
        "kind": kind.name,
        "listKind": format!("{}List", kind.name),
    });
    if !kind.short.is_empty() {
        insert(&mut names, "shortNames", json!(kind.short));
    }
    if kind.in_all {
        insert(&mut names, "categories", json!(["all"]));
    }
    let label = if kind.name == "KubeVirt" { "operator.kubevirt.io" } else { "kubevirt.io" };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", kind.plural, kind.group), "labels": {label: ""}},
        "spec": {
            "group": kind.group,
            "scope": match kind.scope { Scope::Namespaced => "Namespaced", Scope::Cluster => "Cluster" },
            "names": names,
            "conversion": {"strategy": "None"},
            "versions": versions,
        },
    })
}

fn subresources(kind: &Kind) -> Value {
    let mut out = Map::new();
    if kind.status_subresource {
        out.insert("status".into(), json!({}));
    }
    if kind.scale {
        let paths = json!({
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.labelSelector",
        });
        out.insert("scale".into(), paths);
    }
    Value::Object(out)
}

fn root_schema(kind: &Kind, schemas: &mut Schemas) -> Value {
    let mut properties = json!({
        "apiVersion": {"type": "string", "description": "The version of the API the object is written in."},
        "kind": {"type": "string", "description": "What the object is."},
        "metadata": {"type": "object"},
    });
    insert(&mut properties, "spec", schemas.schema(kind.spec));
    if let Some(status) = &kind.status {
        let mut schema = schemas.schema(status.schema);
        if status.nullable {
            insert(&mut schema, "nullable", json!(true));
        }
        insert(&mut properties, "status", schema);
    }
    let mut root = json!({"type": "object", "description": kind.description, "properties": properties});
    if kind.spec_required {
        insert(&mut root, "required", json!(["spec"]));
    }
    root
}

fn insert(target: &mut Value, key: &str, value: Value) {
    if let Value::Object(map) = target {
        map.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::{all, to_yaml};

    #[test]
    fn every_definition_is_valid_and_survives_yaml() {
        let definitions = all().unwrap();
        assert_eq!(definitions.len(), 20);
        for definition in &definitions {
            let yaml = to_yaml(definition).unwrap();
            let back = serde_saphyr::from_str::<super::CustomResourceDefinition>(&yaml).unwrap();
            assert_eq!(serde_json::to_value(&back).unwrap(), serde_json::to_value(definition).unwrap());
            assert_eq!(definition.spec.versions.iter().filter(|v| v.storage).count(), 1);
        }
    }

    #[test]
    fn files_in_deploy_are_current() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds");
        for definition in all().unwrap() {
            let name = definition.metadata.name.clone().unwrap_or_default();
            let path = folder.join(format!("{name}.yaml"));
            let wanted = to_yaml(&definition).unwrap();
            if std::env::var_os("UPDATE_CRDS").is_some() {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&path, &wanted).unwrap();
            }
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(found == wanted, "{} is stale: run `cargo run -p xtask -- generate`", path.display());
        }
    }
}

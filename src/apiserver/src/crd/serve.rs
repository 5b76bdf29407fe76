//! An established definition as a resource that the server serves.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use serde_json::Value;

use crate::object;
use crate::resource::{GroupResource, PrinterColumn, ResourceInfo, ScalePaths, Source, VersionInfo};
use crate::schema::{Schema, builtin};

/// Verbs of custom resources, in the order of discovery.
const VERBS: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

/// The resource of a definition, under its accepted names; versions in the order of preference.
///
/// `revision` is remembered as the origin of the versions.
pub fn resource_info(definition: &Value, revision: u64, terminating: bool) -> ResourceInfo {
    let names = object::at(definition, &["status", "acceptedNames"]).unwrap_or(&Value::Null);
    let own = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
    let mut schemas: Vec<(&Value, Arc<Schema>)> = Vec::new();
    let mut versions: Vec<VersionInfo> =
        object::list(definition, &["spec", "versions"]).iter().map(|version| version_info(version, revision, &mut schemas)).collect();
    versions.sort_by(|a, b| version_order(&a.name, &b.name));
    let webhook = object::text(definition, &["spec", "conversion", "strategy"]) == "Webhook";
    ResourceInfo {
        gr: GroupResource::new(object::text(definition, &["spec", "group"]), object::text(names, &["plural"])),
        kind: object::text(names, &["kind"]).to_owned(),
        list_kind: object::text(names, &["listKind"]).to_owned(),
        singular: object::text(names, &["singular"]).to_owned(),
        short_names: own(object::strings(names, &["shortNames"])),
        categories: own(object::strings(names, &["categories"])),
        namespaced: object::text(definition, &["spec", "scope"]) == "Namespaced",
        versions,
        source: Source::Crd {
            uid: object::uid(definition).to_owned(),
            name: object::name(definition).to_owned(),
            conversion: object::at(definition, &["spec", "conversion"]).filter(|_| webhook).map(|conversion| Arc::new(conversion.clone())),
            terminating,
        },
        verbs: VERBS.iter().map(|verb| (*verb).to_owned()).collect(),
    }
}

fn fingerprint(schema: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    schema.hash(&mut hasher);
    hasher.finish()
}

fn version_info<'a>(version: &'a Value, revision: u64, schemas: &mut Vec<(&'a Value, Arc<Schema>)>) -> VersionInfo {
    let raw = object::at(version, &["schema", "openAPIV3Schema"]);
    let schema = raw.map(|raw| {
        if let Some((_, schema)) = schemas.iter().find(|(known, _)| *known == raw) {
            return schema.clone();
        }
        let schema = Arc::new(Schema::parse_resource(raw));
        schemas.push((raw, schema.clone()));
        schema
    });
    let scale = object::at(version, &["subresources", "scale"]).filter(|scale| scale.is_object());
    let text = |value: &Value, key: &str| object::text(value, &[key]).to_owned();
    let mut printer_columns: Vec<PrinterColumn> = object::list(version, &["additionalPrinterColumns"])
        .iter()
        .map(|column| PrinterColumn {
            name: text(column, "name"),
            column_type: text(column, "type"),
            format: text(column, "format"),
            description: text(column, "description"),
            priority: object::number(column, &["priority"]).and_then(|n| i32::try_from(n).ok()).unwrap_or(0),
            json_path: text(column, "jsonPath"),
        })
        .collect();
    if printer_columns.is_empty() {
        printer_columns.push(age());
    }
    VersionInfo {
        name: text(version, "name"),
        origin: revision,
        fingerprint: raw.map_or(0, fingerprint),
        since: revision,
        served: object::flag(version, &["served"]),
        storage: object::flag(version, &["storage"]),
        schema,
        printer_columns,
        subresource_status: object::at(version, &["subresources", "status"]).is_some_and(|status| !status.is_null()),
        subresource_scale: scale.map(|scale| ScalePaths {
            spec_replicas: text(scale, "specReplicasPath"),
            status_replicas: text(scale, "statusReplicasPath"),
            label_selector: Some(text(scale, "labelSelectorPath")).filter(|path| !path.is_empty()),
        }),
        selectable_fields: object::list(version, &["selectableFields"]).iter().map(|field| text(field, "jsonPath")).collect(),
        deprecated: object::flag(version, &["deprecated"]),
        deprecation_warning: object::at(version, &["deprecationWarning"]).and_then(Value::as_str).map(str::to_owned),
    }
}

/// The column of resources that name none.
fn age() -> PrinterColumn {
    let description = builtin::object_meta().field("creationTimestamp").map(|schema| schema.description().to_owned());
    PrinterColumn {
        name: "Age".to_owned(),
        column_type: "date".to_owned(),
        format: String::new(),
        description: description.unwrap_or_default(),
        priority: 0,
        json_path: ".metadata.creationTimestamp".to_owned(),
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Stable(u64),
    Beta(u64, u64),
    Alpha(u64, u64),
}

fn rank(version: &str) -> Option<Rank> {
    let rest = version.strip_prefix('v')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, rest) = rest.split_at_checked(end)?;
    let major = major.parse().ok()?;
    if rest.is_empty() {
        return Some(Rank::Stable(major));
    }
    if let Some(minor) = rest.strip_prefix("beta") {
        return Some(Rank::Beta(major, minor.parse().ok()?));
    }
    Some(Rank::Alpha(major, rest.strip_prefix("alpha")?.parse().ok()?))
}

/// The order of preference of versions: stable before beta before alpha, newer before older, anything else last and by
/// name (`k8s.io/apimachinery/pkg/version.CompareKubeAwareVersionStrings`).
pub fn version_order(a: &str, b: &str) -> Ordering {
    match (rank(a), rank(b)) {
        (Some(a), Some(b)) => match (&a, &b) {
            (Rank::Stable(a), Rank::Stable(b)) => b.cmp(a),
            (Rank::Beta(a, m), Rank::Beta(b, n)) | (Rank::Alpha(a, m), Rank::Alpha(b, n)) => (b, n).cmp(&(a, m)),
            _ => a.cmp(&b),
        },
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

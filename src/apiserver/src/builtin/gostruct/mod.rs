//! Parts of pods and claims as the original prints its internal Go structs in error texts: as JSON with Go's field names,
//! in the order of their declaration, unset ones included; and the difference of two such prints.
//!
//! `types.txt` has a line a struct: its name, then its fields as `NAME[=JSON]KIND`, or `@STRUCT[=JSON]` for an embedded
//! one. Kinds: `:s` string, `:b` boolean, `:i` number (or number or string), `:q` quantity, `:*` pointer to one of those,
//! `:[]` list, `:{}` map, `:STRUCT`, `:*STRUCT`, `:[]STRUCT`; `?` in place of `:` leaves an empty one out.
//!
//! Facts: `pkg/apis/core/types.go` (names and order), `apimachinery/pkg/util/diff/diff.go` (form).

mod unified;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::object;

/// A type that errors print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Struct {
    /// `core.PodSpec`.
    PodSpec,
    /// `core.PodTemplateSpec`.
    PodTemplateSpec,
    /// `core.EphemeralContainer`.
    EphemeralContainer,
    /// `core.PersistentVolumeClaimSpec`.
    PersistentVolumeClaimSpec,
}

impl Struct {
    fn name(self) -> &'static str {
        match self {
            Self::PodSpec => "PodSpec",
            Self::PodTemplateSpec => "PodTemplateSpec",
            Self::EphemeralContainer => "EphemeralContainer",
            Self::PersistentVolumeClaimSpec => "PersistentVolumeClaimSpec",
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Flag,
    Number,
    Quantity,
    Pointer,
    List,
    Map,
    Struct(&'static str),
    PointerTo(&'static str),
    ListOf(&'static str),
    Embedded(&'static str),
}

#[derive(Debug)]
struct Field {
    go: &'static str,
    /// Name on the wire; empty when the embedded struct's fields are in the same object.
    json: Cow<'static, str>,
    kind: Kind,
    omit_empty: bool,
}

type Types = BTreeMap<&'static str, Vec<Field>>;

fn types() -> &'static Types {
    static TYPES: OnceLock<Types> = OnceLock::new();
    TYPES.get_or_init(|| {
        let line = |line: &'static str| {
            let mut words = line.split(' ');
            Some((words.next()?, words.map(field).collect()))
        };
        include_str!("types.txt").lines().filter_map(line).collect()
    })
}

fn field(text: &'static str) -> Field {
    if let Some(embedded) = text.strip_prefix('@') {
        let (name, json) = embedded.split_once('=').unwrap_or((embedded, ""));
        return Field { go: name, json: json.into(), kind: Kind::Embedded(name), omit_empty: false };
    }
    let at = text.find([':', '?']).unwrap_or(text.len());
    let (name, kind) = text.split_at(at);
    let (go, json) = name.split_once('=').map_or_else(|| (name, on_the_wire(name)), |(go, json)| (go, json.into()));
    let kind_name = kind.get(1..).unwrap_or_default();
    let kind_of = match kind_name {
        "s" => Kind::Text,
        "b" => Kind::Flag,
        "i" => Kind::Number,
        "q" => Kind::Quantity,
        "*" => Kind::Pointer,
        "[]" => Kind::List,
        "{}" => Kind::Map,
        other => match (other.strip_prefix('*'), other.strip_prefix("[]")) {
            (Some(name), _) => Kind::PointerTo(name),
            (_, Some(name)) => Kind::ListOf(name),
            _ => Kind::Struct(other),
        },
    };
    Field { go, json, kind: kind_of, omit_empty: kind.starts_with('?') }
}

/// `DNSPolicy` is `dnsPolicy` on the wire: a leading acronym is lower-case as a whole.
fn on_the_wire(name: &str) -> Cow<'static, str> {
    let upper = name.bytes().take_while(u8::is_ascii_uppercase).count();
    let lowered = if upper == name.len() || upper <= 1 { upper } else { upper - 1 };
    let (head, tail) = name.split_at(lowered);
    Cow::Owned(head.to_ascii_lowercase() + tail)
}

/// JSON with Go's names; a [`Map`] would lose the order.
enum Printed {
    /// Encoded already.
    Leaf(String),
    List(Vec<Printed>),
    Object(Vec<(String, Printed)>),
}

fn encoded(value: &Value) -> String {
    let text = value.to_string();
    // As Go's encoder, which makes JSON safe inside of HTML.
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn leaf(value: Option<&Value>, unset: &str) -> Printed {
    Printed::Leaf(value.filter(|value| !value.is_null()).map_or_else(|| unset.to_owned(), encoded))
}

fn plain(value: &Value) -> Printed {
    match value {
        Value::Array(list) => Printed::List(list.iter().map(plain).collect()),
        Value::Object(map) => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            Printed::Object(members.into_iter().map(|(key, value)| (key.clone(), plain(value))).collect())
        }
        other => Printed::Leaf(encoded(other)),
    }
}

fn print(of: &str, value: &Value) -> Vec<(String, Printed)> {
    let mut out = Vec::new();
    for field in types().get(of).into_iter().flatten() {
        let found = value.get(&*field.json).filter(|found| !found.is_null());
        if let Kind::Embedded(name) = field.kind {
            let inner = if field.json.is_empty() { Some(value) } else { found };
            out.extend(print(name, inner.unwrap_or(&Value::Null)));
            continue;
        }
        let empty = match found {
            None => true,
            Some(Value::String(text)) => text.is_empty(),
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Object(map)) => map.is_empty(),
            Some(_) => false,
        };
        if field.omit_empty && empty {
            continue;
        }
        let printed = match (field.kind, found) {
            (Kind::Text, found) => leaf(found, "\"\""),
            (Kind::Flag, found) => leaf(found, "false"),
            (Kind::Number, found) => leaf(found, "0"),
            (Kind::Quantity, found) => leaf(found, "\"0\""),
            (Kind::Struct(name), found) => Printed::Object(print(name, found.unwrap_or(&Value::Null))),
            (Kind::PointerTo(name), Some(found)) => Printed::Object(print(name, found)),
            (Kind::ListOf(name), Some(Value::Array(list))) if !list.is_empty() => {
                Printed::List(list.iter().map(|element| Printed::Object(print(name, element))).collect())
            }
            // Lists without elements are not stored.
            (Kind::ListOf(_), _) | (Kind::List, Some(Value::Array(_))) if empty => leaf(None, "null"),
            (_, Some(found)) => plain(found),
            (_, None) => leaf(None, "null"),
        };
        out.push((field.go.to_owned(), printed));
    }
    out
}

fn write(printed: &Printed, indent: Option<usize>, out: &mut String) {
    let line = |depth: Option<usize>, out: &mut String| {
        if let Some(depth) = depth {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', depth));
        }
    };
    let inner = indent.map(|depth| depth + 1);
    match printed {
        Printed::Leaf(text) => out.push_str(text),
        Printed::List(list) if list.is_empty() => out.push_str("[]"),
        Printed::Object(members) if members.is_empty() => out.push_str("{}"),
        Printed::List(list) => {
            out.push('[');
            for (index, element) in list.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                line(inner, out);
                write(element, inner, out);
            }
            line(indent, out);
            out.push(']');
        }
        Printed::Object(members) => {
            out.push('{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                line(inner, out);
                out.push_str(&encoded(&Value::from(name.as_str())));
                out.push_str(if indent.is_some() { ": " } else { ":" });
                write(value, inner, out);
            }
            line(indent, out);
            out.push('}');
        }
    }
}

/// A pod spec's host namespaces are in its security context there.
fn internal(of: Struct, value: &Value) -> Cow<'_, Value> {
    let at: &[&str] = match of {
        Struct::PodSpec => &[],
        Struct::PodTemplateSpec => &["spec"],
        Struct::EphemeralContainer | Struct::PersistentVolumeClaimSpec => return Cow::Borrowed(value),
    };
    let mut value = value.clone();
    let path = |name: &'static str| at.iter().copied().chain([name]).collect::<Vec<_>>();
    for name in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"] {
        if let Some(found) = object::remove(&mut value, &path(name)) {
            let mut context = path("securityContext");
            context.push(name);
            object::set(&mut value, &context, found);
        }
    }
    object::set_default(&mut value, &path("securityContext"), Map::new());
    Cow::Owned(value)
}

fn text(of: Struct, value: &Value, indent: Option<usize>) -> String {
    let mut out = String::new();
    write(&Printed::Object(print(of.name(), &internal(of, value))), indent, &mut out);
    out
}

/// JSON as the original's encoder writes a map: members in order, no spaces.
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write(&plain(value), None, &mut out);
    out
}

/// The struct on one line, as bad values are printed.
pub fn line(of: Struct, value: &Value) -> String {
    text(of, value, None)
}

/// What changed between two values of a type, as unified diff of their prints with three lines around each change.
pub fn difference(of: Struct, before: &Value, after: &Value) -> String {
    unified::diff(&text(of, before, Some(0)), &text(of, after, Some(0)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("DNSPolicy", "dnsPolicy")]
    #[case("SELinuxOptions", "seLinuxOptions")]
    #[case("TTY", "tty")]
    #[case("HTTPGet", "httpGet")]
    #[case("ISCSIInterface", "iscsiInterface")]
    #[case("Name", "name")]
    #[case("HostPID", "hostPID")]
    #[case("matchLabels", "matchLabels")]
    fn wire_names(#[case] go: &str, #[case] json: &str) {
        assert_eq!(on_the_wire(go), json);
    }

    #[test]
    fn every_struct_that_is_named_is_described() {
        for (name, fields) in types() {
            for field in fields {
                if let Kind::Struct(of) | Kind::PointerTo(of) | Kind::ListOf(of) | Kind::Embedded(of) = field.kind {
                    assert!(types().contains_key(of), "{name} has a {of}");
                }
            }
        }
    }

    /// The wire names are those of the API: a misspelt one would silently print as unset.
    #[test]
    fn fields_are_those_of_the_api() {
        let schema = crate::schema::builtin::schema_of(&crate::resource::Gvk::new("", "v1", "Pod")).unwrap();
        let spec = schema.properties.get("spec").unwrap().resolve();
        let mut missing = Vec::new();
        known("PodSpec", spec, &mut missing);
        // The security context has members that are the pod's own on the wire; the rest is newer than the schema.
        missing.retain(|name| !name.starts_with("PodSecurityContext.host") && name != "PodSecurityContext.shareProcessNamespace");
        assert_eq!(missing, ["PodCertificateProjection.userAnnotations", "PodSpec.schedulingGroup"]);
    }

    fn known(of: &str, schema: &crate::schema::Schema, missing: &mut Vec<String>) {
        for field in types().get(of).into_iter().flatten() {
            if let Kind::Embedded(name) = field.kind {
                let inner = if field.json.is_empty() { Some(schema) } else { schema.properties.get(&*field.json).map(|s| s.resolve()) };
                if let Some(inner) = inner {
                    known(name, inner, missing);
                }
                continue;
            }
            let Some(found) = schema.properties.get(&*field.json).map(|found| found.resolve()) else {
                missing.push(format!("{of}.{}", field.json));
                continue;
            };
            match field.kind {
                Kind::Struct(name) | Kind::PointerTo(name) => known(name, found, missing),
                Kind::ListOf(name) => {
                    if let Some(element) = found.element() {
                        known(name, element, missing);
                    }
                }
                _ => {}
            }
        }
        missing.sort();
        missing.dedup();
    }

    #[test]
    fn a_claim_prints_all_its_fields() {
        let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeMode": "Filesystem",
            "selector": {"matchLabels": {"a": "<b>"}}});
        assert_eq!(
            line(Struct::PersistentVolumeClaimSpec, &claim),
            "{\"AccessModes\":[\"ReadWriteOnce\"],\"Selector\":{\"matchLabels\":{\"a\":\"\\u003cb\\u003e\"}},\"Resources\":{\"Limits\":null,\
             \"Requests\":{\"storage\":\"1Gi\"}},\"VolumeName\":\"\",\"StorageClassName\":null,\"VolumeMode\":\"Filesystem\",\
             \"DataSource\":null,\"DataSourceRef\":null,\"VolumeAttributesClassName\":null}"
        );
        let mut other = claim.clone();
        other["storageClassName"] = json!("fast");
        assert_eq!(
            difference(Struct::PersistentVolumeClaimSpec, &claim, &other),
            "@@ -14,7 +14,7 @@\n   }\n  },\n  \"VolumeName\": \"\",\n- \"StorageClassName\": null,\n+ \"StorageClassName\": \"fast\",\n  \
             \"VolumeMode\": \"Filesystem\",\n  \"DataSource\": null,\n  \"DataSourceRef\": null,\n"
        );
    }
}

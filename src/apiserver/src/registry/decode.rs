//! Bodies into objects: media types, kinds, types of fields, unknown and repeated fields, pruning, defaults.
//!
//! # Errors
//! As kube-apiserver: 415 for other media types, 400 for what does not parse or has the wrong type, version or (strictly
//! validated) fields. Built-in kinds are decoded like Go structs, custom ones like maps with typed metadata.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::Call;
use super::write_options::FieldValidation;
use crate::error::ApiError;
use crate::object;
use crate::resource::{Gvk, ResourceInfo};
use crate::schema;

/// Largest body of a write, in bytes.
pub const BODY_LIMIT: usize = 3 << 20;

const ACCEPTED: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// A decoded body and what strict decoding found.
#[derive(Debug)]
pub struct Decoded {
    /// The object.
    pub value: Value,
    /// `unknown field "spec.x"`, `duplicate field "spec.y"`.
    pub strict: Vec<String>,
}

/// Whether a body of this content type is YAML.
///
/// # Errors
/// 415 for anything but JSON and YAML.
pub fn is_yaml(content_type: &str) -> Result<bool, ApiError> {
    match content_type.split(';').next().unwrap_or_default().trim() {
        "" | "application/json" => Ok(false),
        "application/yaml" => Ok(true),
        _ => Err(ApiError::unsupported_media_type(&ACCEPTED)),
    }
}

/// Parses a JSON or YAML body; the strict findings are repeated keys.
///
/// # Errors
/// The parser's text.
pub fn parse(body: &[u8], yaml: bool) -> Result<Decoded, String> {
    if yaml {
        return super::yaml::parse(body);
    }
    let mut strict = Vec::new();
    let mut path = String::new();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let parsed =
        Json { path: &mut path, repeated: &mut strict }.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    match parsed {
        Ok(value) => Ok(Decoded { value, strict }),
        Err(_) => Err(crate::patch::gojson::parse(body).err().unwrap_or_else(|| "invalid JSON".to_owned())),
    }
}

/// Decodes the body of a create or update.
///
/// # Errors
/// See the module.
pub fn body(call: &mut Call, validation: FieldValidation) -> Result<Value, ApiError> {
    if call.body.len() > BODY_LIMIT {
        return Err(ApiError::too_large(BODY_LIMIT));
    }
    let yaml = is_yaml(&call.content_type)?;
    let gvk = call.gvk();
    let unrecognized = |why: String| {
        ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): {why} ({})",
            gvk.kind,
            summary(&call.body)
        ))
    };
    let mut decoded = parse(&call.body, yaml)
        .map_err(|why| unrecognized(if yaml { why } else { format!("couldn't get version/kind; json parse error: {why}") }))?;
    if !decoded.value.is_object() {
        return Err(unrecognized(format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of type struct {{ \
             APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
            crate::patch::gofmt::json_kind(&decoded.value)
        )));
    }
    for key in ["apiVersion", "kind"] {
        if let Some(other) = decoded.value.get(key).filter(|value| !value.is_string() && !value.is_null()) {
            return Err(unrecognized(format!(
                "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go struct field \
                 .{key} of type string",
                crate::patch::gofmt::json_kind(other)
            )));
        }
    }
    if call.info.is_custom() {
        if object::kind(&decoded.value).is_empty() {
            let raw = String::from_utf8_lossy(&call.body);
            return Err(unrecognized(format!("Object 'Kind' is missing in '{raw}'")));
        }
    } else {
        default_type(&mut decoded.value, &gvk);
    }
    finish(&call.info.clone(), &call.version.clone(), decoded, validation, &mut call.warnings)
}

/// A built-in kind's body may leave out its type.
fn default_type(value: &mut Value, gvk: &Gvk) {
    if object::text(value, &["kind"]).is_empty() {
        object::set(value, &["kind"], gvk.kind.as_str());
    }
    if object::text(value, &["apiVersion"]).is_empty() {
        object::set(value, &["apiVersion"], gvk.api_version());
    }
}

/// Checks types and fields of a decoded object and fills in defaults. Also used for the result of a patch.
///
/// # Errors
/// 400; see the module.
pub fn finish(
    info: &ResourceInfo,
    version: &str,
    decoded: Decoded,
    validation: FieldValidation,
    warnings: &mut Vec<String>,
) -> Result<Value, ApiError> {
    let gvk = info.gvk(version);
    let Decoded { mut value, mut strict } = decoded;
    let data_version = object::text(&value, &["apiVersion"]).to_owned();
    let data_kind = object::kind(&value).to_owned();
    if !info.is_custom() && (data_kind != gvk.kind) {
        return Err(wrong_kind(&data_version, &data_kind, &gvk));
    }
    let cannot = |why: String| {
        let kind = if data_kind.is_empty() { &gvk.kind } else { &data_kind };
        let version = data_version.rsplit('/').next().unwrap_or_default();
        ApiError::bad_request(format!("{kind} in version {version:?} cannot be handled as a {}: {why}", gvk.kind))
    };
    if data_version != gvk.api_version() {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({data_version}) does not match the expected API version ({})",
            gvk.api_version()
        )));
    }
    if info.is_custom() {
        if let Some(metadata) = value.get("metadata") {
            schema::decode::check_types(schema::builtin::object_meta(), "ObjectMeta", metadata).map_err(cannot)?;
        }
        prune_metadata(&mut value, &mut strict);
    }
    // An object of another kind is refused later; the original does not get to its fields.
    let other = info.is_custom() && data_kind != gvk.kind;
    if let Some(schema) = info.schema(version).filter(|_| !other) {
        if !info.is_custom() {
            schema::decode::check_types(&schema, &gvk.kind, &value).map_err(cannot)?;
            super::scalars::canonical(&schema, &mut value).map_err(cannot)?;
        }
        let unknown = schema::prune(&schema, &mut value);
        strict.extend(unknown.into_iter().map(|path| format!("unknown field {path:?}")));
        if validation == FieldValidation::Warn {
            for text in &strict {
                if !warnings.contains(text) {
                    warnings.push(text.clone());
                }
            }
        }
        if validation == FieldValidation::Strict && !strict.is_empty() {
            return Err(cannot(format!("strict decoding error: {}", strict.join(", "))));
        }
        schema::default(&schema, &mut value);
    }
    if let Some(strategy) = info.strategy() {
        strategy.check_decode(&value).map_err(cannot)?;
        drop_empty(&mut value, strategy.raw_member());
        strategy.default(&mut value, version);
    }
    Ok(value)
}

/// Nulls vanish in a Go struct's encoding.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Nulls and empty metadata members vanish, but in the member that is kept as it was sent.
fn drop_empty(value: &mut Value, raw: Option<&str>) {
    if let Some(map) = value.as_object_mut() {
        map.retain(|key, value| raw == Some(key) || !value.is_null());
        map.iter_mut().filter(|(key, _)| raw != Some(key.as_str())).for_each(|(_, value)| drop_nulls(value));
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|_, value| match value {
            Value::Object(map) => !map.is_empty(),
            Value::Array(list) => !list.is_empty(),
            Value::String(text) => !text.is_empty(),
            _ => true,
        });
    }
}

/// Metadata of a custom resource is typed: unknown members are dropped, empty ones vanish.
fn prune_metadata(value: &mut Value, strict: &mut Vec<String>) {
    let Some(metadata) = value.get_mut("metadata") else { return };
    let unknown = schema::prune(schema::builtin::object_meta(), metadata);
    strict.extend(unknown.into_iter().map(|path| format!("unknown field \"metadata.{path}\"")));
    if let Some(map) = metadata.as_object_mut() {
        map.retain(|_, value| match value {
            Value::Null => false,
            Value::Object(map) => !map.is_empty(),
            Value::Array(list) => !list.is_empty(),
            Value::String(text) => !text.is_empty(),
            Value::Number(number) => number.as_i64() != Some(0),
            Value::Bool(_) => true,
        });
    }
}

fn wrong_kind(data_version: &str, data_kind: &str, gvk: &Gvk) -> ApiError {
    let version = data_version.rsplit('/').next().unwrap_or_default();
    let known = crate::resource::parse_api_version(data_version)
        .and_then(|(group, version)| schema::builtin::schema_of(&Gvk::new(group, version, data_kind)));
    if known.is_some() {
        let internal = if gvk.group.is_empty() { "core" } else { gvk.group.split('.').next().unwrap_or_default() };
        ApiError::bad_request(format!(
            "{data_kind} in version {version:?} cannot be handled as a {}: converting ({version}.{data_kind}) to \
             ({internal}.{}): unknown conversion",
            gvk.kind, gvk.kind
        ))
    } else {
        ApiError::bad_request(format!(
            "{data_kind} in version {version:?} cannot be handled as a {}: no kind {data_kind:?} is registered for \
             version {data_version:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            gvk.kind
        ))
    }
}

/// The start of a body for an error message: text when it looks like JSON, else hexadecimal.
fn summary(body: &[u8]) -> String {
    const SHOWN: usize = 30;
    let head = body.get(..SHOWN.min(body.len())).unwrap_or_default();
    let more = if body.len() > SHOWN { " ..." } else { "" };
    match head.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(head)),
        Some(_) => format!("{}{more}", hex(head)),
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble & 0xf)).copied().unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// Builds a [`Value`] and notes repeated keys with their paths; the last one wins.
struct Json<'a> {
    path: &'a mut String,
    repeated: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Json<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Json<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        use std::fmt::Write as _;
        let mut list = Vec::new();
        let length = self.path.len();
        loop {
            let _ = write!(self.path, "[{}]", list.len());
            let next = access.next_element_seed(Json { path: self.path, repeated: self.repeated })?;
            self.path.truncate(length);
            match next {
                Some(value) => list.push(value),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let length = self.path.len();
        while let Some(key) = access.next_key::<String>()? {
            if length > 0 {
                self.path.push('.');
            }
            self.path.push_str(&key);
            if map.contains_key(&key) {
                let text = format!("duplicate field {:?}", self.path);
                if !self.repeated.contains(&text) {
                    self.repeated.push(text);
                }
            }
            let value = access.next_value_seed(Json { path: self.path, repeated: self.repeated })?;
            self.path.truncate(length);
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(r#"{"a":1,"b":{"c":[{"d":1,"d":2}]}}"#, &["duplicate field \"b.c[0].d\""])]
    #[case(r#"{"a":1,"a":2,"a":3}"#, &["duplicate field \"a\""])]
    #[case(r#"{"a":1}"#, &[])]
    fn repeated_keys(#[case] body: &str, #[case] expected: &[&str]) {
        assert_eq!(parse(body.as_bytes(), false).unwrap().strict, expected);
    }

    #[test]
    fn numbers_keep_their_kind() {
        let value = parse(b"[1, -1, 1.5, 18446744073709551615]", false).unwrap().value;
        assert_eq!(value.to_string(), "[1,-1,1.5,18446744073709551615]");
    }

    #[test]
    fn bodies_are_summarized() {
        assert_eq!(summary(b""), "<empty>");
        assert_eq!(summary(b"[]"), "5b5d");
        assert_eq!(summary(br#"{"apiVersion": "example.dev/v1", "x": 1}"#), r#"{"apiVersion": "example.dev/v1 ..."#);
    }
}

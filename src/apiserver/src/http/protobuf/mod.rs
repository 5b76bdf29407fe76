//! Kubernetes' protobuf encoding of requests, since `kubectl` writes built-in kinds in it.
//!
//! A body is the magic `k8s\0` and a `runtime.Unknown` of type and raw bytes. `messages.txt` lists the messages, one a
//! line: name, then `number:member:type` of each field, the numbers and types being those of the Go structs' tags.
//! Types: `s` string, `y` bytes, `i` integer, `b` boolean, `d` double, `T` Time, `U` MicroTime, `D` Duration, `Q` Quantity,
//! `I` IntOrString, `R` raw JSON, `m…` a message; before it `?` for optional, `*` repeated, `%` a map from strings. A member
//! `=` is inlined. Go writes empty members that are not optional, so these are left out, as its JSON does.
//!
//! Answers are JSON: every client that sends protobuf also reads that. Only errors for those who accept nothing else are
//! encoded ([`status`]).

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::env::{rfc3339, rfc3339_micro};
use crate::error::ApiError;

/// The media type.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
const MAGIC: &[u8; 4] = b"k8s\0";
/// No object is nested deeper.
const MAX_DEPTH: usize = 64;

/// One field of a message.
#[derive(Debug, Clone, Copy)]
struct Field {
    number: u64,
    member: &'static str,
    kind: &'static str,
}

type Messages = HashMap<&'static str, Vec<Field>>;

static MESSAGES: LazyLock<Messages> = LazyLock::new(|| {
    include_str!("messages.txt")
        .lines()
        .filter_map(|line| {
            let (name, fields) = line.split_once(' ').unwrap_or((line, ""));
            let fields = fields.split(' ').filter_map(|field| {
                let mut parts = field.splitn(3, ':');
                Some(Field { number: parts.next()?.parse().ok()?, member: parts.next()?, kind: parts.next()? })
            });
            (!name.is_empty()).then(|| (name, fields.collect()))
        })
        .collect()
});

/// Whether a content type is this encoding.
pub fn is_protobuf(content_type: &str) -> bool {
    content_type.split(';').next().unwrap_or_default().trim() == MEDIA_TYPE
}

/// Decodes a body into the object that the JSON encoding would give.
///
/// # Errors
/// The body is no object of a known kind.
pub fn decode(body: &[u8]) -> Result<Value, String> {
    let rest = body.strip_prefix(MAGIC.as_slice()).ok_or("provided data does not appear to be a protobuf message")?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Reader(rest) {
        match field? {
            (1, Wire::Bytes(bytes)) => {
                for field in Reader(bytes) {
                    match field? {
                        (1, Wire::Bytes(bytes)) => api_version = text(bytes)?,
                        (2, Wire::Bytes(bytes)) => kind = text(bytes)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let message = message_of(&api_version, &kind).ok_or_else(|| {
        format!("no kind {kind:?} is registered for version {api_version:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\"")
    })?;
    let mut object = Map::new();
    read(&message, raw, &mut object, 0)?;
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.into());
    Ok(Value::Object(object))
}

fn message_of(api_version: &str, kind: &str) -> Option<String> {
    if matches!(kind, "DeleteOptions" | "Status") {
        return Some(format!("meta/v1.{kind}"));
    }
    let (group, version) = crate::resource::parse_api_version(api_version)?;
    let package = match group {
        "" => "core",
        "rbac.authorization.k8s.io" => "rbac",
        group => group.split('.').next().unwrap_or_default(),
    };
    let name = format!("{package}/{version}.{kind}");
    MESSAGES.contains_key(name.as_str()).then_some(name)
}

/// A value on the wire.
#[derive(Debug, Clone, Copy)]
enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, in order.
struct Reader<'a>(&'a [u8]);

const TRUNCATED: &str = "unexpected EOF";

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or(TRUNCATED)?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("proto: integer overflow".to_owned())
}

fn take<'a>(bytes: &mut &'a [u8], count: u64) -> Result<&'a [u8], String> {
    let count = usize::try_from(count).map_err(|_| TRUNCATED)?;
    let (taken, rest) = bytes.split_at_checked(count).ok_or(TRUNCATED)?;
    *bytes = rest;
    Ok(taken)
}

impl<'a> Reader<'a> {
    fn field(&mut self) -> Result<(u64, Wire<'a>), String> {
        let tag = varint(&mut self.0)?;
        let wire = match tag & 7 {
            0 => Wire::Varint(varint(&mut self.0)?),
            1 => {
                let bytes = take(&mut self.0, 8)?;
                Wire::Fixed64(bytes.try_into().map(u64::from_le_bytes).unwrap_or_default())
            }
            2 => {
                let length = varint(&mut self.0)?;
                Wire::Bytes(take(&mut self.0, length)?)
            }
            5 => {
                take(&mut self.0, 4)?;
                Wire::Varint(0)
            }
            wire => return Err(format!("proto: illegal wireType {wire}")),
        };
        Ok((tag >> 3, wire))
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<(u64, Wire<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "proto: invalid UTF-8".to_owned())
}

/// Reads a message's fields into an object.
fn read(message: &str, bytes: &[u8], object: &mut Map<String, Value>, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err("exceeded max depth".to_owned());
    }
    let Some(fields) = MESSAGES.get(message) else { return Ok(()) };
    for found in Reader(bytes) {
        let (number, wire) = found?;
        let Some(field) = fields.iter().find(|field| field.number == number) else { continue };
        let optional = field.kind.starts_with('?');
        let kind = field.kind.trim_start_matches('?');
        if field.member == "=" {
            if let (Some(inner), Wire::Bytes(bytes)) = (kind.strip_prefix('m'), wire) {
                read(inner, bytes, object, depth + 1)?;
            }
        } else if let Some(kind) = kind.strip_prefix('*') {
            let value = one(kind, wire, depth)?;
            let list = object.entry(field.member).or_insert_with(|| Value::Array(Vec::new()));
            if let Some(list) = list.as_array_mut() {
                list.push(value);
            }
        } else if let Some(kind) = kind.strip_prefix('%') {
            let (key, value) = entry(kind, wire, depth)?;
            let map = object.entry(field.member).or_insert_with(|| Value::Object(Map::new()));
            if let Some(map) = map.as_object_mut() {
                map.insert(key, value);
            }
        } else {
            let value = one(kind, wire, depth)?;
            if optional || !is_empty(&value) {
                object.insert(field.member.to_owned(), value);
            }
        }
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// One entry of a map.
fn entry(kind: &str, wire: Wire<'_>, depth: usize) -> Result<(String, Value), String> {
    let Wire::Bytes(bytes) = wire else { return Err("proto: wrong wireType".to_owned()) };
    let (mut key, mut value) = (String::new(), None);
    for field in Reader(bytes) {
        match field? {
            (1, Wire::Bytes(bytes)) => key = text(bytes)?,
            (2, wire) => value = Some(one(kind, wire, depth)?),
            _ => {}
        }
    }
    let missing = || if kind == "s" || kind == "Q" { Value::from("") } else { Value::Null };
    Ok((key, value.unwrap_or_else(missing)))
}

/// One value of a kind.
fn one(kind: &str, wire: Wire<'_>, depth: usize) -> Result<Value, String> {
    match (kind, wire) {
        ("s", Wire::Bytes(bytes)) => Ok(text(bytes)?.into()),
        ("y", Wire::Bytes(bytes)) => Ok(STANDARD.encode(bytes).into()),
        ("i", Wire::Varint(number)) => Ok(number.cast_signed().into()),
        ("b", Wire::Varint(number)) => Ok((number != 0).into()),
        ("d", Wire::Fixed64(bits)) => Ok(f64::from_bits(bits).into()),
        ("T", Wire::Bytes(bytes)) => time(bytes, false),
        ("U", Wire::Bytes(bytes)) => time(bytes, true),
        ("Q", Wire::Bytes(bytes)) => first_text(bytes, 1),
        ("R", Wire::Bytes(bytes)) => match Reader(bytes).next().transpose()? {
            Some((1, Wire::Bytes(json))) if !json.is_empty() => serde_json::from_slice(json).map_err(|error| error.to_string()),
            _ => Ok(Value::Null),
        },
        ("D", Wire::Bytes(bytes)) => {
            let nanos = Reader(bytes).next().transpose()?.map_or(0, |(_, wire)| match wire {
                Wire::Varint(number) => number.cast_signed(),
                _ => 0,
            });
            Ok(format!("{}s", nanos / 1_000_000_000).into())
        }
        ("I", Wire::Bytes(bytes)) => int_or_string(bytes),
        // A list in a map is a message of its own.
        ("m@list", Wire::Bytes(bytes)) => {
            let mut list = Vec::new();
            for field in Reader(bytes) {
                if let (1, Wire::Bytes(bytes)) = field? {
                    list.push(Value::from(text(bytes)?));
                }
            }
            Ok(list.into())
        }
        (kind, Wire::Bytes(bytes)) => {
            let mut object = Map::new();
            read(kind.strip_prefix('m').unwrap_or(kind), bytes, &mut object, depth + 1)?;
            Ok(Value::Object(object))
        }
        _ => Err("proto: wrong wireType".to_owned()),
    }
}

fn first_text(bytes: &[u8], number: u64) -> Result<Value, String> {
    for field in Reader(bytes) {
        match field? {
            (found, Wire::Bytes(bytes)) if found == number => return Ok(text(bytes)?.into()),
            _ => {}
        }
    }
    Ok("0".into())
}

fn int_or_string(bytes: &[u8]) -> Result<Value, String> {
    let (mut is_text, mut number, mut string) = (false, 0_i64, String::new());
    for field in Reader(bytes) {
        match field? {
            (1, Wire::Varint(kind)) => is_text = kind == 1,
            (2, Wire::Varint(value)) => number = value.cast_signed(),
            (3, Wire::Bytes(bytes)) => string = text(bytes)?,
            _ => {}
        }
    }
    Ok(if is_text { string.into() } else { number.into() })
}

fn time(bytes: &[u8], micro: bool) -> Result<Value, String> {
    let (mut seconds, mut nanos) = (None, 0_i64);
    for field in Reader(bytes) {
        match field? {
            (1, Wire::Varint(value)) => seconds = Some(value.cast_signed()),
            (2, Wire::Varint(value)) => nanos = value.cast_signed(),
            _ => {}
        }
    }
    let Some(seconds) = seconds else { return Ok(Value::Null) };
    let nanos = i32::try_from(nanos).unwrap_or(0);
    let at = jiff::Timestamp::new(seconds, nanos).map_err(|error| error.to_string())?;
    Ok(if micro { rfc3339_micro(&at) } else { rfc3339(&at) }.into())
}

/// A failure as `metav1.Status` in this encoding.
pub fn status(error: &ApiError) -> Vec<u8> {
    let mut inner = Vec::new();
    put_bytes(&mut inner, 1, &[]);
    put_bytes(&mut inner, 2, b"Failure");
    put_bytes(&mut inner, 3, error.message.as_bytes());
    put_bytes(&mut inner, 4, error.reason.as_bytes());
    put_varint(&mut inner, 6 << 3);
    put_varint(&mut inner, u64::from(error.code));
    let mut type_meta = Vec::new();
    put_bytes(&mut type_meta, 1, b"v1");
    put_bytes(&mut type_meta, 2, b"Status");
    let mut body = MAGIC.to_vec();
    put_bytes(&mut body, 1, &type_meta);
    put_bytes(&mut body, 2, &inner);
    body
}

/// Appends a variable-length number.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a field with its number and length.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(parts: &[(u64, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, bytes) in parts {
            put_bytes(&mut out, *number, bytes);
        }
        out
    }

    fn unknown(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let types = message(&[(1, api_version.as_bytes()), (2, kind.as_bytes())]);
        [MAGIC.to_vec(), message(&[(1, &types), (2, raw)])].concat()
    }

    #[test]
    fn objects_are_decoded_without_their_empty_members() {
        let label = message(&[(1, b"a"), (2, b"b")]);
        let metadata = message(&[(1, b"c"), (2, b""), (3, b""), (11, &label), (8, &[])]);
        let data = message(&[(1, b"k"), (2, b"v")]);
        let body = unknown("v1", "ConfigMap", &message(&[(1, &metadata), (2, &data)]));
        let expected = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "c", "labels": {"a": "b"}},
            "data": {"k": "v"},
        });
        assert_eq!(decode(&body).unwrap(), expected);
    }

    #[test]
    fn broken_bodies_are_errors() {
        assert!(decode(b"{}").is_err());
        assert!(decode(&unknown("v1", "Nothing", &[])).is_err());
        let whole = unknown("v1", "ConfigMap", &message(&[(1, &message(&[(1, b"name")]))]));
        for cut in 5..whole.len() {
            let _ = decode(whole.get(..cut).unwrap());
        }
    }

    #[test]
    fn every_message_that_is_referred_to_is_there() {
        for (name, fields) in MESSAGES.iter() {
            for field in fields {
                let kind = field.kind.trim_start_matches(['?', '*', '%']);
                if let Some(inner) = kind.strip_prefix('m').filter(|inner| *inner != "@list") {
                    assert!(MESSAGES.contains_key(inner), "{name}.{} is {inner}", field.member);
                }
            }
        }
    }
}

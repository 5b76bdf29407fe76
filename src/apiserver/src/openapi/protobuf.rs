//! The version 2 document as protobuf, the only form that client-go asks for.
//!
//! Messages and numbers: `OpenAPIv2.proto` of github.com/google/gnostic-models. A table says where members of the JSON go;
//! what it does not name, the document does not have.

use serde_json::{Map, Value};

use crate::http::protobuf::{put_bytes, put_varint};

/// Media type of the answer.
pub(super) const MEDIA_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// As clients name it, for as long as they have done so.
pub(super) const OLD_MEDIA_TYPE: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// How a member is written.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Texts,
    Flag,
    Integer,
    Double,
    Yaml,
    Yamls,
    Message(&'static Message),
    Messages(&'static Message),
    /// A wrapper with pairs of name and message in the field of this number.
    Named(u32, &'static Message),
    /// One message within others, each in the field of its number.
    Within(&'static [u32], &'static Message),
    /// The wrapper that holds a list of texts, which here is one.
    OneText,
    /// A schema, or whether there may be any.
    SchemaOrFlag,
    /// Parameters of an operation.
    Parameters,
}

struct Message {
    members: &'static [(&'static str, u32, Kind)],
    /// Number of the extensions (`x-…`).
    extensions: u32,
}

static DOCUMENT: Message = Message {
    members: &[
        ("swagger", 1, Kind::Text),
        ("info", 2, Kind::Message(&INFO)),
        ("paths", 8, Kind::Named(2, &PATH)),
        ("definitions", 9, Kind::Named(1, &SCHEMA)),
    ],
    extensions: 16,
};

static INFO: Message =
    Message { members: &[("title", 1, Kind::Text), ("version", 2, Kind::Text), ("description", 3, Kind::Text)], extensions: 7 };

static PATH: Message = Message {
    members: &[
        ("get", 2, Kind::Message(&OPERATION)),
        ("put", 3, Kind::Message(&OPERATION)),
        ("post", 4, Kind::Message(&OPERATION)),
        ("delete", 5, Kind::Message(&OPERATION)),
        ("options", 6, Kind::Message(&OPERATION)),
        ("head", 7, Kind::Message(&OPERATION)),
        ("patch", 8, Kind::Message(&OPERATION)),
        ("parameters", 9, Kind::Parameters),
    ],
    extensions: 10,
};

static OPERATION: Message = Message {
    members: &[
        ("tags", 1, Kind::Texts),
        ("description", 3, Kind::Text),
        ("operationId", 5, Kind::Text),
        ("produces", 6, Kind::Texts),
        ("consumes", 7, Kind::Texts),
        ("parameters", 8, Kind::Parameters),
        ("responses", 9, Kind::Named(1, &RESPONSE)),
        ("deprecated", 11, Kind::Flag),
    ],
    extensions: 13,
};

/// One of several forms, of which a response is the first.
static RESPONSE: Message = Message { members: &[("", 1, Kind::Message(&RESPONSE_ITSELF))], extensions: 0 };
static RESPONSE_ITSELF: Message =
    Message { members: &[("description", 1, Kind::Text), ("schema", 2, Kind::Within(&[1], &SCHEMA))], extensions: 5 };

static BODY_PARAMETER: Message = Message {
    members: &[
        ("description", 1, Kind::Text),
        ("name", 2, Kind::Text),
        ("in", 3, Kind::Text),
        ("required", 4, Kind::Flag),
        ("schema", 5, Kind::Message(&SCHEMA)),
    ],
    extensions: 6,
};

static QUERY_PARAMETER: Message = Message {
    members: &[
        ("required", 1, Kind::Flag),
        ("in", 2, Kind::Text),
        ("description", 3, Kind::Text),
        ("name", 4, Kind::Text),
        ("type", 6, Kind::Text),
        ("format", 7, Kind::Text),
        ("uniqueItems", 20, Kind::Flag),
    ],
    extensions: 23,
};

/// Parameters in headers and paths.
static PLAIN_PARAMETER: Message = Message {
    members: &[
        ("required", 1, Kind::Flag),
        ("in", 2, Kind::Text),
        ("description", 3, Kind::Text),
        ("name", 4, Kind::Text),
        ("type", 5, Kind::Text),
        ("format", 6, Kind::Text),
        ("uniqueItems", 19, Kind::Flag),
    ],
    extensions: 22,
};

static SCHEMA: Message = Message {
    members: &[
        ("$ref", 1, Kind::Text),
        ("format", 2, Kind::Text),
        ("title", 3, Kind::Text),
        ("description", 4, Kind::Text),
        ("default", 5, Kind::Yaml),
        ("multipleOf", 6, Kind::Double),
        ("maximum", 7, Kind::Double),
        ("exclusiveMaximum", 8, Kind::Flag),
        ("minimum", 9, Kind::Double),
        ("exclusiveMinimum", 10, Kind::Flag),
        ("maxLength", 11, Kind::Integer),
        ("minLength", 12, Kind::Integer),
        ("pattern", 13, Kind::Text),
        ("maxItems", 14, Kind::Integer),
        ("minItems", 15, Kind::Integer),
        ("uniqueItems", 16, Kind::Flag),
        ("maxProperties", 17, Kind::Integer),
        ("minProperties", 18, Kind::Integer),
        ("required", 19, Kind::Texts),
        ("enum", 20, Kind::Yamls),
        ("additionalProperties", 21, Kind::SchemaOrFlag),
        ("type", 22, Kind::OneText),
        ("items", 23, Kind::Within(&[1], &SCHEMA)),
        ("allOf", 24, Kind::Messages(&SCHEMA)),
        ("properties", 25, Kind::Named(1, &SCHEMA)),
        ("example", 30, Kind::Yaml),
    ],
    extensions: 31,
};

/// Encodes the document.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    message(&mut out, &DOCUMENT, document);
    out
}

fn message(out: &mut Vec<u8>, of: &Message, value: &Value) {
    let Some(map) = value.as_object() else { return };
    for (name, number, kind) in of.members {
        if name.is_empty() {
            member(out, *number, *kind, value);
        } else if let Some(value) = map.get(*name) {
            member(out, *number, *kind, value);
        }
    }
    if of.extensions > 0 {
        for (name, value) in map.iter().filter(|(name, _)| name.starts_with("x-")) {
            put(out, of.extensions, |inner| {
                put_bytes(inner, 1, name.as_bytes());
                put(inner, 2, |any| yaml(any, value));
            });
        }
    }
}

/// Writes a message of unknown length.
fn put(out: &mut Vec<u8>, number: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    fill(&mut inner);
    put_bytes(out, number.into(), &inner);
}

/// JSON is YAML.
fn yaml(any: &mut Vec<u8>, value: &Value) {
    put_bytes(any, 2, value.to_string().as_bytes());
}

fn texts(out: &mut Vec<u8>, number: u32, value: &Value) {
    for text in value.as_array().into_iter().flatten().filter_map(Value::as_str) {
        put_bytes(out, number.into(), text.as_bytes());
    }
}

fn flag(out: &mut Vec<u8>, number: u32, value: &Value) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value.as_bool().unwrap_or_default().into());
}

fn member(out: &mut Vec<u8>, number: u32, kind: Kind, value: &Value) {
    match kind {
        Kind::Text => put_bytes(out, number.into(), value.as_str().unwrap_or_default().as_bytes()),
        Kind::Texts => texts(out, number, value),
        Kind::Flag => flag(out, number, value),
        Kind::Integer => {
            put_varint(out, u64::from(number) << 3);
            put_varint(out, value.as_i64().unwrap_or_default().cast_unsigned());
        }
        Kind::Double => {
            put_varint(out, u64::from(number) << 3 | 1);
            out.extend_from_slice(&value.as_f64().unwrap_or_default().to_le_bytes());
        }
        Kind::Yaml => put(out, number, |any| yaml(any, value)),
        Kind::Yamls => {
            for value in value.as_array().into_iter().flatten() {
                put(out, number, |any| yaml(any, value));
            }
        }
        Kind::Message(of) => put(out, number, |inner| message(inner, of, value)),
        Kind::Messages(of) => {
            for value in value.as_array().into_iter().flatten() {
                put(out, number, |inner| message(inner, of, value));
            }
        }
        Kind::Named(pair, of) => put(out, number, |wrapper| named(wrapper, pair, of, value.as_object())),
        Kind::Within(path, of) => put(out, number, |inner| within(inner, path, of, value)),
        Kind::OneText => put(out, number, |inner| match value {
            Value::String(text) => put_bytes(inner, 1, text.as_bytes()),
            other => texts(inner, 1, other),
        }),
        Kind::SchemaOrFlag => put(out, number, |inner| match value {
            Value::Bool(_) => flag(inner, 2, value),
            schema => put(inner, 1, |inner| message(inner, &SCHEMA, schema)),
        }),
        Kind::Parameters => {
            for value in value.as_array().into_iter().flatten() {
                put(out, number, |item| put(item, 1, |inner| parameter(inner, value)));
            }
        }
    }
}

fn within(out: &mut Vec<u8>, path: &[u32], of: &Message, value: &Value) {
    match path.split_first() {
        Some((number, rest)) => put(out, *number, |inner| within(inner, rest, of, value)),
        None => message(out, of, value),
    }
}

fn named(out: &mut Vec<u8>, number: u32, of: &Message, map: Option<&Map<String, Value>>) {
    for (name, value) in map.into_iter().flatten() {
        put(out, number, |pair| {
            put_bytes(pair, 1, name.as_bytes());
            put(pair, 2, |inner| message(inner, of, value));
        });
    }
}

fn parameter(out: &mut Vec<u8>, value: &Value) {
    let (path, of): (&[u32], _) = match value.get("in").and_then(Value::as_str) {
        Some("body") => (&[1], &BODY_PARAMETER),
        Some("query") => (&[2, 3], &QUERY_PARAMETER),
        Some("path") => (&[2, 4], &PLAIN_PARAMETER),
        _ => (&[2, 1], &PLAIN_PARAMETER),
    };
    within(out, path, of, value);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_go_where_the_messages_have_them() {
        let document = json!({
            "swagger": "2.0",
            "info": {"title": "T", "version": "1"},
            "definitions": {"a": {"type": "object", "x-b": [1], "additionalProperties": true}},
        });
        let expected = [
            b"\x0a\x032.0".as_slice(),
            b"\x12\x06\x0a\x01T\x12\x011",
            // definitions { pair { "a", schema { additional { flag }, type { "object" }, extension { "x-b", any { yaml } } } } }
            b"\x4a\x26\x0a\x24\x0a\x01a\x12\x1f\xaa\x01\x02\x10\x01\xb2\x01\x08\x0a\x06object",
            b"\xfa\x01\x0c\x0a\x03x-b\x12\x05\x12\x03[1]",
        ];
        assert_eq!(encode(&document), expected.concat());
    }
}

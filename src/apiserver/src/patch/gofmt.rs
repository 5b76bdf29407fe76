//! JSON values as Go's `fmt` prints them with `%v`; several error texts of Kubernetes contain such prints.

use std::fmt::Write as _;

use serde_json::Value;

/// `%v` of a decoded JSON value: `map[a:1 b:[x y]]`, `<nil>`; strings are bare.
pub fn go_value(value: &Value) -> String {
    let mut out = String::new();
    write_value(value, &mut out);
    out
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::Bool(b) => {
            let _ = write!(out, "{b}");
        }
        Value::Number(n) => write_number(n, out),
        Value::String(s) => out.push_str(s),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                write_value(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push_str("map[");
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            for (i, key) in keys.into_iter().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                out.push_str(key);
                out.push(':');
                write_value(fields.get(key).unwrap_or(&Value::Null), out);
            }
            out.push(']');
        }
    }
}

/// `%v` of a float64 switches to an exponent below 1e-4 and from 1e21 on.
fn write_number(number: &serde_json::Number, out: &mut String) {
    match number.as_f64() {
        Some(f) if number.is_f64() => {
            let size = f.abs();
            if size != 0.0 && !(1e-4..1e21).contains(&size) {
                let text = format!("{f:e}");
                let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let (sign, digits) = match exponent.strip_prefix('-') {
                    Some(digits) => ('-', digits),
                    None => ('+', exponent),
                };
                let _ = write!(out, "{mantissa}e{sign}{digits:0>2}");
            } else {
                let _ = write!(out, "{f}");
            }
        }
        _ => {
            let _ = write!(out, "{number}");
        }
    }
}

/// The name of the Go type that `encoding/json` decodes a value to, as `reflect.Kind` prints it.
pub fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}

/// The word that `encoding/json` uses for a value in "cannot unmarshal X into Go value".
pub fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

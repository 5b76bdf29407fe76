//! Values as Go's `%v` prints them.
//!
//! Where Go prints the address of a value within a value, the value itself stands here: an address tells nobody anything.

use serde_json::Value;

use super::{Notation, Shape, fields};

/// A value as Go prints it, given as it is in manifests.
pub(crate) fn show(value: Option<&Value>, of: Notation) -> String {
    let value = value.filter(|value| !value.is_null());
    match of.shape() {
        Shape::Scalar("bool") => value.and_then(Value::as_bool).unwrap_or_default().to_string(),
        Shape::Scalar("string") => value.and_then(Value::as_str).unwrap_or_default().to_owned(),
        Shape::Scalar(_) => value.map_or_else(|| "0".to_owned(), ToString::to_string),
        Shape::Pointer(inner) => match (value, inner.shape()) {
            (None, _) => "<nil>".to_owned(),
            (Some(_), Shape::Scalar(_)) => show(value, inner),
            (Some(_), _) => format!("&{}", show(value, inner)),
        },
        Shape::List(element) => {
            let elements = value.and_then(Value::as_array).into_iter().flatten();
            format!("[{}]", joined(elements.map(|value| show(Some(value), element))))
        }
        Shape::Map(of) => {
            let entries = value.and_then(Value::as_object).into_iter().flatten();
            format!("map[{}]", joined(entries.map(|(key, value)| format!("{key}:{}", show(Some(value), of)))))
        }
        Shape::Object(name) if name == "resource.Quantity" => quantity(value.and_then(Value::as_str).unwrap_or_default()),
        Shape::Object(name) => match fields(&name) {
            None => value.map(ToString::to_string).unwrap_or_default(),
            Some(fields) => {
                let shown = fields.iter().map(|field| {
                    // What is embedded without a name of its own has its fields among those of the object.
                    let inline = field.embedded && field.json == field.name;
                    show(if inline { value } else { value.and_then(|value| value.get(field.json)) }, field.of)
                });
                format!("{{{}}}", joined(shown))
            }
        },
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(" ")
}

/// An amount: its digits, the power of ten they are multiplied with, the text it was read from and the kind of its suffix.
fn quantity(text: &str) -> String {
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && !"+-.".contains(c)).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let (format, power, factor) = match suffix {
        "" if text.is_empty() => ("", 0, 1),
        "n" => ("DecimalSI", -9, 1),
        "u" => ("DecimalSI", -6, 1),
        "m" => ("DecimalSI", -3, 1),
        "" => ("DecimalSI", 0, 1),
        "k" => ("DecimalSI", 3, 1),
        "M" => ("DecimalSI", 6, 1),
        "G" => ("DecimalSI", 9, 1),
        "T" => ("DecimalSI", 12, 1),
        "P" => ("DecimalSI", 15, 1),
        "E" => ("DecimalSI", 18, 1),
        "Ki" => ("BinarySI", 0, 1 << 10),
        "Mi" => ("BinarySI", 0, 1 << 20),
        "Gi" => ("BinarySI", 0, 1 << 30),
        "Ti" => ("BinarySI", 0, 1 << 40),
        "Pi" => ("BinarySI", 0, 1 << 50),
        "Ei" => ("BinarySI", 0, 1 << 60),
        exponent => ("DecimalExponent", exponent.get(1..).and_then(|e| e.parse().ok()).unwrap_or_default(), 1_i64),
    };
    let value: i64 = format!("{whole}{fraction}").parse().unwrap_or_default();
    let scale = power - i64::try_from(fraction.len()).unwrap_or_default();
    format!("{{{{{} {scale}}} {{<nil>}} {text} {format}}}", value.saturating_mul(factor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case("*CPU", json!({"cores": 2}), "&{2 0 0 0  [] false <nil> false <nil>}")]
    #[case("*CPU", json!({"sockets": 1, "model": "host-model", "features": [{"name": "vmx", "policy": "require"}, {"name": "x"}]}), "&{0 1 0 0 host-model [{vmx require} {x }] false <nil> false <nil>}")]
    #[case("*Firmware", json!({"uuid": "u", "serial": "s", "bootloader": {"bios": {"useSerial": true}}}), "&{u &{&{true} <nil>} s <nil> <nil>}")]
    #[case("ClockOffset", json!({"timezone": "America/New_York"}), "{<nil> America/New_York}")]
    #[case("*Watchdog", json!({"name": "w", "i6300esb": {"action": "reset"}}), "&{w {&{reset} <nil>}}")]
    #[case("*CPU", json!(null), "<nil>")]
    #[case("{}string", json!({"b": "2", "a": "1"}), "map[a:1 b:2]")]
    #[case("resource.Quantity", json!("1Gi"), "{{1073741824 0} {<nil>} 1Gi BinarySI}")]
    #[case("resource.Quantity", json!("500m"), "{{500 -3} {<nil>} 500m DecimalSI}")]
    #[case("resource.Quantity", json!("1.5"), "{{15 -1} {<nil>} 1.5 DecimalSI}")]
    #[case("resource.Quantity", json!("2e3"), "{{2 3} {<nil>} 2e3 DecimalExponent}")]
    fn values(#[case] of: &'static str, #[case] value: Value, #[case] wanted: &str) {
        assert_eq!(show(Some(&value), Notation::new("v1", of)), wanted);
    }
}

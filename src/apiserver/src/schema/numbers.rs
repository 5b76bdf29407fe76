//! Number rules with the arithmetic and the texts of kube-openapi, which works on Go's `int64` and `float64`.

use serde_json::{Number, Value};

use super::{JsonType, Limits, Schema};
use crate::error::FieldError;

/// A float as Go's `%v` prints it: exponents below -4 and from 21 up.
pub(crate) fn go_float(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let exponent = value.abs().log10().floor();
    if !(-4.0..21.0).contains(&exponent) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    format!("{value}")
}

fn is_whole(value: f64) -> bool {
    if value.is_nan() || value.abs() >= 9_007_199_254_740_991.0 {
        return false;
    }
    let rounded = value.trunc();
    #[allow(clippy::float_cmp)] // the library compares exactly first, then with a tolerance
    let exact = value == rounded;
    exact || (value - rounded).abs() / (value.abs() + rounded.abs()).max(f64::MIN_POSITIVE) < 1e-9
}

/// Whether a value is an integer for a schema: a float without fraction is one.
pub(crate) fn is_integer(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(is_whole)
}

enum Num {
    Int(i64),
    Float(f64),
}

fn out_of_range(number: &Num, schema: &Schema, prefix: &str, path: &str) -> Option<String> {
    let format = schema.format.as_deref().unwrap_or_default();
    let fits = if schema.types == Some(JsonType::Integer) {
        match number {
            Num::Int(value) => format != "int32" || i32::try_from(*value).is_ok(),
            Num::Float(value) => is_whole(*value) && value.fract() == 0.0,
        }
    } else if matches!(format, "float" | "float32") {
        let value = match number {
            Num::Int(value) => *value as f64,
            Num::Float(value) => *value,
        };
        value.abs() <= f64::from(f32::MAX)
    } else {
        true
    };
    if fits {
        return None;
    }
    let name = schema.types.map_or("", JsonType::as_str);
    let format = if format.is_empty() { "(default format)".to_owned() } else { format!("with format {format}") };
    Some(format!("{prefix} value must be of type {name} {format} in {path}"))
}

/// Range and multiple of a number.
pub(crate) fn check(schema: &Schema, number: &Number, path: &dyn Fn() -> String, errors: &mut Vec<FieldError>) {
    let value = number.as_i64().map_or_else(|| Num::Float(number.as_f64().unwrap_or(f64::NAN)), Num::Int);
    let plain = |text: String, errors: &mut Vec<FieldError>| {
        errors.push(FieldError::invalid(super::path::NIL, "", text));
    };
    if let Some(text) = out_of_range(&value, schema, "Checked", &path()) {
        plain(text, errors);
    }
    let Some(limits) = &schema.limits else { return };
    if let Some(factor) = limits.multiple_of {
        let range = out_of_range(&Num::Float(factor), schema, "MultipleOf", &path());
        let native = range.is_none();
        if let Some(text) = range {
            plain(text, errors);
        }
        multiple(&value, factor, native, number, path, errors);
    }
    bounds(&value, limits, schema, number, path, errors);
}

fn invalid(number: &Number, path: &dyn Fn() -> String, text: String) -> FieldError {
    FieldError::invalid(path(), Value::Number(number.clone()), text)
}

fn multiple(value: &Num, factor: f64, native: bool, number: &Number, path: &dyn Fn() -> String, errors: &mut Vec<FieldError>) {
    let (positive, fits, factor) = match value {
        // An integer is checked against the truncated factor, so a factor below 1 is "not positive".
        Num::Int(value) if native => {
            let whole = factor as i64;
            (whole > 0, whole > 0 && value % whole == 0, whole.to_string())
        }
        _ => {
            let value = match value {
                Num::Int(value) => *value as f64,
                Num::Float(value) => *value,
            };
            let quotient = if factor < 1.0 { 1.0 / factor * value } else { value / factor };
            (factor > 0.0, is_whole(quotient), go_float(factor))
        }
    };
    let at = path();
    if !positive {
        let text = format!("factor MultipleOf declared for {at} must be positive: {factor}");
        errors.push(FieldError::invalid(at, Value::Number(number.clone()), text));
    } else if !fits {
        errors.push(invalid(number, path, format!("{at} in body should be a multiple of {factor}")));
    }
}

fn bounds(value: &Num, limits: &Limits, schema: &Schema, number: &Number, path: &dyn Fn() -> String, errors: &mut Vec<FieldError>) {
    if let Some(maximum) = limits.maximum {
        let exclusive = limits.exclusive_maximum;
        let native = natively(maximum, schema, "Maximum boundary", path, errors);
        let (above, shown) = match value {
            Num::Int(value) if native => {
                let limit = maximum as i64;
                (if exclusive { *value >= limit } else { *value > limit }, limit.to_string())
            }
            _ => {
                let value = as_float(value);
                (if exclusive { value >= maximum } else { value > maximum }, go_float(maximum))
            }
        };
        if above {
            let how = if exclusive { "less than" } else { "less than or equal to" };
            errors.push(invalid(number, path, format!("{} in body should be {how} {shown}", path())));
        }
    }
    if let Some(minimum) = limits.minimum {
        let exclusive = limits.exclusive_minimum;
        let native = natively(minimum, schema, "Minimum boundary", path, errors);
        let (below, shown) = match value {
            Num::Int(value) if native => {
                let limit = minimum as i64;
                (if exclusive { *value <= limit } else { *value < limit }, limit.to_string())
            }
            _ => {
                let value = as_float(value);
                (if exclusive { value <= minimum } else { value < minimum }, go_float(minimum))
            }
        };
        if below {
            let how = if exclusive { "greater than" } else { "greater than or equal to" };
            errors.push(invalid(number, path, format!("{} in body should be {how} {shown}", path())));
        }
    }
}

fn as_float(value: &Num) -> f64 {
    match value {
        Num::Int(value) => *value as f64,
        Num::Float(value) => *value,
    }
}

fn natively(limit: f64, schema: &Schema, prefix: &str, path: &dyn Fn() -> String, errors: &mut Vec<FieldError>) -> bool {
    match out_of_range(&Num::Float(limit), schema, prefix, &path()) {
        Some(text) => {
            errors.push(FieldError::invalid(super::path::NIL, "", text));
            false
        }
        None => true,
    }
}

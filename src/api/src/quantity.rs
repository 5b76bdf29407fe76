//! Kubernetes quantities as numbers, and their canonical text.
//!
//! A quantity is kept exactly, in billionths. Canonical text has the largest suffix that leaves no fraction, in the
//! notation the quantity was written in: `1024Mi` → `1Gi`, `0.5` → `500m`, `1.5Gi` → `1536Mi`.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::{Deserialize, Deserializer};

const NANO: i128 = 1_000_000_000;
/// Larger amounts are capped at 2^63-1, as upstream's are.
const MAX: i128 = i64::MAX as i128 * NANO;

/// How a quantity was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// Powers of 1024: Ki, Mi, Gi …
    Binary,
    /// Powers of 1000: m, k, M, G …
    Decimal,
    /// A decimal exponent: e3, E6 …
    Exponent,
}

/// A quantity's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    nanos: i128,
    notation: Notation,
}

impl Default for Amount {
    fn default() -> Self {
        Self { nanos: 0, notation: Notation::Decimal }
    }
}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.nanos.cmp(&other.nanos))
    }
}

impl Amount {
    /// An amount of bytes, written in powers of 1024.
    pub fn bytes(value: i64) -> Self {
        Self { nanos: i128::from(value) * NANO, notation: Notation::Binary }
    }

    /// A whole number.
    pub fn whole(value: i64) -> Self {
        Self { nanos: i128::from(value) * NANO, notation: Notation::Decimal }
    }

    /// Thousandths, as CPU amounts are counted.
    pub fn milli(value: i64) -> Self {
        Self { nanos: i128::from(value) * (NANO / 1000), notation: Notation::Decimal }
    }

    /// The whole number, rounded up (away from zero).
    pub fn value(self) -> i64 {
        ceil_div(self.nanos, NANO)
    }

    /// Thousandths, rounded up (away from zero).
    pub fn milli_value(self) -> i64 {
        ceil_div(self.nanos, NANO / 1000)
    }

    /// -1, 0 or 1.
    pub fn sign(self) -> i32 {
        self.nanos.signum() as i32
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// The notation it was written in.
    pub fn notation(self) -> Notation {
        self.notation
    }

    /// A whole number in this amount's notation.
    #[must_use]
    pub fn with_value(self, value: i64) -> Self {
        Self { nanos: i128::from(value) * NANO, ..self }
    }

    /// The sum, in this amount's notation (in the other's if this one is zero, as upstream adds).
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let notation = if self.is_zero() { other.notation } else { self.notation };
        Self { nanos: (self.nanos + other.nanos).clamp(-MAX, MAX), notation }
    }

    /// The difference, in this amount's notation.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self { nanos: (self.nanos - other.nanos).clamp(-MAX, MAX), ..self }
    }

    /// As a wire quantity, in canonical text.
    pub fn quantity(self) -> Quantity {
        Quantity(self.to_string())
    }
}

fn ceil_div(n: i128, d: i128) -> i64 {
    let q = n / d;
    let up = if n % d == 0 { q } else { q + n.signum() };
    up.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let whole = self.nanos % NANO == 0;
        if self.notation == Notation::Binary && whole && self.nanos.abs() >= 1024 * NANO {
            let (mut n, mut power) = (self.nanos / NANO, 0);
            while n % 1024 == 0 && power < 6 {
                n /= 1024;
                power += 1;
            }
            return write!(f, "{n}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].get(power).unwrap_or(&""));
        }
        let (mut n, mut power) = (self.nanos, 0_usize);
        while n % 1000 == 0 && power < 9 {
            n /= 1000;
            power += 1;
        }
        if self.notation == Notation::Exponent {
            let exponent = power as i32 * 3 - 9;
            return if exponent == 0 { write!(f, "{n}") } else { write!(f, "{n}e{exponent}") };
        }
        write!(f, "{n}{}", ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"].get(power).unwrap_or(&""))
    }
}

/// Reads a quantity's text.
///
/// # Errors
/// `None` where the text is no quantity.
pub fn parse(text: &str) -> Option<Amount> {
    let text = text.trim();
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (integer.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    // digits × 10^-places × multiplier, in billionths
    let digits: i128 = parse_digits(integer, fraction)?;
    let places = u32::try_from(fraction.len()).ok()?;
    let (multiplier, shift, notation) = scale(suffix)?;
    let mut numerator = digits.checked_mul(multiplier)?;
    let exponent = 9 + shift - i32::try_from(places).ok()?;
    let mut denominator = 1_i128;
    if exponent >= 0 {
        numerator = numerator.checked_mul(10_i128.checked_pow(exponent.unsigned_abs())?).unwrap_or(MAX);
    } else {
        denominator = 10_i128.checked_pow(exponent.unsigned_abs())?;
    }
    let nanos = (numerator / denominator + i128::from(numerator % denominator != 0)).min(MAX);
    // A binary amount below one is shown in decimals, which loses nothing.
    let notation = if notation == Notation::Binary && nanos > 0 && nanos < NANO { Notation::Decimal } else { notation };
    Some(Amount { nanos: if negative { -nanos } else { nanos }, notation })
}

fn parse_digits(integer: &str, fraction: &str) -> Option<i128> {
    let all = format!("{integer}{fraction}");
    let trimmed = all.trim_start_matches('0');
    if trimmed.is_empty() { Some(0) } else { trimmed.parse().ok() }
}

/// Multiplier, power of ten and notation of a suffix.
fn scale(suffix: &str) -> Option<(i128, i32, Notation)> {
    let decimal = |power| Some((1, power, Notation::Decimal));
    let binary = |bits: u32| Some((1_i128 << bits, 0, Notation::Binary));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let power: i32 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
            (-30..=30).contains(&power).then_some((1, power, Notation::Exponent))
        }
    }
}

/// The value of a wire quantity; nothing where its text is none.
pub fn amount(quantity: &Quantity) -> Amount {
    parse(&quantity.0).unwrap_or_default()
}

fn text<E: serde::de::Error>(value: serde_json::Value) -> Result<Quantity, E> {
    let raw = match value {
        serde_json::Value::String(s) => s,
        serde_json::Value::Number(n) => n.to_string(),
        other => return Err(E::custom(format!("quantities must be text or a number, not {other}"))),
    };
    if raw.is_empty() {
        return Ok(Quantity(raw));
    }
    parse(&raw)
        .map(Amount::quantity)
        .ok_or_else(|| E::custom("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"))
}

/// A quantity, in canonical text.
pub(crate) fn one<'de, D: Deserializer<'de>>(d: D) -> Result<Quantity, D::Error> {
    text(serde_json::Value::deserialize(d)?)
}

/// An optional quantity, in canonical text.
pub(crate) fn opt<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Quantity>, D::Error> {
    Option::<serde_json::Value>::deserialize(d)?.map(text).transpose()
}

/// Quantities by name, in canonical text.
pub(crate) fn map<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<String, Quantity>, D::Error> {
    let raw = Option::<BTreeMap<String, serde_json::Value>>::deserialize(d)?.unwrap_or_default();
    raw.into_iter().map(|(k, v)| Ok((k, text(v)?))).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    #[rstest]
    #[case("1024Mi", "1Gi", 1 << 30)]
    #[case("1.5Gi", "1536Mi", 3 << 29)]
    #[case("0.5", "500m", 1)]
    #[case("100m", "100m", 1)]
    #[case("1000m", "1", 1)]
    #[case("1000000", "1M", 1_000_000)]
    #[case("64M", "64M", 64_000_000)]
    #[case("512", "512", 512)]
    #[case("1e3", "1e3", 1000)]
    #[case("1000Ki", "1000Ki", 1_024_000)]
    #[case("0.5Ki", "512", 512)]
    #[case("-1", "-1", -1)]
    #[case("0", "0", 0)]
    #[case("0Gi", "0", 0)]
    #[case("+3", "3", 3)]
    #[case("9223372036854775807", "9223372036854775807", i64::MAX)]
    fn canonical_text_and_value(#[case] given: &str, #[case] canonical: &str, #[case] value: i64) {
        let amount = super::parse(given).unwrap();
        assert_eq!((amount.to_string().as_str(), amount.value()), (canonical, value));
    }

    #[rstest]
    #[case("")]
    #[case("Mi")]
    #[case("1.2.3")]
    #[case("1 Gi")]
    #[case("1Gb")]
    #[case("five")]
    fn no_quantity(#[case] given: &str) {
        assert_eq!(super::parse(given), None);
    }
}

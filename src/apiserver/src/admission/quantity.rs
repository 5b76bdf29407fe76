//! Resource quantities, exact to the nano unit: `100m`, `1.5Gi`, `12e6`.
//!
//! Facts: `k8s.io/apimachinery/pkg/api/resource/quantity.go`: the suffixes, rounding up to nano, and the canonical form
//! that sums are printed in.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, Sub};

use serde_json::Value;

/// Which suffixes a quantity is printed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `n`, `u`, `m`, none, `k`, `M`, …
    #[default]
    Decimal,
    /// `Ki`, `Mi`, …
    Binary,
    /// `e3`, `e6`, …
    Exponent,
}

/// A fixed-point number with a suffix style. Equality and order look at the number only.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quantity {
    nano: i128,
    format: Format,
}

const NANO: i128 = 1_000_000_000;
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

impl Quantity {
    /// A whole number.
    pub const fn whole(number: i64) -> Self {
        Self { nano: number as i128 * NANO, format: Format::Decimal }
    }

    /// Reads a quantity; `None` when it is not one, or too large.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, text.get(1..)?),
            b'+' => (false, text.get(1..)?),
            _ => (false, text),
        };
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (integer.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let (multiplier, divisor, format) = scale(suffix)?;
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{integer}{fraction}");
        let mantissa: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        let divisor = divisor.checked_mul(10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?)?;
        let scaled = mantissa.checked_mul(multiplier)?.checked_mul(NANO)?;
        // What is finer than a nano unit rounds up, away from zero.
        let nano = scaled.checked_add(divisor - 1)?.checked_div(divisor)?;
        Some(Self { nano: if negative { -nano } else { nano }, format })
    }

    /// Reads a JSON string or number.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    /// Whether it is zero.
    pub const fn is_zero(self) -> bool {
        self.nano == 0
    }

    /// Whether it has no fraction.
    pub const fn is_whole(self) -> bool {
        self.nano % NANO == 0
    }

    /// `self / other` as a number, for ratios; `None` when `other` is zero.
    pub fn ratio(self, other: Self) -> Option<f64> {
        (other.nano != 0).then(|| self.nano as f64 / other.nano as f64)
    }
}

/// Multiplier, divisor and style of a suffix.
fn scale(suffix: &str) -> Option<(i128, i128, Format)> {
    if let Some(power) = BINARY.iter().position(|s| *s == suffix).filter(|power| *power > 0) {
        return Some((1024_i128.pow(u32::try_from(power).ok()?), 1, Format::Binary));
    }
    let (exponent, format) = match DECIMAL.iter().find(|(s, _)| *s == suffix) {
        Some((_, exponent)) => (*exponent, Format::Decimal),
        None => (suffix.strip_prefix(['e', 'E'])?.parse().ok()?, Format::Exponent),
    };
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    Some(if exponent < 0 { (1, power, format) } else { (power, 1, format) })
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nano == 0 {
            return f.write_str("0");
        }
        let whole = self.nano / NANO;
        if self.format == Format::Binary && self.nano % NANO == 0 && whole.abs() >= 1024 {
            let mut number = whole;
            let mut power = 0;
            while number % 1024 == 0 && power + 1 < BINARY.len() {
                number /= 1024;
                power += 1;
            }
            return write!(f, "{number}{}", BINARY.get(power).copied().unwrap_or_default());
        }
        let mut number = self.nano;
        let mut exponent = -9;
        while number % 1000 == 0 && exponent < 18 {
            number /= 1000;
            exponent += 3;
        }
        match self.format {
            Format::Exponent if exponent != 0 => write!(f, "{number}e{exponent}"),
            _ => {
                let suffix = DECIMAL.iter().find(|(_, e)| *e == exponent).map_or("", |(s, _)| s);
                write!(f, "{number}{suffix}")
            }
        }
    }
}

impl Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nano: self.nano.saturating_add(other.nano), format }
    }
}

impl Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nano: self.nano.saturating_sub(other.nano), format }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nano.cmp(&other.nano)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0", "0")]
    #[case("100m", "100m")]
    #[case("0.1", "100m")]
    #[case("1000m", "1")]
    #[case("1.5Gi", "1536Mi")]
    #[case("1024Mi", "1Gi")]
    #[case("1000Mi", "1000Mi")]
    #[case("100Ki", "100Ki")]
    #[case("12e6", "12e6")]
    #[case("1500", "1500")]
    #[case("2000", "2k")]
    #[case("-5", "-5")]
    #[case("0.5Gi", "512Mi")]
    #[case("0.0000000001", "1n")]
    #[case(".5", "500m")]
    #[case("5.", "5")]
    fn they_print_canonically(#[case] text: &str, #[case] canonical: &str) {
        assert_eq!(Quantity::parse(text).unwrap().to_string(), canonical);
    }

    #[rstest]
    #[case("lots")]
    #[case("")]
    #[case(".")]
    #[case("1.2.3")]
    #[case("1Xi")]
    #[case("1e99")]
    #[case("--1")]
    fn others_are_refused(#[case] text: &str) {
        assert!(Quantity::parse(text).is_none());
    }

    #[test]
    fn sums_keep_the_style_of_the_first() {
        let sum = Quantity::parse("1Gi").unwrap() + Quantity::parse("512Mi").unwrap();
        assert_eq!(sum.to_string(), "1536Mi");
        let sum = Quantity::default() + Quantity::parse("1Gi").unwrap();
        assert_eq!(sum.to_string(), "1Gi");
    }

    proptest! {
        #[test]
        fn printed_quantities_read_as_the_same(number in -1_000_000_000_000_i64..1_000_000_000_000, suffix in prop::sample::select(&["", "m", "k", "Ki", "Mi", "M", "e3", "n"][..])) {
            let quantity = Quantity::parse(&format!("{number}{suffix}")).unwrap();
            prop_assert_eq!(Quantity::parse(&quantity.to_string()), Some(quantity));
        }
    }
}

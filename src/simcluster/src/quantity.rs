//! Resource quantities as thousandths, for sums and comparisons.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Amounts by resource name, in thousandths: `cpu` in millicores, `memory` in thousandths of a byte.
pub(crate) type Amounts = BTreeMap<String, i128>;

/// A quantity in thousandths, rounded up; what does not parse is nothing.
pub(crate) fn milli(text: &str) -> i128 {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end).unwrap_or((text, ""));
    let (multiplier, exponent): (i128, i32) = match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        _ => match suffix.strip_prefix(['e', 'E']).and_then(|digits| digits.parse::<i32>().ok()) {
            Some(exponent) if exponent.abs() <= 18 => (1, exponent),
            _ => return 0,
        },
    };
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number.trim_start_matches('+')),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.get(..fraction.len().min(9)).unwrap_or_default();
    let Ok(value) = format!("{whole}{fraction}").parse::<i128>() else { return 0 };
    let shift = exponent + 3 - i32::try_from(fraction.len()).unwrap_or(0);
    let power = 10_i128.pow(shift.unsigned_abs().min(27));
    let value = value.saturating_mul(multiplier);
    let value = if shift >= 0 { value.saturating_mul(power) } else { (value + power - 1) / power };
    if negative { -value } else { value }
}

/// The amounts of a resource list.
pub(crate) fn amounts(list: Option<&BTreeMap<String, Quantity>>) -> Amounts {
    list.into_iter().flatten().map(|(name, quantity)| (name.clone(), milli(&quantity.0))).collect()
}

/// Adds amounts.
pub(crate) fn add(into: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        *into.entry(name.clone()).or_default() += amount;
    }
}

/// Takes amounts away.
pub(crate) fn subtract(from: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        *from.entry(name.clone()).or_default() -= amount;
    }
}

/// Raises each amount to at least that of the other.
pub(crate) fn raise(into: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let mine = into.entry(name.clone()).or_default();
        *mine = (*mine).max(*amount);
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("100m", 100)]
    #[case("2", 2000)]
    #[case("1.5", 1500)]
    #[case("1Ki", 1_024_000)]
    #[case("1.5Gi", 1_610_612_736_000)]
    #[case("1e3", 1_000_000)]
    #[case("12E", 12_000_000_000_000_000_000_000)]
    #[case("1n", 1)]
    #[case("-1", -1000)]
    #[case("x", 0)]
    #[case("", 0)]
    fn quantities(#[case] text: &str, #[case] expected: i128) {
        assert_eq!(milli(text), expected);
    }
}

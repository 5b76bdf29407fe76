//! String formats that are checked: those of `k8s.io/kube-openapi/pkg/validation/strfmt` that apiextensions supports.
//! Others say nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;

macro_rules! patterns {
    ($($name:ident = $pattern:literal;)+) => { $(
        static $name: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new($pattern).ok());
    )+ };
}

patterns! {
    HOSTNAME = r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$";
    EMAIL = r"^[^@\s<>]+@[^@\s<>]+$";
    URI = r"^[a-zA-Z][a-zA-Z0-9+.-]*:\S*$|^/\S*$";
    MAC = r"^([0-9A-Fa-f]{2}[:-]){5}([0-9A-Fa-f]{2})$|^([0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}$|^([0-9A-Fa-f]{2}[:-]){7}[0-9A-Fa-f]{2}$";
    UUID = r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$";
    UUID3 = r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$";
    UUID4 = r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$";
    UUID5 = r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$";
    HEX_COLOR = r"^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$";
    RGB_COLOR = r"^rgb\(\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*\)$";
    SSN = r"^\d{3}[- ]?\d{2}[- ]?\d{4}$";
    OBJECT_ID = r"^[0-9a-fA-F]{24}$";
    DATE = r"^\d{4}-\d{2}-\d{2}$";
    DATE_TIME = r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$";
    DURATION = r"^[+-]?((\d+(\.\d*)?|\.\d+)(ns|us|\x{b5}s|\x{3bc}s|ms|s|m|h))+$|^[+-]?0$";
    DURATION_WORDS = r"^((\d+)\s*([A-Za-z]+)\s*)+$";
    LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
    SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
}

fn matches(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
}

/// Whether `text` has the format; `None` when the format is not one that is checked.
pub(crate) fn check(format: &str, text: &str) -> Option<bool> {
    Some(match format {
        "date-time" | "datetime" => date_time(text),
        "date" => matches(&DATE, text) && text.parse::<jiff::civil::Date>().is_ok(),
        "duration" => matches(&DURATION, text) || matches(&DURATION_WORDS, text),
        "byte" => STANDARD.decode(text).is_ok(),
        "password" => true,
        "hostname" => hostname(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => cidr(text),
        "mac" => matches(&MAC, text),
        "email" => matches(&EMAIL, text),
        "uri" => matches(&URI, text),
        "uuid" => matches(&UUID, text),
        "uuid3" => matches(&UUID3, text),
        "uuid4" => matches(&UUID4, text),
        "uuid5" => matches(&UUID5, text),
        "isbn" => isbn10(text) || isbn13(text),
        "isbn10" => isbn10(text),
        "isbn13" => isbn13(text),
        "creditcard" => luhn(text),
        "ssn" => matches(&SSN, text),
        "hexcolor" => matches(&HEX_COLOR, text),
        "rgbcolor" => matches(&RGB_COLOR, text),
        "bsonobjectid" => matches(&OBJECT_ID, text),
        "k8s-short-name" => text.len() <= 63 && matches(&LABEL, text),
        "k8s-long-name" => text.len() <= 253 && matches(&SUBDOMAIN, text),
        _ => return None,
    })
}

/// RFC 3339 in the shapes that the format's library reads; a leap second or an impossible day is refused.
fn date_time(text: &str) -> bool {
    matches(&DATE_TIME, text) && text.to_ascii_uppercase().parse::<jiff::Timestamp>().is_ok()
}

fn hostname(text: &str) -> bool {
    if text.len() > 255 || !matches(&HOSTNAME, text) {
        return false;
    }
    text.split('.').all(|label| label.len() < 64 && !label.is_empty())
}

fn cidr(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, bits)| match (address.parse::<IpAddr>(), bits.parse::<u8>()) {
        (Ok(IpAddr::V4(_)), Ok(bits)) => bits <= 32,
        (Ok(IpAddr::V6(_)), Ok(bits)) => bits <= 128,
        _ => false,
    })
}

fn digits(text: &str) -> Vec<u32> {
    text.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_digit(10).unwrap_or(99)).collect()
}

fn isbn10(text: &str) -> bool {
    let text = text.replace(['-', ' '], "");
    if text.len() != 10 {
        return false;
    }
    let mut sum = 0;
    for (index, c) in text.chars().enumerate() {
        let digit = match c {
            'X' | 'x' if index == 9 => 10,
            c => match c.to_digit(10) {
                Some(digit) => digit,
                None => return false,
            },
        };
        sum += digit * (10 - index as u32);
    }
    sum % 11 == 0
}

fn isbn13(text: &str) -> bool {
    let digits = digits(text);
    digits.len() == 13
        && digits.iter().all(|digit| *digit < 10)
        && digits.iter().enumerate().map(|(index, digit)| if index % 2 == 0 { *digit } else { digit * 3 }).sum::<u32>() % 10 == 0
}

fn luhn(text: &str) -> bool {
    let digits = digits(text);
    (13..=19).contains(&digits.len())
        && digits.iter().all(|digit| *digit < 10)
        && digits
            .iter()
            .rev()
            .enumerate()
            .map(|(index, digit)| match (index % 2, digit * 2) {
                (0, _) => *digit,
                (_, double) if double > 9 => double - 9,
                (_, double) => double,
            })
            .sum::<u32>()
            % 10
            == 0
}

//! Addresses are normalised when they are read: octets lose their leading zeros (spec/api.md §12).

use k8s_openapi::api::core::v1::PodDNSConfig;
use serde::{Deserialize, Deserializer};

/// `010.000.2.1` → `10.0.2.1`; anything that is no dotted quad stays as it is.
fn sanitized(text: &str) -> String {
    let octets: Vec<&str> = text.split('.').collect();
    if octets.len() != 4 {
        return text.to_owned();
    }
    let parsed: Option<Vec<String>> = octets.iter().map(|o| o.parse::<u8>().ok().map(|n| n.to_string())).collect();
    parsed.map_or_else(|| text.to_owned(), |o| o.join("."))
}

/// A list of addresses.
pub(crate) fn list<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    let list = Option::<Vec<String>>::deserialize(d)?.unwrap_or_default();
    Ok(list.iter().map(|a| sanitized(a)).collect())
}

/// An address range, `address/bits`.
pub(crate) fn cidr<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(d)?.map(|text| match text.split_once('/') {
        Some((address, bits)) => format!("{}/{bits}", sanitized(address)),
        None => text,
    }))
}

/// DNS settings with their name servers.
pub(crate) fn dns<'de, D: Deserializer<'de>>(d: D) -> Result<Option<PodDNSConfig>, D::Error> {
    let mut config = Option::<PodDNSConfig>::deserialize(d)?;
    if let Some(servers) = config.as_mut().and_then(|c| c.nameservers.as_mut()) {
        for server in servers {
            *server = sanitized(server);
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    #[rstest]
    #[case("010.000.002.001", "10.0.2.1")]
    #[case("10.0.2.1", "10.0.2.1")]
    #[case("fd10::1", "fd10::1")]
    #[case("300.1.1.1", "300.1.1.1")]
    #[case("time.example.org", "time.example.org")]
    fn octets_lose_leading_zeros(#[case] given: &str, #[case] wanted: &str) {
        assert_eq!(super::sanitized(given), wanted);
    }
}

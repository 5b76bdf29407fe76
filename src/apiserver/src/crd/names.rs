//! Name syntax, with the texts of `k8s.io/apimachinery/pkg/util/validation`.

fn label_char(c: u8) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-'
}

fn ends(text: &[u8], first: impl Fn(u8) -> bool) -> bool {
    match (text.first(), text.last()) {
        (Some(a), Some(b)) => first(*a) && (b.is_ascii_lowercase() || b.is_ascii_digit()),
        _ => false,
    }
}

/// What is wrong with a DNS-1035 label (`[a-z]([-a-z0-9]*[a-z0-9])?`, at most 63 bytes).
pub fn dns1035_label(text: &str) -> Option<String> {
    if text.len() > 63 {
        return Some("must be no more than 63 characters".to_owned());
    }
    let bytes = text.as_bytes();
    let fits = ends(bytes, |c| c.is_ascii_lowercase()) && bytes.iter().all(|c| label_char(*c));
    (!fits).then(|| {
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
         character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation \
         is '[a-z]([-a-z0-9]*[a-z0-9])?')"
            .to_owned()
    })
}

/// What is wrong with a DNS-1123 subdomain (labels joined by dots, at most 253 bytes).
pub fn dns1123_subdomain(text: &str) -> Option<String> {
    if text.len() > 253 {
        return Some("must be no more than 253 characters".to_owned());
    }
    let label = |label: &str| {
        let bytes = label.as_bytes();
        ends(bytes, |c| c.is_ascii_lowercase() || c.is_ascii_digit()) && bytes.iter().all(|c| label_char(*c))
    };
    (!text.split('.').all(label)).then(|| {
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
         start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            .to_owned()
    })
}

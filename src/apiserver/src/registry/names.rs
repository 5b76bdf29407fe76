//! Rules for names, labels and annotations (`k8s.io/apimachinery/pkg/util/validation` and `api/validation`).

pub use crate::selector::{label_value_problems as label_value, qualified_name_problems as qualified_name};

/// Text of the rule for DNS subdomains.
pub const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
/// Text of the rule for DNS labels.
pub const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
/// Text of the rule for the older DNS labels.
pub const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
/// Which names a kind allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameRule {
    /// DNS subdomain, 253 characters.
    #[default]
    Subdomain,
    /// DNS label, 63 characters.
    Label,
    /// DNS-1035 label, 63 characters.
    Label1035,
    /// Anything that fits into one path segment.
    PathSegment,
}

impl NameRule {
    /// What is wrong with a name; `prefix` allows it to end as a prefix of `generateName` may.
    pub fn check(self, name: &str, prefix: bool) -> Vec<String> {
        let masked;
        let name = if prefix && name.ends_with('-') && self != Self::PathSegment {
            masked = format!("{}a", name.strip_suffix('-').unwrap_or(name));
            masked.as_str()
        } else {
            name
        };
        match self {
            Self::Subdomain => subdomain(name),
            Self::Label => label(name),
            Self::Label1035 => label_1035(name),
            Self::PathSegment => path_segment(name, prefix),
        }
    }
}

fn too_long(max: usize) -> String {
    format!("must be no more than {max} characters")
}

fn is_label(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = text.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(&first), Some(&last)) if inner(first) && inner(last))
        && bytes.iter().all(|&c| inner(c) || c == b'-')
}

/// What is wrong with a DNS subdomain.
pub fn subdomain(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 253 {
        wrong.push(too_long(253));
    }
    if !text.split('.').all(is_label) {
        wrong.push(SUBDOMAIN.to_owned());
    }
    wrong
}

/// What is wrong with a DNS label.
pub fn label(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 63 {
        wrong.push(too_long(63));
    }
    if !is_label(text) {
        let dotted = if subdomain(text).is_empty() { "must not contain dots" } else { LABEL };
        wrong.push(dotted.to_owned());
    }
    wrong
}

/// What is wrong with a DNS-1035 label.
pub fn label_1035(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 63 {
        wrong.push(too_long(63));
    }
    if !(is_label(text) && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase)) {
        wrong.push(LABEL_1035.to_owned());
    }
    wrong
}

/// What is wrong with a path segment; a prefix may be `.` and `..`.
pub fn path_segment(text: &str, prefix: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    if !prefix && (text == "." || text == "..") {
        return vec![format!("may not be '{text}'")];
    }
    for bad in ["/", "%"] {
        if text.contains(bad) {
            wrong.push(format!("may not contain '{bad}'"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("a.b-c", true)]
    #[case("A", false)]
    #[case("-a", false)]
    #[case("a..b", false)]
    #[case("", false)]
    fn subdomains(#[case] name: &str, #[case] fine: bool) {
        assert_eq!(NameRule::Subdomain.check(name, false).is_empty(), fine);
    }

    #[rstest]
    #[case("a", true)]
    #[case("example.com/My_name", true)]
    #[case("a b", false)]
    #[case("a/b/c", false)]
    #[case("/a", false)]
    fn qualified(#[case] name: &str, #[case] fine: bool) {
        assert_eq!(qualified_name(name).is_empty(), fine);
    }

    #[test]
    fn a_prefix_may_end_in_a_dash() {
        assert!(NameRule::Subdomain.check("web-", true).is_empty());
        assert!(!NameRule::Subdomain.check("web-", false).is_empty());
    }
}

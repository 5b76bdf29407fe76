//! Kubernetes' rules for names, and the sentences that go with them (spec/admission.md §2.6).

use std::sync::LazyLock;

use regex::Regex;

/// A pattern known to be right when the program is built; tests compile every one.
fn pattern(text: &str) -> Option<Regex> {
    Regex::new(text).ok()
}

static LABEL: LazyLock<Option<Regex>> = LazyLock::new(|| pattern("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"));
static SUBDOMAIN: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"));
static QUALIFIED: LazyLock<Option<Regex>> = LazyLock::new(|| pattern("^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$"));
static LABEL_VALUE: LazyLock<Option<Regex>> = LazyLock::new(|| pattern("^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"));
static PCI: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"^([\da-fA-F]{4}):([\da-fA-F]{2}):([\da-fA-F]{2})\.([0-7]{1})$"));
static SERIAL: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"^[A-Za-z0-9_.+-]+$"));
static INTERFACE: LazyLock<Option<Regex>> = LazyLock::new(|| pattern("^[A-Za-z0-9-_]+$"));

const LABEL_TEXT: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_TEXT: &str = r"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const QUALIFIED_TEXT: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE_TEXT: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

fn fits(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|p| p.is_match(text))
}

fn too_long(text: &str, limit: usize, errors: &mut Vec<String>) {
    if text.len() > limit {
        errors.push(format!("must be no more than {limit} characters"));
    }
}

/// What keeps a text from being a DNS label.
pub(crate) fn dns_label(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    too_long(text, 63, &mut errors);
    if !fits(&LABEL, text) {
        errors.push(if fits(&SUBDOMAIN, text) { "must not contain dots".into() } else { LABEL_TEXT.into() });
    }
    errors
}

/// What keeps a text from being a DNS subdomain.
pub(crate) fn dns_subdomain(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    too_long(text, 253, &mut errors);
    if !fits(&SUBDOMAIN, text) {
        errors.push(SUBDOMAIN_TEXT.into());
    }
    errors
}

/// What keeps a text from being a label's or an annotation's key.
pub(crate) fn qualified_name(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".into());
            } else {
                errors.extend(dns_subdomain(prefix).into_iter().map(|e| format!("prefix part {e}")));
            }
            *name
        }
        _ => {
            errors.push(format!(
                "a qualified name {QUALIFIED_TEXT} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
            return errors;
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".into());
    } else if name.len() > 63 {
        errors.push("name part must be no more than 63 characters".into());
    }
    if !fits(&QUALIFIED, name) {
        errors.push(format!("name part {QUALIFIED_TEXT}"));
    }
    errors
}

/// What keeps a text from being a label's value.
pub(crate) fn label_value(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    too_long(text, 63, &mut errors);
    if !fits(&LABEL_VALUE, text) {
        errors.push(LABEL_VALUE_TEXT.into());
    }
    errors
}

/// Whether a text is the name of a port.
pub(crate) fn is_port_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 15
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && text.bytes().any(|b| b.is_ascii_lowercase())
        && !text.contains("--")
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether a text is a PCI address.
pub(crate) fn is_pci_address(text: &str) -> bool {
    fits(&PCI, text)
}

/// Whether a text may be a disk's serial number.
pub(crate) fn is_serial(text: &str) -> bool {
    fits(&SERIAL, text)
}

/// Whether a text may name an interface.
pub(crate) fn is_interface_name(text: &str) -> bool {
    fits(&INTERFACE, text)
}

/// The bytes of a hardware address (6, 8 or 20 of them), as Go reads one: `aa:bb…`, `aa-bb…` or `aabb.ccdd…`.
pub(crate) fn mac_length(text: &str) -> Option<usize> {
    let groups = |separator: char, width: usize| {
        let parts: Vec<&str> = text.split(separator).collect();
        let fine = parts.iter().all(|p| p.len() == width && p.bytes().all(|b| b.is_ascii_hexdigit()));
        (fine && parts.len() > 1).then_some(parts.len() * width / 2)
    };
    let length = groups(':', 2).or_else(|| groups('-', 2)).or_else(|| groups('.', 4))?;
    [6, 8, 20].contains(&length).then_some(length)
}

/// Shell-style matching of one name: `*`, `?`, and `[…]` classes.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    fn inner(p: &[char], t: &[char]) -> bool {
        match p.split_first() {
            None => t.is_empty(),
            Some(('*', rest)) => (0..=t.len()).any(|n| t.get(n..).is_some_and(|tail| inner(rest, tail))),
            Some(('?', rest)) => t.split_first().is_some_and(|(_, tail)| inner(rest, tail)),
            Some(('[', rest)) => {
                let Some(end) = rest.iter().position(|c| *c == ']') else { return false };
                let Some((first, tail)) = t.split_first() else { return false };
                let class = rest.get(..end).unwrap_or_default();
                let (negated, class) = match class.split_first() {
                    Some(('^', more)) => (true, more),
                    _ => (false, class),
                };
                let within = class_has(class, *first);
                within != negated && rest.get(end + 1..).is_some_and(|p| inner(p, tail))
            }
            Some((c, rest)) => t.split_first().is_some_and(|(first, tail)| first == c && inner(rest, tail)),
        }
    }
    fn class_has(class: &[char], c: char) -> bool {
        match class {
            [from, '-', to, rest @ ..] => (*from..=*to).contains(&c) || class_has(rest, c),
            [one, rest @ ..] => *one == c || class_has(rest, c),
            [] => false,
        }
    }
    inner(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>())
}

/// A path without relative parts and doubled separators, as Go cleans one.
pub(crate) fn clean_path(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => drop(parts.pop()),
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.join("/")) {
        (true, joined) => format!("/{joined}"),
        (false, joined) if joined.is_empty() => ".".to_owned(),
        (false, joined) => joined,
    }
}

/// A path to a file that is absolute and has no relative parts; `Err` says what is wrong with it. One trailing slash is forgiven.
///
/// # Errors
/// The rest of a sentence that begins with the field's name.
pub(crate) fn absolute_file(path: &str) -> Result<(), &'static str> {
    if path == "/" {
        return Err("must not point to root");
    }
    let given = path.strip_suffix('/').unwrap_or(path);
    let clean = clean_path(&format!("/{path}")) == given;
    if clean { Ok(()) } else { Err("must be an absolute path to a file without relative components") }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    #[test]
    fn patterns_compile() {
        for p in [&super::LABEL, &super::SUBDOMAIN, &super::QUALIFIED, &super::LABEL_VALUE, &super::PCI, &super::SERIAL, &super::INTERFACE]
        {
            assert!(p.is_some());
        }
    }

    #[rstest]
    #[case("my-name", 0)]
    #[case("a.b", 1)]
    #[case("-a", 1)]
    #[case("A", 1)]
    #[case(&"a".repeat(64), 1)]
    fn labels(#[case] text: &str, #[case] errors: usize) {
        assert_eq!(super::dns_label(text).len(), errors);
    }

    #[rstest]
    #[case("q35*", "q35-8.2", true)]
    #[case("pc-q35*", "q35", false)]
    #[case("q3?", "q35", true)]
    #[case("q3[0-5]", "q35", true)]
    #[case("q3[^0-5]", "q35", false)]
    #[case("*", "", true)]
    fn globs(#[case] pattern: &str, #[case] text: &str, #[case] wanted: bool) {
        assert_eq!(super::glob(pattern, text), wanted);
    }

    #[rstest]
    #[case("02:00:00:00:00:01", Some(6))]
    #[case("02-00-00-00-00-01", Some(6))]
    #[case("0200.0000.0001", Some(6))]
    #[case("02:00:00:00:00:00:00:01", Some(8))]
    #[case("zz:zz", None)]
    #[case("020000000001", None)]
    fn hardware_addresses(#[case] text: &str, #[case] wanted: Option<usize>) {
        assert_eq!(super::mac_length(text), wanted);
    }

    #[rstest]
    #[case("/boot/vmlinuz", true)]
    #[case("/boot/vmlinuz/", true)]
    #[case("/", false)]
    #[case("boot", false)]
    #[case("/a/../b", false)]
    #[case("/a//b", false)]
    #[case("/a//", false)]
    fn paths(#[case] path: &str, #[case] wanted: bool) {
        assert_eq!(super::absolute_file(path).is_ok(), wanted);
    }

    #[rstest]
    #[case("/a/./b/../c", "/a/c")]
    #[case("/../a", "/a")]
    #[case("../a/", "../a")]
    #[case("", ".")]
    #[case("/", "/")]
    fn cleaned(#[case] path: &str, #[case] wanted: &str) {
        assert_eq!(super::clean_path(path), wanted);
    }
}

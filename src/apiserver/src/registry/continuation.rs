//! Continue tokens: where the next page starts, and at which revision.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Value, json};

use crate::error::ApiError;

/// Unpadded, and as lenient with the last bits as the original.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// A decoded token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continuation {
    /// Revision of the first page; `None` when the rest may be of any moment.
    pub revision: Option<u64>,
    /// The next page starts at this key, `namespace/name` or `name`.
    pub start: String,
}

impl Continuation {
    /// The page after an object.
    pub fn after(namespace: &str, name: &str, all_namespaces: bool, revision: Option<u64>) -> Self {
        // The zero byte makes the next page start right behind the object, as the original's keys do.
        let start = if all_namespaces && !namespace.is_empty() { format!("{namespace}/{name}\u{0}") } else { format!("{name}\u{0}") };
        Self { revision, start }
    }

    /// The token as clients see it.
    pub fn encode(&self) -> String {
        let revision = self.revision.map_or(-1, |revision| i64::try_from(revision).unwrap_or(i64::MAX));
        BASE64.encode(json!({"v": "meta.k8s.io/v1", "rv": revision, "start": self.start}).to_string())
    }

    /// Reads a token.
    ///
    /// # Errors
    /// 400 with what is wrong with it.
    pub fn decode(token: &str) -> Result<Self, ApiError> {
        let bad = |why: String| ApiError::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        let bytes = BASE64.decode(token.trim_end_matches('=')).map_err(|_| {
            let at = token.bytes().position(|b| !b.is_ascii_alphanumeric() && b != b'-' && b != b'_').unwrap_or(token.len());
            bad(format!("illegal base64 data at input byte {at}"))
        })?;
        let value: Value = crate::patch::gojson::parse(&bytes).map_err(|why| bad(printable(&why)))?;
        if value.get("v").and_then(Value::as_str) != Some("meta.k8s.io/v1") {
            return Err(bad("server does not recognize this encoded version \"\"".to_owned()));
        }
        let revision = match value.get("rv").and_then(Value::as_i64) {
            None | Some(0) => return Err(bad("incorrect encoded start resourceVersion (version meta.k8s.io/v1)".to_owned())),
            Some(revision) => u64::try_from(revision).ok(),
        };
        match value.get("start").and_then(Value::as_str) {
            None | Some("") => Err(bad("encoded start key empty (version meta.k8s.io/v1)".to_owned())),
            Some(start) if start.starts_with('/') || start.split('/').any(|part| part == "..") => {
                Err(bad(format!("{start}: does not start from the requested prefix")))
            }
            Some(start) => Ok(Self { revision, start: start.to_owned() }),
        }
    }

    /// Whether an object belongs to this page or a later one.
    pub fn includes(&self, namespace: &str, name: &str, all_namespaces: bool) -> bool {
        if all_namespaces && !namespace.is_empty() {
            let start = self.start.split_once('/').unwrap_or((self.start.as_str(), ""));
            (namespace, name) >= start
        } else {
            name >= self.start.as_str()
        }
    }
}

/// Control characters as Go escapes them.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { format!("\\u{:04x}", c as u32) } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tokens_survive_the_trip(namespace in "[a-z]{1,8}", name in "[a-z0-9.-]{1,20}", revision in 1_u64..1 << 60, all: bool) {
            let token = Continuation::after(&namespace, &name, all, Some(revision));
            prop_assert_eq!(Continuation::decode(&token.encode()).unwrap(), token);
        }

        #[test]
        fn a_page_starts_right_behind_the_last_object(a in "[a-z0-9.-]{1,12}", b in "[a-z0-9.-]{1,12}") {
            let token = Continuation::after("n", &a, false, None);
            prop_assert_eq!(token.includes("n", &b, false), b > a);
            let token = Continuation::after(&a, "x", true, None);
            prop_assert_eq!(token.includes(&b, "x", true), b > a);
        }

        #[test]
        fn garbage_is_refused(token in ".{0,40}") {
            let _ = Continuation::decode(&token);
        }
    }
}

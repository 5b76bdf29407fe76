//! What annotations say about a simulated transfer.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Annotations with this prefix are scripts.
const PREFIX: &str = "sim.ferrovirt.io/";

/// How often a transfer fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failures {
    /// The first so many tries; each is tried again.
    First(u32),
    /// Every try.
    All,
    /// The first try, and nothing is tried again.
    Fatal,
}

/// The script of one transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    /// How long it takes.
    pub(crate) time: Duration,
    /// How often it fails, at its end.
    pub(crate) failures: Failures,
    /// What it says when it fails.
    pub(crate) error: String,
    /// The disk of an upload has arrived.
    pub(crate) uploaded: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(2),
            failures: Failures::First(0),
            error: "Unable to process data: unexpected EOF".to_owned(),
            uploaded: false,
        }
    }
}

impl Script {
    /// The script of an object.
    ///
    /// # Errors
    /// Which annotation cannot be understood, and why.
    pub(crate) fn of(meta: &ObjectMeta) -> Result<Self, String> {
        let mut script = Self::default();
        let none = BTreeMap::new();
        for (key, value) in meta.annotations.as_ref().unwrap_or(&none) {
            let Some(name) = key.strip_prefix(PREFIX) else { continue };
            let refused = |wanted: &str| format!("annotation {key}: {value:?} is not {wanted}");
            match name {
                "import-time" => {
                    let time: jiff::SignedDuration = value.parse().map_err(|_| refused("a duration"))?;
                    script.time = Duration::try_from(time).map_err(|_| refused("a duration"))?;
                }
                "import-fails" => {
                    script.failures = match value.as_str() {
                        "true" => Failures::All,
                        "false" => Failures::First(0),
                        "fatal" => Failures::Fatal,
                        count => Failures::First(count.parse().map_err(|_| refused("true, false, fatal or a count"))?),
                    };
                }
                "import-error" => script.error.clone_from(value),
                "uploaded" => script.uploaded = value.parse().map_err(|_| refused("true or false"))?,
                _ => return Err(format!("annotation {key} is not known")),
            }
        }
        Ok(script)
    }

    /// Whether a try, counted from 0, fails.
    pub(crate) fn fails(&self, tries: u32) -> bool {
        match self.failures {
            Failures::First(count) => tries < count,
            Failures::All | Failures::Fatal => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn script(annotations: &[(&str, &str)]) -> Result<Script, String> {
        let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Script::of(&ObjectMeta { annotations: Some(annotations), ..ObjectMeta::default() })
    }

    #[test]
    fn annotations_make_a_script() {
        let read = script(&[("sim.ferrovirt.io/import-time", "1m30s"), ("sim.ferrovirt.io/import-fails", "2"), ("other", "x")]).unwrap();
        assert_eq!((read.time, read.failures), (Duration::from_secs(90), Failures::First(2)));
        assert!(read.fails(1) && !read.fails(2));
        assert_eq!(script(&[]).unwrap(), Script::default());
    }

    #[rstest]
    #[case("import-time", "soon", "is not a duration")]
    #[case("import-time", "-2s", "is not a duration")]
    #[case("import-fails", "perhaps", "is not true, false, fatal or a count")]
    #[case("uploaded", "1", "is not true or false")]
    #[case("import-speed", "9", "is not known")]
    fn bad_annotations_are_named(#[case] name: &str, #[case] value: &str, #[case] complaint: &str) {
        let key = format!("sim.ferrovirt.io/{name}");
        let error = script(&[(&key, value)]).unwrap_err();
        assert!(error.contains(&key) && error.contains(complaint), "{error}");
    }
}

//! Bodies of requests: JSON or YAML, and what they say about dry runs.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use planner::subresource::Refusal;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The longest request body that is read.
const LONGEST: usize = 3 * 1024 * 1024;

/// The whole body of a request.
pub(crate) async fn read(request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let body = Limited::new(request.into_body(), LONGEST).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|error| Refusal::bad_request(error.to_string()))
}

/// Whether nothing was sent.
pub(crate) fn is_blank(body: &[u8]) -> bool {
    body.iter().all(u8::is_ascii_whitespace)
}

/// What was sent; nothing is the type's default.
pub(crate) fn options<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Refusal> {
    if is_blank(body) { Ok(T::default()) } else { decode(body) }
}

/// What was sent.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let unreadable =
        |error: &dyn std::fmt::Display| Refusal::bad_request(format!("Can not unmarshal Request body to struct, error: {error}"));
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'{') {
        return serde_json::from_slice(body).map_err(|error| unreadable(&error));
    }
    let text = std::str::from_utf8(body).map_err(|error| unreadable(&error))?;
    let value: Value = serde_saphyr::from_str(text).map_err(|error| unreadable(&error))?;
    if !value.is_object() {
        return Err(unreadable(&"the body is no object"));
    }
    serde_json::from_value(value).map_err(|error| unreadable(&error))
}

/// Whether a request is only tried.
///
/// # Errors
/// 500 with what the API server says of any stage but `All`: nothing may happen for real that was asked to be tried.
pub(crate) fn is_dry(stages: &[String]) -> Result<bool, Refusal> {
    match stages.iter().find(|stage| *stage != "All") {
        Some(stage) => Err(Refusal::internal(format!(
            "PatchOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: {stage:?}: supported values: \"All\""
        ))),
        None => Ok(!stages.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Sample {
        dry_run: Vec<String>,
        paused: bool,
    }

    #[test]
    fn json_yaml_and_nothing() {
        let sample = |text: &str| options::<Sample>(text.as_bytes());
        let paused = Sample { dry_run: vec!["All".to_owned()], paused: true };
        assert_eq!(sample(r#"{"paused": true, "dryRun": ["All"]}"#).unwrap(), paused);
        assert_eq!(sample("paused: true\ndryRun: [All]\n").unwrap(), paused);
        assert_eq!(sample(" \n").unwrap(), Sample::default());
        for bad in ["{", "[]", "paused: maybe", "\u{0}"] {
            let refusal = sample(bad).unwrap_err();
            assert!(refusal.code == 400 && refusal.message.starts_with("Can not unmarshal Request body to struct, error: "), "{bad}");
        }
    }

    #[test]
    fn a_dry_run_is_never_a_real_one() {
        let stages = |all: &[&str]| is_dry(&all.iter().map(|stage| (*stage).to_owned()).collect::<Vec<_>>());
        assert_eq!((stages(&[]).unwrap(), stages(&["All"]).unwrap()), (false, true));
        assert_eq!(stages(&["all"]).unwrap_err().code, 500);
    }
}

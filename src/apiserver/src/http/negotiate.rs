//! Content negotiation: which encoding and which shape an answer takes.

use http::HeaderMap;

use crate::error::ApiError;

/// How an answer is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// `application/json`.
    #[default]
    Json,
    /// `application/yaml`.
    Yaml,
}

impl Encoding {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
        }
    }
}

/// Which shape an answer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// The objects as they are.
    #[default]
    Plain,
    /// `meta.k8s.io/v1` or `v1beta1` Table.
    Table(&'static str),
    /// PartialObjectMetadata.
    Partial(&'static str),
    /// PartialObjectMetadataList.
    PartialList(&'static str),
}

/// What the client accepts best of what is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accepted {
    /// The encoding.
    pub encoding: Encoding,
    /// The shape.
    pub shape: Shape,
}

/// What errors list as acceptable.
pub const OFFERED: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// One element of an `Accept` header.
#[derive(Debug, Clone, PartialEq)]
pub struct MediaRange {
    /// `application/json`, `*/*`.
    pub media: String,
    /// Parameters but `q`.
    pub parameters: Vec<(String, String)>,
    /// Quality, 0 to 1.
    pub quality: f32,
}

impl MediaRange {
    /// A parameter's value.
    pub fn parameter(&self, key: &str) -> Option<&str> {
        self.parameters.iter().find(|(of, _)| of == key).map(|(_, value)| value.as_str())
    }
}

/// The ranges of the `Accept` header, the best first; empty when there is none.
pub fn media_ranges(headers: &HeaderMap) -> Vec<MediaRange> {
    let mut ranges: Vec<MediaRange> = headers
        .get_all(http::header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter(|range| !range.trim().is_empty())
        .map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_lowercase();
            let mut quality = 1.0;
            let mut parameters = Vec::new();
            for part in parts {
                let (key, value) = part.split_once('=').unwrap_or((part, ""));
                if key == "q" {
                    quality = value.parse().unwrap_or(0.0);
                } else {
                    parameters.push((key.to_owned(), value.to_owned()));
                }
            }
            MediaRange { media, parameters, quality }
        })
        .collect();
    ranges.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    ranges
}

/// Chooses encoding and shape for an answer.
///
/// # Errors
/// 406 when nothing that the client accepts is offered.
pub fn negotiate(headers: &HeaderMap) -> Result<Accepted, ApiError> {
    let ranges = media_ranges(headers);
    if ranges.is_empty() {
        return Ok(Accepted::default());
    }
    for range in ranges {
        let encoding = match range.media.as_str() {
            "application/json" | "*/*" | "application/*" => Encoding::Json,
            "application/yaml" => Encoding::Yaml,
            _ => continue,
        };
        let version = match range.parameter("v") {
            Some("v1") => Some("v1"),
            Some("v1beta1") => Some("v1beta1"),
            _ => None,
        };
        let meta = range.parameter("g") == Some("meta.k8s.io");
        let shape = match (range.parameter("as"), version) {
            (None, _) => Shape::Plain,
            (Some("Table"), Some(version)) if meta => Shape::Table(version),
            (Some("PartialObjectMetadata"), Some(version)) if meta => Shape::Partial(version),
            (Some("PartialObjectMetadataList"), Some(version)) if meta => Shape::PartialList(version),
            _ => continue,
        };
        return Ok(Accepted { encoding, shape });
    }
    Err(ApiError::not_acceptable(&OFFERED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("", Some((Encoding::Json, Shape::Plain)))]
    #[case("*/*", Some((Encoding::Json, Shape::Plain)))]
    #[case("application/yaml", Some((Encoding::Yaml, Shape::Plain)))]
    #[case("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Some((Encoding::Json, Shape::Table("v1"))))]
    #[case("application/json;as=Nothing;v=v1;g=meta.k8s.io,application/json", Some((Encoding::Json, Shape::Plain)))]
    #[case("application/vnd.kubernetes.protobuf,application/json;q=0.5", Some((Encoding::Json, Shape::Plain)))]
    #[case("text/html", None)]
    fn ranges(#[case] accept: &str, #[case] expected: Option<(Encoding, Shape)>) {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert("accept", accept.parse().unwrap());
        }
        assert_eq!(negotiate(&headers).ok().map(|a| (a.encoding, a.shape)), expected);
    }
}

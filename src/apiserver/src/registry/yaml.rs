//! YAML bodies, read as the original reads them: YAML 1.1 scalars, keys become strings, the last of repeated keys wins.

use serde_json::Value;

use super::decode::Decoded;

/// Parses a YAML document; the strict finding is a repeated key.
///
/// # Errors
/// What is wrong with the document, in the words of the original's parser where they are known.
pub fn parse(body: &[u8]) -> Result<Decoded, String> {
    let text = std::str::from_utf8(body).map_err(|_| "yaml: invalid leading UTF-8 octet".to_owned())?;
    let mut strict = Vec::new();
    let value = match serde_saphyr::from_str::<Value>(text) {
        Ok(value) => value,
        Err(_) => {
            let options = serde_saphyr::options! { duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins };
            let value = serde_saphyr::from_str_with_options::<Value>(text, options).map_err(|error| describe(text, &error))?;
            if let Some((line, key)) = repeated_key(text) {
                strict.push(format!("yaml: unmarshal errors:\n  line {line}: key {key:?} already set in map"));
            }
            value
        }
    };
    Ok(Decoded { value, strict })
}

/// The line (from 1) and key of the first repeated key.
fn repeated_key(text: &str) -> Option<(usize, String)> {
    let error = serde_saphyr::from_str::<Value>(text).err()?;
    let line = usize::try_from(error.location()?.line()).ok()?;
    let content = text.lines().nth(line.checked_sub(1)?)?.trim_start_matches([' ', '-']);
    let key = content.split(':').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
    Some((line, key.to_owned()))
}

/// The original's parser names the line and what it expected.
fn describe(text: &str, error: &serde_saphyr::Error) -> String {
    let lines = text.lines().count().max(1);
    let line = error.location().and_then(|at| usize::try_from(at.line()).ok()).unwrap_or(1).min(lines);
    let balance = |open: char, close: char| text.matches(open).count() > text.matches(close).count();
    let why = if balance('[', ']') {
        "did not find expected ',' or ']'"
    } else if balance('{', '}') {
        "did not find expected ',' or '}'"
    } else {
        "did not find expected key"
    };
    format!("yaml: line {line}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case("a: 1\nb: [x, z]\n", json!({"a": 1, "b": ["x", "z"]}))]
    #[case("a: y\n", json!({"a": true}))]
    #[case("a: \"y\"\n", json!({"a": "y"}))]
    #[case("a: ~\n", json!({"a": null}))]
    #[case("a: on\nb: 1.5\n", json!({"a": true, "b": 1.5}))]
    #[case("a: 1\na: 2\n", json!({"a": 2}))]
    fn documents(#[case] text: &str, #[case] expected: Value) {
        assert_eq!(parse(text.as_bytes()).unwrap().value, expected);
    }

    #[test]
    fn broken_documents_are_described() {
        assert_eq!(parse(b"a: [1").unwrap_err(), "yaml: line 1: did not find expected ',' or ']'");
        let repeated = parse(b"a: 1\nspec:\n  size: 1\n  size: 2\n").unwrap();
        assert_eq!(repeated.strict, ["yaml: unmarshal errors:\n  line 4: key \"size\" already set in map"]);
    }
}

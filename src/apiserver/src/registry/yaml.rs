//! YAML bodies, read as the original reads them: YAML 1.1 scalars, keys become strings, the last of repeated keys wins.

use libyaml_safer::{ErrorKind, EventData, Mark};
use serde_json::Value;

use super::decode::Decoded;

/// Brackets of a broken document, beyond which its problem is not looked for.
const MAX_FLOW: usize = 1_000;

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

/// What the original's parser says, which is a port of libyaml: the problem, and its line unless that is the first.
fn describe(text: &str, error: &serde_saphyr::Error) -> String {
    // The parser remembers every open bracket at every token.
    let open = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if open > MAX_FLOW {
        return "yaml: exceeded max depth of 10000".to_owned();
    }
    let Some(problem) = problem(text) else { return format!("yaml: {error}") };
    let line = |mark: Option<Mark>| mark.map(|mark| mark.line).filter(|line| *line != 0);
    // A scanner's line is counted from zero, a parser's is that of the token before.
    let scanner = u64::from(problem.kind() == ErrorKind::Scanner);
    match line(problem.problem_mark()).map(|line| line + scanner).or_else(|| line(problem.context_mark())) {
        Some(line) => format!("yaml: line {line}: {}", problem.problem()),
        None => format!("yaml: {}", problem.problem()),
    }
}

/// What stops the original's parser. A panic of the library, which has met few broken documents, is none.
fn problem(text: &str) -> Option<libyaml_safer::Error> {
    std::panic::catch_unwind(|| {
        let mut input = text.as_bytes();
        let mut parser = libyaml_safer::Parser::new();
        parser.set_input_string(&mut input);
        loop {
            match parser.parse() {
                Ok(event) if matches!(event.data, EventData::StreamEnd) => return None,
                Ok(_) => {}
                Err(problem) => return Some(problem),
            }
        }
    })
    .ok()
    .flatten()
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

    #[rstest]
    #[case("a: [1", "yaml: line 1: did not find expected ',' or ']'")]
    #[case("{[}", "yaml: did not find expected node content")]
    #[case("a: b: c", "yaml: mapping values are not allowed in this context")]
    #[case("a: 1\nb: c: d\n", "yaml: line 2: mapping values are not allowed in this context")]
    #[case("a:\n\t- b\n", "yaml: line 2: found character that cannot start any token")]
    #[case("a: 1\n b: 2\n", "yaml: line 2: mapping values are not allowed in this context")]
    #[case("a: \"x\n", "yaml: line 2: found unexpected end of stream")]
    fn broken_documents_are_described(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(parse(text.as_bytes()).unwrap_err(), expected);
    }

    #[test]
    fn repeated_keys_are_told() {
        let repeated = parse(b"a: 1\nspec:\n  size: 1\n  size: 2\n").unwrap();
        assert_eq!(repeated.strict, ["yaml: unmarshal errors:\n  line 4: key \"size\" already set in map"]);
    }
}

//! Label selectors.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::lexer::{Token, tokens};
use super::names::{label_value_problems, qualified_name_problems};
use crate::error::{ApiError, FieldError};

/// How a label is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Present with one of the values; also `=` and `==`.
    In,
    /// Absent, or none of the values; also `!=`.
    NotIn,
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
    /// A whole number above the value.
    Greater,
    /// A whole number below the value.
    Less,
}

/// One test of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// The test.
    pub operator: Operator,
    /// What it is tested with.
    pub values: BTreeSet<String>,
    /// Whether it was written as `=`, `==` or `!=`.
    exact: bool,
}

impl Requirement {
    fn matches<'a>(&self, label: impl FnOnce(&str) -> Option<&'a str>) -> bool {
        let found = label(&self.key);
        let number = |text: &str| text.parse::<i64>().ok();
        match self.operator {
            Operator::In => found.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => found.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => found.is_some(),
            Operator::DoesNotExist => found.is_none(),
            Operator::Greater | Operator::Less => {
                let limit = self.values.first().and_then(|value| number(value));
                match (found.and_then(number), limit) {
                    (Some(value), Some(limit)) if self.operator == Operator::Greater => value > limit,
                    (Some(value), Some(limit)) => value < limit,
                    _ => false,
                }
            }
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        let list = values.join(",");
        match self.operator {
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::In if self.exact => write!(f, "{key}={list}"),
            Operator::NotIn if self.exact => write!(f, "{key}!={list}"),
            Operator::In => write!(f, "{key} in ({list})"),
            Operator::NotIn => write!(f, "{key} notin ({list})"),
            Operator::Greater => write!(f, "{key}>{list}"),
            Operator::Less => write!(f, "{key}<{list}"),
        }
    }
}

/// All requirements must hold; without any, everything matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{requirement}")?;
        }
        Ok(())
    }
}

impl LabelSelector {
    /// Matches everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Matches nothing: an absent selector object.
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// Whether every set of labels matches.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// The requirements, in order of their keys.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// From a `labelSelector` parameter: `a=b,c in (d,e),!f,g>1`.
    ///
    /// # Errors
    /// 400 in the words of `labels.Parse`.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let mut parser = Parser { tokens: tokens(text), at: 0 };
        let mut requirements = parser.selector().map_err(ApiError::bad_request)?;
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements, nothing: false })
    }

    /// From `matchLabels` and `matchExpressions`; an absent selector matches nothing, an empty one everything.
    ///
    /// # Errors
    /// 400 for unknown operators and illegal keys or values.
    pub fn from_object(selector: Option<&Value>) -> Result<Self, ApiError> {
        let Some(selector) = selector.filter(|selector| !selector.is_null()) else { return Ok(Self::nothing()) };
        let mut requirements = Vec::new();
        for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            let values = BTreeSet::from([value.as_str().unwrap_or_default().to_owned()]);
            requirements.push(requirement(key, Operator::In, values, true).map_err(ApiError::bad_request)?);
        }
        for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            let key = expression.get("key").and_then(Value::as_str).unwrap_or_default();
            let operator = match expression.get("operator").and_then(Value::as_str).unwrap_or_default() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    return Err(ApiError::bad_request(format!("{} is not a valid label selector operator", crate::error::go_quote(other))));
                }
            };
            let values = expression
                .get("values")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            requirements.push(requirement(key, operator, values, false).map_err(ApiError::bad_request)?);
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements, nothing: false })
    }

    /// Whether labels match.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches_with(|key| labels.get(key).map(String::as_str))
    }

    /// Whether the labels that a lookup gives match.
    pub fn matches_with<'a>(&self, mut label: impl FnMut(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(&mut label))
    }

    /// Whether the labels of an object match.
    pub fn matches_object(&self, object: &Value) -> bool {
        let labels = object.get("metadata").and_then(|metadata| metadata.get("labels"));
        self.matches_with(|key| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str))
    }
}

fn key_error(key: &str, field: &str) -> Option<FieldError> {
    let problems = qualified_name_problems(key);
    (!problems.is_empty()).then(|| FieldError::invalid(field, key, problems.join("; ")))
}

fn requirement(key: &str, operator: Operator, values: BTreeSet<String>, exact: bool) -> Result<Requirement, String> {
    let mut errors = Vec::new();
    errors.extend(key_error(key, "key"));
    let list = || Value::from(values.iter().cloned().collect::<Vec<_>>());
    match operator {
        Operator::In | Operator::NotIn if values.is_empty() => {
            errors.push(FieldError::invalid("values", list(), "for 'in', 'notin' operators, values set can't be empty"));
        }
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            errors.push(FieldError::invalid("values", list(), "values set must be empty for exists and does not exist"));
        }
        Operator::Greater | Operator::Less => {
            for (i, value) in values.iter().enumerate() {
                if value.parse::<i64>().is_err() {
                    errors.push(FieldError::invalid(
                        format!("values[{i}]"),
                        value.as_str(),
                        "for 'Gt', 'Lt' operators, the value must be an integer",
                    ));
                }
            }
        }
        _ => {}
    }
    for (i, value) in values.iter().enumerate() {
        let problems = label_value_problems(value);
        if !problems.is_empty() {
            errors.push(FieldError::invalid(format!("values[{i}][{key}]"), value.as_str(), problems.join("; ")));
        }
    }
    match errors.as_slice() {
        [] => Ok(Requirement { key: key.to_owned(), operator, values, exact }),
        [one] => Err(one.to_string()),
        many => Err(format!("[{}]", many.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))),
    }
}

struct Parser {
    tokens: Vec<(Token, String)>,
    at: usize,
}

impl Parser {
    /// The next token; where a value may stand, `in` and `notin` are plain words.
    fn peek(&self, values: bool) -> (Token, &str) {
        match self.tokens.get(self.at) {
            Some((Token::In | Token::NotIn, text)) if values => (Token::Identifier, text),
            Some((token, text)) => (token.clone(), text),
            None => (Token::End, ""),
        }
    }

    fn take(&mut self, values: bool) -> (Token, String) {
        let (token, text) = self.peek(values);
        let text = text.to_owned();
        self.at += 1;
        (token, text)
    }

    fn selector(&mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek(true) {
                (Token::Identifier | Token::Not, _) => {
                    let requirement = self.requirement().map_err(|why| format!("unable to parse requirement: {why}"))?;
                    requirements.push(requirement);
                    match self.take(true) {
                        (Token::End, _) => return Ok(requirements),
                        (Token::Comma, _) => match self.peek(true) {
                            (Token::Identifier | Token::Not, _) => {}
                            (_, text) => return Err(format!("found '{text}', expected: identifier after ','")),
                        },
                        (_, text) => return Err(format!("found '{text}', expected: ',' or 'end of string'")),
                    }
                }
                (Token::End, _) => return Ok(requirements),
                (_, text) => return Err(format!("found '{text}', expected: !, identifier, or 'end of string'")),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let (mut token, mut key) = self.take(true);
        let absent = token == Token::Not;
        if absent {
            (token, key) = self.take(true);
        }
        if token != Token::Identifier {
            return Err(format!("found '{key}', expected: identifier"));
        }
        if let Some(error) = key_error(&key, "<nil>") {
            return Err(error.to_string());
        }
        if absent {
            return requirement(&key, Operator::DoesNotExist, BTreeSet::new(), false);
        }
        if matches!(self.peek(true).0, Token::End | Token::Comma) {
            return requirement(&key, Operator::Exists, BTreeSet::new(), false);
        }
        let (operator, exact) = match self.take(false) {
            (Token::In, _) => (Operator::In, false),
            (Token::NotIn, _) => (Operator::NotIn, false),
            (Token::Equals | Token::DoubleEquals, _) => (Operator::In, true),
            (Token::NotEquals, _) => (Operator::NotIn, true),
            (Token::Greater, _) => (Operator::Greater, true),
            (Token::Less, _) => (Operator::Less, true),
            (_, text) => return Err(format!("found '{text}', expected: in, notin, =, ==, !=, gt, lt")),
        };
        let values = if exact { BTreeSet::from([self.exact_value()?]) } else { self.values()? };
        requirement(&key, operator, values, exact)
    }

    fn exact_value(&mut self) -> Result<String, String> {
        if matches!(self.peek(true).0, Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.take(true) {
            (Token::Identifier, text) => Ok(text),
            (_, text) => Err(format!("found '{text}', expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<BTreeSet<String>, String> {
        match self.take(true) {
            (Token::Open, _) => {}
            (_, text) => return Err(format!("found '{text}' expected: '('")),
        }
        match self.peek(true) {
            (Token::Identifier | Token::Comma, _) => {}
            (Token::Closed, _) => {
                self.at += 1;
                return Ok(BTreeSet::from([String::new()]));
            }
            (_, text) => return Err(format!("found '{text}', expected: ',', ')' or identifier")),
        }
        let mut values = BTreeSet::new();
        loop {
            match self.take(true) {
                (Token::Identifier, text) => {
                    values.insert(text);
                    match self.peek(true) {
                        (Token::Comma, _) => {}
                        (Token::Closed, _) => break,
                        (_, text) => return Err(format!("found '{text}', expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    if values.is_empty() {
                        values.insert(String::new());
                    }
                    match self.peek(true).0 {
                        Token::Closed => {
                            values.insert(String::new());
                            break;
                        }
                        Token::Comma => {
                            self.at += 1;
                            values.insert(String::new());
                        }
                        _ => {}
                    }
                }
                (_, text) => return Err(format!("found '{text}', expected: ',', or identifier")),
            }
        }
        match self.take(true) {
            (Token::Closed, _) => Ok(values),
            (_, text) => Err(format!("found '{text}', expected: ')'")),
        }
    }
}

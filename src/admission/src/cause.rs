//! What a rejection says (spec/admission.md §2.3, §2.4).

use std::fmt;

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CauseKind {
    /// The value makes no sense.
    Invalid,
    /// A value is missing.
    Required,
    /// The value is used already.
    Duplicate,
    /// The value is none of those possible.
    NotSupported,
    /// Something referred to does not exist.
    NotFound,
    /// The value may not be set.
    Forbidden,
    /// The old object made no sense.
    UnexpectedServerResponse,
}

impl CauseKind {
    /// The name on the wire (`reason` of a StatusCause).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "FieldValueInvalid",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::NotSupported => "FieldValueNotSupported",
            Self::NotFound => "FieldValueNotFound",
            Self::Forbidden => "FieldValueForbidden",
            Self::UnexpectedServerResponse => "UnexpectedServerResponse",
        }
    }
}

/// One reason of a rejection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What is wrong; schema errors have none.
    pub kind: Option<CauseKind>,
    /// Which field; may be empty.
    pub field: String,
    /// The sentence for the client.
    pub message: String,
}

impl Cause {
    /// As Go prints a StatusCause: what controllers tell of a cause.
    pub fn as_go(&self) -> String {
        let kind = self.kind.map_or("", CauseKind::as_str);
        format!("&StatusCause{{Type:{kind},Message:{},Field:{},}}", self.message, self.field)
    }
}

/// Causes as they are found, in order; and how many more there are that no rejection lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Causes(pub Vec<Cause>, pub usize);

impl Causes {
    /// Whether further causes are only counted.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= Denial::LISTED
    }

    /// Counts causes that no rejection lists.
    pub(crate) fn count(&mut self, more: usize) {
        self.1 = self.1.saturating_add(more);
    }

    /// Adds a cause.
    pub fn add(&mut self, kind: CauseKind, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Cause { kind: Some(kind), field: field.into(), message: message.into() });
    }

    /// Adds a value that makes no sense.
    pub fn invalid(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.add(CauseKind::Invalid, field, message);
    }

    /// Adds a value that is missing.
    pub fn required(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.add(CauseKind::Required, field, message);
    }

    /// Adds a value that is used already.
    pub fn duplicate(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.add(CauseKind::Duplicate, field, message);
    }

    /// Adds a value that is none of those possible.
    pub fn not_supported(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.add(CauseKind::NotSupported, field, message);
    }

    /// Adds all of another list.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
        self.count(other.1);
    }

    /// A rejection if there is any cause.
    ///
    /// # Errors
    /// The rejection with all causes.
    pub fn into_result(self) -> Result<(), Denial> {
        if self.0.is_empty() { Ok(()) } else { Err(Denial::capped(self.0, self.1)) }
    }
}

/// A request that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The HTTP status code; 0 where upstream sets none.
    pub code: u16,
    /// The machine-readable reason, where there is one.
    pub reason: Option<&'static str>,
    /// The text for the client.
    pub message: String,
    /// The causes behind the text.
    pub causes: Vec<Cause>,
}

impl Denial {
    /// As many causes as a rejection lists.
    const LISTED: usize = 10;

    /// A request that cannot be judged: lookups that fail, gates that are off.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self { code: 400, reason: None, message: message.into(), causes: Vec::new() }
    }

    /// A refusal with that code and nothing but a text.
    pub fn with_code(code: u16, message: impl Into<String>) -> Self {
        Self { code, reason: None, message: message.into(), causes: Vec::new() }
    }

    /// An object that breaks rules: the first ten causes, and how many more there are.
    pub fn invalid(causes: Vec<Cause>) -> Self {
        Self::capped(causes, 0)
    }

    fn capped(mut causes: Vec<Cause>, unlisted: usize) -> Self {
        let more = causes.len().saturating_sub(Self::LISTED).saturating_add(unlisted);
        causes.truncate(Self::LISTED);
        let mut denial = Self::invalid_uncapped(causes);
        if more > 0 {
            denial.message = format!("{}, and {more} more validation errors", denial.message);
        }
        denial
    }

    /// An object that breaks rules, with every cause listed, as the operator answers.
    pub fn invalid_uncapped(causes: Vec<Cause>) -> Self {
        let message = causes.iter().map(|c| c.message.as_str()).collect::<Vec<_>>().join(", ");
        Self { code: 422, reason: Some("Invalid"), message, causes }
    }

    /// A single cause.
    pub fn cause(kind: CauseKind, field: impl Into<String>, message: impl Into<String>) -> Self {
        let mut causes = Causes::default();
        causes.add(kind, field, message);
        Self::invalid(causes.0)
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Denial {}

#[cfg(test)]
mod tests {
    use super::{Causes, Denial};

    #[test]
    fn ten_causes_are_listed_and_the_rest_counted() {
        let mut causes = Causes::default();
        for i in 0..12 {
            causes.invalid("f", format!("m{i}"));
        }
        let denial = Denial::invalid(causes.0.clone());
        assert_eq!(denial.causes.len(), 10);
        assert!(denial.message.ends_with("m9, and 2 more validation errors"), "{}", denial.message);
        causes.count(3);
        let denial = causes.into_result().unwrap_err();
        assert!(denial.message.ends_with("m9, and 5 more validation errors"), "{}", denial.message);
    }
}

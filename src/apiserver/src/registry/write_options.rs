//! `CreateOptions`, `UpdateOptions` and `PatchOptions` from the query.

use crate::error::{ApiError, FieldError, FieldErrorKind};
use crate::http::Query;
use crate::resource::Gvk;
use serde_json::Value;

/// What to do with fields that a kind does not have, or that are given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// Drop them.
    Ignore,
    /// Drop them with a warning.
    #[default]
    Warn,
    /// Refuse them.
    Strict,
}

/// Options of a write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriteOptions {
    /// Nothing is stored.
    pub dry_run: bool,
    /// Name under which changed fields are kept; empty takes it from the user agent.
    pub field_manager: String,
    /// What to do with unknown and repeated fields.
    pub field_validation: FieldValidation,
    /// An apply takes fields from other managers.
    pub force: Option<bool>,
}

/// Which options object is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKind {
    /// `CreateOptions`.
    Create,
    /// `UpdateOptions`.
    Update,
    /// `PatchOptions`.
    Patch {
        /// Server-side apply.
        apply: bool,
    },
}

impl WriteKind {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "CreateOptions",
            Self::Update => "UpdateOptions",
            Self::Patch { .. } => "PatchOptions",
        }
    }
}

/// Checks a `dryRun` list: nothing or `All`.
pub fn check_dry_run(values: &[&str]) -> Vec<FieldError> {
    if values.iter().all(|value| *value == "All") {
        return Vec::new();
    }
    vec![FieldError::not_supported("dryRun", values.iter().map(|v| Value::from(*v)).collect::<Value>(), &["All"])]
}

/// Checks the name of a field manager.
pub fn check_field_manager(manager: &str) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    if manager.len() > 128 {
        wrong.push(FieldError::too_long("fieldManager", 128));
    }
    // Go's unicode.IsPrint: letters, marks, numbers, punctuation, symbols and the ASCII space.
    if let Some((at, c)) = manager.char_indices().find(|(_, c)| c.is_control() || (c.is_whitespace() && *c != ' ')) {
        let detail = format!("invalid character U+{:04X} (at position {at})", c as u32);
        wrong.push(FieldError::invalid("fieldManager", manager, detail));
    }
    wrong
}

impl WriteOptions {
    /// Reads and checks the options of a request.
    pub fn parse(query: &Query, kind: WriteKind) -> Result<Self, ApiError> {
        let dry_run: Vec<&str> = query.all("dryRun").collect();
        let field_manager = query.get("fieldManager").unwrap_or_default();
        let force = query.tri_state("force");
        let mut wrong = Vec::new();
        if let WriteKind::Patch { apply } = kind {
            if apply && field_manager.is_empty() {
                wrong.push(FieldError::required("fieldManager", "is required for apply patch"));
            }
            if !apply && force.is_some() {
                wrong.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
            }
        }
        wrong.extend(check_field_manager(field_manager));
        wrong.extend(check_dry_run(&dry_run));
        let field_validation = match query.get("fieldValidation").unwrap_or_default() {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                wrong.push(FieldError {
                    kind: FieldErrorKind::NotSupported,
                    ..FieldError::not_supported("fieldValidation", other, &["", "Ignore", "Strict", "Warn"])
                });
                FieldValidation::Warn
            }
        };
        if !wrong.is_empty() {
            return Err(ApiError::invalid(&Gvk::new("meta.k8s.io", "v1", kind.name()), "", &wrong));
        }
        Ok(Self { dry_run: !dry_run.is_empty(), field_manager: field_manager.to_owned(), field_validation, force })
    }

    /// The options as admission sees them.
    pub fn to_value(&self, kind: WriteKind) -> Value {
        let mut map = serde_json::Map::new();
        map.insert("kind".into(), kind.name().into());
        map.insert("apiVersion".into(), "meta.k8s.io/v1".into());
        if self.dry_run {
            map.insert("dryRun".into(), serde_json::json!(["All"]));
        }
        if !self.field_manager.is_empty() {
            map.insert("fieldManager".into(), self.field_manager.as_str().into());
        }
        if let Some(force) = self.force {
            map.insert("force".into(), force.into());
        }
        let validation = match self.field_validation {
            FieldValidation::Ignore => "Ignore",
            FieldValidation::Warn => "Warn",
            FieldValidation::Strict => "Strict",
        };
        map.insert("fieldValidation".into(), validation.into());
        Value::Object(map)
    }
}

/// The manager of a write without `fieldManager`: what the user agent says before its first slash.
pub fn manager_of(user_agent: &str) -> String {
    let manager: String = user_agent.split('/').next().unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
    let manager = if manager.is_empty() { "unknown".to_owned() } else { manager };
    match manager.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= 128).last() {
        Some(end) => manager.get(..end).unwrap_or_default().to_owned(),
        None => manager,
    }
}

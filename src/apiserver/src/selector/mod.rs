//! Label and field selectors: the string form of query parameters and the object form of `metav1.LabelSelector`.

mod field;
mod label;
mod lexer;
mod names;
#[cfg(test)]
mod tests;

pub use field::{FieldSelector, FieldTerm};
pub use label::{LabelSelector, Operator, Requirement};
pub use names::{label_value_problems, qualified_name_problems};

//! CEL: rules of custom resources, and expressions of admission policies.

pub mod check;
pub mod rules;

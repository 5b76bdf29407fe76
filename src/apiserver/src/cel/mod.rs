//! CEL: rules of custom resources ([`rules`]), and expressions of admission policies ([`Program`]).
//!
//! Parsing and evaluation are `cel`'s, the Kubernetes libraries `kube-cel`'s. Ours are: values from JSON by schema
//! ([`value`]), a type check good enough to refuse what kube-apiserver refuses at compile time ([`types`]), the macros
//! `cel.bind`, `optMap` and `optFlatMap` ([`ast`]), `type`, `dyn`, `bool` and the authorizer library ([`library`]), and
//! a bound on work ([`ast::nesting`]).
//!
//! Object literals of mutating policies are maps to the evaluator ([`Environment::objects`]).
//!
//! What this does not do: other message literals (refused at compile time),
//! macros with two variables (`all(i, v, …)`), overload resolution beyond the operators, cost estimates as
//! Kubernetes computes them (a bound on loop iterations stands for the budget), and a stable order when a rule turns a
//! map into a list.

pub mod ast;
pub mod check;
pub mod library;
mod objects;
mod program;
pub mod rules;
mod stack;
pub mod types;
pub mod value;

#[cfg(test)]
mod tests;

pub use kube_cel::cel::Value as CelValue;
pub use library::{AccessCheck, Authorize};
pub use program::{CelError, Composed, Environment, Program, Variables};

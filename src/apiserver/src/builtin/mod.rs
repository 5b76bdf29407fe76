//! The built-in kinds: which there are, their defaults and their rules. Their schemas are in [`crate::schema`].

mod strategy;

pub use strategy::{NoRules, Strategy};

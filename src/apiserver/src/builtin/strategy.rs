//! What a built-in kind adds to the generic request path.

/// The rules of a built-in kind.
pub trait Strategy: Send + Sync {}

/// A kind without rules of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRules;

impl Strategy for NoRules {}

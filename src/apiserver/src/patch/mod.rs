//! Patch types.

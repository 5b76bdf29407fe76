//! Pods.

use crate::builtin::Strategy;

/// `Pod`.
#[derive(Debug)]
pub struct Pod;

impl Strategy for Pod {}

//! Events and leases.

use crate::builtin::Strategy;

/// `Event`.
#[derive(Debug)]
pub struct Event;

impl Strategy for Event {}

/// `Lease`.
#[derive(Debug)]
pub struct Lease;

impl Strategy for Lease {}

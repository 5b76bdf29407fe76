//! Configuration and identities.

use crate::builtin::Strategy;

/// `ConfigMap`.
#[derive(Debug)]
pub struct ConfigMap;

impl Strategy for ConfigMap {}

/// `Secret`.
#[derive(Debug)]
pub struct Secret;

impl Strategy for Secret {}

/// `ServiceAccount`.
#[derive(Debug)]
pub struct ServiceAccount;

impl Strategy for ServiceAccount {}

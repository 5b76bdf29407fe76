//! Namespaces, nodes, roles.

use crate::builtin::Strategy;

/// `Namespace`.
#[derive(Debug)]
pub struct Namespace;

impl Strategy for Namespace {}

/// `Node`.
#[derive(Debug)]
pub struct Node;

impl Strategy for Node {}

/// `Rbac`.
#[derive(Debug)]
pub struct Rbac;

impl Strategy for Rbac {}

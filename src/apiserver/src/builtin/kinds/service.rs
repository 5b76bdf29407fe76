//! Services and what belongs to them.

use crate::builtin::Strategy;

/// `EndpointSlice`.
#[derive(Debug)]
pub struct EndpointSlice;

impl Strategy for EndpointSlice {}

/// `Endpoints`.
#[derive(Debug)]
pub struct Endpoints;

impl Strategy for Endpoints {}

/// `NetworkPolicy`.
#[derive(Debug)]
pub struct NetworkPolicy;

impl Strategy for NetworkPolicy {}

/// `Service`.
#[derive(Debug)]
pub struct Service;

impl Strategy for Service {}

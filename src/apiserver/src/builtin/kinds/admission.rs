//! Kinds that extend the API server.

use crate::builtin::Strategy;

/// `AdmissionPolicy`.
#[derive(Debug)]
pub struct AdmissionPolicy;

impl Strategy for AdmissionPolicy {}

/// `AdmissionPolicyBinding`.
#[derive(Debug)]
pub struct AdmissionPolicyBinding;

impl Strategy for AdmissionPolicyBinding {}

/// `ApiService`.
#[derive(Debug)]
pub struct ApiService;

impl Strategy for ApiService {}

/// `CustomResourceDefinition`.
#[derive(Debug)]
pub struct CustomResourceDefinition;

impl Strategy for CustomResourceDefinition {}

/// `WebhookConfiguration`.
#[derive(Debug)]
pub struct WebhookConfiguration;

impl Strategy for WebhookConfiguration {}

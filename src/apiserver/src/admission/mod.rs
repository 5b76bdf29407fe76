//! Admission: built-in plugins, webhooks, policies.

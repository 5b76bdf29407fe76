//! The verbs on resources.

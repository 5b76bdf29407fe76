//! The narrow hypervisor traits, capabilities as values, errors, and the conformance suite every backend must pass.

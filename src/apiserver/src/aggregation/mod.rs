//! Aggregated API servers.

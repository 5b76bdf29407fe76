//! An embedded Kubernetes API server: a tower service first, a TLS listener second.

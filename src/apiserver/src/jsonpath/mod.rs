//! JSON paths as Kubernetes writes them.

//! Defaults of a pod template.

//! Defaulting and validation of every KubeVirt kind: pure functions from objects and configuration to objects, causes and warnings.

//! KubeVirt's API with running VMs in one process: up, render, manifests.

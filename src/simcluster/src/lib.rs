//! What a cluster does besides its API: scheduler, kubelets, garbage collection, namespaces, workloads, storage.

//! The contract between virt-handler and virt-launcher: a trait, and its gRPC form over a Unix socket.

//! The I/O kit: clock, connectors, watches and stores, plan executor, work queues, leader election, events, TLS, health.

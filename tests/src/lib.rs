//! The harness of the specs (World, Cluster, fixtures) and the suites.

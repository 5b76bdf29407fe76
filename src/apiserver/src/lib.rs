//! An embedded Kubernetes API server: a tower service first, a TLS listener second.
//!
//! A request passes, in this order: [`auth`] (who is it, may they), [`http`] (what is asked, in which encoding),
//! [`registry`] (the verb on a resource: decode, [`schema`] pruning and defaults, [`admission`], [`fieldmanager`],
//! validation), [`store`] (one revisioned map, whose encoded objects every watcher shares). What is served is data:
//! [`resource::Registry`] holds the built-in resources and those of CustomResourceDefinitions ([`crd`]).
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use ferrovirt_apiserver::{auth::UserInfo, env::Env, http::ApiServer, net::Unreachable};
//! let server = ApiServer::builder(Env::system(1, Arc::new(Unreachable))).build()?;
//! let client = kube::Client::new(server.client_service_as(UserInfo::admin()), "default");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! More in the examples: `in_process`, `custom_resources`, `virtual_time`, and `apiserver` with TLS and a kubeconfig.
//!
//! Guarantees: no wall clock (timestamps come from [`env::Now`], waiting from tokio), no unseeded randomness, no lock
//! held over an `await`, no threads and no real I/O unless a data directory or a listener is configured.

// An `ApiError` is the answer to a request: it is made at most once for each, so its size does not matter.
#![allow(clippy::result_large_err)]

pub mod admission;
pub mod aggregation;
pub mod auth;
pub mod builtin;
pub mod cel;
pub mod crd;
pub mod discovery;
pub mod env;
pub mod error;
pub mod fieldmanager;
pub mod http;
pub mod jsonpath;
pub mod net;
pub mod object;
pub mod openapi;
pub mod patch;
pub mod registry;
pub mod resource;
pub mod schema;
pub mod selector;
pub mod serve;
pub mod store;
pub mod table;

// The README's example is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

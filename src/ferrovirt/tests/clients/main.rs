//! Clients that people use, each doing a whole job against the programs: kubectl, helm, the Python and the JavaScript
//! client. Where one is not installed its tests say so and pass; CI installs all of them.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may assume, and say what they skip")]

mod helm;
mod kubectl;
mod scripts;
mod server;

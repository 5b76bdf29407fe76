//! One node end to end: VMIs handed over by the controller, virt-handler, launchers, guests.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod access;
mod life;
mod restart;
mod world;

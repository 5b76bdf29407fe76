//! The `virt-api` program.

use std::process::ExitCode;

use clap::Parser as _;
use runtime::process::{Threads, main as run};

fn main() -> ExitCode {
    run(Threads::Many, virt_api::Program::parse().run())
}

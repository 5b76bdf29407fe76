//! The `virt-controller` program.

use std::process::ExitCode;

use clap::Parser as _;
use runtime::process::{Threads, main as run};

fn main() -> ExitCode {
    run(Threads::Many, virt_controller::Program::parse().run())
}

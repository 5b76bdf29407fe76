//! The `virt-launcher` program.

use std::process::ExitCode;

use clap::Parser as _;
use runtime::process::{Threads, main as run};

fn main() -> ExitCode {
    run(Threads::One, virt_launcher::Program::parse().run())
}

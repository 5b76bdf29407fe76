//! The `virt-tail` program: the guest's serial console as its pod's log.

use std::process::ExitCode;

use clap::Parser as _;
use runtime::process::{Threads, main as run};

fn main() -> ExitCode {
    run(Threads::One, virt_launcher::tail::Tail::parse().run())
}

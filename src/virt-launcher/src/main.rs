//! The `virt-launcher` program.

use std::process::ExitCode;

use clap::Parser as _;
use runtime::process::{Threads, main as run};

fn main() -> ExitCode {
    // What is asked of a node rather than of a pod, and so without a VMI.
    if std::env::args().nth(1).as_deref() == Some(virt_launcher::CAPABILITIES) {
        return run(Threads::One, virt_launcher::capabilities());
    }
    run(Threads::One, virt_launcher::Program::parse().run())
}

//! The `virt-launcher` program.

use std::process::{Command, ExitCode};

use clap::Parser as _;
use runtime::process::{Threads, main as run};
use virt_launcher::monitor::collecting;
use virt_launcher::{CAPABILITIES, Program, capabilities};

/// Says that another process collects what this one leaves behind.
const COLLECTED: &str = "--collected";

fn main() -> ExitCode {
    // What is asked of a node rather than of a pod, and so without a VMI.
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(CAPABILITIES) {
        return if words.next().as_deref() == Some(COLLECTED) { run(Threads::One, capabilities()) } else { collected() };
    }
    run(Threads::One, Program::parse().run())
}

/// Asks in a process of its own, while this one collects what that one leaves behind.
fn collected() -> ExitCode {
    let asked = std::env::current_exe().and_then(|own| {
        let mut again = Command::new(own);
        again.args([CAPABILITIES, COLLECTED]);
        collecting(again)
    });
    match asked {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(error) => {
            eprintln!("error: asking libvirt: {error}");
            ExitCode::FAILURE
        }
    }
}

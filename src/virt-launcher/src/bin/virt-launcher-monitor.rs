//! The `virt-launcher-monitor` program: the first process of a launcher's container.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser as _;
use virt_launcher::monitor::Monitor;

fn main() -> ExitCode {
    // Both are installed side by side.
    let beside = std::env::current_exe().map(|own| own.with_file_name("virt-launcher"));
    let launcher = beside.unwrap_or_else(|_| PathBuf::from("/usr/bin/virt-launcher"));
    Monitor::parse().run(Command::new(launcher), std::env::args_os().skip(1))
}

//! The `ferrovirt` program.

use anyhow::{Context as _, Result};
use clap::Parser as _;
use ferrovirt::cli::{Cli, Command, Component, Program};
use ferrovirt::{apiserver_command, manifests, render, up};
use runtime::process::{self, Threads};
use std::io::Write as _;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use virt_launcher::monitor::Monitor;

/// A quarter of the time of starting many VMs went into the system's allocator, and a tenth of the memory into its gaps.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Cli { log, program } = Cli::parse();
    let command = match program {
        Program::Platform(command) => command,
        Program::Component(component) => return be(component),
    };
    match start(&log, &command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one component.
fn be(component: Component) -> ExitCode {
    match component {
        Component::VirtApi(program) => process::main(Threads::Many, program.run()),
        Component::VirtController(program) => process::main(Threads::Many, program.run()),
        Component::VirtHandler(program) => process::main(Threads::Many, program.run()),
        Component::VirtLauncher(program) => process::main(Threads::One, program.run()),
        Component::VirtLauncherMonitor(monitor) => launcher_monitor(*monitor),
    }
}

/// The first process of a launcher's container; virt-launcher is this program too.
fn launcher_monitor(monitor: Monitor) -> ExitCode {
    let own = match std::env::current_exe() {
        Ok(own) => own,
        Err(error) => {
            eprintln!("error: finding this program: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut launcher = std::process::Command::new(own);
    launcher.arg("virt-launcher");
    monitor.run(launcher, std::env::args_os().skip_while(|argument| argument != "virt-launcher-monitor").skip(1))
}

fn start(log: &str, command: &Command) -> Result<ExitCode> {
    let filter = EnvFilter::try_new(log).with_context(|| format!("--log {log:?}"))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(run(command))
}

async fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Apiserver(args) => apiserver_command::run(args, random_seed()?, interrupted()).await?,
        Command::Up(args) => {
            let seed = args.seed.map_or_else(random_seed, Ok)?;
            up::run(args, seed, interrupted()).await?;
        }
        Command::Render(args) => {
            let mut code = ExitCode::SUCCESS;
            for rendered in render::run(args)? {
                match rendered.outcome {
                    Ok(text) => print(&text)?,
                    Err(denial) => {
                        eprintln!("{} is rejected: {denial}", rendered.object);
                        for cause in &denial.causes {
                            eprintln!("  {}: {}", cause.field, cause.message);
                        }
                        code = ExitCode::FAILURE;
                    }
                }
            }
            return Ok(code);
        }
        Command::Manifests => print(&manifests::text("ferrovirt", 2)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints to standard output; a reader that has gone away is no error.
fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("writing to standard output"),
        _ => Ok(()),
    }
}

/// A seed from the operating system, for a cluster that need not be repeated.
fn random_seed() -> Result<u64> {
    use rand::TryRngCore as _;
    rand::rngs::OsRng.try_next_u64().context("reading random bytes")
}

/// Cancelled by Ctrl-C or SIGTERM.
fn interrupted() -> CancellationToken {
    let token = CancellationToken::new();
    let ours = token.clone();
    tokio::spawn(async move {
        let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(signal) => signal,
            Err(error) => {
                tracing::warn!(%error, "SIGTERM is not handled");
                return;
            }
        };
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        ours.cancel();
    });
    token
}

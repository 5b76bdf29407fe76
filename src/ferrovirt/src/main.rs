//! The `ferrovirt` program.

use anyhow::{Context as _, Result};
use clap::Parser as _;
use ferrovirt::cli::{Cli, Command};
use ferrovirt::{apiserver_command, manifests, render, up};
use std::io::Write as _;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(&cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(cli: &Cli) -> Result<ExitCode> {
    let filter = EnvFilter::try_new(&cli.log).with_context(|| format!("--log {:?}", cli.log))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(run(cli))
}

async fn run(cli: &Cli) -> Result<ExitCode> {
    match &cli.command {
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

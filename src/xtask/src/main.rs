//! Repository chores: `cargo run -p xtask -- generate` and `cargo run -p xtask -- tidy`.
//!
//! Flow: `generate` writes what is made from code (CRDs, the install manifest) into `deploy/`; with `--check` it writes
//! nothing and fails when a file is stale. `tidy` checks the house rules that neither rustc nor clippy knows.

#![allow(clippy::print_stdout, reason = "what it finds is its output")]

mod generate;
mod tidy;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};

#[derive(Parser)]
#[command(about)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write deploy/crds and deploy/kubevirt.yaml from the code.
    Generate {
        /// Write nothing; fail when a file differs from what would be written.
        #[arg(long)]
        check: bool,
    },
    /// Check the house rules: crate borders, file length, left-overs.
    Tidy,
}

fn main() -> Result<()> {
    let root = root()?;
    match Args::parse().command {
        Command::Generate { check } => generate::run(&root, check),
        Command::Tidy => tidy::run(&root),
    }
}

/// The repository's root: the workspace this program was built from.
fn root() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    match manifest.ancestors().nth(2) {
        Some(root) if root.join("Cargo.toml").is_file() => Ok(root.to_path_buf()),
        _ => bail!("no workspace above {}", manifest.display()),
    }
}

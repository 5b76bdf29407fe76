//! virtctl: what people do with virtual machines beyond kubectl (spec/virtctl.md).
//!
//! Flow: [`main`] parses, a command of [`commands`] asks the cluster through a [`Session`], texts go to the [`Output`]s of
//! [`Deps`]. Guarantees: nothing is said to be done that was not; exit code 0 or 1; no clock, no random source, no terminal but
//! those of `Deps`, so that every command runs in process.

pub mod cli;
pub mod commands;
mod connect;
mod error;
mod fetch;
mod host;
mod pipe;
mod progress;
mod session;

pub use cli::Args;
pub use connect::{Connect, ConnectionArgs, FromKubeconfig};
pub use error::{Error, Result};
pub use host::{Host, LocalHost, Output, RawTerminal};
pub use session::{Machine, Session, Stream};

use runtime::{Clock, Entropy, Net};
use serde_json::Value;
use std::ffi::OsString;
use std::sync::Arc;

/// The surroundings of a command.
#[derive(Clone)]
pub struct Deps {
    /// Finds the cluster.
    pub connect: Arc<dyn Connect>,
    /// The user's computer.
    pub host: Arc<dyn Host>,
    /// Local ports.
    pub net: Arc<dyn Net>,
    /// Where times come from.
    pub clock: Clock,
    /// Where random names come from.
    pub entropy: Entropy,
    /// What the command says.
    pub out: Output,
    /// What it notes beside that.
    pub err: Output,
    /// How the program was called: what `ssh` calls again.
    pub program: String,
}

impl std::fmt::Debug for Deps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deps").field("program", &self.program).finish_non_exhaustive()
    }
}

/// Runs a command line, its first word being the program; the exit code.
pub async fn main(words: Vec<OsString>, deps: Deps) -> u8 {
    let args = match Args::parse_words(words) {
        Ok(args) => args,
        Err(error) => match error.kind() {
            clap::error::ErrorKind::DisplayHelp
            | clap::error::ErrorKind::DisplayVersion
            | clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                deps.out.text(error.render().to_string());
                return 0;
            }
            _ => {
                deps.err.line(cli::complaint(&error));
                return 1;
            }
        },
    };
    let connection = args.connection.clone();
    match run(args, &deps).await {
        Ok(()) => 0,
        Err(error) => {
            note_versions(&connection, &deps).await;
            deps.err.line(error);
            1
        }
    }
}

/// Runs a command.
///
/// # Errors
/// The text to show.
pub async fn run(args: Args, deps: &Deps) -> Result<()> {
    args.command.run(&args.connection, deps).await
}

/// After a failure: whether client and server are of one version (spec/virtctl.md §1).
async fn note_versions(connection: &ConnectionArgs, deps: &Deps) {
    let server = async {
        let session = deps.connect.connect(connection).await?;
        let group = session.get("/apis/subresources.kubevirt.io").await?;
        let version = group.pointer("/preferredVersion/groupVersion").and_then(Value::as_str).unwrap_or("subresources.kubevirt.io/v1");
        let version = session.get(&format!("/apis/{version}/version")).await?;
        Ok::<_, Error>(version["gitVersion"].as_str().unwrap_or_default().to_owned())
    };
    match server.await {
        Ok(server) => {
            let client = commands::version::CLIENT;
            if release(&server) != release(client) {
                deps.err.line("You are using a client virtctl version that is different from the KubeVirt version running in the cluster");
                deps.err.line(format!("Client Version: {client}\nServer Version: {server}"));
            }
        }
        Err(error) => deps.err.line(error),
    }
}

/// Major and minor of `v1.2.3`.
fn release(version: &str) -> (&str, &str) {
    let mut parts = version.trim_start_matches('v').split('.');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

//! Versions (spec/virtctl.md §14).

use crate::error::Result;
use crate::session::SUBRESOURCES;
use crate::{ConnectionArgs, Deps};
use serde_json::{Value, json};

/// The version of this client.
pub const CLIENT: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// `version`.
#[derive(Debug, clap::Args)]
pub struct Version {
    /// Show the client's version only
    #[arg(short, long)]
    client: bool,
}

/// As Go prints the structure.
fn info(version: &Value) -> String {
    let member = |name: &str, key: &str| format!("{name}:{:?}", version[key].as_str().unwrap_or_default());
    let members = [
        member("GitVersion", "gitVersion"),
        member("GitCommit", "gitCommit"),
        member("GitTreeState", "gitTreeState"),
        member("BuildDate", "buildDate"),
        member("GoVersion", "goVersion"),
        member("Compiler", "compiler"),
        member("Platform", "platform"),
    ];
    format!("version.Info{{{}}}", members.join(", "))
}

impl Version {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let machine = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let platform = format!("{}/{machine}", std::env::consts::OS);
        let client = json!({"gitVersion": CLIENT, "gitTreeState": "clean", "compiler": "rustc", "platform": platform});
        deps.out.line(format!("Client Version: {}", info(&client)));
        if self.client {
            return Ok(());
        }
        let session = deps.connect.connect(flags).await.map_err(|error| error.after("failed to get virtClient config: "))?;
        let server = session.get(&format!("{SUBRESOURCES}/version")).await;
        deps.out.line(format!("Server Version: {}", info(&server.map_err(|error| error.after("failed to get server version: "))?)));
        Ok(())
    }
}

//! The screen (spec/virtctl.md §6).

use super::exact;
use crate::error::{Error, Result, bail};
use crate::pipe::carry;
use crate::{ConnectionArgs, Deps, Machine};
use serde_json::json;
use std::time::Duration;

/// How long a viewer may take to connect.
const PATIENCE: Duration = Duration::from_mins(1);

/// `vnc`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[allow(clippy::struct_field_names, reason = "flags are named as upstream's")]
pub struct Vnc {
    #[command(subcommand)]
    command: Option<VncCommand>,
    /// Name of the virtual machine instance
    #[arg(value_name = "VMI")]
    names: Vec<String>,
    /// Listen only; prints the port, a viewer is started by hand
    #[arg(long)]
    proxy_only: bool,
    /// Local address to listen at, with --proxy-only
    #[arg(long, default_value = "127.0.0.1")]
    address: String,
    /// Local port to listen at; 0 picks one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Do not end a session that is open
    #[arg(long)]
    preserve_session: bool,
    /// Kind of viewer: tiger, chicken, real or remote-viewer
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TYPE")]
    vnc_type: String,
    /// Path of the viewer
    #[arg(long, default_value = "", hide_default_value = true, value_name = "PATH")]
    vnc_path: String,
}

#[derive(Debug, clap::Subcommand)]
enum VncCommand {
    /// Save a picture of a guest's screen
    Screenshot(ScreenshotArgs),
}

#[derive(Debug, clap::Args)]
struct ScreenshotArgs {
    /// Name of the virtual machine instance
    #[arg(value_name = "VMI")]
    names: Vec<String>,
    /// File to write the picture to; - is standard output (required)
    #[arg(short, long, value_name = "PATH")]
    file: Option<String>,
    /// Move the pointer first, so that a screen saver ends
    #[arg(short, long)]
    move_cursor: bool,
}

impl Vnc {
    /// The viewer and its arguments.
    fn viewer(&self, deps: &Deps, port: u16) -> Result<(String, Vec<String>)> {
        let remote_viewer = vec![format!("vnc://127.0.0.1:{port}")];
        let tiger = vec![format!("127.0.0.1:{port}")];
        if !matches!(self.vnc_type.as_str(), "" | "tiger" | "chicken" | "real" | "remote-viewer") {
            bail!("unsupported vnc-type: {}", self.vnc_type);
        }
        if !self.vnc_path.is_empty() {
            let Some(path) = deps.host.find_program(&self.vnc_path) else { bail!("specified VNC path does not exist: {}", self.vnc_path) };
            let is_remote = matches!(self.vnc_type.as_str(), "" | "remote-viewer");
            return Ok((path, if is_remote { remote_viewer } else { tiger }));
        }
        let wants = |kind: &str| self.vnc_type.is_empty() || self.vnc_type == kind;
        if wants("remote-viewer")
            && let Some(path) = deps.host.find_program("remote-viewer")
        {
            return Ok((path, remote_viewer));
        }
        if self.vnc_type != "remote-viewer"
            && let Some(path) = deps.host.find_program("vncviewer")
        {
            return Ok((path, tiger));
        }
        bail!("could not find remote-viewer or vncviewer binary in $PATH")
    }

    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        if let Some(VncCommand::Screenshot(args)) = self.command {
            return args.run(flags, deps).await;
        }
        let [name] = exact(&self.names)?;
        let session = deps.connect.connect(flags).await?;
        let query = if self.preserve_session { "?preserveSession=true" } else { "" };
        let path = session.subresource(Machine::Vmi, name, &format!("vnc{query}"));
        let opened = session.open(&path, &deps.entropy).await;
        let mut stream = opened.map_err(|error| error.after(format!("can't access VMI {name}: ")))?;
        let address = if self.proxy_only { self.address.as_str() } else { "127.0.0.1" };
        let listening = deps.net.listen(&format!("{address}:{}", self.port)).await;
        let mut listener = listening.map_err(|error| Error::new(format!("can't listen on {address}: {error}")))?;
        let port: u16 = listener.local_addr().rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_default();
        let viewer = if self.proxy_only { None } else { Some(self.viewer(deps, port)?) };
        if viewer.is_none() {
            deps.out.line(json!({"port": port}));
        }
        let shown = async {
            match &viewer {
                // A viewer of one's own is started by hand.
                None => std::future::pending().await,
                Some((program, arguments)) => deps.host.run_program(program, arguments).await,
            }
        };
        let carried = async {
            let Ok(accepted) = tokio::time::timeout(PATIENCE, listener.accept()).await else {
                bail!("error encountered: accept: i/o timeout");
            };
            let (connection, _) = accepted.map_err(|error| Error::new(format!("error encountered: {error}")))?;
            let (reader, writer) = tokio::io::split(connection);
            carry(&mut stream, reader, writer, None).await.map(drop).map_err(|error| Error::new(format!("error encountered: {error}")))
        };
        tokio::select! {
            biased;
            () = deps.host.interrupted() => Ok(()),
            done = carried => done,
            ended = shown => match ended {
                Ok(0) => Ok(()),
                Ok(code) => bail!("error encountered: exit status {code}"),
                Err(error) => bail!("error encountered: {error}"),
            },
        }
    }
}

impl ScreenshotArgs {
    async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [name] = exact(&self.names)?;
        let Some(file) = &self.file else { return super::required(&[("file", false)]) };
        let session = deps.connect.connect(flags).await?;
        let path = session.subresource(Machine::Vmi, name, &format!("vnc/screenshot?moveCursor={}", self.move_cursor));
        let picture = session.send(http::Method::GET, &path, "", Vec::new()).await?;
        if file == "-" {
            deps.out.text(&picture);
            return Ok(());
        }
        Ok(deps.host.write(file, &picture)?)
    }
}

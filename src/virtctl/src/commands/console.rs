//! The serial console (spec/virtctl.md §6).

use super::exact;
use crate::error::{Result, bail};
use crate::pipe::{End, carry};
use crate::session::Stream;
use crate::{ConnectionArgs, Deps, Machine, Session};
use std::time::Duration;

/// Ctrl+] and Ctrl+5.
const ESCAPE: u8 = 0x1d;
/// How long between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// `console`.
#[derive(Debug, clap::Args)]
pub struct Console {
    /// Name of the virtual machine instance
    #[arg(value_name = "VMI")]
    names: Vec<String>,
    /// Minutes to wait until the guest runs
    #[arg(long, default_value_t = 5, value_name = "MINUTES")]
    timeout: u64,
}

/// Opens the console; while the guest is not up yet (400), again and again.
async fn open(session: &Session, name: &str, deps: &Deps) -> Result<Stream> {
    let path = session.subresource(Machine::Vmi, name, "console");
    loop {
        match session.open(&path, &deps.entropy).await {
            Err(error) if error.code == Some(400) => tokio::time::sleep(PAUSE).await,
            other => return other,
        }
    }
}

impl Console {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [name] = exact(&self.names)?;
        let session = deps.connect.connect(flags).await?;
        let opened = tokio::select! {
            biased;
            () = deps.host.interrupted() => return Ok(()),
            opened = tokio::time::timeout(Duration::from_secs(self.timeout.saturating_mul(60)), open(&session, name, deps)) => opened,
        };
        let Ok(opened) = opened else { bail!("Timeout trying to connect to the virtual machine instance") };
        let mut stream = opened?;
        deps.err.line(format!("Successfully connected to {name} console. Press Ctrl+] or Ctrl+5 to exit console."));
        let raw = deps.host.raw_terminal();
        let raw = raw.map_err(|error| crate::Error::new(format!("make raw terminal failed: {error}")))?;
        let ended = carry(&mut stream, deps.host.input(), deps.host.output(), Some(ESCAPE)).await;
        drop(raw);
        match ended? {
            End::Local | End::Closed => Ok(()),
            End::Lost(why) => {
                deps.err.line(
                    "\nYou were disconnected from the console. This could be caused by one of the following:\
                     \n - the target VM was powered off\
                     \n - another user connected to the console of the target VM\
                     \n - network issues",
                );
                bail!("websocket: close 1006 (abnormal closure): {why}")
            }
        }
    }
}

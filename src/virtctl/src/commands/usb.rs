//! USB redirection (spec/virtctl.md §6).

use crate::error::{Error, Result, bail};
use crate::pipe::{End, carry};
use crate::{ConnectionArgs, Deps, Machine};

/// `usbredir`.
#[derive(Debug, clap::Args)]
pub struct UsbRedir {
    /// VENDOR:PRODUCT or BUS-DEVICE of the device, then the name of the virtual machine instance
    #[arg(value_name = "DEVICE VMI")]
    names: Vec<String>,
    /// Do not start usbredirect; takes the virtual machine instance only
    #[arg(long)]
    no_launch: bool,
}

impl UsbRedir {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let (device, name) = match (self.names.as_slice(), self.no_launch) {
            ([name], true) => (None, name),
            ([device, name], false) => (Some(device), name),
            _ => bail!("Missing argument"),
        };
        let program = match device {
            None => None,
            Some(_) => match deps.host.find_program("usbredirect") {
                Some(program) => Some(program),
                None => bail!("Error on finding usbredirect in $PATH: executable file not found in $PATH"),
            },
        };
        let session = deps.connect.connect(flags).await?;
        let opened = session.open(&session.subresource(Machine::Vmi, name, "usbredir"), &deps.entropy).await;
        let mut stream = opened.map_err(|error| error.after(format!("Can't access VMI {name}: ")))?;
        let mut listener = deps.net.listen("127.0.0.1:0").await?;
        let address = listener.local_addr();
        let redirecting = async {
            match (&program, device) {
                (Some(program), Some(device)) => {
                    let arguments = ["--device", device, "--to", &address].map(str::to_owned);
                    deps.host.run_program(program, &arguments).await
                }
                _ => {
                    deps.out.line(format!("User can connect usbredir client at: {address}"));
                    std::future::pending().await
                }
            }
        };
        let carried = async {
            let (connection, _) = listener.accept().await?;
            let (reader, writer) = tokio::io::split(connection);
            match carry(&mut stream, reader, writer, None).await? {
                End::Local => Ok(()),
                End::Closed | End::Lost(_) => Err(Error::new("Remote connection has closed.")),
            }
        };
        tokio::select! {
            biased;
            () = deps.host.interrupted() => Ok(()),
            done = carried => done,
            ended = redirecting => match ended? {
                0 => Ok(()),
                code => bail!("exit status {code}"),
            },
        }
    }
}

//! The guest's VSOCK ports behind one socket, for a hypervisor that is no device of the host's: the client says `CONNECT port` in a
//! line and reads `OK port`, then the bytes are the guest's. (Firecracker and cloud-hypervisor do it this way.)

use std::sync::Arc;

use hypervisor::{BoxGuestStream, Domain};
use launcher_rpc::BoxPipe;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// The longest line that asks for a port.
const LONGEST_LINE: usize = 32;
/// Bytes buffered each way.
const BUFFER: usize = 64 << 10;

/// A connection that has not said yet which port it wants.
pub(crate) fn serve(domain: Arc<dyn Domain>) -> BoxPipe {
    let (client, mut server) = tokio::io::duplex(BUFFER);
    tokio::spawn(async move {
        match connect(&mut server, &*domain).await {
            Ok((port, mut guest)) => {
                if server.write_all(format!("OK {port}\n").as_bytes()).await.is_ok() {
                    // Ends when either side goes; there is nobody left to tell.
                    let _ = tokio::io::copy_bidirectional(&mut server, &mut guest).await;
                }
            }
            // The client is about to see the connection end, with the reason.
            Err(error) => drop(server.write_all(format!("{error}\n").as_bytes()).await),
        }
    });
    Box::new(client)
}

async fn connect(client: &mut DuplexStream, domain: &dyn Domain) -> Result<(u32, BoxGuestStream), String> {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        if line.len() >= LONGEST_LINE {
            return Err("the line is too long".to_owned());
        }
        line.push(client.read_u8().await.map_err(|error| error.to_string())?);
    }
    let line = String::from_utf8_lossy(&line);
    let port = line.trim_end().strip_prefix("CONNECT ").and_then(|port| port.parse().ok());
    let port = port.ok_or_else(|| format!("{:?} is not CONNECT and a port", line.trim_end()))?;
    let guest = domain.vsock(port).await.map_err(|error| error.to_string())?;
    Ok((port, guest))
}

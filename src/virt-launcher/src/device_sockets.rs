//! The sockets of the guest's devices, for a hypervisor that has none of its own (node.md §2).

use std::io;
use std::path::Path;
use std::sync::Arc;

use launcher_rpc::grpc::bind;
use launcher_rpc::local::Sockets;
use launcher_rpc::sockets;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::launcher::Launcher;

/// Serves the guest's devices in `folder` until `closed`.
///
/// # Errors
/// A socket cannot be listened on.
pub(crate) fn serve(folder: &Path, launcher: &Launcher, closed: &CancellationToken) -> io::Result<()> {
    for name in sockets::all() {
        let listener = bind(&folder.join(&name))?;
        tokio::spawn(accept(name, listener, Arc::new(launcher.clone()), closed.clone()));
    }
    Ok(())
}

async fn accept(name: String, listener: UnixListener, launcher: Arc<Launcher>, closed: CancellationToken) {
    loop {
        let mut client = tokio::select! {
            biased;
            () = closed.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, name, "the device's socket is served no longer");
                    return;
                }
            },
        };
        let (name, launcher, closed) = (name.clone(), launcher.clone(), closed.clone());
        tokio::spawn(async move {
            // Without a domain there is no device; whoever asked sees the connection end.
            let Ok(mut device) = launcher.open(&name).await else { return };
            tokio::select! {
                biased;
                () = closed.cancelled() => {}
                _ = tokio::io::copy_bidirectional(&mut client, &mut device) => {}
            }
        });
    }
}

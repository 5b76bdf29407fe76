//! The API server alone: HTTPS on `--listen`, an administrator's kubeconfig in `--kubeconfig`.
//!
//! ```text
//! cargo run --example apiserver -- --listen 127.0.0.1:6443 --kubeconfig admin.kubeconfig [--data-dir FOLDER]
//! kubectl --kubeconfig admin.kubeconfig get namespaces
//! ```

use std::error::Error;
use std::sync::Arc;

use ferrovirt_apiserver::env::Env;
use ferrovirt_apiserver::http::ApiServer;
use ferrovirt_apiserver::net::Tcp;
use ferrovirt_apiserver::serve::{Limits, Listener, Pki, kubeconfig, server_config};
use ferrovirt_apiserver::store::Store;
use tokio_util::sync::CancellationToken;

fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listen = argument("--listen").unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let env = Env::system(u64::from(std::process::id()), Arc::new(Tcp));
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    let address = listener.local_addr()?;
    let pki = Pki::generate(&env.now, &[address.ip().to_string()])?;
    let mut builder = ApiServer::builder(env.clone()).pki(&pki);
    if let Some(folder) = argument("--data-dir") {
        builder = builder.store(Store::open(folder.as_ref())?);
    }
    let server = builder.build()?;
    let background = server.clone();
    tokio::spawn(async move { background.run().await });
    if let Some(file) = argument("--kubeconfig") {
        std::fs::write(file, kubeconfig(&pki, "apiserver", &format!("https://{address}")))?;
    }
    eprintln!("serving on https://{address}");
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stopping.cancel();
        }
    });
    Listener::new(server_config(&pki.serving, &env.now)?, env.now.clone(), Limits::default()).run(listener, server, stop).await;
    Ok(())
}

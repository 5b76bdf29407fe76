//! The guest's network ports: what answers there, as its script says.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// What answers at a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortScript {
    /// Sends back what it gets.
    Echo,
    /// Says this first, then sends back what it gets.
    Banner(String),
}

/// The ports of a guest that nothing else is said about: echo, and an SSH server as far as its banner.
pub(crate) fn usual() -> BTreeMap<u16, PortScript> {
    BTreeMap::from([(7, PortScript::Echo), (22, PortScript::Banner("SSH-2.0-OpenSSH_9.8\r\n".to_owned()))])
}

/// `22=SSH-2.0-OpenSSH_9.8,7=echo`: ports and their banners, each ended by a line break.
pub(crate) fn parse(text: &str) -> Option<BTreeMap<u16, PortScript>> {
    let mut ports = BTreeMap::new();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let (port, what) = pair.split_once('=')?;
        let script = if what == "echo" { PortScript::Echo } else { PortScript::Banner(format!("{what}\r\n")) };
        ports.insert(port.trim().parse().ok()?, script);
    }
    Some(ports)
}

/// Serves one connection until its client goes.
pub(crate) async fn serve(mut stream: DuplexStream, script: PortScript) -> std::io::Result<()> {
    if let PortScript::Banner(banner) = script {
        stream.write_all(banner.as_bytes()).await?;
    }
    let mut buffer = [0_u8; 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => stream.write_all(buffer.get(..count).unwrap_or_default()).await?,
        }
    }
}

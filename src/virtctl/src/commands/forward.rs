//! Forwarding ports (spec/virtctl.md §7).

use crate::error::{Error, Result, bail};
use crate::pipe::carry;
use crate::{ConnectionArgs, Deps, Machine, Session};
use std::sync::Arc;

/// `port-forward`.
#[derive(Debug, clap::Args)]
pub struct PortForward {
    /// TYPE/NAME[/NAMESPACE] of the guest, then [PROTOCOL/]LOCAL[:REMOTE] for each port
    #[arg(value_name = "TARGET PORT")]
    arguments: Vec<String>,
    /// Forward one port to standard input and output
    #[arg(long)]
    stdio: bool,
    /// Local address to listen at
    #[arg(long, default_value = "127.0.0.1")]
    address: String,
}

/// A guest, as `TYPE/NAME[/NAMESPACE]` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) kind: Machine,
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
}

impl Target {
    /// Parses `TYPE/NAME[/NAMESPACE]`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let (kind, name, namespace) = match parts.as_slice() {
            [""] => bail!("target cannot be empty"),
            [_] => bail!("target must contain type and name separated by '/'"),
            [kind, name] => (kind, name, None),
            [_, _, ""] => bail!("namespace cannot be empty"),
            [kind, name, namespace] => (kind, name, Some((*namespace).to_owned())),
            _ => bail!("target is not valid with more than two '/'"),
        };
        if name.is_empty() {
            bail!("name cannot be empty");
        }
        let Some(parsed) = Machine::parse(kind) else { bail!("unsupported resource type '{kind}'") };
        Ok(Self { kind: parsed, name: (*name).to_owned(), namespace })
    }
}

/// A port to forward.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Port {
    protocol: &'static str,
    local: u16,
    remote: u16,
}

impl Port {
    /// Parses `[PROTOCOL/]LOCAL[:REMOTE]`.
    fn parse(text: &str) -> Result<Self> {
        let (protocol, ports) = match text.split_once('/') {
            None => ("tcp", text),
            Some(("tcp", ports)) => ("tcp", ports),
            Some(("udp", ports)) => ("udp", ports),
            Some((protocol, _)) => bail!("unknown protocol: {protocol}"),
        };
        let (local, remote) = ports.split_once(':').unwrap_or((ports, ports));
        if local.is_empty() || remote.is_empty() {
            bail!("invalid port, missing local and/or remote port");
        }
        let number = |text: &str| text.parse::<u16>().map_err(|_| Error::new(format!("strconv.Atoi: parsing {text:?}: invalid syntax")));
        Ok(Self { protocol, local: number(local)?, remote: number(remote)? })
    }
}

/// A way into one guest's network.
#[derive(Clone)]
pub(crate) struct Tunnel {
    session: Session,
    target: Target,
}

impl Tunnel {
    pub(crate) async fn connect(target: Target, flags: &ConnectionArgs, deps: &Deps) -> Result<Self> {
        let mut session = deps.connect.connect(flags).await?;
        if let Some(namespace) = &target.namespace {
            session.namespace.clone_from(namespace);
        }
        Ok(Self { session, target })
    }

    async fn open(&self, port: &Port, deps: &Deps) -> Result<crate::session::Stream> {
        let Target { kind, name, .. } = &self.target;
        let path = self.session.subresource(*kind, name, &format!("portforward/{}/{}", port.remote, port.protocol));
        let opened = self.session.open(&path, &deps.entropy).await;
        opened.map_err(|error| error.after(format!("can't access {}/{name}.{}: ", kind.short(), self.session.namespace)))
    }

    /// Listens at a local port, and gives each connection, or each sender of datagrams, a stream of its own.
    async fn listen(self, port: Port, address: String, deps: Deps) -> Result<()> {
        let local = format!("{address}:{}", port.local);
        let mut listener = if port.protocol == "udp" { deps.net.listen_datagrams(&local).await? } else { deps.net.listen(&local).await? };
        deps.err.line(format!("forwarding {} {} to {}", port.protocol, listener.local_addr(), port.remote));
        let tunnel = Arc::new(self);
        loop {
            let (connection, _) = listener.accept().await?;
            deps.err.line(format!("opening new {} tunnel to {}", port.protocol, port.remote));
            let mut stream = match tunnel.open(&port, &deps).await {
                Ok(stream) => stream,
                // As in the original: the port is given up, the process stays.
                Err(error) => return Err(error),
            };
            let (deps, port) = (deps.clone(), port.clone());
            tokio::spawn(async move {
                deps.err.line(format!("handling {} connection for {}", port.protocol, port.local));
                let (reader, writer) = tokio::io::split(connection);
                if let Err(error) = carry(&mut stream, reader, writer, None).await {
                    deps.err.line(format!("error handling connection for {}: {error}", port.local));
                }
            });
        }
    }
}

impl PortForward {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let (target, ports) = match self.arguments.as_slice() {
            [target, ports @ ..] if !ports.is_empty() => (Target::parse(target)?, ports),
            _ => {
                let help = crate::cli::command().find_subcommand_mut("port-forward").map(|command| command.render_help().to_string());
                deps.out.text(help.unwrap_or_default());
                bail!("argument validation failed");
            }
        };
        let ports = ports.iter().map(|port| Port::parse(port)).collect::<Result<Vec<_>>>()?;
        let tunnel = Tunnel::connect(target, flags, deps).await?;
        if self.stdio {
            let [port] = ports.as_slice() else { bail!("only one port supported when forwarding to stdout") };
            let mut stream = tunnel.open(port, deps).await?;
            carry(&mut stream, deps.host.input(), deps.host.output(), None).await?;
            return Ok(());
        }
        let mut listening = tokio::task::JoinSet::new();
        for port in ports {
            let (tunnel, address, deps) = (tunnel.clone(), self.address.clone(), deps.clone());
            listening.spawn(async move {
                if let Err(error) = tunnel.listen(port, address, deps.clone()).await {
                    deps.err.line(error);
                }
            });
        }
        // The tasks end with the set, when this returns.
        deps.host.interrupted().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("vm/a", Ok((Machine::Vm, "a", None)))]
    #[case("VirtualMachineInstances/a/ns", Ok((Machine::Vmi, "a", Some("ns"))))]
    #[case("", Err("target cannot be empty"))]
    #[case("a", Err("target must contain type and name separated by '/'"))]
    #[case("vm/", Err("name cannot be empty"))]
    #[case("vm/a/", Err("namespace cannot be empty"))]
    #[case("vm/a/b/c", Err("target is not valid with more than two '/'"))]
    #[case("pod/a", Err("unsupported resource type 'pod'"))]
    fn targets(#[case] text: &str, #[case] expected: std::result::Result<(Machine, &str, Option<&str>), &str>) {
        let parsed = Target::parse(text);
        let seen = parsed.as_ref().map(|target| (target.kind, target.name.as_str(), target.namespace.as_deref()));
        assert_eq!(seen.map_err(|error| error.text.as_str()), expected);
    }

    #[rstest]
    #[case("22", Ok(("tcp", 22, 22)))]
    #[case("udp/5353:53", Ok(("udp", 5353, 53)))]
    #[case("8080:", Err("invalid port, missing local and/or remote port"))]
    #[case("sctp/1", Err("unknown protocol: sctp"))]
    #[case("ssh", Err("strconv.Atoi: parsing \"ssh\": invalid syntax"))]
    fn ports(#[case] text: &str, #[case] expected: std::result::Result<(&str, u16, u16), &str>) {
        let parsed = Port::parse(text);
        let seen = parsed.as_ref().map(|port| (port.protocol, port.local, port.remote));
        assert_eq!(seen.map_err(|error| error.text.as_str()), expected);
    }
}

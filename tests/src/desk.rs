//! The computer of a user who runs virtctl: in process, on the cluster's clock, with a scripted terminal.

use crate::wait::PATIENCE;
use anyhow::{Context as _, Result, bail};
use ferrovirt::cluster::Cluster;
use runtime::{MemoryNet, Net as _};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use virtctl::{Connect, ConnectionArgs, Deps, Host, Output, RawTerminal, Session};

/// What ends a console session: Ctrl+].
const ESCAPE: &[u8] = &[0x1d];

/// What a command came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code.
    pub code: u8,
    /// Standard output, and what was shown on the terminal.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Text that grows, and whoever waits for it.
#[derive(Clone)]
struct Shown(watch::Sender<Vec<u8>>);

impl Default for Shown {
    fn default() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }
}

impl Shown {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }

    /// Waits until the text has `wanted` behind `from`; where that ends.
    async fn until(&self, wanted: &str, from: usize) -> Result<usize> {
        let found = |text: &Vec<u8>| String::from_utf8_lossy(text).get(from..).and_then(|rest| rest.find(wanted)).is_some();
        let mut changes = self.0.subscribe();
        let seen = tokio::time::timeout(PATIENCE, changes.wait_for(found)).await;
        let seen = seen.is_ok_and(|seen| seen.is_ok());
        let text = self.text();
        anyhow::ensure!(seen, "no {wanted:?} in {:?}", text.get(from..));
        let at = text.get(from..).and_then(|rest| rest.find(wanted)).context("it was just there")?;
        Ok(from + at + wanted.len())
    }
}

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send_modify(|text| text.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl AsyncWrite for Shown {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut task::Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Write::write(&mut *self, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

struct Scripted {
    input: Mutex<Option<DuplexStream>>,
    shown: Shown,
    files: Files,
    interrupt: CancellationToken,
}

#[async_trait::async_trait]
impl Host for Scripted {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.get(path).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }

    fn write(&self, path: &str, content: &[u8]) -> std::io::Result<()> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), content.to_vec());
        Ok(())
    }

    async fn open(&self, path: &str) -> std::io::Result<(u64, Box<dyn AsyncRead + Send + Sync + Unpin>)> {
        let content = self.read(path)?;
        Ok((content.len() as u64, Box::new(std::io::Cursor::new(content))))
    }

    async fn create(&self, path: &str) -> std::io::Result<Box<dyn AsyncWrite + Send + Unpin>> {
        self.write(path, &[])?;
        Ok(Box::new(Written { files: self.files.clone(), path: path.to_owned() }))
    }

    fn find_program(&self, _: &str) -> Option<String> {
        None
    }

    async fn run_program(&self, _: &str, _: &[String]) -> std::io::Result<i32> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn raw_terminal(&self) -> std::io::Result<Option<Box<dyn RawTerminal>>> {
        Ok(None)
    }

    fn input(&self) -> Box<dyn AsyncRead + Send + Unpin> {
        match self.input.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(input) => Box::new(input),
            None => Box::new(tokio::io::empty()),
        }
    }

    fn output(&self) -> Box<dyn AsyncWrite + Send + Unpin> {
        Box::new(self.shown.clone())
    }

    async fn interrupted(&self) {
        self.interrupt.cancelled().await;
    }
}

/// A file that grows.
struct Written {
    files: Files,
    path: String,
}

impl AsyncWrite for Written {
    fn poll_write(self: Pin<&mut Self>, _: &mut task::Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.entry(self.path.clone()).or_default().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The user's own ports, and behind them the cluster's network.
struct Reach {
    own: MemoryNet,
    cluster: MemoryNet,
}

#[async_trait::async_trait]
impl runtime::Net for Reach {
    async fn listen(&self, addr: &str) -> std::io::Result<Box<dyn runtime::Listener>> {
        self.own.listen(addr).await
    }

    async fn dial(&self, addr: &str) -> std::io::Result<runtime::BoxStream> {
        match self.own.dial(addr).await {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => self.cluster.dial(addr).await,
            dialed => dialed,
        }
    }
}

/// Connects to the scenario's cluster, as whom the flags say.
struct ToCluster {
    admin: kube::Client,
    named: BTreeMap<String, kube::Client>,
}

#[async_trait::async_trait]
impl Connect for ToCluster {
    async fn connect(&self, flags: &ConnectionArgs) -> virtctl::Result<Session> {
        let client = match &flags.impersonate {
            None => Some(&self.admin),
            Some(user) => self.named.get(user),
        };
        let client = client.cloned().ok_or_else(|| virtctl::Error::new("no such user in this scenario"))?;
        Ok(Session { client, namespace: flags.namespace.clone().unwrap_or_else(|| "default".to_owned()) })
    }
}

/// The desk of one scenario's user.
#[derive(Default)]
pub struct Desk {
    files: Files,
    /// What the last command came to.
    pub last: Outcome,
    /// What a viewer was told about the screen: its name and size.
    pub screen: (String, u16, u16),
}

impl Desk {
    /// Puts a file on the user's computer.
    pub fn put_file(&mut self, path: &str, content: Vec<u8>) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), content);
    }

    /// A file that a command wrote.
    pub fn file(&self, path: &str) -> Option<Vec<u8>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    /// Runs a command line to its end; at the terminal, each text that is waited for is answered with a line.
    pub async fn run(&mut self, cluster: &Cluster, line: &str, dialogue: &[(String, String)]) -> Result<()> {
        let call = Call::new(cluster, line, &self.files);
        let command = virtctl::main(call.words, call.deps);
        let mut typing = call.typing;
        let shown = call.shown.clone();
        let console = line.starts_with("virtctl console");
        let user = async move {
            let mut from = 0;
            for (wanted, answer) in dialogue {
                from = shown.until(wanted, from).await?;
                if !answer.is_empty() {
                    typing.write_all(format!("{answer}\r").as_bytes()).await?;
                }
            }
            if console {
                typing.write_all(ESCAPE).await?;
            }
            Ok::<_, anyhow::Error>(())
        };
        let both = async {
            let (code, talked) = tokio::join!(command, user);
            (code, talked)
        };
        let done = tokio::time::timeout(2 * PATIENCE, both).await;
        self.last = Outcome { code: 0, out: call.shown.text(), err: call.errors.text() };
        let Ok((code, talked)) = done else { bail!("{line} does not end; it said {:?}", self.last) };
        self.last.code = code;
        talked.with_context(|| format!("{line} ended with {:?}", self.last))
    }

    /// Runs `virtctl vnc --proxy-only`, connects a viewer to the port it prints, and interrupts it then.
    pub async fn view(&mut self, cluster: &Cluster, line: &str) -> Result<()> {
        let call = Call::new(cluster, line, &self.files);
        let (shown, net, interrupt) = (call.shown.clone(), call.net.clone(), call.interrupt.clone());
        let viewer = async move {
            shown.until("}\n", 0).await?;
            let port: serde_json::Value = serde_json::from_str(shown.text().trim())?;
            let mut stream = net.dial(&format!("127.0.0.1:{}", port["port"])).await?;
            let mut version = [0; 12];
            stream.read_exact(&mut version).await?;
            anyhow::ensure!(&version == b"RFB 003.008\n", "{version:?}");
            stream.write_all(&version).await?;
            let mut security = [0; 2];
            stream.read_exact(&mut security).await?;
            stream.write_all(&[1]).await?;
            anyhow::ensure!(stream.read_u32().await? == 0, "the server wants more than no security");
            stream.write_all(&[1]).await?;
            let (width, height) = (stream.read_u16().await?, stream.read_u16().await?);
            let mut format = [0; 16];
            stream.read_exact(&mut format).await?;
            let mut name = vec![0; stream.read_u32().await? as usize];
            stream.read_exact(&mut name).await?;
            interrupt.cancel();
            Ok::<_, anyhow::Error>((String::from_utf8_lossy(&name).into_owned(), width, height))
        };
        let command = virtctl::main(call.words, call.deps);
        let viewed = tokio::time::timeout(PATIENCE, async {
            tokio::select! {
                biased;
                seen = viewer => seen,
                code = command => bail!("it ended with {code}"),
            }
        });
        let viewed = viewed.await;
        self.last = Outcome { code: 0, out: call.shown.text(), err: call.errors.text() };
        self.screen = viewed.with_context(|| format!("no viewer: {:?}", self.last))?.with_context(|| format!("{:?}", self.last))?;
        Ok(())
    }
}

/// One command, about to run.
struct Call {
    words: Vec<OsString>,
    deps: Deps,
    net: MemoryNet,
    typing: DuplexStream,
    shown: Shown,
    errors: Shown,
    interrupt: CancellationToken,
}

impl Call {
    fn new(cluster: &Cluster, line: &str, files: &Files) -> Self {
        let (typing, input) = tokio::io::duplex(4096);
        let (shown, errors, interrupt, net) = (Shown::default(), Shown::default(), CancellationToken::new(), MemoryNet::new());
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let users = line.split_whitespace().filter_map(|word| word.strip_prefix("--as="));
        let named = users.map(|user| (user.to_owned(), cluster.client_as(user, &["system:authenticated"]))).collect();
        let host = Scripted { input: Mutex::new(Some(input)), shown: shown.clone(), files: files.clone(), interrupt: interrupt.clone() };
        let deps = Deps {
            connect: Arc::new(ToCluster { admin: cluster.client(), named }),
            host: Arc::new(host),
            net: Arc::new(Reach { own: net.clone(), cluster: cluster.network().clone() }),
            clock: cluster.clock().clone(),
            entropy: runtime::Entropy::from_seed(7),
            out: Output::new(shown.clone()),
            err: Output::new(errors.clone()),
            program: "virtctl".to_owned(),
        };
        Self { words, deps, net, typing, shown, errors, interrupt }
    }
}

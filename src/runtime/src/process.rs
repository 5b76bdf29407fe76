//! A component as a process of its own: its options, the Kubernetes API by kubeconfig or service account, signals, and how it ends.
//!
//! Flow: a program parses its arguments together with [`Options`], takes its surroundings from [`Options::deps`], and leaves the rest
//! to [`main`]: an error is printed once, with its causes, and is exit code 1; a bad command line is exit code 2.

use std::env;
use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio_util::sync::CancellationToken;

use crate::files::below;
use crate::{Clock, Deps, Entropy, Files, TcpNet};

/// The environment variable that names the process with which this one ends.
pub const PARENT: &str = "FERROVIRT_PARENT";
/// The environment variable of [`Options::root`].
pub const ROOT: &str = "FERROVIRT_ROOT";
/// The environment variable of [`Options::address`].
pub const ADDRESS: &str = "FERROVIRT_ADDRESS";

/// Why a program ends early: for people to read.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Why a process could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is neither a kubeconfig nor a service account, or it is of no use.
    #[error("finding the Kubernetes API")]
    Config(#[from] kube::config::InferConfigError),
    /// The kubeconfig that was named is of no use.
    #[error("reading the kubeconfig {}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: kube::config::KubeconfigError,
    },
    /// The URL that was given is none.
    #[error("the API server's URL {url:?}")]
    Master {
        /// What was given.
        url: String,
        /// What is wrong.
        #[source]
        source: http::uri::InvalidUri,
    },
    /// The client could not be made.
    #[error("connecting to the Kubernetes API")]
    Client(#[from] kube::Error),
    /// Signals cannot be caught.
    #[error("catching signals")]
    Signals(#[from] io::Error),
}

/// What every component is told about its surroundings when it is a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Options {
    /// The kubeconfig of the cluster; without it `$KUBECONFIG`, else the pod's service account.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The API server's URL, in place of the kubeconfig's.
    #[arg(long, value_name = "URL")]
    pub master: Option<String>,
    /// A folder that stands in for `/`: for a process without a mount namespace of its own.
    #[arg(long, value_name = "DIR", env = ROOT)]
    pub root: Option<PathBuf>,
    /// The address to listen at where that would be every address: for a process without a network of its own.
    #[arg(long, value_name = "IP", env = ADDRESS)]
    pub address: Option<IpAddr>,
}

impl Options {
    /// Where a path of the container is.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.as_deref().map_or_else(|| PathBuf::from(path), |root| below(root, path))
    }

    /// Surroundings on the machine's clock, network and files; `shutdown` comes with SIGTERM or SIGINT.
    ///
    /// The namespace is `$POD_NAMESPACE`, else that of the kubeconfig or service account, else `kubevirt`.
    ///
    /// # Errors
    /// [`ProcessError`].
    pub async fn deps(&self) -> Result<Deps, ProcessError> {
        let mut config = match &self.kubeconfig {
            Some(path) => from_file(path).await.map_err(|source| ProcessError::Kubeconfig { path: path.clone(), source })?,
            None => kube::Config::infer().await?,
        };
        if let Some(url) = &self.master {
            config.cluster_url = url.parse().map_err(|source| ProcessError::Master { url: url.clone(), source })?;
        }
        let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let own = Some(config.default_namespace.clone()).filter(|name| name != "default");
        Ok(Deps {
            client: kube::Client::try_from(config)?,
            clock: Clock::system(),
            entropy: Entropy::system(),
            net: Arc::new(self.address.map_or_else(TcpNet::default, TcpNet::on_host)),
            files: self.root.clone().map_or(Files::Disk, Files::Below),
            shutdown: interrupted()?,
            pod_name: text("POD_NAME").or_else(|| text("HOSTNAME")).unwrap_or_else(|| "localhost".to_owned()),
            namespace: text("POD_NAMESPACE").or(own).unwrap_or_else(|| "kubevirt".to_owned()),
            node_name: text("NODE_NAME"),
            pod_ip: text("MY_POD_IP"),
        })
    }
}

async fn from_file(path: &Path) -> Result<kube::Config, kube::config::KubeconfigError> {
    kube::Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &KubeConfigOptions::default()).await
}

/// The log level that `-v N` means: upstream's 2 is the usual amount.
fn level(verbosity: u8) -> &'static str {
    match verbosity {
        0 | 1 => "warn",
        2 | 3 => "info",
        4 | 5 => "debug",
        _ => "trace",
    }
}

/// Writes what happens to standard error, from now on, as much of it as the verbosity of the command line asks for.
pub fn log(verbosity: u8) {
    tracing_subscriber::fmt().with_env_filter(level(verbosity)).with_writer(io::stderr).init();
}

/// A duration as Go's flags take it: `15s`, `1m30s`, `500ms`.
///
/// # Errors
/// What is wrong, for people who wrote the command line.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration such as 15s, 500ms or 1m30s");
    let mut rest = text;
    let mut seconds = 0.0_f64;
    while !rest.is_empty() || text.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        seconds += number.parse::<f64>().map_err(|_| wrong())? * unit;
        rest = tail;
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

/// How many threads a program has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// One: for what there are thousands of on a node.
    One,
    /// As many as there are processors.
    Many,
}

/// Runs a program to its end: the body of `fn main`.
pub fn main(threads: Threads, program: impl Future<Output = Result<ExitCode, Failure>>) -> ExitCode {
    match run(threads, program) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(threads: Threads, program: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    end_with_parent()?;
    let mut builder = match threads {
        Threads::One => tokio::runtime::Builder::new_current_thread(),
        Threads::Many => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.enable_all().build()?.block_on(program)
}

/// An error with its causes on one line; what a text says already is not said again.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

/// Has the kernel end this process when the one that `$FERROVIRT_PARENT` names is gone, as a container ends with its first process.
///
/// # Errors
/// The kernel does not do that, or the other process is gone already.
pub fn end_with_parent() -> io::Result<()> {
    let Some(parent) = env::var(PARENT).ok().and_then(|text| text.parse::<i32>().ok()) else { return Ok(()) };
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    // It may have ended before the kernel was asked.
    if nix::unistd::getppid().as_raw() == parent {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::BrokenPipe, format!("process {parent}, which this one belongs to, is gone")))
    }
}

/// Cancelled by SIGTERM or SIGINT.
///
/// # Errors
/// They cannot be caught.
pub fn interrupted() -> io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    let ours = token.clone();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            biased;
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        ours.cancel();
    });
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    #[test]
    fn an_error_is_told_with_its_causes() {
        assert_eq!(chain(&Outer(io::Error::other("inner"))), "outer: inner");
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        assert_eq!(duration("312s"), Ok(Duration::from_secs(312)));
        assert_eq!(duration("1m30.5s"), Ok(Duration::from_millis(90_500)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for bad in ["", "5", "s", "5 s", "-5s", "5d"] {
            assert!(duration(bad).is_err_and(|error| error.contains("is not a duration")), "{bad}");
        }
    }

    #[test]
    fn paths_are_below_the_root() {
        let mut options = Options::default();
        assert_eq!(options.path("/etc/x"), Path::new("/etc/x"));
        options.root = Some("/tmp/root".into());
        assert_eq!(options.path("/etc/x"), Path::new("/tmp/root/etc/x"));
    }

    #[tokio::test]
    async fn a_kubeconfig_that_is_not_there_is_named() {
        let options = Options { kubeconfig: Some("/nowhere/config".into()), ..Options::default() };
        let error = options.deps().await.unwrap_err();
        assert!(chain(&error).starts_with("reading the kubeconfig /nowhere/config: "), "{}", chain(&error));
    }
}

//! The computer in front of the user: files, programs, the terminal, what is printed.

use std::io::Write;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

/// Where text and bytes for the user go; clones share it.
#[derive(Clone)]
pub struct Output(Arc<Mutex<Box<dyn Write + Send>>>);

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Output")
    }
}

impl Output {
    /// Writes there.
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::new(writer))))
    }

    /// Prints a line.
    pub fn line(&self, text: impl std::fmt::Display) {
        self.text(format!("{text}\n"));
    }

    /// Prints text as it is.
    pub fn text(&self, text: impl AsRef<[u8]>) {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody is left to tell when the reader has gone away.
        let _ = writer.write_all(text.as_ref()).and_then(|()| writer.flush());
    }
}

/// Puts the terminal back as it was when it is dropped.
pub trait RawTerminal: Send {}

/// The computer that the command runs on.
#[async_trait]
pub trait Host: Send + Sync {
    /// The content of a file; `-` is standard input.
    ///
    /// # Errors
    /// The operating system's.
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>>;

    /// Writes a file.
    ///
    /// # Errors
    /// The operating system's.
    fn write(&self, path: &str, content: &[u8]) -> std::io::Result<()>;

    /// Opens a file for reading; its length in bytes as well.
    ///
    /// # Errors
    /// The operating system's.
    async fn open(&self, path: &str) -> std::io::Result<(u64, Box<dyn AsyncRead + Send + Sync + Unpin>)>;

    /// Makes a file, or empties it, for writing.
    ///
    /// # Errors
    /// The operating system's.
    async fn create(&self, path: &str) -> std::io::Result<Box<dyn AsyncWrite + Send + Unpin>>;

    /// Where a program is, by `$PATH` or by its own path.
    fn find_program(&self, name: &str) -> Option<String>;

    /// Runs a program with this one's standard streams and waits for it; its exit code.
    ///
    /// # Errors
    /// It cannot be started.
    async fn run_program(&self, program: &str, arguments: &[String]) -> std::io::Result<i32>;

    /// Puts the terminal in raw mode; `None` when standard input is none.
    ///
    /// # Errors
    /// The operating system's.
    fn raw_terminal(&self) -> std::io::Result<Option<Box<dyn RawTerminal>>>;

    /// Standard input.
    fn input(&self) -> Box<dyn AsyncRead + Send + Unpin>;

    /// Standard output, for bytes that pass through.
    fn output(&self) -> Box<dyn AsyncWrite + Send + Unpin>;

    /// Completes when the user interrupts.
    async fn interrupted(&self);
}

/// The machine itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalHost;

struct Restore(rustix::termios::Termios);

impl RawTerminal for Restore {}

impl Drop for Restore {
    fn drop(&mut self) {
        // The terminal may be gone; there is nothing to put back then.
        let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), rustix::termios::OptionalActions::Now, &self.0);
    }
}

#[async_trait]
impl Host for LocalHost {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        if path == "-" {
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin(), &mut content)?;
            return Ok(content);
        }
        std::fs::read(path)
    }

    fn write(&self, path: &str, content: &[u8]) -> std::io::Result<()> {
        std::fs::write(path, content)
    }

    async fn open(&self, path: &str) -> std::io::Result<(u64, Box<dyn AsyncRead + Send + Sync + Unpin>)> {
        let file = tokio::fs::File::open(path).await?;
        let length = file.metadata().await?.len();
        Ok((length, Box::new(file)))
    }

    async fn create(&self, path: &str) -> std::io::Result<Box<dyn AsyncWrite + Send + Unpin>> {
        Ok(Box::new(tokio::fs::File::create(path).await?))
    }

    fn find_program(&self, name: &str) -> Option<String> {
        if name.contains('/') {
            return std::path::Path::new(name).is_file().then(|| name.to_owned());
        }
        let folders = std::env::var_os("PATH")?;
        let found = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())?;
        Some(found.to_string_lossy().into_owned())
    }

    async fn run_program(&self, program: &str, arguments: &[String]) -> std::io::Result<i32> {
        let status = tokio::process::Command::new(program).args(arguments).status().await?;
        Ok(status.code().unwrap_or(-1))
    }

    fn raw_terminal(&self) -> std::io::Result<Option<Box<dyn RawTerminal>>> {
        let input = rustix::stdio::stdin();
        if !rustix::termios::isatty(input) {
            return Ok(None);
        }
        let before = rustix::termios::tcgetattr(input)?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(input, rustix::termios::OptionalActions::Now, &raw)?;
        Ok(Some(Box::new(Restore(before))))
    }

    fn input(&self) -> Box<dyn AsyncRead + Send + Unpin> {
        match std::io::stdin().as_fd().try_clone_to_owned() {
            Ok(input) => Box::new(tokio::fs::File::from_std(input.into())),
            // A closed input is an empty one.
            Err(_) => Box::new(tokio::io::empty()),
        }
    }

    fn output(&self) -> Box<dyn AsyncWrite + Send + Unpin> {
        match std::io::stdout().as_fd().try_clone_to_owned() {
            Ok(output) => Box::new(tokio::fs::File::from_std(output.into())),
            Err(_) => Box::new(tokio::io::sink()),
        }
    }

    async fn interrupted(&self) {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without signals nobody interrupts.
            std::future::pending::<()>().await;
        }
    }
}

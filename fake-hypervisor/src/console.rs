//! A guest's serial console: a banner, a login prompt, a shell that knows a few words (hypervisor.md §11).

use std::collections::VecDeque;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

/// Output nobody reads is kept up to this many bytes; older output goes first.
const BACKLOG: usize = 64 * 1024;

/// What a person at the console told the guest to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// `poweroff`.
    PowerOff,
    /// `reboot`.
    Reboot,
}

/// Who the console waits for.
#[derive(Debug, Default)]
enum Stage {
    /// Nobody: the guest is not up.
    #[default]
    Dead,
    /// A user's name.
    Login,
    /// The user's password.
    Password { user: String },
    /// A command of the user.
    Shell { user: String },
}

/// The console of one guest.
#[derive(Debug, Default)]
pub(crate) struct Console {
    host: String,
    unread: VecDeque<u8>,
    reader: Option<mpsc::UnboundedSender<Vec<u8>>>,
    line: String,
    stage: Stage,
}

impl Console {
    pub(crate) fn new(host: &str) -> Self {
        Self { host: host.to_owned(), ..Self::default() }
    }

    /// The guest is up: it prints `banner`, or asks for a login.
    pub(crate) fn boot(&mut self, banner: Option<&str>) {
        self.stage = Stage::Login;
        self.line.clear();
        match banner {
            Some(text) => self.print(&text.replace('\n', "\r\n")),
            None => self.prompt(),
        }
    }

    /// The guest is not up any more.
    pub(crate) fn halt(&mut self) {
        self.stage = Stage::Dead;
    }

    /// A reader connects; the one before is cut off. It gets what nobody read, then what comes.
    pub(crate) fn connect(&mut self) -> mpsc::UnboundedReceiver<Vec<u8>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        if !self.unread.is_empty() {
            let unread: Vec<u8> = self.unread.drain(..).collect();
            // The receiver is right here, so that this cannot fail.
            let _ = sender.send(unread);
        }
        self.reader = Some(sender);
        receiver
    }

    /// Somebody types.
    pub(crate) fn input(&mut self, bytes: &[u8]) -> Vec<Order> {
        let mut orders = Vec::new();
        for character in String::from_utf8_lossy(bytes).chars() {
            match (&self.stage, character) {
                (Stage::Dead, _) => {}
                (_, '\r' | '\n') => {
                    self.print("\r\n");
                    let line = std::mem::take(&mut self.line);
                    orders.extend(self.enter(line.trim()));
                }
                (_, '\u{7f}' | '\u{8}') => {
                    if self.line.pop().is_some() && !matches!(self.stage, Stage::Password { .. }) {
                        self.print("\u{8} \u{8}");
                    }
                }
                (Stage::Password { .. }, character) => self.line.push(character),
                (Stage::Login | Stage::Shell { .. }, character) => {
                    self.line.push(character);
                    self.print(character.encode_utf8(&mut [0; 4]));
                }
            }
        }
        orders
    }

    fn enter(&mut self, line: &str) -> Option<Order> {
        let mut order = None;
        self.stage = match std::mem::take(&mut self.stage) {
            Stage::Dead => Stage::Dead,
            Stage::Login if line.is_empty() => Stage::Login,
            Stage::Login => Stage::Password { user: line.to_owned() },
            Stage::Password { user } => Stage::Shell { user },
            Stage::Shell { user } => match line.split_once(' ').unwrap_or((line, "")) {
                ("", _) => Stage::Shell { user },
                ("exit" | "logout", _) => Stage::Login,
                ("echo", text) => {
                    self.print(&format!("{text}\r\n"));
                    Stage::Shell { user }
                }
                ("hostname", _) => {
                    self.print(&format!("{}\r\n", self.host));
                    Stage::Shell { user }
                }
                ("whoami", _) => {
                    self.print(&format!("{user}\r\n"));
                    Stage::Shell { user }
                }
                ("poweroff" | "reboot", _) => {
                    order = Some(if line.starts_with("poweroff") { Order::PowerOff } else { Order::Reboot });
                    Stage::Dead
                }
                (command, _) => {
                    self.print(&format!("-sh: {command}: command not found\r\n"));
                    Stage::Shell { user }
                }
            },
        };
        self.prompt();
        order
    }

    fn prompt(&mut self) {
        let prompt = match &self.stage {
            Stage::Dead => return,
            Stage::Login => format!("\r\n{} login: ", self.host),
            Stage::Password { .. } => "Password: ".to_owned(),
            Stage::Shell { user } => format!("[{user}@{} ~]$ ", self.host),
        };
        self.print(&prompt);
    }

    fn print(&mut self, text: &str) {
        if let Some(reader) = &self.reader {
            if reader.send(text.as_bytes().to_vec()).is_ok() {
                return;
            }
            self.reader = None;
        }
        self.unread.extend(text.as_bytes());
        let excess = self.unread.len().saturating_sub(BACKLOG);
        self.unread.drain(..excess);
    }
}

/// Carries bytes between a reader and the console until either side ends.
pub(crate) async fn serve(mut stream: DuplexStream, mut output: mpsc::UnboundedReceiver<Vec<u8>>, mut type_in: impl FnMut(&[u8])) {
    let mut buffer = [0_u8; 1024];
    loop {
        tokio::select! {
            biased;
            printed = output.recv() => match printed {
                Some(bytes) => if stream.write_all(&bytes).await.is_err() { return },
                None => return,
            },
            typed = stream.read(&mut buffer) => match typed {
                Ok(0) | Err(_) => return,
                Ok(count) => type_in(buffer.get(..count).unwrap_or_default()),
            },
        }
    }
}

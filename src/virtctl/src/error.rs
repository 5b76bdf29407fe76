//! Why a command failed: the text that is shown, and what the server answered where that matters.

/// A failed command; the text is what the user sees (spec/virtctl.md).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    /// The text.
    pub text: String,
    /// The HTTP status, where a server answered.
    pub code: Option<u16>,
}

/// What commands return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this program's own.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: None }
    }

    /// An answer of the server.
    pub fn answered(code: u16, text: impl Into<String>) -> Self {
        Self { text: text.into(), code: Some(code) }
    }

    /// Whether the server said that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        self.code == Some(404)
    }

    /// The same with text before it.
    #[must_use]
    pub fn after(self, prefix: impl std::fmt::Display) -> Self {
        Self { text: format!("{prefix}{}", self.text), code: self.code }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// Fails with a text.
macro_rules! bail {
    ($($text:tt)*) => { return Err($crate::error::Error::new(format!($($text)*))) };
}
pub(crate) use bail;

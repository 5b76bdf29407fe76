//! How a call can fail.

/// Why a call between handler and launcher failed (node.md §3.4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// The other side did not do it; its own words.
    #[error("{0}")]
    Refused(String),
    /// The connection broke off; whether it was done is not known.
    #[error("connection lost: {0}")]
    Disconnected(String),
    /// Nobody listens, or not yet.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The other side is of a version that does not know the call.
    #[error("unimplemented: {0}")]
    Unimplemented(String),
    /// No answer in time; whether it was done is not known.
    #[error("no answer within {0:?}")]
    Timeout(std::time::Duration),
}

impl RpcError {
    /// Whether the connection broke off, which is no error while both sides tear down.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected(_))
    }

    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Disconnected(_) | Self::Unavailable(_) | Self::Timeout(_) => true,
            Self::Refused(_) | Self::Unimplemented(_) => false,
        }
    }
}

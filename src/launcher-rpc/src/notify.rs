//! What a handler does for its launchers.

use async_trait::async_trait;

use crate::{DomainObject, Result};

/// How a domain changed, as watches say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainChange {
    /// It is new, or arrived.
    Added,
    /// It is different; a deletion is a change too, with a deletion time.
    Modified,
    /// It is gone; launchers never say so.
    Deleted,
    /// The launcher failed.
    Error,
}

impl DomainChange {
    /// The wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Error => "ERROR",
        }
    }

    /// The change with that wire form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Added, Self::Modified, Self::Deleted, Self::Error].into_iter().find(|change| change.as_str() == text)
    }
}

/// A domain changed.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainEvent {
    /// How.
    pub change: DomainChange,
    /// The domain as it is now.
    pub domain: DomainObject,
}

/// How serious an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Worth knowing.
    Normal,
    /// Something may go wrong.
    Warning,
}

/// An event about the VMI that the launcher wants its handler to record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmiEvent {
    /// The VMI's namespace.
    pub namespace: String,
    /// The VMI's name.
    pub name: String,
    /// The VMI's UID; an event for another incarnation is refused.
    pub uid: String,
    /// How serious.
    pub severity: Severity,
    /// CamelCase.
    pub reason: String,
    /// In words.
    pub message: String,
}

/// A handler, as its launchers see it (node.md §3.5).
#[async_trait]
pub trait Notify: Send + Sync {
    /// Takes in the state of a domain.
    async fn handle_domain_event(&self, event: DomainEvent) -> Result<()>;

    /// Records an event about a VMI.
    async fn handle_k8s_event(&self, event: VmiEvent) -> Result<()>;
}

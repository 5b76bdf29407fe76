//! What container images do: programs in this process, and what else images are known for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Container, Pod};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::logs::LogSink;
use super::worker::Message;

/// A program: runs a container, returns how it ended.
pub type Program = Arc<dyn Fn(ContainerContext) -> BoxFuture<'static, Exit> + Send + Sync>;

/// How a container ended; an exit code alone is one too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exit {
    /// The exit code.
    pub code: i32,
    /// What it left at its `terminationMessagePath`; may be empty.
    pub message: String,
}

impl From<i32> for Exit {
    fn from(code: i32) -> Self {
        Self { code, message: String::new() }
    }
}

/// What a container's program is given.
#[derive(Clone)]
pub struct ContainerContext {
    /// The pod, as it was when the container started.
    pub pod: Arc<Pod>,
    /// The container's name.
    pub container: String,
    /// The container as specified.
    pub spec: Arc<Container>,
    /// `command` followed by `args`, variables expanded.
    pub args: Vec<String>,
    /// The environment, with references to the pod, ConfigMaps and Secrets resolved.
    pub env: BTreeMap<String, String>,
    /// Name of the node.
    pub node: String,
    /// IP address of the pod.
    pub pod_ip: String,
    /// How often the container was restarted before.
    pub restarts: i32,
    /// SIGTERM.
    pub term: CancellationToken,
    /// SIGKILL: the program is dropped when this fires; it may look whether that is why it ends.
    pub kill: CancellationToken,
    /// Standard output, as `kubectl logs` shows it.
    pub log: LogSink,
    /// Readiness; without a call the container's probes decide.
    pub ready: ReadySetter,
}

impl fmt::Debug for ContainerContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContainerContext({} on {})", self.container, self.node)
    }
}

/// Says whether a container is ready.
#[derive(Clone, Debug)]
pub struct ReadySetter {
    pub(super) index: usize,
    pub(super) run: u64,
    pub(super) messages: mpsc::UnboundedSender<Message>,
}

impl ReadySetter {
    /// From now on the container is ready, or is not.
    pub fn set(&self, ready: bool) {
        // The pod may be gone already; then nobody asks.
        let _ = self.messages.send(Message::Ready { index: self.index, run: self.run, ready });
    }
}

/// What an image does.
#[derive(Clone)]
pub(super) enum Behaviour {
    Run(Program),
    /// Ends on SIGTERM.
    Pause,
    /// Ends by itself at once.
    Exit(i32),
    /// Cannot be pulled, for this reason.
    Unpullable(String),
}

/// Whether an image can be pulled for a pod; the error is why not.
pub type Registry = Arc<dyn Fn(&Pod, &str) -> Result<(), String> + Send + Sync>;

/// Images by name pattern; the first that matches counts, every other image is a pause.
#[derive(Clone, Default)]
pub struct Images {
    known: Vec<(String, Behaviour)>,
    registry: Option<Registry>,
}

impl fmt::Debug for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.known.iter().map(|(pattern, _)| pattern)).finish()
    }
}

impl Images {
    /// No special images.
    pub fn new() -> Self {
        Self::default()
    }

    /// Images that run a program. A pattern is an image name in which `*` stands for any text; without a tag or digest it
    /// matches all of them, and without a registry all of them.
    #[must_use]
    pub fn run<F, R>(mut self, pattern: &str, program: F) -> Self
    where
        F: Fn(ContainerContext) -> R + Send + Sync + 'static,
        R: Future<Output: Into<Exit>> + Send + 'static,
    {
        let program: Program = Arc::new(move |container| program(container).map(Into::into).boxed());
        self.known.push((pattern.to_owned(), Behaviour::Run(program)));
        self
    }

    /// Images that end at once with an exit code.
    #[must_use]
    pub fn exit(mut self, pattern: &str, code: i32) -> Self {
        self.known.push((pattern.to_owned(), Behaviour::Exit(code)));
        self
    }

    /// Images that cannot be pulled.
    #[must_use]
    pub fn unpullable(mut self, pattern: &str, why: &str) -> Self {
        self.known.push((pattern.to_owned(), Behaviour::Unpullable(why.to_owned())));
        self
    }

    /// Images that can be pulled only where `registry` has them.
    #[must_use]
    pub fn pulled_if(mut self, registry: impl Fn(&Pod, &str) -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.registry = Some(Arc::new(registry));
        self
    }

    pub(super) fn behaviour(&self, pod: &Pod, image: &str) -> Behaviour {
        if let Some(Err(why)) = self.registry.as_ref().map(|registry| registry(pod, image)) {
            return Behaviour::Unpullable(why);
        }
        self.known.iter().find(|(pattern, _)| image_matches(pattern, image)).map_or(Behaviour::Pause, |(_, behaviour)| behaviour.clone())
    }
}

fn image_matches(pattern: &str, image: &str) -> bool {
    let name = image.split('@').next().unwrap_or(image);
    let untagged = match name.rsplit_once(':') {
        Some((untagged, tag)) if !tag.contains('/') => untagged,
        _ => name,
    };
    let candidates = [image, name, untagged];
    candidates.iter().any(|candidate| {
        glob(pattern, candidate) || candidate.match_indices('/').any(|(at, _)| glob(pattern, candidate.get(at + 1..).unwrap_or_default()))
    })
}

fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(previous) = last.replace(part) {
            let part: &str = previous;
            match rest.find(part) {
                Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
                None => return false,
            }
        }
    }
    match last {
        None => rest.is_empty(),
        Some(last) => rest.len() >= last.len() && rest.ends_with(last),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::image_matches;

    #[rstest]
    #[case("virt-launcher", "quay.io/kubevirt/virt-launcher:v1.9.0", true)]
    #[case("virt-launcher", "quay.io/kubevirt/virt-launcher@sha256:00", true)]
    #[case("virt-launcher", "localhost:5000/virt-launcher", true)]
    #[case("virt-launcher", "other-virt-launcher", false)]
    #[case("virt-launcher:v1", "virt-launcher:v2", false)]
    #[case("quay.io/*/virt-*", "quay.io/kubevirt/virt-api:v1", true)]
    #[case("quay.io/*/virt-*", "docker.io/kubevirt/virt-api:v1", false)]
    #[case("*", "anything", true)]
    fn images_by_pattern(#[case] pattern: &str, #[case] image: &str, #[case] expected: bool) {
        assert_eq!(image_matches(pattern, image), expected);
    }
}

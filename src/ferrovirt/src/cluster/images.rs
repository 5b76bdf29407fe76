//! What the images of the components do: the same code that production runs, in process.

use super::NAMESPACE;
use super::launchers::Launchers;
use super::processes::{Processes, is_launcher};
use super::requests::{self, RequestCounts};
use super::shell;
use apiserver::auth::UserInfo;
use apiserver::http::ApiServer;
use apiserver::resource::GroupResource;
use apiserver::store::Key;
use base64::Engine as _;
use clap::Parser;
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Pod;
use runtime::process::chain;
use runtime::{Clock, Deps, Entropy, Files, MemoryNet};
use serde_json::Value;
use simcluster::{ContainerContext, Exit, Images};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The exit code of a process that SIGKILL ended.
const KILLED: i32 = 137;

/// What programs need besides their container.
#[derive(Clone)]
pub struct Surroundings {
    /// The API.
    pub server: ApiServer,
    /// Counts what components ask of it.
    pub counts: RequestCounts,
    /// Where timestamps come from.
    pub clock: Clock,
    /// Where random values come from.
    pub entropy: Entropy,
    /// The pods' network.
    pub net: MemoryNet,
    /// Launchers and their guests.
    pub launchers: Launchers,
    /// Where programs are processes of their own.
    pub processes: Option<Arc<Processes>>,
}

/// What every image does.
pub fn all(around: &Surroundings, unpullable: &[String]) -> Images {
    let mut images = Images::new();
    for image in unpullable {
        images = images.unpullable(image, "not found");
    }
    let program = |run: fn(Surroundings, ContainerContext) -> futures::future::BoxFuture<'static, i32>| {
        let around = around.clone();
        move |container: ContainerContext| match &around.processes {
            Some(processes) if processes.runs(&container) => Arc::clone(processes).run(container).boxed(),
            _ => run(around.clone(), container).map(Exit::from).boxed(),
        }
    };
    if let Some(processes) = around.processes.clone().filter(|processes| processes.machine().is_some()) {
        // What a guest boots from has to be there; all else only pretends anyway.
        images = images.pulled_if(move |pod, image| {
            let disk = is_launcher(pod) && !image.contains("virt-launcher");
            processes.machine().filter(|_| disk).map_or(Ok(()), |machine| machine.image(image).map(drop))
        });
    }
    images
        .run("virt-api", program(|around, container| component(around, container, "virt-api").boxed()))
        .run("virt-controller", program(|around, container| component(around, container, "virt-controller").boxed()))
        .run("virt-handler", program(|around, container| component(around, container, "virt-handler").boxed()))
        .run("virt-launcher", program(|around, container| launcher_image(around, container).boxed()))
        .run("*", |container| any_image(container).boxed())
}

/// A long-running component: until SIGTERM, its own end, or a crash that a spec asks for.
async fn component(around: Surroundings, container: ContainerContext, name: &'static str) -> i32 {
    let crash = around.launchers.component(name);
    let deps = deps(&around, &container);
    let node = container.node.clone();
    let ended = async {
        let outcome: Result<(), String> = match name {
            "virt-api" => match args::<virt_api::Args>(&container) {
                Ok(args) => virt_api::run(args, deps.clone()).await.map_err(|error| chain(&error)),
                Err(why) => Err(why),
            },
            "virt-controller" => match args::<virt_controller::Args>(&container) {
                Ok(args) => virt_controller::run(args, deps.clone()).await.map_err(|error| chain(&error)),
                Err(why) => Err(why),
            },
            _ => match args::<virt_handler::Args>(&container) {
                Ok(args) => virt_handler::run(args, deps.clone(), host(&around, &node)).await.map_err(|error| chain(&error)),
                Err(why) => Err(why),
            },
        };
        match outcome {
            Ok(()) => 0,
            Err(why) => {
                tracing::error!(component = name, error = why, "ended");
                container.log.print(&why);
                1
            }
        }
    };
    let code = tokio::select! {
        biased;
        () = crash.cancelled() => KILLED,
        code = ended => code,
    };
    // Whatever the component started in the background ends with it.
    deps.shutdown.cancel();
    code
}

/// What virt-handler finds on its node.
fn host(around: &Surroundings, node: &str) -> virt_handler::Host {
    // Device plugins speak to the kubelet, which writes the node's status with rights of its own.
    let kubelet = UserInfo::new(format!("system:node:{node}"), &["system:masters", "system:authenticated"]);
    let kubelet = requests::client(&around.server, &around.counts, kubelet);
    virt_handler::Host {
        directory: Arc::new(around.launchers.directory(node)),
        capabilities: around.launchers.capabilities(),
        device_plugins: Arc::new(virt_handler::AllocatablePatch::new(kubelet, node)),
    }
}

/// The command line of a container, without the program's name where `command` gives it.
fn args<A: Parser>(container: &ContainerContext) -> Result<A, String> {
    A::try_parse_from(&container.args).map_err(|error| error.to_string())
}

/// The surroundings of a component: its pod's account, address and mounted files.
fn deps(around: &Surroundings, container: &ContainerContext) -> Deps {
    let account = container.pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone()).unwrap_or_else(|| "default".into());
    let name = container.pod.metadata.name.clone().unwrap_or_default();
    let shutdown = CancellationToken::new();
    let (term, ours) = (container.term.clone(), shutdown.clone());
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = ours.cancelled() => {}
            () = term.cancelled() => ours.cancel(),
        }
    });
    Deps {
        client: requests::client(&around.server, &around.counts, service_account(&account, container)),
        clock: around.clock.clone(),
        // Every process has its own sequence, whatever the others draw.
        entropy: around.entropy.fork(&format!("{name}/{}", container.restarts)),
        net: Arc::new(around.net.on_host(&container.pod_ip)),
        files: Files::memory(mounted(&around.server, container)),
        shutdown,
        pod_name: name,
        namespace: NAMESPACE.to_owned(),
        node_name: Some(container.node.clone()),
        pod_ip: Some(container.pod_ip.clone()),
    }
}

/// The user a pod's token stands for, with the facts of a bound token.
fn service_account(account: &str, container: &ContainerContext) -> UserInfo {
    let mut user = UserInfo::new(
        format!("system:serviceaccount:{NAMESPACE}:{account}"),
        &["system:serviceaccounts", &format!("system:serviceaccounts:{NAMESPACE}"), "system:authenticated"],
    );
    let metadata = &container.pod.metadata;
    for (key, value) in [
        ("authentication.kubernetes.io/node-name", container.node.clone()),
        ("authentication.kubernetes.io/pod-name", metadata.name.clone().unwrap_or_default()),
        ("authentication.kubernetes.io/pod-uid", metadata.uid.clone().unwrap_or_default()),
    ] {
        user.extra.insert(key.to_owned(), vec![value]);
    }
    user
}

/// The Secrets that a container mounts, as files.
fn mounted(server: &ApiServer, container: &ContainerContext) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let volumes = container.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let secrets: BTreeMap<&str, &str> =
        volumes.filter_map(|volume| Some((volume.name.as_str(), volume.secret.as_ref()?.secret_name.as_deref()?))).collect();
    for mount in container.spec.volume_mounts.iter().flatten() {
        let Some(secret) = secrets.get(mount.name.as_str()) else { continue };
        let gr = GroupResource { group: String::new(), resource: "secrets".to_owned() };
        let Some(stored) = server.store().get(&Key::new(gr, NAMESPACE, *secret)) else { continue };
        for (name, content) in stored.value().get("data").and_then(Value::as_object).into_iter().flatten() {
            let content = base64::engine::general_purpose::STANDARD.decode(content.as_str().unwrap_or_default());
            files.insert(format!("{}/{name}", mount.mount_path), content.unwrap_or_default());
        }
    }
    files
}

/// The launcher image: virt-launcher where the command says so; its helpers otherwise.
async fn launcher_image(around: Surroundings, container: ContainerContext) -> i32 {
    let program = container.args.first().map(|path| path.rsplit('/').next().unwrap_or_default().to_owned()).unwrap_or_default();
    if program != "virt-launcher-monitor" && program != "virt-launcher" {
        // The guest's console log is followed for as long as the pod lives; everything else is done at once: copying a
        // program, writing node facts, probing an image.
        if program == "virt-tail" {
            let term = container.term.clone();
            drop(container);
            term.cancelled().await;
        }
        return 0;
    }
    let args = match args::<virt_launcher::Args>(&container) {
        Ok(args) => args,
        Err(why) => {
            container.log.print(&why);
            return 2;
        }
    };
    around.launchers.run(args, container, &around.clock).await
}

/// Any other image: it waits for its end. The tool that proves a container disk's image can be pulled is done at once.
async fn any_image(container: ContainerContext) -> i32 {
    let is_disk = container.args.first().is_some_and(|path| path.ends_with("/container-disk"));
    if is_disk && container.args.iter().any(|argument| argument == "--no-op") {
        return 0;
    }
    shell::run(container).await
}

/// The pod's UID.
pub(super) fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

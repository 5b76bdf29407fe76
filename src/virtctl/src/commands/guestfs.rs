//! A shell with libguestfs tools on a volume (spec/virtctl.md §10).

use super::{at, exact};
use crate::error::{Error, Result, bail};
use crate::session::SUBRESOURCES;
use crate::{ConnectionArgs, Deps, Machine, Session};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use serde_json::{Value, json};
use std::time::Duration;

/// How long the pod may take to run, and how often it is looked at.
const PATIENCE: Duration = Duration::from_secs(500);
const PERIOD: Duration = Duration::from_secs(1);

/// `guestfs`.
#[derive(Debug, clap::Args)]
pub struct GuestFs {
    /// PersistentVolumeClaim to work on
    #[arg(value_name = "PVC")]
    names: Vec<String>,
    /// Image with the tools
    #[arg(long)]
    image: Option<String>,
    /// When the image is pulled: Always, IfNotPresent or Never
    #[arg(long, default_value = "IfNotPresent", value_name = "POLICY")]
    pull_policy: String,
    /// Use /dev/kvm
    #[arg(long, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", value_name = "true|false", hide_possible_values = true)]
    kvm: bool,
    /// Run as root
    #[arg(long)]
    root: bool,
    /// User to run as
    #[arg(long)]
    uid: Option<i64>,
    /// Group to run as; needs --uid
    #[arg(long)]
    gid: Option<i64>,
    /// Group of the volume's files
    #[arg(long = "fsGroup", value_name = "GID")]
    fs_group: Option<i64>,
    /// Virtual machine whose placement the pod takes over
    #[arg(long, value_name = "NAME")]
    vm: Option<String>,
}

impl GuestFs {
    fn check(&self) -> Result<()> {
        if !matches!(self.pull_policy.as_str(), "Always" | "IfNotPresent" | "Never") {
            bail!("Invalid pull policy: {}", self.pull_policy);
        }
        if self.root && self.uid.is_some() {
            bail!("cannot set uid if root is true");
        }
        if self.root && self.gid.is_some() {
            bail!("cannot set gid id with root");
        }
        if self.gid.is_some() && self.uid.is_none() {
            bail!("gid requires the uid to be set");
        }
        if self.root && self.fs_group.is_some() {
            bail!("cannot set fsGroup id with root");
        }
        Ok(())
    }

    async fn image(&self, session: &Session) -> Result<String> {
        if let Some(image) = &self.image {
            return Ok(image.clone());
        }
        let info = session.get(&format!("{SUBRESOURCES}/guestfs")).await;
        let info = info.map_err(|error| error.after("could not get guestfs image info: "))?;
        let text = |key: &str| info[key].as_str().unwrap_or_default();
        if !text("gsImage").is_empty() {
            return Ok(text("gsImage").to_owned());
        }
        let registry = if text("registry").is_empty() { String::new() } else { format!("{}/", text("registry")) };
        let version = match (text("digest"), text("tag")) {
            ("", "") => bail!("Neither the digest nor the tag for the image has been specified"),
            ("", tag) => format!(":{tag}"),
            (digest, _) => format!("@{digest}"),
        };
        Ok(format!("{registry}{}libguestfs-tools{version}", text("imagePrefix")))
    }

    fn pod(&self, claim: &str, block: bool, image: &str, vm: Option<&Value>) -> Value {
        let mut container = json!({
            "name": "libguestfs", "image": image, "imagePullPolicy": self.pull_policy, "command": ["/entrypoint.sh"],
            "stdin": true, "tty": true,
            "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
                "runAsNonRoot": !self.root,
            },
            "env": [
                {"name": "LIBGUESTFS_BACKEND", "value": "direct"},
                {"name": "LIBGUESTFS_PATH", "value": "/usr/local/lib/guestfs/appliance"},
                {"name": "LIBGUESTFS_TMPDIR", "value": "/tmp/guestfs"},
                {"name": "HOME", "value": "/home/guestfs"},
            ],
            "volumeMounts": [
                {"name": "libguestfs-tmp-dir", "mountPath": "/tmp/guestfs"}, {"name": "home", "mountPath": "/home/guestfs"},
            ],
        });
        if self.kvm {
            container["resources"] = json!({"limits": {"devices.kubevirt.io/kvm": "1"}});
        }
        if block {
            container["volumeDevices"] = json!([{"name": "volume", "devicePath": "/dev/vda"}]);
        } else {
            container["workingDir"] = json!("/disk");
            if let Some(mounts) = container["volumeMounts"].as_array_mut() {
                mounts.push(json!({"name": "volume", "mountPath": "/disk"}));
            }
        }
        let mut security = json!({"runAsNonRoot": !self.root});
        let user = if self.root { Some(0) } else { self.uid };
        for (key, value) in [("runAsUser", user), ("runAsGroup", self.gid), ("fsGroup", self.fs_group)] {
            if let Some(value) = value {
                security[key] = json!(value);
            }
        }
        let mut spec = json!({
            "containers": [container], "restartPolicy": "Never", "securityContext": security,
            "volumes": [
                {"name": "volume", "persistentVolumeClaim": {"claimName": claim, "readOnly": false}},
                {"name": "libguestfs-tmp-dir", "emptyDir": {}}, {"name": "home", "emptyDir": {}},
            ],
        });
        let mut metadata = json!({"name": format!("libguestfs-tools-{claim}")});
        if let Some(template) = vm.map(|vm| &vm["spec"]["template"]) {
            for key in ["tolerations", "affinity", "nodeSelector"] {
                if let Some(value) = template["spec"].get(key) {
                    spec[key] = value.clone();
                }
            }
            if let Some(labels) = template["metadata"].get("labels") {
                metadata["labels"] = labels.clone();
            }
        }
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    }

    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [claim] = exact(&self.names)?;
        self.check()?;
        let session = deps.connect.connect(flags).await?;
        let image = self.image(&session).await?;
        deps.out.line(format!("Use image: {image}"));
        let Some(pvc) = session.find(&session.core("persistentvolumeclaims", claim)).await? else { bail!("The PVC {claim} doesn't exist") };
        let pods = session.get(&session.core("pods", "")).await?;
        let uses = |pod: &Value| {
            let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array);
            volumes.is_some_and(|volumes| volumes.iter().any(|volume| at(volume, "/persistentVolumeClaim/claimName") == claim))
        };
        if pods["items"].as_array().is_some_and(|pods| pods.iter().any(uses)) {
            bail!("PVC {claim} is used by another pod");
        }
        let vm = match &self.vm {
            Some(name) => Some(session.get(&session.machine(Machine::Vm, name)).await?),
            None => None,
        };
        let block = at(&pvc, "/spec/volumeMode") == "Block";
        let pod = self.pod(claim, block, &image, vm.as_ref());
        let name = at(&pod, "/metadata/name").to_owned();
        session.create(&session.core("pods", ""), &pod).await?;
        let worked = tokio::select! {
            biased;
            () = deps.host.interrupted() => Ok(()),
            worked = attach(&session, &name, block, deps) => worked,
        };
        let deleted = session.delete(&session.core("pods", &name)).await;
        worked.and(deleted)
    }
}

/// Waits until the pod runs, then gives the user its terminal.
async fn attach(session: &Session, name: &str, block: bool, deps: &Deps) -> Result<()> {
    let path = session.core("pods", name);
    let ready = tokio::time::timeout(PATIENCE, async {
        loop {
            let pod = session.get(&path).await?;
            match at(&pod, "/status/phase") {
                "Running" => return Ok(()),
                phase @ ("Failed" | "Succeeded") => bail!("Pod is not in running state but got {phase}"),
                _ => tokio::time::sleep(PERIOD).await,
            }
        }
    });
    ready.await.unwrap_or_else(|_| Err(Error::new(format!("timeout in waiting for the containers to be started in pod {name}"))))?;
    deps.out.line(format!("The PVC has been mounted at {}", if block { "/dev/vda" } else { "/disk" }));
    let pods: Api<Pod> = Api::namespaced(session.client.clone(), &session.namespace);
    let params = AttachParams::interactive_tty().container("libguestfs");
    let attached = pods.attach(name, &params).await;
    let mut attached = attached.map_err(|error| Error::new(format!("error attaching to the pod {name}: {error}")))?;
    let (Some(mut stdin), Some(mut stdout)) = (attached.stdin(), attached.stdout()) else { bail!("the pod {name} has no terminal") };
    let raw = deps.host.raw_terminal()?;
    let (mut typed, mut shown) = (deps.host.input(), deps.host.output());
    let ended = tokio::select! {
        biased;
        printed = tokio::io::copy(&mut stdout, &mut shown) => printed,
        typed = tokio::io::copy(&mut typed, &mut stdin) => typed,
    };
    drop(raw);
    ended.map(drop).map_err(Error::from)
}

//! A pod's volumes as files, where its process looks for them.

use super::{Processes, machine};
use base64::Engine as _;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, PersistentVolumeClaim, Pod, Secret, ServiceAccount, ServiceAccountTokenProjection, Volume,
};
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use runtime::Clock;
use simcluster::ContainerContext;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

/// Where a pod's token is mounted.
const TOKEN_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Of a token's lifetime, this part passes before it is renewed.
const TOKEN_USE: f64 = 0.8;

/// Files by their path in the volume.
type Content = BTreeMap<String, Vec<u8>>;

/// Why a pod's volumes cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(super) enum MountError {
    /// A file or folder.
    #[error("set up {}", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// The API does not answer.
    #[error("read what volume {volume:?} is made of")]
    Api {
        /// The volume.
        volume: String,
        /// What is wrong.
        #[source]
        source: kube::Error,
    },
}

/// The volumes of a process.
pub(super) struct Mounts {
    client: kube::Client,
    pod: std::sync::Arc<Pod>,
    /// Volumes with content that may change, and where they are.
    filled: Vec<(Volume, PathBuf)>,
    /// Tokens by audience and lifetime, with the second at which each is renewed.
    tokens: BTreeMap<(String, i64), (String, i64)>,
    clock: Clock,
    /// What the process takes for `/`.
    pub(super) root: PathBuf,
    /// The process's kubeconfig, where it has a token.
    pub(super) kubeconfig: Option<PathBuf>,
    /// Folders that outlive the pod, and that its process writes to.
    pub(super) kept: Vec<PathBuf>,
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> MountError {
    move |source| MountError::File { path: path.to_owned(), source }
}

impl Mounts {
    /// Lays out a container's volumes in its pod's folder.
    pub(super) async fn set_up(processes: &Processes, container: &ContainerContext, folder: &Path) -> Result<Self, MountError> {
        let root = folder.join("containers").join(&container.container).join("root");
        match fs::remove_dir_all(&root) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&root)(error)),
            Ok(()) | Err(_) => {}
        }
        for path in ["dev", "run", "tmp", "etc"] {
            make(&root.join(path))?;
        }
        link(&root.join("run"), &root.join("var/run"))?;
        hosts(folder, container)?;
        let mut mounts = Self {
            client: processes.kubelet.clone(),
            pod: container.pod.clone(),
            filled: Vec::new(),
            tokens: BTreeMap::new(),
            clock: Clock::system(),
            root,
            kubeconfig: None,
            kept: Vec::new(),
        };
        let volumes = container.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let volumes: BTreeMap<&str, &Volume> = volumes.map(|volume| (volume.name.as_str(), volume)).collect();
        let mut wanted: Vec<_> = container.spec.volume_mounts.iter().flatten().collect();
        // What is mounted inside of another mount comes after it.
        wanted.sort_by(|a, b| a.mount_path.cmp(&b.mount_path));
        for mount in wanted {
            let Some(volume) = volumes.get(mount.name.as_str()) else { continue };
            let Some(source) = mounts.volume(processes, container, folder, volume).await? else { continue };
            let source = mount.sub_path.as_ref().map_or_else(|| source.clone(), |path| inside(&source, path));
            link(&source, &inside(&mounts.root, &mount.mount_path))?;
            if mount.mount_path == TOKEN_FOLDER {
                mounts.kubeconfig = Some(mounts.write_kubeconfig(processes)?);
            }
        }
        for device in container.spec.volume_devices.iter().flatten() {
            let claim = volumes.get(device.name.as_str()).and_then(|volume| volume.persistent_volume_claim.as_ref());
            let Some(claim) = claim else { continue };
            let file = mounts.block(processes, &claim.claim_name).await?;
            link(&file, &inside(&mounts.root, &device.device_path))?;
        }
        if processes.machine().is_some() && machine::wants_kvm(container) {
            link(machine::kvm(), &inside(&mounts.root, &machine::kvm().display().to_string()))?;
        }
        Ok(mounts)
    }

    /// The file that stands in for the block device of a claim, as large as the claim.
    async fn block(&mut self, processes: &Processes, name: &str) -> Result<PathBuf, MountError> {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &self.pod.namespace().unwrap_or_default());
        let claim = api.get(name).await.map_err(|source| MountError::Api { volume: name.to_owned(), source })?;
        let there = claim.status.and_then(|status| status.capacity).and_then(|capacity| capacity.get("storage").cloned());
        let asked = claim.spec.and_then(|spec| spec.resources?.requests?.get("storage").cloned());
        let size = there.or(asked).and_then(|size| api::quantity::parse(&size.0)).map_or(0, |size| size.value());
        let folder = self.claim(processes, name)?;
        let path = folder.join("device");
        let file = fs::File::options().append(true).create(true).open(&path).map_err(failed(&path))?;
        if let Ok(size) = u64::try_from(size) {
            file.set_len(size).map_err(failed(&path))?;
        }
        Ok(path)
    }

    /// The folder of a claim.
    fn claim(&mut self, processes: &Processes, name: &str) -> Result<PathBuf, MountError> {
        let path = processes.folder().join("claims").join(self.pod.namespace().unwrap_or_default()).join(name);
        make(&path)?;
        self.kept.push(path.clone());
        Ok(path)
    }

    /// The place of a volume, filled; none for kinds that no program of ours reads.
    async fn volume(
        &mut self,
        processes: &Processes,
        container: &ContainerContext,
        folder: &Path,
        volume: &Volume,
    ) -> Result<Option<PathBuf>, MountError> {
        let of = |kind: &str| folder.join("volumes").join(format!("kubernetes.io~{kind}")).join(&volume.name);
        if let Some(machine) = processes.machine() {
            if let Some(image) = &volume.image {
                let reference = image.reference.as_deref().unwrap_or_default();
                return Ok(machine.image(reference).ok());
            }
            // A disk of the host: this machine is the host of real guests.
            if let Some(host) = volume.host_path.as_ref().filter(|_| is_launcher(&self.pod)) {
                let path = PathBuf::from(&host.path);
                if host.type_.as_deref() == Some("DirectoryOrCreate") && !path.exists() {
                    make(&path)?;
                    self.kept.push(path.clone());
                }
                return Ok(Some(path));
            }
        }
        if let Some(host) = &volume.host_path {
            let path = inside(&processes.folder().join(&container.node), &host.path);
            make(&path)?;
            return Ok(Some(path));
        }
        if let Some(claim) = &volume.persistent_volume_claim {
            return self.claim(processes, &claim.claim_name).map(Some);
        }
        if volume.empty_dir.is_some() {
            let path = of("empty-dir");
            make(&path)?;
            return Ok(Some(path));
        }
        let kind = match volume {
            Volume { secret: Some(_), .. } => "secret",
            Volume { config_map: Some(_), .. } => "configmap",
            Volume { downward_api: Some(_), .. } => "downward-api",
            Volume { projected: Some(_), .. } => "projected",
            _ => return Ok(None),
        };
        let path = of(kind);
        make(&path)?;
        self.fill(volume, &path).await?;
        self.filled.push((volume.clone(), path.clone()));
        Ok(Some(path))
    }

    /// Brings every volume in line with what it is made of: Secrets are replaced, tokens run out.
    pub(super) async fn refresh(&mut self) {
        for (volume, path) in std::mem::take(&mut self.filled) {
            if let Err(error) = self.fill(&volume, &path).await {
                let error = runtime::process::chain(&error);
                tracing::warn!(error, pod = self.pod.name_any(), volume = volume.name, "the volume stays as it was");
            }
            self.filled.push((volume, path));
        }
    }

    async fn fill(&mut self, volume: &Volume, folder: &Path) -> Result<(), MountError> {
        let content = self.content(volume).await.map_err(|source| MountError::Api { volume: volume.name.clone(), source })?;
        for (name, bytes) in &content {
            let path = inside(folder, name);
            if fs::read(&path).is_ok_and(|old| old == *bytes) {
                continue;
            }
            make(path.parent().unwrap_or(folder))?;
            // Whoever reads sees the old or the new one, whole.
            let draft = path.with_file_name(format!("..{}", path.file_name().unwrap_or_default().display()));
            fs::write(&draft, bytes).and_then(|()| fs::rename(&draft, &path)).map_err(failed(&path))?;
        }
        Ok(())
    }

    async fn content(&mut self, volume: &Volume) -> Result<Content, kube::Error> {
        let mut content = Content::new();
        if let Some(source) = &volume.secret {
            content.extend(self.secret(source.secret_name.as_deref().unwrap_or_default(), source.items.as_deref()).await?);
        }
        if let Some(source) = &volume.config_map {
            content.extend(self.config_map(&source.name, source.items.as_deref()).await?);
        }
        if let Some(source) = &volume.downward_api {
            content.extend(self.downward(source.items.as_deref()));
        }
        for source in volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()) {
            if let Some(source) = &source.secret {
                content.extend(self.secret(&source.name, source.items.as_deref()).await?);
            }
            if let Some(source) = &source.config_map {
                content.extend(self.config_map(&source.name, source.items.as_deref()).await?);
            }
            if let Some(source) = &source.downward_api {
                content.extend(self.downward(source.items.as_deref()));
            }
            if let Some(source) = &source.service_account_token {
                content.insert(source.path.clone(), self.token(source).await?.into_bytes());
            }
        }
        Ok(content)
    }

    async fn secret(&self, name: &str, items: Option<&[KeyToPath]>) -> Result<Content, kube::Error> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.pod.namespace().unwrap_or_default());
        let data = api.get_opt(name).await?.and_then(|secret| secret.data).unwrap_or_default();
        Ok(chosen(data.into_iter().map(|(key, value)| (key, value.0)).collect(), items))
    }

    async fn config_map(&self, name: &str, items: Option<&[KeyToPath]>) -> Result<Content, kube::Error> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.pod.namespace().unwrap_or_default());
        let Some(map) = api.get_opt(name).await? else { return Ok(Content::new()) };
        let texts = map.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.into_bytes()));
        let bytes = map.binary_data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0));
        Ok(chosen(texts.chain(bytes).collect(), items))
    }

    /// What the downward API says; fields that only a running pod has are not there.
    fn downward(&self, items: Option<&[DownwardAPIVolumeFile]>) -> Content {
        let items = items.unwrap_or_default().iter();
        let field = |item: &DownwardAPIVolumeFile| item.field_ref.as_ref().map(|field| field_of(&self.pod, &field.field_path));
        items.filter_map(|item| Some((item.path.clone(), field(item)?.into_bytes()))).collect()
    }

    /// A token of the pod's account, bound to the pod; renewed well before its end.
    async fn token(&mut self, wanted: &ServiceAccountTokenProjection) -> Result<String, kube::Error> {
        let lifetime = wanted.expiration_seconds.unwrap_or(3600);
        let audience = wanted.audience.clone().unwrap_or_default();
        let now = self.clock.now().as_second();
        let key = (audience.clone(), lifetime);
        if let Some((token, until)) = self.tokens.get(&key)
            && now < *until
        {
            return Ok(token.clone());
        }
        let account = self.pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone()).unwrap_or_else(|| "default".to_owned());
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: Some(audience).filter(|audience| !audience.is_empty()).into_iter().collect(),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: self.pod.metadata.name.clone(),
                    uid: self.pod.metadata.uid.clone(),
                }),
                expiration_seconds: Some(lifetime),
            },
            ..TokenRequest::default()
        };
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.pod.namespace().unwrap_or_default());
        let answer = api.create_token_request(&account, &PostParams::default(), &request).await?;
        let token = answer.status.map(|status| status.token).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "lifetimes are hours, in seconds")]
        let until = now + (lifetime as f64 * TOKEN_USE) as i64;
        self.tokens.insert(key, (token.clone(), until));
        Ok(token)
    }

    /// The pod's way to the API, as programs outside of a cluster take it.
    fn write_kubeconfig(&self, processes: &Processes) -> Result<PathBuf, MountError> {
        let authority = base64::engine::general_purpose::STANDARD.encode(&processes.authority);
        let text = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "pod",
            "clusters": [{"name": "cluster", "cluster": {"server": processes.options.url, "certificate-authority-data": authority}}],
            "users": [{"name": "account", "user": {"tokenFile": inside(&self.root, TOKEN_FOLDER).join("token")}}],
            "contexts": [{"name": "pod", "context": {"cluster": "cluster", "user": "account", "namespace": self.pod.namespace()}}],
        });
        let path = self.root.join("etc/kubeconfig");
        fs::write(&path, text.to_string()).map_err(failed(&path))?;
        Ok(path)
    }
}

/// Whether a pod is a virtual machine's.
pub(crate) fn is_launcher(pod: &Pod) -> bool {
    pod.labels().get("kubevirt.io").is_some_and(|app| app == "virt-launcher")
}

/// The file that tells a pod its own address, as kubelets write it.
fn hosts(folder: &Path, container: &ContainerContext) -> Result<(), MountError> {
    let path = folder.join("etc-hosts");
    let text = format!(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{}\t{}\n",
        container.pod_ip,
        container.pod.name_any()
    );
    fs::write(&path, text).map_err(failed(&path))
}

/// The keys that a volume takes, under the paths it gives them; all of them where it names none.
fn chosen(mut data: Content, items: Option<&[KeyToPath]>) -> Content {
    match items {
        None => data,
        Some(items) => items.iter().filter_map(|item| Some((item.path.clone(), data.remove(&item.key)?))).collect(),
    }
}

/// A field of the pod's metadata; maps are written as the downward API writes them.
fn field_of(pod: &Pod, path: &str) -> String {
    let map = |values: &BTreeMap<String, String>| {
        let lines = values.iter().map(|(key, value)| format!("{key}={}", serde_json::Value::from(value.as_str())));
        lines.collect::<Vec<_>>().join("\n")
    };
    let one = |values: &BTreeMap<String, String>, key: &str| values.get(key.trim_end_matches("']")).cloned().unwrap_or_default();
    match path.split_once("['") {
        Some(("metadata.labels", key)) => one(pod.labels(), key),
        Some(("metadata.annotations", key)) => one(pod.annotations(), key),
        _ => match path {
            "metadata.labels" => map(pod.labels()),
            "metadata.annotations" => map(pod.annotations()),
            "metadata.name" => pod.name_any(),
            "metadata.namespace" => pod.namespace().unwrap_or_default(),
            "metadata.uid" => pod.uid().unwrap_or_default(),
            _ => String::new(),
        },
    }
}

/// A path below a folder, whatever the path says.
fn inside(folder: &Path, path: &str) -> PathBuf {
    let steps = Path::new(path).components().filter(|step| matches!(step, Component::Normal(_)));
    steps.fold(folder.to_owned(), |path, step| path.join(step))
}

fn make(folder: &Path) -> Result<(), MountError> {
    fs::create_dir_all(folder).map_err(failed(folder))
}

/// Has a volume appear where it is mounted.
fn link(source: &Path, at: &Path) -> Result<(), MountError> {
    if let Some(parent) = at.parent() {
        make(parent)?;
    }
    // Left by an earlier run of the container, in a volume that outlived it.
    if at.is_symlink() {
        fs::remove_file(at).map_err(failed(at))?;
    }
    symlink(source, at).map_err(failed(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        assert_eq!(inside(Path::new("/a"), "/etc/../../x"), Path::new("/a/etc/x"));
    }

    #[test]
    fn chosen_keys_are_renamed() {
        let data = Content::from([("a".to_owned(), vec![1]), ("b".to_owned(), vec![2])]);
        let items = [KeyToPath { key: "b".to_owned(), path: "dir/c".to_owned(), mode: None }];
        assert_eq!(chosen(data.clone(), Some(&items)), Content::from([("dir/c".to_owned(), vec![2])]));
        assert_eq!(chosen(data.clone(), None), data);
    }

    #[test]
    fn the_downward_api_quotes_values() {
        let mut pod = Pod::default();
        pod.metadata.annotations = Some(BTreeMap::from([("a".to_owned(), "x \"y\"".to_owned())]));
        assert_eq!(field_of(&pod, "metadata.annotations"), r#"a="x \"y\"""#);
        assert_eq!(field_of(&pod, "metadata.annotations['a']"), "x \"y\"");
    }
}

//! Uploads of disk images to claims that CDI fills (spec/virtctl.md §8).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body, Frame, SizeHint};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use super::at;
use crate::error::{Error, Result, bail};
use crate::fetch::{self, Outgoing, Trust};
use crate::progress::Progress;
use crate::{ConnectionArgs, Deps, Session};

const TARGET: &str = "cdi.kubevirt.io/storage.upload.target";
const CONTENT_TYPE: &str = "cdi.kubevirt.io/storage.contentType";
const POD_PHASE: &str = "cdi.kubevirt.io/storage.pod.phase";
const POD_READY: &str = "cdi.kubevirt.io/storage.pod.ready";
const BIND_NOW: &str = "cdi.kubevirt.io/storage.bind.immediate.requested";
const CDI: &str = "cdi.kubevirt.io/v1beta1";
/// Between two looks at a claim.
const LOOK: Duration = Duration::from_secs(2);
/// How long the data may be processed.
const PROCESSING: Duration = Duration::from_hours(24);
/// How often a token is asked for anew.
const TOKEN_REFRESHES: u32 = 3;
/// What is read of a file at once.
const CHUNK: usize = 64 << 10;

/// `image-upload`.
#[derive(Debug, clap::Args)]
pub struct ImageUpload {
    /// dv or pvc, and its name
    #[arg(value_name = "TYPE NAME")]
    names: Vec<String>,
    /// Do not verify the proxy's certificate
    #[arg(long)]
    insecure: bool,
    /// URL of CDI's upload proxy; CDI's configuration says it where this flag does not
    #[arg(long, value_name = "URL")]
    uploadproxy_url: Option<String>,
    /// Name of the claim; deprecated, name it after pvc
    #[arg(long, value_name = "NAME", hide = true)]
    pvc_name: Option<String>,
    /// Size of the claim; deprecated, use --size
    #[arg(long, hide = true)]
    pvc_size: Option<String>,
    /// Size of the new volume, as in 10Gi
    #[arg(long)]
    size: Option<String>,
    /// Storage class of the new volume
    #[arg(long, value_name = "CLASS")]
    storage_class: Option<String>,
    /// Access mode of the new volume
    #[arg(long, value_name = "MODE")]
    access_mode: Option<String>,
    /// Make a block volume; deprecated, use --volume-mode
    #[arg(long, hide = true)]
    block_volume: bool,
    /// Volume mode of the new volume: block or filesystem
    #[arg(long, value_name = "MODE")]
    volume_mode: Option<String>,
    /// Disk image to upload
    #[arg(long, value_name = "PATH")]
    image_path: Option<String>,
    /// Archive to upload
    #[arg(long, value_name = "PATH")]
    archive_path: Option<String>,
    /// Upload to a volume that exists
    #[arg(long)]
    no_create: bool,
    /// Seconds to wait for the upload pod
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    wait_secs: u64,
    /// How often a failed upload is tried
    #[arg(long, default_value_t = 5)]
    retry: u32,
    /// Bind the volume without waiting for its first consumer
    #[arg(long)]
    force_bind: bool,
    /// Make a DataSource that leads to the volume
    #[arg(long)]
    datasource: bool,
    /// Instance type that fits the image
    #[arg(long, value_name = "NAME")]
    default_instancetype: Option<String>,
    /// Kind of that instance type
    #[arg(long, value_name = "KIND")]
    default_instancetype_kind: Option<String>,
    /// Preference that fits the image
    #[arg(long, value_name = "NAME")]
    default_preference: Option<String>,
    /// Kind of that preference
    #[arg(long, value_name = "KIND")]
    default_preference_kind: Option<String>,
}

/// What is to be done, checked.
struct Plan {
    name: String,
    /// A claim of its own, rather than a DataVolume.
    claim: bool,
    path: String,
    archive: bool,
    size: Option<String>,
    volume_mode: Option<&'static str>,
}

impl ImageUpload {
    /// What is uploaded, and to what.
    fn plan(&self, deps: &Deps) -> Result<Plan> {
        for (flag, set, instead) in [
            ("pvc-name", self.pvc_name.is_some(), "specify the name as the second argument instead."),
            ("pvc-size", self.pvc_size.is_some(), "use --size instead."),
            ("block-volume", self.block_volume, "specify volume mode (filesystem/block) with --volume-mode instead."),
        ] {
            if set {
                deps.err.line(format!("Flag --{flag} has been deprecated, {instead}"));
            }
        }
        if self.size.is_some() && self.pvc_size.is_some() && self.size != self.pvc_size {
            bail!("--pvc-size and --size can not be specified at the same time");
        }
        if self.pvc_name.is_some() && !self.names.is_empty() {
            bail!("cannot use --pvc-name and args");
        }
        let volume_mode = match (self.volume_mode.as_deref(), self.block_volume) {
            (None | Some("block"), true) | (Some("block"), false) => Some("Block"),
            (Some(other), true) => bail!("incompatible --volume-mode '{other}' and --block-volume"),
            (Some("filesystem"), false) => Some("Filesystem"),
            (None | Some(""), false) => None,
            (Some(other), false) => bail!("Invalid volume mode '{other}'. Valid values are 'block' and 'filesystem'."),
        };
        let path = match (&self.image_path, &self.archive_path) {
            (None, None) => bail!("either image-path or archive-path must be provided"),
            (Some(_), Some(_)) => bail!("cannot handle both image-path and archive-path, provide only one"),
            (Some(path), None) | (None, Some(path)) => path.clone(),
        };
        let archive = self.archive_path.is_some();
        if archive && volume_mode == Some("Block") {
            bail!("In archive upload the volume mode should always be filesystem");
        }
        let (claim, name) = match (&self.pvc_name, self.names.as_slice()) {
            (Some(name), _) => (true, name.clone()),
            (None, [kind, name]) => match kind.to_lowercase().as_str() {
                "dv" => (false, name.clone()),
                "pvc" => (true, name.clone()),
                _ => bail!("invalid resource type {kind}"),
            },
            (None, _) => bail!("expecting two args"),
        };
        if self.default_instancetype.is_none() && self.default_instancetype_kind.is_some() {
            bail!("--default-instancetype must be provided with --default-instancetype-kind");
        }
        if self.default_preference.is_none() && self.default_preference_kind.is_some() {
            bail!("--default-preference must be provided with --default-preference-kind");
        }
        if (self.default_instancetype.is_some() || self.default_preference.is_some()) && self.no_create {
            bail!("--default-instancetype and --default-preference cannot be used with --no-create");
        }
        let size = self.size.clone().or_else(|| self.pvc_size.clone()).filter(|size| !size.is_empty());
        Ok(Plan { name, claim, path, archive, size, volume_mode })
    }

    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let plan = self.plan(deps)?;
        let opened = deps.host.open(&plan.path).await;
        drop(opened.map_err(|error| Error::new(format!("open {}: {error}", plan.path)))?);
        let session = deps.connect.connect(flags).await?;
        let full = format!("{}/{}", session.namespace, plan.name);
        match session.find(&session.core("persistentvolumeclaims", &plan.name)).await? {
            Some(claim) => {
                self.reuse(&plan, &session, claim).await?;
                deps.out.line(format!("Using existing PVC {full}"));
            }
            None => {
                deps.out.line(format!("PVC {full} not found "));
                if self.no_create {
                    bail!("persistentvolumeclaims {:?} not found", plan.name);
                }
                let kind = self.create(&plan, &session).await?;
                deps.out.line(format!("{kind} {full} created"));
            }
        }
        self.wait(&plan, &session, deps).await?;
        let url = self.proxy(&session).await?;
        deps.out.line(format!("Uploading data to {url}"));
        self.send(&plan, &session, &url, deps).await?;
        if self.datasource {
            self.data_source(&plan, &session, deps).await?;
        }
        deps.out.line(
            "Uploading data completed successfully, waiting for processing to complete, you can hit ctrl-c without interrupting the progress",
        );
        let end = Instant::now() + PROCESSING;
        loop {
            let claim = session.get(&session.core("persistentvolumeclaims", &plan.name)).await?;
            if claim["metadata"]["annotations"][POD_PHASE] == "Succeeded" {
                deps.out.line("Processing completed successfully");
                deps.out.line(format!("Uploading {} completed successfully", plan.path));
                return Ok(());
            }
            if Instant::now() >= end {
                deps.out.line("Timed out waiting for post upload processing to complete, please check upload pod status for progress");
                bail!("context deadline exceeded");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Takes a claim that is there, where it may be.
    async fn reuse(&self, plan: &Plan, session: &Session, mut claim: Value) -> Result<()> {
        let name = &plan.name;
        if !plan.claim && session.find(&session.custom(CDI, "datavolumes", name)).await?.is_none() {
            bail!("No DataVolume is associated with the existing PVC {}/{name}", session.namespace);
        }
        let annotations = claim["metadata"]["annotations"].clone();
        if annotations[POD_PHASE] == "Succeeded" {
            bail!("PVC {name} already successfully imported/cloned/updated");
        }
        let is_target = annotations.get(TARGET).is_some();
        if !self.no_create && !is_target {
            bail!("PVC {name} not available for upload");
        }
        if plan.archive && annotations[CONTENT_TYPE] != "archive" {
            bail!("PVC {name} doesn't have archive contentType annotation");
        }
        if !is_target {
            claim["metadata"]["annotations"][TARGET] = json!("");
            session.put(&session.core("persistentvolumeclaims", name), &claim).await?;
        }
        Ok(())
    }

    /// Labels that say what fits the image.
    fn labels(&self) -> Map<String, Value> {
        let pairs = [
            ("instancetype.kubevirt.io/default-instancetype", &self.default_instancetype),
            ("instancetype.kubevirt.io/default-instancetype-kind", &self.default_instancetype_kind),
            ("instancetype.kubevirt.io/default-preference", &self.default_preference),
            ("instancetype.kubevirt.io/default-preference-kind", &self.default_preference_kind),
        ];
        pairs.into_iter().filter_map(|(key, value)| value.as_ref().map(|value| (key.to_owned(), json!(value)))).collect()
    }

    /// Makes the DataVolume or the claim; its kind.
    async fn create(&self, plan: &Plan, session: &Session) -> Result<&'static str> {
        let Some(size) = &plan.size else { bail!("when creating a resource, the size must be specified") };
        if self.access_mode.as_deref() == Some("ReadOnlyMany") {
            bail!("cannot upload to a readonly volume, use either ReadWriteOnce or ReadWriteMany if supported");
        }
        if api::quantity::parse(size).is_none() {
            bail!(
                "validation failed for size={size}: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            );
        }
        if let Some(class) = self.storage_class.as_deref().filter(|class| !class.is_empty()) {
            session.get(&format!("/apis/storage.k8s.io/v1/storageclasses/{class}")).await?;
        }
        let mut storage = json!({"resources": {"requests": {"storage": size}}});
        if let Some(class) = &self.storage_class {
            storage["storageClassName"] = json!(class);
        }
        if let Some(mode) = plan.volume_mode {
            storage["volumeMode"] = json!(mode);
        }
        let content = if plan.archive { "archive" } else { "kubevirt" };
        let mut annotations = Map::new();
        if self.force_bind {
            annotations.insert(BIND_NOW.to_owned(), json!(""));
        }
        let mut labels = self.labels();
        let modes = self.access_mode.as_ref().map(|mode| json!([mode]));
        if plan.claim {
            storage["accessModes"] = modes.unwrap_or_else(|| json!(["ReadWriteOnce"]));
            annotations.extend([(TARGET.to_owned(), json!("")), (CONTENT_TYPE.to_owned(), json!(content))]);
            labels.insert("cdi.kubevirt.io/applyStorageProfile".to_owned(), json!("true"));
            let metadata = json!({"name": plan.name, "annotations": annotations, "labels": labels});
            let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": storage});
            session.create(&session.core("persistentvolumeclaims", ""), &claim).await?;
            return Ok("PersistentVolumeClaim");
        }
        if let Some(modes) = modes {
            storage["accessModes"] = modes;
        }
        let metadata = json!({"name": plan.name, "annotations": annotations, "labels": labels});
        let spec = json!({"source": {"upload": {}}, "contentType": content, "storage": storage});
        let volume = json!({"apiVersion": CDI, "kind": "DataVolume", "metadata": metadata, "spec": spec});
        session.create(&session.custom(CDI, "datavolumes", ""), &volume).await?;
        Ok("DataVolume")
    }

    /// Waits until the data may come.
    async fn wait(&self, plan: &Plan, session: &Session, deps: &Deps) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(self.wait_secs);
        let mut told = false;
        loop {
            let ready = if plan.claim {
                let claim = session.find(&session.core("persistentvolumeclaims", &plan.name)).await?;
                claim.is_some_and(|claim| claim["metadata"]["annotations"][POD_READY] == "true")
            } else {
                match session.find(&session.custom(CDI, "datavolumes", &plan.name)).await? {
                    None => {
                        deps.out.line(format!("DV {} not found... ", plan.name));
                        false
                    }
                    Some(volume) => {
                        let phase = at(&volume, "/status/phase");
                        if matches!(phase, "WaitForFirstConsumer" | "PendingPopulation") && !self.force_bind {
                            bail!("cannot upload to DataVolume in {phase} phase, make sure the PVC is Bound, or use force-bind flag");
                        }
                        phase == "UploadReady"
                    }
                }
            };
            if ready {
                if told {
                    deps.out.line("Pod now ready");
                }
                return Ok(());
            }
            complaints(&plan.name, session).await?;
            if !told {
                deps.out.line(format!("Waiting for PVC {} upload pod to be ready...", plan.name));
                told = true;
            }
            if Instant::now() >= end {
                bail!("context deadline exceeded");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The proxy's URL.
    async fn proxy(&self, session: &Session) -> Result<String> {
        let url = match &self.uploadproxy_url {
            Some(url) if !url.is_empty() => url.clone(),
            _ => {
                let config = session.get("/apis/cdi.kubevirt.io/v1beta1/cdiconfigs/config").await?;
                let override_url = at(&config, "/spec/uploadProxyURLOverride");
                let url = if override_url.is_empty() { at(&config, "/status/uploadProxyURL") } else { override_url };
                if url.is_empty() {
                    bail!("uploadproxy URL not found");
                }
                url.to_owned()
            }
        };
        Ok(if url.contains("://") { url } else { format!("https://{url}") })
    }

    async fn token(plan: &Plan, session: &Session) -> Result<String> {
        let path = session.custom("upload.cdi.kubevirt.io/v1beta1", "uploadtokenrequests", "");
        let request = json!({
            "apiVersion": "upload.cdi.kubevirt.io/v1beta1", "kind": "UploadTokenRequest",
            "metadata": {"generateName": "token-for-virtctl-"}, "spec": {"pvcName": plan.name},
        });
        Ok(at(&session.create(&path, &request).await?, "/status/token").to_owned())
    }

    async fn send(&self, plan: &Plan, session: &Session, url: &str, deps: &Deps) -> Result<()> {
        let trust = if self.insecure { Trust::Anyone } else { Trust::System };
        let mut token = Self::token(plan, session).await?;
        let (length, _) = deps.host.open(&plan.path).await?;
        deps.out.line("");
        let progress = Arc::new(Mutex::new(Progress::new(deps.out.clone(), "", Some(length))));
        let (mut tries, mut refreshes) = (0, TOKEN_REFRESHES);
        let outcome = loop {
            let answered = self.try_once(plan, url, &token, &trust, &progress, deps).await;
            let Err(error) = answered else { break Ok(()) };
            if error.code == Some(401) {
                // A token that never worked is no token that became old.
                if tries == 0 || refreshes == 0 {
                    break Err(error.after("authentication failed: "));
                }
                token = Self::token(plan, session).await.map_err(|error| error.after("failed to get upload token: "))?;
                refreshes -= 1;
            }
            tries += 1;
            if tries >= self.retry {
                break Err(error.after(format!("error uploading image after {} retries: ", self.retry)));
            }
            let pause = u64::from(tries) * (deps.entropy.next_u64() % 50);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            progress.lock().unwrap_or_else(PoisonError::into_inner).restart();
        };
        deps.out.line("\n");
        outcome
    }

    async fn try_once(
        &self,
        plan: &Plan,
        url: &str,
        token: &str,
        trust: &Trust,
        progress: &Arc<Mutex<Progress>>,
        deps: &Deps,
    ) -> Result<()> {
        let request = |method: Method, path: &str, body: Outgoing| {
            let target = if url.contains(path) { url.to_owned() } else { format!("{}{path}", url.trim_end_matches('/')) };
            let request = Request::builder().method(method).uri(target).header(header::AUTHORIZATION, format!("Bearer {token}"));
            request.body(body).map_err(|error| Error::new(error.to_string()))
        };
        let nothing = || -> Outgoing { Empty::new().map_err(|never: Infallible| match never {}).boxed() };
        let probe = fetch::send(request(Method::HEAD, "/v1beta1/upload-async", nothing())?, trust, deps).await;
        let path = if probe.is_ok_and(|answer| answer.status() == StatusCode::OK) { "/v1beta1/upload-async" } else { "/v1beta1/upload" };
        let (length, file) = deps.host.open(&plan.path).await?;
        let body = FileBody { file, left: length, progress: progress.clone() };
        let mut request = request(Method::POST, path, body.boxed())?;
        request.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/octet-stream"));
        let answer = fetch::send(request, trust, deps).await?;
        let status = answer.status();
        if status == StatusCode::OK {
            return Ok(());
        }
        let body = answer.into_body().collect().await.map_err(|error| Error::new(error.to_string()))?.to_bytes();
        let text = format!("unexpected return value {}, {}", status.as_u16(), String::from_utf8_lossy(&body));
        Err(Error::answered(status.as_u16(), text))
    }

    /// A DataSource that leads to the claim.
    async fn data_source(&self, plan: &Plan, session: &Session, deps: &Deps) -> Result<()> {
        let path = session.custom(CDI, "datasources", &plan.name);
        let source = json!({"pvc": {"name": plan.name, "namespace": session.namespace}});
        let full = format!("{}/{}", session.namespace, plan.name);
        if let Some(mut existing) = session.find(&path).await? {
            existing["spec"]["source"] = source;
            for (key, value) in self.labels() {
                existing["metadata"]["labels"][key] = value;
            }
            session.put(&path, &existing).await?;
            deps.out.line(format!("Updated an existing DataSource {full}"));
            return Ok(());
        }
        let metadata = json!({"name": plan.name, "labels": self.labels()});
        let object = json!({"apiVersion": CDI, "kind": "DataSource", "metadata": metadata, "spec": {"source": source}});
        session.create(&session.custom(CDI, "datasources", ""), &object).await?;
        deps.out.line(format!("Created a new DataSource {full}"));
        Ok(())
    }
}

/// What events say of a claim that will never be ready.
async fn complaints(name: &str, session: &Session) -> Result<()> {
    let events = session.get(&session.core("events", "")).await?;
    for event in events["items"].as_array().into_iter().flatten() {
        if at(event, "/involvedObject/name") != name {
            continue;
        }
        let message = at(event, "/message");
        match (at(event, "/involvedObject/kind"), at(event, "/reason")) {
            ("PersistentVolumeClaim", "ProvisioningFailed") if !message.contains("the object has been modified") => {
                bail!("Provisioning failed: {message}")
            }
            ("DataVolume", "ErrClaimNotValid") => bail!("Claim not valid: {message}"),
            _ => {}
        }
    }
    Ok(())
}

/// A file on its way.
struct FileBody {
    file: Box<dyn AsyncRead + Send + Sync + Unpin>,
    left: u64,
    progress: Arc<Mutex<Progress>>,
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut chunk = vec![0; usize::try_from(self.left).unwrap_or(CHUNK).min(CHUNK)];
        let mut buffer = ReadBuf::new(&mut chunk);
        match Pin::new(&mut self.file).poll_read(cx, &mut buffer) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
            Poll::Ready(Ok(())) => {}
        }
        let read = buffer.filled().len();
        if read == 0 {
            let shorter = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the file became shorter");
            return Poll::Ready(Some(Err(shorter)));
        }
        self.left = self.left.saturating_sub(read as u64);
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).add(read);
        chunk.truncate(read);
        Poll::Ready(Some(Ok(Frame::data(chunk.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

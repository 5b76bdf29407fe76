//! Uploads of disk images (spec/virtctl.md §8): checked here, carried out by CDI, which a cluster must have.

use crate::error::{Result, bail};
use crate::{ConnectionArgs, Deps};

/// `image-upload`.
#[derive(Debug, clap::Args)]
pub struct ImageUpload {
    /// dv or pvc, and its name
    #[arg(value_name = "TYPE NAME")]
    names: Vec<String>,
    /// Disk image to upload
    #[arg(long, value_name = "PATH")]
    image_path: Option<String>,
    /// Archive to upload
    #[arg(long, value_name = "PATH")]
    archive_path: Option<String>,
    /// Size of the new volume
    #[arg(long)]
    size: Option<String>,
    /// Storage class of the new volume
    #[arg(long, value_name = "CLASS")]
    storage_class: Option<String>,
    /// Access mode of the new volume
    #[arg(long, value_name = "MODE")]
    access_mode: Option<String>,
    /// Volume mode of the new volume: block or filesystem
    #[arg(long, value_name = "MODE")]
    volume_mode: Option<String>,
    /// Upload to a volume that exists
    #[arg(long)]
    no_create: bool,
    /// Bind the volume without waiting for its first consumer
    #[arg(long)]
    force_bind: bool,
    /// URL of CDI's upload proxy
    #[arg(long, value_name = "URL")]
    uploadproxy_url: Option<String>,
    /// Do not verify the proxy's certificate
    #[arg(long)]
    insecure: bool,
    /// Seconds to wait for the upload pod
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    wait_secs: u64,
    /// How often a failed upload is tried again
    #[arg(long, default_value_t = 5)]
    retry: u32,
}

impl ImageUpload {
    /// What is uploaded, and to what.
    fn check(&self) -> Result<(&str, &str, &str)> {
        let [kind, name] = self.names.as_slice() else { bail!("expecting two args") };
        if !matches!(kind.to_lowercase().as_str(), "dv" | "datavolume" | "pvc" | "persistentvolumeclaim") {
            bail!("invalid resource type {kind}");
        }
        let path = match (&self.image_path, &self.archive_path) {
            (None, None) => bail!("either image-path or archive-path must be provided"),
            (Some(_), Some(_)) => bail!("cannot handle both image-path and archive-path, provide only one"),
            (Some(path), None) | (None, Some(path)) => path,
        };
        if self.archive_path.is_some() && self.volume_mode.as_deref() == Some("block") {
            bail!("In archive upload the volume mode should always be filesystem");
        }
        match self.volume_mode.as_deref() {
            None | Some("block" | "filesystem") => {}
            Some(other) => bail!("Invalid volume mode '{other}'. Valid values are 'block' and 'filesystem'."),
        }
        if self.access_mode.as_deref() == Some("ReadOnlyMany") {
            bail!("cannot upload to a readonly volume, use either ReadWriteOnce or ReadWriteMany if supported");
        }
        Ok((kind, name, path))
    }

    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let (kind, name, path) = self.check()?;
        let session = deps.connect.connect(flags).await?;
        let existing = session.find(&session.core("persistentvolumeclaims", name)).await?;
        if existing.is_none() && self.no_create {
            bail!("persistentvolumeclaims {name:?} not found");
        }
        if existing.is_none() && self.size.is_none() {
            bail!("when creating a resource, the size must be specified");
        }
        let config = session.find("/apis/cdi.kubevirt.io/v1beta1/cdiconfigs/config").await?;
        let url = self.uploadproxy_url.clone().or_else(|| {
            let text = |pointer| config.as_ref().and_then(|config| config.pointer(pointer)).and_then(serde_json::Value::as_str);
            text("/spec/uploadProxyURLOverride").or_else(|| text("/status/uploadProxyURL")).filter(|url| !url.is_empty()).map(str::to_owned)
        });
        let Some(url) = url else { bail!("uploadproxy URL not found") };
        bail!(
            "{path} was not uploaded to {kind} {}/{name} by {url}: uploads are not supported by this client yet (storage class {}, force-bind {}, insecure {}, {} s, {} retries)",
            session.namespace,
            self.storage_class.as_deref().unwrap_or("-"),
            self.force_bind,
            self.insecure,
            self.wait_secs,
            self.retry
        )
    }
}

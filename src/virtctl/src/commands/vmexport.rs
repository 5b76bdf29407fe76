//! Exports of volumes (spec/virtctl.md §11).

use super::download::Download;
use super::{at, exact};
use crate::error::{Result, bail};
use crate::{ConnectionArgs, Deps, Session};
use base64::Engine as _;
use serde_json::{Map, Value, json};

/// Length of a token.
const TOKEN: usize = 20;

/// `vmexport`.
#[derive(Debug, clap::Args)]
pub struct VmExport {
    /// create, delete or download, then the name of the export
    #[arg(value_name = "ACTION NAME")]
    names: Vec<String>,
    /// Virtual machine to export
    #[arg(long, value_name = "NAME")]
    vm: Option<String>,
    /// Snapshot to export
    #[arg(long, value_name = "NAME")]
    snapshot: Option<String>,
    /// PersistentVolumeClaim to export
    #[arg(long, value_name = "NAME")]
    pvc: Option<String>,
    /// Template to export
    #[arg(long, value_name = "NAME")]
    vmtemplate: Option<String>,
    /// How long the export lives, as in 2h
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// Labels of the export, key=value
    #[arg(long, value_delimiter = ',', value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// Annotations of the export, key=value
    #[arg(long, value_delimiter = ',', value_name = "KEY=VALUE")]
    annotations: Vec<String>,
    /// How long the export may take to be ready
    #[arg(long, default_value = "2m", value_name = "DURATION")]
    readiness_timeout: String,
    /// File to download to; - is standard output
    #[arg(long, value_name = "PATH")]
    output: Option<String>,
    /// Volume to download
    #[arg(long, value_name = "NAME")]
    volume: Option<String>,
    /// Format of the download: gzip, raw or oci
    #[arg(long)]
    format: Option<String>,
    /// Do not verify the server's certificate
    #[arg(long)]
    insecure: bool,
    /// Keep the export after the download
    #[arg(long)]
    keep_vme: bool,
    /// Delete the export after the download
    #[arg(long)]
    delete_vme: bool,
    /// How often a failed download is tried again
    #[arg(long, default_value_t = 0)]
    retry: u32,
    /// Download through a forwarded port
    #[arg(long)]
    port_forward: bool,
    /// Local port to forward; 0 picks one
    #[arg(long, default_value = "0", value_name = "PORT")]
    local_port: String,
    /// Host, and port, to download from instead of the links of the export
    #[arg(long, value_name = "HOST[:PORT]")]
    service_url: Option<String>,
    /// Print manifests instead of downloading a volume
    #[arg(long)]
    manifest: bool,
    /// Print the Secret with the header too
    #[arg(long)]
    include_secret: bool,
    /// Format of the manifests: yaml or json
    #[arg(long, value_name = "FORMAT")]
    manifest_output_format: Option<String>,
}

fn pairs(flag: &str, all: &[String]) -> Result<Map<String, Value>> {
    let mut map = Map::new();
    for pair in all {
        let Some((key, value)) = pair.split_once('=') else {
            bail!("invalid argument {pair:?} for \"--{flag}\" flag: {pair} must be formatted as key=value")
        };
        map.insert(key.to_owned(), json!(value));
    }
    Ok(map)
}

impl VmExport {
    /// What is exported, where that is said.
    fn source(&self) -> Result<Option<Value>> {
        super::exclusive(&[
            ("vm", self.vm.is_some()),
            ("snapshot", self.snapshot.is_some()),
            ("pvc", self.pvc.is_some()),
            ("vmtemplate", self.vmtemplate.is_some()),
        ])?;
        let kinds = [
            (&self.vm, "kubevirt.io", "VirtualMachine"),
            (&self.snapshot, "snapshot.kubevirt.io", "VirtualMachineSnapshot"),
            (&self.pvc, "", "PersistentVolumeClaim"),
            (&self.vmtemplate, "template.kubevirt.io", "VirtualMachineTemplate"),
        ];
        Ok(kinds
            .into_iter()
            .find_map(|(name, group, kind)| name.as_ref().map(|name| json!({"apiGroup": group, "kind": kind, "name": name}))))
    }

    /// The first flag that is of no use to `create` and `delete`.
    fn check(&self, action: &str) -> Result<()> {
        let of_downloads = [
            ("--output", self.output.is_some()),
            ("--volume", self.volume.is_some()),
            ("--format", self.format.is_some()),
            ("--insecure", self.insecure),
            ("--keep-vme", self.keep_vme),
            ("--delete-vme", self.delete_vme),
            ("--retry", self.retry != 0),
            ("--port-forward", self.port_forward),
            ("--local-port", self.local_port != "0"),
            ("--service-url", self.service_url.is_some()),
            ("--manifest", self.manifest),
            ("--include-secret", self.include_secret),
            ("--manifest-output-format", self.manifest_output_format.is_some()),
        ];
        match of_downloads.iter().find(|(_, set)| *set) {
            Some((flag, _)) if action != "download" => bail!("the '{flag}' flag is incompatible with '{action}'"),
            _ => Ok(()),
        }
    }

    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [action, name] = exact(&self.names)?;
        if !matches!(action, "create" | "delete" | "download") {
            bail!("invalid function '{action}'");
        }
        self.check(action)?;
        super::exclusive(&[("keep-vme", self.keep_vme), ("delete-vme", self.delete_vme)])?;
        let source = self.source()?;
        if action == "download" {
            self.check_download()?;
        }
        if crate::connect::seconds(&self.readiness_timeout).is_none() {
            bail!("invalid argument {:?} for \"--readiness-timeout\" flag: invalid duration", self.readiness_timeout);
        }
        let session = deps.connect.connect(flags).await?;
        let full = format!("{}/{name}", session.namespace);
        match (action, source) {
            ("create", None) => {
                bail!("need to specify export kind when attempting to create a VirtualMachineExport [--pvc|--vm|--snapshot|--vmtemplate]")
            }
            ("create", Some(source)) => {
                self.create(&session, name, &source, deps).await?;
                deps.out.line(format!("VirtualMachineExport '{full}' created successfully"));
                Ok(())
            }
            ("delete", Some(_)) => bail!("should not specify export kind"),
            ("delete", None) => {
                match session.delete(&path(&session, name)).await {
                    Ok(()) => deps.out.line(format!("VirtualMachineExport '{full}' deleted successfully")),
                    Err(error) if error.is_not_found() => deps.out.line(format!("VirtualMachineExport '{full}' does not exist")),
                    Err(error) => return Err(error),
                }
                Ok(())
            }
            (_, source) => self.download(&session, name, source.as_ref(), deps).await,
        }
    }

    async fn download(&self, session: &Session, name: &str, source: Option<&Value>, deps: &Deps) -> Result<()> {
        let manifest = self.manifest.then(|| {
            let json = self.manifest_output_format.as_deref().is_some_and(|format| format.eq_ignore_ascii_case("json"));
            (if json { "application/json" } else { "application/yaml" }, self.include_secret)
        });
        let download = Download {
            name,
            output: self.output.as_deref(),
            volume: self.volume.as_deref(),
            format: self.format.as_deref(),
            insecure: self.insecure,
            retries: self.retry,
            service_url: self.service_url.as_deref(),
            manifest,
            patience: crate::connect::seconds(&self.readiness_timeout).unwrap_or_default(),
        };
        let says = download.says(deps);
        let full = format!("{}/{name}", session.namespace);
        let mut created = false;
        if let Some(source) = source {
            // What is there already is taken as it is.
            if session.find(&path(session, name)).await?.is_none() {
                self.create(session, name, source, deps).await?;
                says.line(format!("VirtualMachineExport '{full}' created successfully"));
                created = true;
            }
        }
        let done = download.run(session, deps).await;
        if !self.manifest && (self.delete_vme || (created && !self.keep_vme)) {
            session.delete(&path(session, name)).await?;
            says.line(format!("VirtualMachineExport '{full}' deleted successfully"));
        }
        done
    }

    /// Whether the flags of a download go together.
    fn check_download(&self) -> Result<()> {
        let refuse = |flag: &str, with: &str| -> Result<()> { bail!("the '{flag}' flag is incompatible with '{with}'") };
        if self.port_forward {
            if self.local_port.parse::<u16>().is_err() {
                bail!("--local-port is not a valid value, acceptable values are valid port numbers");
            }
            bail!("the '--port-forward' flag is not supported by this client; use '--service-url' with a port that you forward");
        }
        if self.format.as_deref().is_some_and(|format| !matches!(format, "gzip" | "raw" | "oci")) {
            bail!("--format is not a valid value, acceptable values are gzip/raw/oci");
        }
        if self.format.as_deref() == Some("oci") {
            for (flag, set) in [("--volume", self.volume.is_some()), ("--manifest", self.manifest), ("--pvc", self.pvc.is_some())] {
                if set {
                    return refuse(flag, "--format=oci");
                }
            }
        }
        if self.manifest {
            if self.volume.is_some() {
                return refuse("--volume", "--manifest");
            }
            if self.manifest_output_format.as_ref().is_some_and(|format| !matches!(format.to_lowercase().as_str(), "json" | "yaml")) {
                bail!("--manifest-output-format is not a valid value, acceptable values are json/yaml");
            }
            if self.pvc.is_some() {
                return refuse("--pvc", "--manifest");
            }
        } else if self.output.is_none() {
            bail!(
                "warning: Binary output can mess up your terminal. Use '--output -' to output into stdout anyway or consider '--output <FILE>' to save to a file"
            );
        }
        Ok(())
    }

    async fn create(&self, session: &Session, name: &str, source: &Value, deps: &Deps) -> Result<()> {
        if session.find(&path(session, name)).await?.is_some() {
            bail!("VirtualMachineExport '{}/{name}' already exists", session.namespace);
        }
        let secret = format!("secret-{name}");
        let mut spec = json!({"source": source, "tokenSecretRef": secret});
        if let Some(ttl) = &self.ttl {
            spec["ttlDuration"] = json!(ttl);
        }
        let mut metadata = json!({"name": name, "namespace": session.namespace});
        for (key, map) in [("labels", pairs("labels", &self.labels)?), ("annotations", pairs("annotations", &self.annotations)?)] {
            if !map.is_empty() {
                metadata[key] = Value::Object(map);
            }
        }
        let export = json!({"apiVersion": "export.kubevirt.io/v1", "kind": "VirtualMachineExport", "metadata": metadata, "spec": spec});
        let export = session.create(&path(session, ""), &export).await?;
        let token = base64::engine::general_purpose::STANDARD.encode(deps.entropy.name_suffix(TOKEN));
        let owner = json!({
            "apiVersion": "export.kubevirt.io/v1", "kind": "VirtualMachineExport", "name": name, "uid": at(&export, "/metadata/uid"),
            "blockOwnerDeletion": false,
        });
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": secret, "ownerReferences": [owner]}, "data": {"token": token},
        });
        match session.create(&session.core("secrets", ""), &secret).await {
            Err(error) if error.code != Some(409) => Err(error),
            _ => Ok(()),
        }
    }
}

fn path(session: &Session, name: &str) -> String {
    session.custom("export.kubevirt.io/v1", "virtualmachineexports", name)
}

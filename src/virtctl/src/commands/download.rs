//! `vmexport download` (spec/virtctl.md §11): wait for the export's links, then fetch a volume or the manifests.

use std::convert::Infallible;
use std::io::Write as _;
use std::time::Duration;

use base64::Engine as _;
use flate2::write::GzDecoder;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use super::at;
use crate::error::{Error, Result, bail};
use crate::fetch::{self, Trust};
use crate::host::Output;
use crate::progress::Progress;
use crate::{Deps, Session};

/// Between two looks, and two tries.
const PAUSE: Duration = Duration::from_secs(2);
/// The header that an export server wants.
const TOKEN_HEADER: &str = "x-kubevirt-export-token";

/// What is fetched, and how.
pub(crate) struct Download<'a> {
    /// The export's name.
    pub(crate) name: &'a str,
    /// A file; `-` or nothing is standard output.
    pub(crate) output: Option<&'a str>,
    /// The volume, where there are several.
    pub(crate) volume: Option<&'a str>,
    /// gzip, raw, oci or nothing.
    pub(crate) format: Option<&'a str>,
    /// Believe every certificate.
    pub(crate) insecure: bool,
    /// How often an answer other than 200 is tried again.
    pub(crate) retries: u32,
    /// Use the internal links, with this host.
    pub(crate) service_url: Option<&'a str>,
    /// Fetch the manifests, in this media type, with the Secret or not.
    pub(crate) manifest: Option<(&'static str, bool)>,
    /// How long the export may take to be ready.
    pub(crate) patience: Duration,
}

impl Download<'_> {
    /// Where messages go: beside what is downloaded.
    pub(crate) fn says<'d>(&self, deps: &'d Deps) -> &'d Output {
        if self.to_file() { &deps.out } else { &deps.err }
    }

    fn to_file(&self) -> bool {
        self.output.is_some_and(|path| path != "-")
    }

    fn path(&self, session: &Session) -> String {
        session.custom("export.kubevirt.io/v1", "virtualmachineexports", self.name)
    }

    /// Waits, then fetches.
    pub(crate) async fn run(&self, session: &Session, deps: &Deps) -> Result<()> {
        let says = self.says(deps);
        let mut left = self.retries;
        loop {
            let export = self.ready(session, deps).await?;
            let fetched = match self.manifest {
                Some((media, with_secret)) => self.manifests(&export, session, media, with_secret, deps).await?,
                None => self.volume(&export, session, deps).await?,
            };
            if fetched {
                return Ok(());
            }
            if left == 0 {
                bail!("retry count reached, exiting unsuccessfully");
            }
            left -= 1;
            says.line("Retrying...");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Which of the export's links are used.
    fn side(&self) -> &'static str {
        if self.service_url.is_some() { "internal" } else { "external" }
    }

    async fn ready(&self, session: &Session, deps: &Deps) -> Result<Value> {
        let (says, name) = (self.says(deps), self.name);
        let end = Instant::now() + self.patience;
        loop {
            match session.find(&self.path(session)).await? {
                None => says.line(format!("couldn't get VM Export {name}, waiting for it to be created...")),
                Some(export) if export.get("status").is_none() => {}
                Some(export) if at(&export, "/status/phase") != "Ready" => {
                    says.line(format!("waiting for VM Export {name} status to be ready..."));
                }
                Some(export) if export.pointer(&format!("/status/links/{}", self.side())).is_none_or(Value::is_null) => {
                    says.line(format!("waiting for VM Export {name} {} links to be available...", self.side()));
                }
                Some(export) => return Ok(export),
            }
            if Instant::now() >= end {
                bail!("context deadline exceeded");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn links<'e>(&self, export: &'e Value) -> &'e Value {
        &export["status"]["links"][self.side()]
    }

    /// A link, with the host that was asked for.
    fn placed(&self, link: &str) -> Result<String> {
        let Some(host) = self.service_url else { return Ok(link.to_owned()) };
        let url: Uri = link.parse().map_err(|error| Error::new(format!("parse {link:?}: {error}")))?;
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        Ok(format!("{}://{host}{path}", url.scheme_str().unwrap_or("https")))
    }

    async fn get(
        &self,
        export: &Value,
        session: &Session,
        url: &str,
        accept: Option<&str>,
        deps: &Deps,
    ) -> Result<http::Response<Incoming>> {
        let secret = session.get(&session.core("secrets", at(export, "/status/tokenSecretRef"))).await?;
        let token = base64::engine::general_purpose::STANDARD.decode(at(&secret, "/data/token")).unwrap_or_default();
        let trust = if self.insecure { Trust::Anyone } else { Trust::Authorities(at(self.links(export), "/cert").to_owned()) };
        let mut request = Request::get(url).header(TOKEN_HEADER, token);
        if let Some(media) = accept {
            request = request.header(header::ACCEPT, media);
        }
        let body = Empty::new().map_err(|never: Infallible| match never {}).boxed();
        let request = request.body(body).map_err(|error| Error::new(error.to_string()))?;
        fetch::send(request, &trust, deps).await
    }

    /// Prints the manifests; whether the server gave them.
    async fn manifests(&self, export: &Value, session: &Session, media: &str, with_secret: bool, deps: &Deps) -> Result<bool> {
        let full = format!("{}/{}", session.namespace, self.name);
        let all = self.links(export)["manifests"].as_array().cloned().unwrap_or_default();
        if all.is_empty() {
            bail!("unable to access the manifest info from '{full}' VirtualMachineExport");
        }
        let mut kinds = vec!["all"];
        if with_secret {
            kinds.push("auth-header-secret");
        }
        let mut text = Vec::new();
        for kind in kinds {
            let link = all.iter().find(|manifest| at(manifest, "/type") == kind).map(|manifest| at(manifest, "/url")).unwrap_or_default();
            let answer = self.get(export, session, &self.placed(link)?, Some(media), deps).await?;
            if answer.status() != StatusCode::OK {
                self.says(deps).line(format!("Bad status: {}", answer.status()));
                return Ok(false);
            }
            text.extend_from_slice(&answer.into_body().collect().await.map_err(|error| Error::new(error.to_string()))?.to_bytes());
        }
        match self.output.filter(|path| *path != "-") {
            Some(path) => deps.host.write(path, &text)?,
            None => deps.out.text(&text),
        }
        Ok(true)
    }

    /// The URL of the volume, and whether what comes from there is compressed.
    fn url(&self, export: &Value, namespace: &str) -> Result<(String, bool)> {
        let full = format!("{namespace}/{}", self.name);
        if self.format == Some("oci") {
            let kind = at(export, "/spec/source/kind");
            if !matches!(kind, "VirtualMachine" | "VirtualMachineSnapshot" | "VirtualMachineTemplate") {
                bail!("OCI export is not supported for {kind:?} sources");
            }
            let all = self.links(export)["manifests"].as_array().cloned().unwrap_or_default();
            let Some(link) = all.iter().find(|manifest| at(manifest, "/type") == "oci") else {
                bail!("OCI export format not available for '{full}'")
            };
            return Ok((self.placed(at(link, "/url"))?, false));
        }
        let volumes = self.links(export)["volumes"].as_array().cloned().unwrap_or_default();
        if volumes.is_empty() {
            bail!("unable to access the volume info from '{full}' VirtualMachineExport");
        }
        if volumes.len() > 1 && self.volume.is_none() {
            bail!(
                "detected more than one downloadable volume in '{full}' VirtualMachineExport: Select the expected volume using the --volume flag"
            );
        }
        let chosen = volumes.iter().find(|volume| volumes.len() == 1 || Some(at(volume, "/name")) == self.volume);
        let formats = chosen.and_then(|volume| volume["formats"].as_array()).cloned().unwrap_or_default();
        let find = |wanted: &[&str]| formats.iter().find(|format| wanted.contains(&at(format, "/format")));
        let Some(format) = find(&["gzip", "tar.gz"]).or_else(|| find(&["raw"])) else {
            bail!("unable to get a valid URL from '{full}' VirtualMachineExport")
        };
        Ok((self.placed(at(format, "/url"))?, at(format, "/format") != "raw"))
    }

    /// Fetches a volume; whether the server gave it.
    async fn volume(&self, export: &Value, session: &Session, deps: &Deps) -> Result<bool> {
        let (url, compressed) = self.url(export, &session.namespace)?;
        let says = self.says(deps);
        let answer = self.get(export, session, &url, None, deps).await?;
        if answer.status() != StatusCode::OK {
            says.line(format!("Bad status: {}", answer.status()));
            return Ok(false);
        }
        let mut unpacked = (compressed && self.format == Some("raw")).then(|| GzDecoder::new(Vec::new()));
        let mut output = match self.output.filter(|path| *path != "-") {
            Some(path) => deps.host.create(path).await?,
            None => deps.host.output(),
        };
        let mut progress = Progress::new(says.clone(), "Downloading file: ", None);
        if unpacked.is_some() {
            says.line("Decompressing image:");
        }
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Error::new(error.to_string()))?;
            let Some(data) = frame.data_ref() else { continue };
            progress.add(data.len());
            match &mut unpacked {
                Some(decoder) => {
                    decoder.write_all(data)?;
                    let ready = std::mem::take(decoder.get_mut());
                    output.write_all(&ready).await?;
                }
                None => output.write_all(data).await?,
            }
        }
        if let Some(decoder) = unpacked {
            output.write_all(&decoder.finish()?).await?;
        }
        output.flush().await?;
        output.shutdown().await?;
        progress.finish();
        says.line("Download finished successfully");
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn download(volume: Option<&'static str>, format: Option<&'static str>, service: Option<&'static str>) -> Download<'static> {
        Download {
            name: "e",
            output: Some("f"),
            volume,
            format,
            insecure: false,
            retries: 0,
            service_url: service,
            manifest: None,
            patience: PAUSE,
        }
    }

    fn export(volumes: &Value) -> Value {
        let links = json!({"volumes": volumes});
        json!({"spec": {"source": {"kind": "PersistentVolumeClaim"}}, "status": {"links": {"external": links, "internal": links}}})
    }

    fn volume(name: &str, formats: &[&str]) -> Value {
        let formats: Vec<Value> =
            formats.iter().map(|format| json!({"format": format, "url": format!("https://host/{name}.{format}")})).collect();
        json!({"name": name, "formats": formats})
    }

    #[rstest]
    #[case(json!([volume("a", &["raw", "gzip"])]), None, None, Ok(("https://host/a.gzip", true)))]
    #[case(json!([volume("a", &["raw"])]), None, None, Ok(("https://host/a.raw", false)))]
    #[case(json!([volume("a", &["gzip"]), volume("b", &["dir", "tar.gz"])]), Some("b"), Some("127.0.0.1:8080"), Ok(("https://127.0.0.1:8080/b.tar.gz", true)))]
    #[case(json!([volume("a", &["gzip"]), volume("b", &["gzip"])]), None, None, Err("detected more than one downloadable volume in 'ns/e' VirtualMachineExport: Select the expected volume using the --volume flag"))]
    #[case(json!([]), None, None, Err("unable to access the volume info from 'ns/e' VirtualMachineExport"))]
    #[case(json!([volume("a", &["dir"])]), None, None, Err("unable to get a valid URL from 'ns/e' VirtualMachineExport"))]
    fn volumes_have_urls(
        #[case] all: Value,
        #[case] name: Option<&'static str>,
        #[case] service: Option<&'static str>,
        #[case] expected: Result<(&str, bool), &str>,
    ) {
        let found = download(name, None, service).url(&export(&all), "ns");
        let found = found.as_ref().map(|(url, compressed)| (url.as_str(), *compressed)).map_err(|error| error.text.as_str());
        assert_eq!(found, expected);
    }

    #[test]
    fn images_of_machines_only() {
        let error = download(None, Some("oci"), None).url(&export(&json!([])), "ns").unwrap_err();
        assert_eq!(error.text, "OCI export is not supported for \"PersistentVolumeClaim\" sources");
    }
}

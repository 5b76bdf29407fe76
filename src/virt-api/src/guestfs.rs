//! Where the image with libguestfs tools is (spec/api.md §2.1).

use crate::answer::{self, Answer};
use api::v1::KubeVirt;
use http::StatusCode;
use serde_json::{Value, json};

/// Registry, tag and names, as the installation observed them; this program's own version where nobody did.
pub(crate) fn info(kubevirt: Option<&KubeVirt>) -> Answer {
    let Some(kubevirt) = kubevirt else {
        let failed = json!({"guestfs": {"status": "failed", "error": "Failed getting KubeVirt config"}});
        return answer::with(StatusCode::INTERNAL_SERVER_ERROR, "application/json", failed.to_string());
    };
    let status = kubevirt.status.clone().unwrap_or_default();
    let deployed: Value = status.observed_deployment_config.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let version = status.observed_kube_virt_version.filter(|version| !version.is_empty());
    let version = version.unwrap_or_else(|| concat!("v", env!("CARGO_PKG_VERSION")).to_owned());
    // A digest stands where a tag would, when the installation was given digests.
    let (tag, digest) = if version.starts_with("sha256:") { ("", version.as_str()) } else { (version.as_str(), "") };
    answer::json(&json!({
        "registry": status.observed_kube_virt_registry.unwrap_or_default(), "tag": tag, "digest": digest,
        "imagePrefix": deployed.pointer("/additionalProperties/imagePrefix").and_then(Value::as_str).unwrap_or_default(),
        "gsImage": deployed["GsImage"].as_str().unwrap_or_default(),
    }))
}

//! Where the image with libguestfs tools is (spec/api.md §2.1).

use crate::answer::{self, Answer};
use api::v1::KubeVirt;
use planner::subresource::Refusal;
use serde_json::json;

/// Registry and tag, as the installation observed them.
pub(crate) fn info(kubevirt: Option<&KubeVirt>) -> Answer {
    let status = kubevirt.and_then(|kubevirt| kubevirt.status.clone()).unwrap_or_default();
    let (registry, version) = (status.observed_kube_virt_registry, status.observed_kube_virt_version);
    match (registry.filter(|text| !text.is_empty()), version.filter(|text| !text.is_empty())) {
        (Some(registry), Some(version)) => {
            // A digest stands where a tag would, when the installation was given digests.
            let (tag, digest) = if version.starts_with("sha256:") { ("", version.as_str()) } else { (version.as_str(), "") };
            answer::json(&json!({"registry": registry, "tag": tag, "digest": digest, "imagePrefix": "", "gsImage": ""}))
        }
        _ => answer::status(&Refusal::bad_request("the KubeVirt object does not say which registry and version are installed")),
    }
}

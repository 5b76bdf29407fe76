//! Carrying effects out, and what a failure of the API server becomes (spec/api.md §2.3, §3.3).

use crate::answer;
use crate::authorize::Attributes;
use crate::context::Context;
use api::v1::{VirtualMachine, VirtualMachineInstance};
use kube::Api;
use kube::api::{Patch, PatchParams};
use planner::subresource::{Effect, Refusal};
use serde_json::Value;

/// What the API server says when a patch's test failed: somebody wrote in between.
const TEST_FAILED: &str = "the server rejected our request due to an error in our request";

/// What a refusal of the API server becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// Start, stop, restart: 409 for a write in between, 500 for all else.
    Request,
    /// Volumes and memory dumps: what is invalid is passed on, as clients try again on it; 500 for all else.
    PassInvalid,
    /// 500.
    Internal,
}

/// Does what was decided; a dry run is handed to the API server.
pub(crate) async fn carry_out(cx: &Context, wanted: &Attributes, effect: Effect, dry_run: bool, failure: OnFailure) -> Result<(), Refusal> {
    let client = cx.deps.client.clone();
    let machines: Api<VirtualMachine> = Api::namespaced(client.clone(), &wanted.namespace);
    let instances: Api<VirtualMachineInstance> = Api::namespaced(client, &wanted.namespace);
    let params = PatchParams { dry_run, ..PatchParams::default() };
    let operations = |patch: Vec<Value>| -> Result<Patch<()>, Refusal> {
        serde_json::from_value(Value::Array(patch)).map(Patch::Json).map_err(Refusal::internal)
    };
    let name = wanted.name.as_str();
    let (done, what) = match effect {
        Effect::PatchVm(patch) => (machines.patch(name, &params, &operations(patch)?).await.map(drop), "vm"),
        Effect::PatchVmStatus(patch) => (machines.patch_status(name, &params, &operations(patch)?).await.map(drop), "vm status"),
        Effect::PatchVmi(patch) => (instances.patch(name, &params, &operations(patch)?).await.map(drop), "vmi"),
        Effect::CallNode(_) => (Ok(()), ""),
    };
    done.map_err(|error| judge(answer::refusal(&error), name, what, failure))
}

fn judge(refusal: Refusal, name: &str, what: &str, failure: OnFailure) -> Refusal {
    match failure {
        OnFailure::Request if refusal.message.contains(TEST_FAILED) => Refusal::conflict("virtualmachine", name, refusal.message),
        OnFailure::PassInvalid if refusal.code == 422 => refusal,
        OnFailure::PassInvalid => Refusal::internal(format!("unable to patch {what}: {}", refusal.message)),
        OnFailure::Request | OnFailure::Internal => Refusal::internal(refusal.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::race(
        OnFailure::Request,
        422,
        TEST_FAILED,
        409,
        "Operation cannot be fulfilled on virtualmachine.kubevirt.io \"vm\": the server rejected our request due to an error in our request"
    )]
    #[case::denied(OnFailure::Request, 403, "denied", 500, "Internal error occurred: denied")]
    #[case::race_of_volumes(OnFailure::PassInvalid, 422, TEST_FAILED, 422, TEST_FAILED)]
    #[case::gone(OnFailure::PassInvalid, 404, "gone", 500, "Internal error occurred: unable to patch vm: gone")]
    #[case::other(
        OnFailure::Internal,
        422,
        TEST_FAILED,
        500,
        "Internal error occurred: the server rejected our request due to an error in our request"
    )]
    fn failures(#[case] failure: OnFailure, #[case] code: u16, #[case] message: &str, #[case] becomes: u16, #[case] says: &str) {
        let refusal = judge(Refusal { code, reason: "", message: message.to_owned() }, "vm", "vm", failure);
        assert_eq!((refusal.code, refusal.message.as_str()), (becomes, says));
    }
}

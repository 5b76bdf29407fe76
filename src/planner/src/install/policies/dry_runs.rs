//! virt-api asks the API server whether components could be placed as an administrator wants, and stores no workload.

use super::{Installation, Policy, rules};
use serde_json::{Value, json};

/// RBAC cannot tell a dry run from another request: a virt-api that is taken over could run anything beside the components.
pub(super) fn objects(installation: &Installation) -> Vec<Value> {
    let user = format!("request.userInfo.username == 'system:serviceaccount:{}:kubevirt-apiserver'", installation.namespace);
    let policy = Policy {
        name: "kubevirt-apiserver-dry-run",
        failure: "Fail",
        action: "Deny",
        gate: None,
        constraints: rules("apps", "v1", &["CREATE"], &["deployments", "daemonsets"]),
        conditions: vec![json!({"name": "virt-api", "expression": user})],
        variables: Vec::new(),
        validations: vec![json!({
            "expression": "has(request.dryRun) && request.dryRun",
            "message": "this user can create workloads in dry runs only",
            "reason": "Forbidden",
        })],
    };
    policy.objects(installation).into()
}

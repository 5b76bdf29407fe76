//! AP1-AP7: what a node's virt-handler may change about nodes.

use super::{Installation, Policy, rules};
use serde_json::{Value, json};

/// Where a service account's token says on which node its pod runs.
const NODE_NAME_EXTRA: &str = "authentication.kubernetes.io/node-name";
/// Fields of metadata that virt-handler has nothing to do with.
const FIXED_METADATA: &[&str] = &[
    "name",
    "generateName",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "finalizers",
];

/// A handler may write labels and annotations of KubeVirt's on its own node: a node that is taken over is one node lost.
pub(super) fn objects(installation: &Installation) -> Vec<Value> {
    let own_node = format!(
        "has(request.userInfo.extra) && '{NODE_NAME_EXTRA}' in request.userInfo.extra && request.userInfo.extra['{NODE_NAME_EXTRA}'] == [request.name]"
    );
    let fixed: Vec<String> = FIXED_METADATA
        .iter()
        .map(|field| {
            let (new, old) = (format!("object.metadata.{field}"), format!("oldObject.metadata.{field}"));
            format!("(has({new}) ? has({old}) && {new} == {old} : !has({old}))")
        })
        .collect();
    let denied = |expression: &str, message: &str| json!({"expression": expression, "message": message, "reason": "Forbidden"});
    let mut variables = Vec::new();
    let mut validations = vec![
        denied(&own_node, "this user cannot modify this node"),
        denied("object.spec == oldObject.spec", "this user cannot modify spec of node"),
        denied(&fixed.join(" && "), "this user can only change allowed metadata fields"),
    ];
    for (kind, foreign) in
        [("labels", "!key.contains('kubevirt.io') && key != 'cpumanager'"), ("annotations", "!key.contains('kubevirt.io')")]
    {
        for object in ["object", "oldObject"] {
            let all = format!("{object}{kind}");
            let map = format!("{object}.metadata.{kind}");
            variables.push(json!({"name": all, "expression": format!("has({map}) ? {map} : {{}}")}));
            variables.push(json!({"name": format!("{all}foreign"), "expression": format!("variables.{all}.filter(key, {foreign})")}));
        }
        let same_number = format!("variables.object{kind}foreign.size() == variables.oldObject{kind}foreign.size()");
        let same_values = format!(
            "variables.oldObject{kind}foreign.all(key, key in variables.object{kind} && variables.object{kind}[key] == variables.oldObject{kind}[key])"
        );
        validations.push(denied(&same_number, &format!("this user cannot add/delete non kubevirt-owned {kind}")));
        validations.push(denied(&same_values, &format!("this user cannot update non kubevirt-owned {kind}")));
    }
    let restriction = Policy {
        name: "kubevirt-node-restriction",
        failure: "Fail",
        action: "Deny",
        gate: None,
        constraints: rules("", "*", &["UPDATE"], &["nodes"]),
        conditions: vec![json!({
            "name": "virt-handler",
            "expression": format!("request.userInfo.username == 'system:serviceaccount:{}:kubevirt-handler'", installation.namespace),
        })],
        variables,
        validations,
    };
    restriction.objects(installation).into()
}

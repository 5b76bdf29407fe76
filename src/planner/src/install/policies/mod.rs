//! Admission policies (spec/operator.md §11.9, spec/admission.md §14): [`nodes`], what a node's virt-handler may change about
//! nodes; [`dry_runs`], what virt-api may not store; [`plugins`], the shape of plugins and of the launcher pods they reach into.
//!
//! Nothing creates and deletes policies as feature gates come and go. A policy that needs a gate is installed always and takes the
//! KubeVirt resource as its parameter; its first match condition reads the gate there, so that it is in force from the moment the
//! gate is on.

mod dry_runs;
mod nodes;
mod plugins;

use super::{Installation, managed};
use serde_json::{Value, json};

/// The policies and their bindings.
pub(super) fn objects(installation: &Installation) -> Vec<Value> {
    let mut all = nodes::objects(installation);
    all.extend(dry_runs::objects(installation));
    all.extend(plugins::objects(installation));
    all
}

/// One policy.
struct Policy {
    /// `NAME-policy` is the policy, `NAME-binding` its binding.
    name: &'static str,
    /// `Fail` or `Ignore`: what an expression that cannot be evaluated leads to.
    failure: &'static str,
    /// `Deny` or `Warn`: what a broken validation leads to.
    action: &'static str,
    /// The gate it needs.
    gate: Option<&'static str>,
    constraints: Value,
    conditions: Vec<Value>,
    variables: Vec<Value>,
    validations: Vec<Value>,
}

impl Policy {
    /// The policy and its binding.
    fn objects(self, installation: &Installation) -> [Value; 2] {
        let Self { name, failure, action, gate, constraints, conditions, variables, validations } = self;
        let mut labels = managed();
        labels["kubevirt.io"] = json!(name);
        let mut policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": format!("{name}-policy"), "labels": labels},
            "spec": {"failurePolicy": failure, "matchConstraints": constraints, "validations": validations},
        });
        let mut binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": format!("{name}-binding"), "labels": labels},
            "spec": {"policyName": format!("{name}-policy"), "validationActions": [action]},
        });
        let mut all = Vec::new();
        if let Some(gate) = gate {
            all.push(gate_is_on(gate));
            policy["spec"]["paramKind"] = json!({"apiVersion": "kubevirt.io/v1", "kind": "KubeVirt"});
            binding["spec"]["paramRef"] = json!({"namespace": installation.namespace, "selector": {}, "parameterNotFoundAction": "Allow"});
        }
        all.extend(conditions);
        for (field, list) in [("matchConditions", all), ("variables", variables)] {
            if !list.is_empty() {
                policy["spec"][field] = Value::Array(list);
            }
        }
        [policy, binding]
    }
}

/// Holds where the KubeVirt resource lists a gate that is off by default.
fn gate_is_on(gate: &str) -> Value {
    let mut path = "params.spec".to_owned();
    let mut parts = Vec::new();
    for field in ["configuration", "developerConfiguration", "featureGates"] {
        path = format!("{path}.{field}");
        parts.push(format!("has({path})"));
    }
    parts.push(format!("'{gate}' in {path}"));
    json!({"name": "feature-gate", "expression": parts.join(" && ")})
}

/// Rules of a policy on one group's resources.
fn rules(group: &str, version: &str, operations: &[&str], resources: &[&str]) -> Value {
    json!({"resourceRules": [{"apiGroups": [group], "apiVersions": [version], "operations": operations, "resources": resources}]})
}

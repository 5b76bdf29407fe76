//! Admission webhooks and aggregated API services (spec/operator.md §11.7, §11.8).

use super::{Installation, managed};
use serde_json::{Value, json};

/// One webhook: name, operations (`c`reate, `u`pdate, `*`), group, versions, resources, path.
type Hook = (&'static str, &'static str, &'static str, &'static [&'static str], &'static [&'static str], &'static str);

const KUBEVIRT: &[&str] = &["v1alpha3", "v1"];

/// The validators that virt-api serves, in upstream's order. The evictions' come first: they carry a match condition.
const VALIDATORS: &[Hook] = &[
    (
        "virtualmachineinstances-create-validator.kubevirt.io",
        "c",
        "kubevirt.io",
        KUBEVIRT,
        &["virtualmachineinstances"],
        "/virtualmachineinstances-validate-create",
    ),
    (
        "virtualmachineinstances-update-validator.kubevirt.io",
        "u",
        "kubevirt.io",
        KUBEVIRT,
        &["virtualmachineinstances"],
        "/virtualmachineinstances-validate-update",
    ),
    ("virtualmachine-validator.kubevirt.io", "cu", "kubevirt.io", KUBEVIRT, &["virtualmachines"], "/virtualmachines-validate"),
    (
        "virtualmachinereplicaset-validator.kubevirt.io",
        "cu",
        "kubevirt.io",
        KUBEVIRT,
        &["virtualmachineinstancereplicasets"],
        "/virtualmachinereplicaset-validate",
    ),
    (
        "virtualmachinepreset-validator.kubevirt.io",
        "cu",
        "kubevirt.io",
        KUBEVIRT,
        &["virtualmachineinstancepresets"],
        "/vmipreset-validate",
    ),
    (
        "migration-create-validator.kubevirt.io",
        "c",
        "kubevirt.io",
        KUBEVIRT,
        &["virtualmachineinstancemigrations"],
        "/migration-validate-create",
    ),
    (
        "migration-update-validator.kubevirt.io",
        "u",
        "kubevirt.io",
        KUBEVIRT,
        &["virtualmachineinstancemigrations"],
        "/migration-validate-update",
    ),
    (
        "kubevirt-crd-status-validator.kubevirt.io",
        "cu",
        "kubevirt.io",
        KUBEVIRT,
        &["virtualmachines/status", "virtualmachineinstancereplicasets/status", "virtualmachineinstancemigrations/status"],
        "/status-validate",
    ),
];

const MUTATORS: &[Hook] = &[
    ("virtualmachines-mutator.kubevirt.io", "cu", "kubevirt.io", KUBEVIRT, &["virtualmachines"], "/virtualmachines-mutate"),
    (
        "virtualmachineinstances-mutator.kubevirt.io",
        "cu",
        "kubevirt.io",
        KUBEVIRT,
        &["virtualmachineinstances"],
        "/virtualmachineinstances-mutate",
    ),
    ("migrations-mutator.kubevirt.io", "c", "kubevirt.io", KUBEVIRT, &["virtualmachineinstancemigrations"], "/migration-mutate-create"),
];

fn webhook(installation: &Installation, hook: &Hook) -> Value {
    let (name, operations, group, versions, resources, path) = hook;
    let operations: Vec<&str> = operations
        .chars()
        .map(|letter| match letter {
            'c' => "CREATE",
            'u' => "UPDATE",
            'd' => "DELETE",
            _ => "*",
        })
        .collect();
    json!({
        "name": name,
        "rules": [{"operations": operations, "apiGroups": [group], "apiVersions": versions, "resources": resources, "scope": "*"}],
        "clientConfig": client_config(installation, path),
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "timeoutSeconds": 10,
        "admissionReviewVersions": ["v1"],
    })
}

fn client_config(installation: &Installation, path: &str) -> Value {
    json!({"caBundle": base64(installation.ca_bundle.as_bytes()), "service": {"namespace": installation.namespace, "name": "virt-api", "path": path, "port": 443}})
}

/// The webhook on evictions of launcher pods; others never reach virt-api (spec/operator.md §20).
fn eviction(installation: &Installation) -> Value {
    let mut hook = webhook(
        installation,
        &("virt-launcher-eviction-interceptor.kubevirt.io", "*", "", &["v1"], &["pods/eviction"], "/pod-eviction-validate"),
    );
    hook["sideEffects"] = json!("NoneOnDryRun");
    hook["matchConditions"] = json!([{"name": "only-virt-launcher", "expression": "object.metadata.name.startsWith(\"virt-launcher\")"}]);
    hook
}

/// Webhook configurations, API services and policies.
pub(super) fn objects(installation: &Installation) -> Vec<Value> {
    let annotations = json!({"certificates.kubevirt.io/secret": "kubevirt-virt-api-certs"});
    let mut validators = vec![eviction(installation)];
    validators.extend(VALIDATORS.iter().map(|hook| webhook(installation, hook)));
    let mut all = vec![
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "virt-api-validator", "labels": managed(), "annotations": annotations},
            "webhooks": validators,
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "virt-api-mutator", "labels": managed(), "annotations": annotations},
            "webhooks": MUTATORS.iter().map(|hook| webhook(installation, hook)).collect::<Vec<_>>(),
        }),
    ];
    for version in ["v1", "v1alpha3"] {
        all.push(json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": format!("{version}.subresources.kubevirt.io"), "labels": managed(), "annotations": annotations},
            "spec": {
                "group": "subresources.kubevirt.io", "version": version,
                "groupPriorityMinimum": 1000, "versionPriority": 15,
                "caBundle": base64(installation.ca_bundle.as_bytes()),
                "service": {"namespace": installation.namespace, "name": "virt-api", "port": 443},
            },
        }));
    }
    all
}

/// Standard base64 with padding, as Kubernetes' `[]byte` fields travel.
fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

//! Admission webhooks and aggregated API services (spec/operator.md §11.7, §11.8).

use super::{Installation, managed};
use serde_json::{Value, json};

/// One webhook.
struct Hook {
    name: &'static str,
    /// `c`reate, `u`pdate, `d`elete, `*`.
    operations: &'static str,
    group: &'static str,
    versions: &'static [&'static str],
    resources: &'static [&'static str],
    path: &'static str,
}

const KUBEVIRT: &[&str] = &["v1alpha3", "v1"];
const CORE: &[&str] = &["v1"];

const fn hook(
    name: &'static str,
    operations: &'static str,
    group: &'static str,
    versions: &'static [&'static str],
    resources: &'static [&'static str],
    path: &'static str,
) -> Hook {
    Hook { name, operations, group, versions, resources, path }
}

/// The validators that virt-api serves, in upstream's order. The evictions' come first: they carry a match condition.
const VALIDATORS: &[Hook] = &[
    hook(
        "virtualmachineinstances-create-validator.kubevirt.io",
        "c",
        "kubevirt.io",
        KUBEVIRT,
        &["virtualmachineinstances"],
        "/virtualmachineinstances-validate-create",
    ),
    hook(
        "virtualmachineinstances-update-validator.kubevirt.io",
        "u",
        "kubevirt.io",
        KUBEVIRT,
        &["virtualmachineinstances"],
        "/virtualmachineinstances-validate-update",
    ),
    hook("virtualmachine-validator.kubevirt.io", "cu", "kubevirt.io", KUBEVIRT, &["virtualmachines"], "/virtualmachines-validate"),
    hook(
        "virtualmachinereplicaset-validator.kubevirt.io",
        "cu",
        "kubevirt.io",
        KUBEVIRT,
        &["virtualmachineinstancereplicasets"],
        "/virtualmachinereplicaset-validate",
    ),
    hook(
        "virtualmachinepool-validator.kubevirt.io",
        "cu",
        "pool.kubevirt.io",
        &["v1beta1"],
        &["virtualmachinepools"],
        "/virtualmachinepool-validate",
    ),
    hook(
        "virtualmachinepreset-validator.kubevirt.io",
        "cu",
        "kubevirt.io",
        KUBEVIRT,
        &["virtualmachineinstancepresets"],
        "/vmipreset-validate",
    ),
    hook(
        "migration-create-validator.kubevirt.io",
        "c",
        "kubevirt.io",
        KUBEVIRT,
        &["virtualmachineinstancemigrations"],
        "/migration-validate-create",
    ),
    hook(
        "migration-update-validator.kubevirt.io",
        "u",
        "kubevirt.io",
        KUBEVIRT,
        &["virtualmachineinstancemigrations"],
        "/migration-validate-update",
    ),
    hook(
        "virtualmachinesnapshot-validator.snapshot.kubevirt.io",
        "cu",
        "snapshot.kubevirt.io",
        &["v1beta1"],
        &["virtualmachinesnapshots"],
        "/virtualmachinesnapshots-validate",
    ),
    hook(
        "virtualmachinerestore-validator.snapshot.kubevirt.io",
        "cu",
        "snapshot.kubevirt.io",
        &["v1beta1"],
        &["virtualmachinerestores"],
        "/virtualmachinerestores-validate",
    ),
    hook(
        "virtualmachinebackup-validator.backup.kubevirt.io",
        "cu",
        "backup.kubevirt.io",
        &["v1alpha1"],
        &["virtualmachinebackups"],
        "/virtualmachinebackups-validate",
    ),
    hook(
        "virtualmachinebackuptracker-validator.backup.kubevirt.io",
        "cu",
        "backup.kubevirt.io",
        &["v1alpha1"],
        &["virtualmachinebackuptrackers"],
        "/virtualmachinebackuptrackers-validate",
    ),
    hook(
        "virtualmachineexport-validator.export.kubevirt.io",
        "cu",
        "export.kubevirt.io",
        CORE,
        &["virtualmachineexports"],
        "/virtualmachineexports-validate",
    ),
    hook(
        "virtualmachineinstancetype-validator.instancetype.kubevirt.io",
        "cu",
        "instancetype.kubevirt.io",
        &["v1beta1"],
        &["virtualmachineinstancetypes"],
        "/virtualmachineinstancetypes-validate",
    ),
    hook(
        "virtualmachineclusterinstancetype-validator.instancetype.kubevirt.io",
        "cu",
        "instancetype.kubevirt.io",
        &["v1beta1"],
        &["virtualmachineclusterinstancetypes"],
        "/virtualmachineclusterinstancetypes-validate",
    ),
    hook(
        "virtualmachinepreference-validator.instancetype.kubevirt.io",
        "cu",
        "instancetype.kubevirt.io",
        &["v1beta1"],
        &["virtualmachinepreferences"],
        "/virtualmachinepreferences-validate",
    ),
    hook(
        "virtualmachineclusterpreference-validator.instancetype.kubevirt.io",
        "cu",
        "instancetype.kubevirt.io",
        &["v1beta1"],
        &["virtualmachineclusterpreferences"],
        "/virtualmachineclusterpreferences-validate",
    ),
    hook(
        "kubevirt-crd-status-validator.kubevirt.io",
        "cu",
        "kubevirt.io",
        KUBEVIRT,
        &["virtualmachines/status", "virtualmachineinstancereplicasets/status", "virtualmachineinstancemigrations/status"],
        "/status-validate",
    ),
    hook(
        "migration-policy-validator.kubevirt.io",
        "cu",
        "migrations.kubevirt.io",
        &["v1alpha1"],
        &["migrationpolicies"],
        "/migration-policy-validate-create",
    ),
    hook("vm-clone-validator.kubevirt.io", "cu", "clone.kubevirt.io", &["v1beta1"], &["virtualmachineclones"], "/vm-clone-validate-create"),
    hook("plugin-validator.plugin.kubevirt.io", "cu", "plugin.kubevirt.io", &["v1alpha1"], &["plugins"], "/plugin-validate"),
];

/// The validators of the installation itself. virt-api serves them, as there is no virt-operator.
const OPERATOR: &[Hook] = &[
    hook("kubevirt-validator.kubevirt.io", "d", "kubevirt.io", KUBEVIRT, &["kubevirts"], "/kubevirt-validate-delete"),
    hook("kubevirt-update-validator.kubevirt.io", "u", "kubevirt.io", KUBEVIRT, &["kubevirts"], "/kubevirt-validate-update"),
    hook("kubevirt-create-validator.kubevirt.io", "c", "kubevirt.io", KUBEVIRT, &["kubevirts"], "/kubevirt-validate-create"),
];

const MUTATORS: &[Hook] = &[
    hook("virtualmachines-mutator.kubevirt.io", "cu", "kubevirt.io", KUBEVIRT, &["virtualmachines"], "/virtualmachines-mutate"),
    hook(
        "virtualmachineinstances-mutator.kubevirt.io",
        "cu",
        "kubevirt.io",
        KUBEVIRT,
        &["virtualmachineinstances"],
        "/virtualmachineinstances-mutate",
    ),
    hook("migrations-mutator.kubevirt.io", "c", "kubevirt.io", KUBEVIRT, &["virtualmachineinstancemigrations"], "/migration-mutate-create"),
    hook(
        "virtualmachineclones-mutator.kubevirt.io",
        "c",
        "clone.kubevirt.io",
        &["v1beta1"],
        &["virtualmachineclones"],
        "/vm-clone-mutate-create",
    ),
];

fn webhook(installation: &Installation, hook: &Hook) -> Value {
    let Hook { name, operations, group, versions, resources, path } = hook;
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

/// The webhooks on evictions of launcher pods and hotplug pods; others never reach virt-api (spec/operator.md §20).
fn evictions(installation: &Installation) -> [Value; 2] {
    let on_pods = |name, condition: &str, prefix: &str, versions: Value| {
        let mut hook = webhook(installation, &hook(name, "*", "", CORE, &["pods/eviction"], "/pod-eviction-validate"));
        hook["sideEffects"] = json!("NoneOnDryRun");
        hook["admissionReviewVersions"] = versions;
        hook["matchConditions"] = json!([{"name": condition, "expression": format!("object.metadata.name.startsWith(\"{prefix}\")")}]);
        hook
    };
    [
        on_pods("virt-launcher-eviction-interceptor.kubevirt.io", "only-vms", "virt-launcher", json!(["v1"])),
        on_pods("hotplug-pod-eviction-interceptor.kubevirt.io", "only-hotplug-pods", "hp-volume-", json!(["v1", "v1beta1"])),
    ]
}

/// The webhook on launcher pods that share folders of their own containers. virt-api knows whether the feature gate is on.
fn launcher_pods(installation: &Installation) -> Value {
    let mut hook =
        webhook(installation, &hook("virt-launcher-pod-mutator.kubevirt.io", "c", "", CORE, &["pods"], "/virt-launcher-pod-mutate"));
    hook["failurePolicy"] = json!("Ignore");
    hook["reinvocationPolicy"] = json!("IfNeeded");
    hook["objectSelector"] = json!({"matchLabels": {"kubevirt.io": "virt-launcher"}});
    let shares = "has(object.spec.volumes) && object.spec.volumes.exists(volume, volume.name == 'virtiofs-containers')";
    hook["matchConditions"] = json!([{"name": "shares-folders", "expression": shares}]);
    hook
}

/// Webhook configurations, API services and policies.
pub(super) fn objects(installation: &Installation) -> Vec<Value> {
    let annotations = json!({"certificates.kubevirt.io/secret": "kubevirt-virt-api-certs"});
    let mut validators = evictions(installation).to_vec();
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
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "virt-launcher-pod-mutator", "labels": managed(), "annotations": annotations},
            "webhooks": [launcher_pods(installation)],
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "virt-operator-validator", "labels": managed(), "annotations": annotations},
            "webhooks": OPERATOR.iter().map(|hook| webhook(installation, hook)).collect::<Vec<_>>(),
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

//! Service accounts, Services, Deployments and the DaemonSet (spec/operator.md §11.2–§11.6).

use super::{Installation, managed};
use serde_json::{Value, json};

/// The accounts that the components run as.
pub(super) fn service_accounts(installation: &Installation) -> Vec<Value> {
    ["kubevirt-apiserver", "kubevirt-controller", "kubevirt-handler"]
        .into_iter()
        .map(|name| json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": installation.namespace, "labels": managed()}}))
        .collect()
}

/// The Services in front of the components.
pub(super) fn services(installation: &Installation) -> Vec<Value> {
    let ns = &installation.namespace;
    vec![
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "kubevirt-prometheus-metrics", "namespace": ns, "labels": {"kubevirt.io": "", "prometheus.kubevirt.io": "true"}},
            "spec": {"clusterIP": "None", "selector": {"prometheus.kubevirt.io": "true"}, "ports": [{"name": "metrics", "port": 443, "targetPort": "metrics", "protocol": "TCP"}], "type": "ClusterIP"},
        }),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "virt-api", "namespace": ns, "labels": {"kubevirt.io": "virt-api"}},
            "spec": {"selector": {"kubevirt.io": "virt-api"}, "ports": [{"port": 443, "targetPort": 8443, "protocol": "TCP"}], "type": "ClusterIP"},
        }),
    ]
}

/// Deployments of virt-api and virt-controller, the DaemonSet of virt-handler.
///
/// Probes begin at once: upstream waits 15 s first, these processes serve within milliseconds.
pub(super) fn objects(installation: &Installation) -> Vec<Value> {
    vec![
        deployment(
            installation,
            "virt-api",
            "kubevirt-apiserver",
            json!({
                "command": ["virt-api"],
                "args": ["--port", "8443", "--console-server-port", "8186", "--subresources-only", "-v", "2"],
                "ports": [port("virt-api", 8443), port("metrics", 8443)],
                "readinessProbe": {"httpGet": {"scheme": "HTTPS", "port": 8443, "path": "/apis/subresources.kubevirt.io/v1/healthz"}, "periodSeconds": 10},
                "resources": {"requests": {"cpu": "5m", "memory": "500Mi"}},
            }),
            &[
                ("kubevirt-virt-api-certs", "/etc/virt-api/certificates"),
                ("kubevirt-virt-handler-certs", "/etc/virt-handler/clientcertificates"),
            ],
        ),
        deployment(
            installation,
            "virt-controller",
            "kubevirt-controller",
            json!({
                "command": ["virt-controller"],
                "args": ["--launcher-image", installation.image("virt-launcher"), "--exporter-image", installation.image("virt-exportserver"), "--port", "8443", "-v", "2"],
                "ports": [port("metrics", 8443)],
                "livenessProbe": {"httpGet": {"scheme": "HTTPS", "port": 8443, "path": "/healthz"}, "timeoutSeconds": 10, "failureThreshold": 8},
                "readinessProbe": {"httpGet": {"scheme": "HTTPS", "port": 8443, "path": "/leader"}, "timeoutSeconds": 10},
                "resources": {"requests": {"cpu": "10m", "memory": "275Mi"}},
            }),
            &[("kubevirt-controller-certs", "/etc/virt-controller/certificates")],
        ),
        handler(installation),
    ]
}

fn port(name: &str, number: u16) -> Value {
    json!({"name": name, "containerPort": number, "protocol": "TCP"})
}

fn pod_labels(name: &str) -> Value {
    json!({"kubevirt.io": name, "prometheus.kubevirt.io": "true", "np.kubevirt.io/allow-access-cluster-services": "true"})
}

fn mounts(secrets: &[(&str, &str)]) -> (Vec<Value>, Vec<Value>) {
    let volumes = secrets.iter().map(|(name, _)| json!({"name": name, "secret": {"secretName": name, "optional": true}})).collect();
    let mounts = secrets.iter().map(|(name, path)| json!({"name": name, "mountPath": path, "readOnly": true})).collect();
    (volumes, mounts)
}

fn deployment(installation: &Installation, name: &str, account: &str, container: Value, secrets: &[(&str, &str)]) -> Value {
    let (mut volumes, mut volume_mounts) = mounts(secrets);
    volumes.push(json!({"name": "profile-data", "emptyDir": {}}));
    volume_mounts.push(json!({"name": "profile-data", "mountPath": "/profile-data"}));
    let mut container = container;
    container["name"] = json!(name);
    container["image"] = json!(installation.image(name));
    container["imagePullPolicy"] = json!("IfNotPresent");
    container["volumeMounts"] = json!(volume_mounts);
    container["terminationMessagePolicy"] = json!("FallbackToLogsOnError");
    container["securityContext"] =
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}});
    let mut pod = json!({
        "serviceAccountName": account,
        "priorityClassName": "kubevirt-cluster-critical",
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
            "weight": 1,
            "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchExpressions": [{"key": "kubevirt.io", "operator": "In", "values": [name]}]}},
        }]}},
        "containers": [container],
        "volumes": volumes,
    });
    if !installation.infra_anywhere {
        place_on_control_plane(&mut pod);
    }
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": installation.namespace, "labels": {"kubevirt.io": name, "app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "virt-operator", "app.kubernetes.io/component": "kubevirt"}},
        "spec": {
            "replicas": installation.replicas,
            "selector": {"matchLabels": {"kubevirt.io": name}},
            "strategy": {"type": "RollingUpdate"},
            "template": {"metadata": {"labels": pod_labels(name), "annotations": {"openshift.io/required-scc": "restricted-v2"}}, "spec": pod},
        },
    })
}

/// The default placement of the infrastructure (spec/operator.md §14).
fn place_on_control_plane(pod: &mut Value) {
    pod["affinity"]["nodeAffinity"] = json!({
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]},
            {"matchExpressions": [{"key": "node-role.kubernetes.io/master", "operator": "Exists"}]},
        ]},
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": {"matchExpressions": [{"key": "node-role.kubernetes.io/worker", "operator": "DoesNotExist"}]}}],
    });
    if let Some(tolerations) = pod["tolerations"].as_array_mut() {
        for role in ["control-plane", "master"] {
            tolerations.push(json!({"key": format!("node-role.kubernetes.io/{role}"), "operator": "Exists", "effect": "NoSchedule"}));
        }
    }
}

fn handler(installation: &Installation) -> Value {
    let (mut volumes, mut volume_mounts) = mounts(&[
        ("kubevirt-virt-handler-server-certs", "/etc/virt-handler/servercertificates"),
        ("kubevirt-virt-handler-migration-client-certs", "/etc/virt-handler/migrationservercertificates"),
        ("kubevirt-virt-handler-vsock-client-certs", "/etc/virt-handler/vsockclientcertificates"),
    ]);
    for (name, host, inside, propagation) in [
        ("libvirt-runtimes", "/var/run/kubevirt-libvirt-runtimes", "/var/run/kubevirt-libvirt-runtimes", None),
        ("virt-share-dir", "/var/run/kubevirt", "/var/run/kubevirt", Some("Bidirectional")),
        ("virt-private-dir", "/var/run/kubevirt-private", "/var/run/kubevirt-private", None),
        ("kubelet-pods", "/var/lib/kubelet/pods", "/pods", None),
        ("kubelet", "/var/lib/kubelet", "/var/lib/kubelet", Some("HostToContainer")),
        ("node-labeller", "/var/lib/kubevirt-node-labeller", "/var/lib/kubevirt-node-labeller", None),
    ] {
        volumes.push(json!({"name": name, "hostPath": {"path": host, "type": if name == "kubelet" || name == "kubelet-pods" { "" } else { "DirectoryOrCreate" }}}));
        let mut mount = json!({"name": name, "mountPath": inside});
        if let Some(propagation) = propagation {
            mount["mountPropagation"] = json!(propagation);
        }
        volume_mounts.push(mount);
    }
    volumes.push(json!({"name": "profile-data", "emptyDir": {}}));
    volume_mounts.push(json!({"name": "profile-data", "mountPath": "/profile-data"}));
    let probe = |period: u32| json!({"httpGet": {"scheme": "HTTPS", "port": 8443, "path": "/healthz"}, "timeoutSeconds": 10, "periodSeconds": period, "failureThreshold": 3});
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "virt-handler", "namespace": installation.namespace, "labels": {"kubevirt.io": "virt-handler", "app.kubernetes.io/name": "virt-handler", "app.kubernetes.io/managed-by": "virt-operator", "app.kubernetes.io/component": "kubevirt"}},
        "spec": {
            "selector": {"matchLabels": {"kubevirt.io": "virt-handler"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {
                "metadata": {"labels": pod_labels("virt-handler"), "annotations": {"openshift.io/required-scc": "kubevirt-handler"}},
                "spec": {
                    "serviceAccountName": "kubevirt-handler",
                    "priorityClassName": "kubevirt-cluster-critical",
                    "hostPID": true,
                    // Upstream intends this and loses it on the way (spec/operator.md §11.6): draining needs the time.
                    "terminationGracePeriodSeconds": 330,
                    "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}],
                    "initContainers": [{
                        "name": "virt-launcher", "image": installation.image("virt-launcher"), "imagePullPolicy": "IfNotPresent",
                        "command": ["/bin/sh", "-c"], "args": ["node-labeller.sh"],
                        "securityContext": {"privileged": true, "runAsUser": 0},
                        "env": [{"name": "PREFERRED_VIRTTYPE", "value": "kvm"}, {"name": "HYPERVISOR_DEVICE", "value": "kvm"}],
                        "volumeMounts": [{"name": "node-labeller", "mountPath": "/var/lib/kubevirt-node-labeller"}],
                    }],
                    "containers": [{
                        "name": "virt-handler", "image": installation.image("virt-handler"), "imagePullPolicy": "IfNotPresent",
                        "command": ["virt-handler"],
                        "args": ["--port", "8443", "--hostname-override", "$(NODE_NAME)", "--pod-ip-address", "$(MY_POD_IP)", "--max-metric-requests", "3", "--console-server-port", "8186", "--vmstats-server-port", "8187", "--graceful-shutdown-seconds", "315", "--migration-cn-types", "migration", "-v", "2"],
                        "env": [
                            {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                            {"name": "MY_POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                        ],
                        "ports": [port("metrics", 8443), port("vmstats", 8187)],
                        "livenessProbe": probe(45), "readinessProbe": probe(20),
                        "securityContext": {"privileged": true, "seLinuxOptions": {"level": "s0"}},
                        "terminationMessagePolicy": "FallbackToLogsOnError",
                        "resources": {"requests": {"cpu": "10m", "memory": "325Mi"}},
                        "volumeMounts": volume_mounts,
                    }],
                    "volumes": volumes,
                },
            },
        },
    })
}

//! The built-in resources, in the order of discovery.

use super::Strategy;
use super::kinds as k;
use crate::resource::{GroupResource, ResourceInfo, Source, VersionInfo};

/// A subresource in discovery.
#[derive(Debug, Clone, Copy)]
pub struct Subresource {
    /// Name, `status`.
    pub name: &'static str,
    /// Kind it takes and gives.
    pub kind: &'static str,
    /// Group of the kind, when it is another one.
    pub group: &'static str,
    /// Version of the kind, when it is another one.
    pub version: &'static str,
    /// Verbs.
    pub verbs: &'static [&'static str],
}

/// A built-in resource.
pub struct Entry {
    /// API group.
    pub group: &'static str,
    /// Versions, the preferred one first; the first is stored.
    pub versions: &'static [&'static str],
    /// Kind.
    pub kind: &'static str,
    /// Plural name.
    pub plural: &'static str,
    /// Short names.
    pub short: &'static [&'static str],
    /// Categories.
    pub categories: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// Subresources.
    pub subresources: &'static [Subresource],
    /// Rules.
    pub rules: &'static dyn Strategy,
}

const ALL: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const SINGLE: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];
const CREATE: &[&str] = &["create"];
const RW: &[&str] = &["get", "patch", "update"];
const CONNECT: &[&str] = &["create", "get"];
const PROXY: &[&str] = &["create", "delete", "get", "patch", "update"];

const fn sub(name: &'static str, kind: &'static str, verbs: &'static [&'static str]) -> Subresource {
    Subresource { name, kind, group: "", version: "", verbs }
}

const SCALE: Subresource = Subresource { name: "scale", kind: "Scale", group: "autoscaling", version: "v1", verbs: RW };

const fn entry(group: &'static str, kind: &'static str, plural: &'static str, namespaced: bool, rules: &'static dyn Strategy) -> Entry {
    Entry { group, versions: &["v1"], kind, plural, short: &[], categories: &[], namespaced, verbs: ALL, subresources: &[], rules }
}

impl Entry {
    const fn short(mut self, short: &'static [&'static str]) -> Self {
        self.short = short;
        self
    }

    const fn all(mut self) -> Self {
        self.categories = &["all"];
        self
    }

    const fn categories(mut self, categories: &'static [&'static str]) -> Self {
        self.categories = categories;
        self
    }

    const fn verbs(mut self, verbs: &'static [&'static str]) -> Self {
        self.verbs = verbs;
        self
    }

    const fn subs(mut self, subresources: &'static [Subresource]) -> Self {
        self.subresources = subresources;
        self
    }

    const fn versions(mut self, versions: &'static [&'static str]) -> Self {
        self.versions = versions;
        self
    }
}

/// Group priority in discovery, highest first; groups of custom resources come after all of these.
pub const GROUPS: [&str; 21] = [
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "resource.k8s.io",
];

/// Every built-in resource.
pub static ENTRIES: &[Entry] = &[
    entry("", "Binding", "bindings", true, &k::Plain).verbs(CREATE),
    entry("", "ConfigMap", "configmaps", true, &k::ConfigMap).short(&["cm"]),
    entry("", "Endpoints", "endpoints", true, &k::Endpoints).short(&["ep"]),
    entry("", "Event", "events", true, &k::Event).short(&["ev"]),
    entry("", "LimitRange", "limitranges", true, &k::LimitRange).short(&["limits"]),
    entry("", "Namespace", "namespaces", false, &k::Namespace)
        .short(&["ns"])
        .verbs(SINGLE)
        .subs(&[sub("finalize", "Namespace", &["update"]), sub("status", "Namespace", RW)]),
    entry("", "Node", "nodes", false, &k::Node).short(&["no"]).subs(&[sub("proxy", "NodeProxyOptions", PROXY), sub("status", "Node", RW)]),
    entry("", "PersistentVolumeClaim", "persistentvolumeclaims", true, &k::PersistentVolumeClaim).short(&["pvc"]).subs(&[sub(
        "status",
        "PersistentVolumeClaim",
        RW,
    )]),
    entry("", "PersistentVolume", "persistentvolumes", false, &k::PersistentVolume).short(&["pv"]).subs(&[sub(
        "status",
        "PersistentVolume",
        RW,
    )]),
    entry("", "Pod", "pods", true, &k::Pod).short(&["po"]).all().subs(&[
        sub("attach", "PodAttachOptions", CONNECT),
        sub("binding", "Binding", CREATE),
        sub("ephemeralcontainers", "Pod", RW),
        Subresource { name: "eviction", kind: "Eviction", group: "policy", version: "v1", verbs: CREATE },
        sub("exec", "PodExecOptions", CONNECT),
        sub("log", "Pod", &["get"]),
        sub("portforward", "PodPortForwardOptions", CONNECT),
        sub("proxy", "PodProxyOptions", PROXY),
        sub("resize", "Pod", RW),
        sub("status", "Pod", RW),
    ]),
    entry("", "PodTemplate", "podtemplates", true, &k::PodTemplate),
    entry("", "ReplicationController", "replicationcontrollers", true, &k::ReplicationController)
        .short(&["rc"])
        .all()
        .subs(&[SCALE, sub("status", "ReplicationController", RW)]),
    entry("", "ResourceQuota", "resourcequotas", true, &k::ResourceQuota).short(&["quota"]).subs(&[sub("status", "ResourceQuota", RW)]),
    entry("", "Secret", "secrets", true, &k::Secret),
    entry("", "ServiceAccount", "serviceaccounts", true, &k::ServiceAccount).short(&["sa"]).subs(&[Subresource {
        name: "token",
        kind: "TokenRequest",
        group: "authentication.k8s.io",
        version: "v1",
        verbs: CREATE,
    }]),
    entry("", "Service", "services", true, &k::Service)
        .short(&["svc"])
        .all()
        .subs(&[sub("proxy", "ServiceProxyOptions", PROXY), sub("status", "Service", RW)]),
    entry("apiregistration.k8s.io", "APIService", "apiservices", false, &k::ApiService).categories(&["api-extensions"]).subs(&[sub(
        "status",
        "APIService",
        RW,
    )]),
    entry("apps", "ControllerRevision", "controllerrevisions", true, &k::ControllerRevision),
    entry("apps", "DaemonSet", "daemonsets", true, &k::DaemonSet).short(&["ds"]).all().subs(&[sub("status", "DaemonSet", RW)]),
    entry("apps", "Deployment", "deployments", true, &k::Deployment)
        .short(&["deploy"])
        .all()
        .subs(&[SCALE, sub("status", "Deployment", RW)]),
    entry("apps", "ReplicaSet", "replicasets", true, &k::ReplicaSet).short(&["rs"]).all().subs(&[SCALE, sub("status", "ReplicaSet", RW)]),
    entry("apps", "StatefulSet", "statefulsets", true, &k::StatefulSet)
        .short(&["sts"])
        .all()
        .subs(&[SCALE, sub("status", "StatefulSet", RW)]),
    entry("events.k8s.io", "Event", "events", true, &k::Event).short(&["ev"]),
    entry("authentication.k8s.io", "SelfSubjectReview", "selfsubjectreviews", false, &k::Plain).verbs(CREATE),
    entry("authentication.k8s.io", "TokenReview", "tokenreviews", false, &k::Plain).verbs(CREATE),
    entry("authorization.k8s.io", "LocalSubjectAccessReview", "localsubjectaccessreviews", true, &k::Plain).verbs(CREATE),
    entry("authorization.k8s.io", "SelfSubjectAccessReview", "selfsubjectaccessreviews", false, &k::Plain).verbs(CREATE),
    entry("authorization.k8s.io", "SelfSubjectRulesReview", "selfsubjectrulesreviews", false, &k::Plain).verbs(CREATE),
    entry("authorization.k8s.io", "SubjectAccessReview", "subjectaccessreviews", false, &k::Plain).verbs(CREATE),
    entry("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true, &k::HorizontalPodAutoscaler)
        .versions(&["v2", "v1"])
        .short(&["hpa"])
        .all()
        .subs(&[sub("status", "HorizontalPodAutoscaler", RW)]),
    entry("batch", "CronJob", "cronjobs", true, &k::CronJob).short(&["cj"]).all().subs(&[sub("status", "CronJob", RW)]),
    entry("batch", "Job", "jobs", true, &k::Job).all().subs(&[sub("status", "Job", RW)]),
    entry("certificates.k8s.io", "CertificateSigningRequest", "certificatesigningrequests", false, &k::CertificateSigningRequest)
        .short(&["csr"])
        .subs(&[sub("approval", "CertificateSigningRequest", RW), sub("status", "CertificateSigningRequest", RW)]),
    entry("networking.k8s.io", "IngressClass", "ingressclasses", false, &k::Generation),
    entry("networking.k8s.io", "Ingress", "ingresses", true, &k::Ingress).short(&["ing"]).subs(&[sub("status", "Ingress", RW)]),
    entry("networking.k8s.io", "NetworkPolicy", "networkpolicies", true, &k::NetworkPolicy).short(&["netpol"]),
    entry("policy", "PodDisruptionBudget", "poddisruptionbudgets", true, &k::PodDisruptionBudget).short(&["pdb"]).subs(&[sub(
        "status",
        "PodDisruptionBudget",
        RW,
    )]),
    entry("rbac.authorization.k8s.io", "ClusterRoleBinding", "clusterrolebindings", false, &k::Rbac),
    entry("rbac.authorization.k8s.io", "ClusterRole", "clusterroles", false, &k::Rbac),
    entry("rbac.authorization.k8s.io", "RoleBinding", "rolebindings", true, &k::Rbac),
    entry("rbac.authorization.k8s.io", "Role", "roles", true, &k::Rbac),
    entry("storage.k8s.io", "CSIDriver", "csidrivers", false, &k::CsiDriver),
    entry("storage.k8s.io", "CSINode", "csinodes", false, &k::Plain),
    entry("storage.k8s.io", "CSIStorageCapacity", "csistoragecapacities", true, &k::Plain),
    entry("storage.k8s.io", "StorageClass", "storageclasses", false, &k::StorageClass).short(&["sc"]),
    entry("storage.k8s.io", "VolumeAttachment", "volumeattachments", false, &k::VolumeAttachment).subs(&[sub(
        "status",
        "VolumeAttachment",
        RW,
    )]),
    entry("admissionregistration.k8s.io", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", false, &k::WebhookConfiguration)
        .categories(&["api-extensions"]),
    entry("admissionregistration.k8s.io", "MutatingAdmissionPolicy", "mutatingadmissionpolicies", false, &k::MutatingPolicy)
        .categories(&["api-extensions"]),
    entry(
        "admissionregistration.k8s.io",
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
        false,
        &k::AdmissionPolicyBinding,
    )
    .categories(&["api-extensions"]),
    entry("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", false, &k::AdmissionPolicy)
        .categories(&["api-extensions"])
        .subs(&[sub("status", "ValidatingAdmissionPolicy", RW)]),
    entry(
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        false,
        &k::AdmissionPolicyBinding,
    )
    .categories(&["api-extensions"]),
    entry(
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        false,
        &k::WebhookConfiguration,
    )
    .categories(&["api-extensions"]),
    entry("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions", false, &k::CustomResourceDefinition)
        .short(&["crd", "crds"])
        .categories(&["api-extensions"])
        .subs(&[sub("status", "CustomResourceDefinition", RW)]),
    entry("scheduling.k8s.io", "PriorityClass", "priorityclasses", false, &k::PriorityClass).short(&["pc"]),
    entry("coordination.k8s.io", "Lease", "leases", true, &k::Lease),
    entry("node.k8s.io", "RuntimeClass", "runtimeclasses", false, &k::RuntimeClass),
    entry("discovery.k8s.io", "EndpointSlice", "endpointslices", true, &k::EndpointSlice),
];

/// The entry of a built-in resource.
pub fn entry_of(gr: &GroupResource) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.group == gr.group && entry.plural == gr.resource)
}

/// The built-in resources as the registry holds them.
pub fn catalog() -> Vec<ResourceInfo> {
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    ENTRIES
        .iter()
        .map(|entry| ResourceInfo {
            gr: GroupResource::new(entry.group, entry.plural),
            kind: entry.kind.to_owned(),
            list_kind: format!("{}List", entry.kind),
            singular: entry.kind.to_lowercase(),
            short_names: owned(entry.short),
            categories: owned(entry.categories),
            namespaced: entry.namespaced,
            versions: entry
                .versions
                .iter()
                .enumerate()
                .map(|(index, name)| VersionInfo {
                    name: (*name).to_owned(),
                    served: true,
                    storage: index == 0,
                    subresource_status: entry.rules.has_status(),
                    subresource_scale: entry.rules.scale(),
                    ..VersionInfo::default()
                })
                .collect(),
            source: Source::Builtin(entry.rules),
            verbs: owned(entry.verbs),
        })
        .collect()
}

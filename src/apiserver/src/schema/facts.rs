//! How lists and objects of built-in types merge: facts of Kubernetes' API that its published Rust types do not carry.
//!
//! One line a type, its name without `io.k8s.api.`, then `field=fact+fact` for every field that is not the rule:
//! `map:KEY&KEY` and `set` are list types (all other lists are atomic), `object` is an atomic object, `merge:KEY`,
//! `merge|retainKeys:KEY`, `retainKeys` and `replace` are strategies of strategic merge patches with the merge key,
//! `default:TEXT` is a default that list keys need. The field `.` is the type itself.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::{ListType, PatchStrategy};

/// What the table says of one field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fact {
    /// `x-kubernetes-list-type`.
    pub(crate) list_type: Option<ListType>,
    /// `x-kubernetes-list-map-keys`.
    pub(crate) list_map_keys: Vec<&'static str>,
    /// `x-kubernetes-map-type: atomic`.
    pub(crate) atomic_object: bool,
    /// `x-kubernetes-patch-strategy`.
    pub(crate) patch_strategy: Option<PatchStrategy>,
    /// `x-kubernetes-patch-merge-key`.
    pub(crate) patch_merge_key: Option<&'static str>,
    /// `default`.
    pub(crate) default: Option<&'static str>,
}

type Table = BTreeMap<&'static str, BTreeMap<&'static str, Fact>>;

static FACTS: LazyLock<Table> = LazyLock::new(|| {
    TABLE
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, fields)| (name, fields.split(' ').filter_map(|field| field.split_once('=')).map(|(f, t)| (f, fact(t))).collect()))
        .collect()
});

/// The facts of a type by its OpenAPI definition name (`io.k8s.api.core.v1.Pod`).
pub(crate) fn of(definition: &str) -> Option<&'static BTreeMap<&'static str, Fact>> {
    FACTS.get(short(definition).as_str())
}

fn short(definition: &str) -> String {
    let kind = |of: &str| definition.rsplit('.').next().map(|kind| format!("{of}.{kind}"));
    if let Some(rest) = definition.strip_prefix("io.k8s.api.") {
        return rest.to_owned();
    }
    if let Some(rest) = definition.strip_prefix("io.k8s.apimachinery.pkg.apis.") {
        return rest.to_owned();
    }
    let short = if definition.contains(".apiextensions.v1.") {
        kind("apiextensions.v1")
    } else if definition.contains(".apiregistration.v1.") {
        kind("apiregistration.v1")
    } else {
        None
    };
    short.unwrap_or_else(|| definition.to_owned())
}

fn fact(text: &'static str) -> Fact {
    let mut fact = Fact::default();
    for part in text.split('+') {
        let (what, rest) = part.split_once(':').unwrap_or((part, ""));
        match what {
            "map" => {
                fact.list_type = Some(ListType::Map);
                fact.list_map_keys = rest.split('&').collect();
            }
            "set" => fact.list_type = Some(ListType::Set),
            "object" => fact.atomic_object = true,
            "default" => fact.default = Some(rest),
            strategies => {
                let mut strategy = PatchStrategy::default();
                for one in strategies.split('|') {
                    match one {
                        "merge" => strategy.merge = true,
                        "replace" => strategy.replace = true,
                        "retainKeys" => strategy.retain_keys = true,
                        _ => {}
                    }
                }
                fact.patch_strategy = Some(strategy);
                fact.patch_merge_key = (!rest.is_empty()).then_some(rest);
            }
        }
    }
    fact
}

const TABLE: &str = "\
admissionregistration.v1.MatchResources .=object
admissionregistration.v1.MutatingAdmissionPolicySpec matchConditions=map:name+merge:name
admissionregistration.v1.MutatingWebhook matchConditions=map:name+merge:name
admissionregistration.v1.MutatingWebhookConfiguration webhooks=map:name+merge:name
admissionregistration.v1.NamedRuleWithOperations .=object
admissionregistration.v1.ParamKind .=object
admissionregistration.v1.ParamRef .=object
admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec validationActions=set
admissionregistration.v1.ValidatingAdmissionPolicySpec matchConditions=map:name+merge:name \
    variables=map:name+merge:name
admissionregistration.v1.ValidatingAdmissionPolicyStatus conditions=map:type
admissionregistration.v1.ValidatingWebhook matchConditions=map:name+merge:name
admissionregistration.v1.ValidatingWebhookConfiguration webhooks=map:name+merge:name
admissionregistration.v1.Variable .=object
apiextensions.v1.CustomResourceDefinitionStatus conditions=map:type
apiextensions.v1.JSONSchemaProps x-kubernetes-validations=map:rule+merge:rule
apiregistration.v1.APIServiceStatus conditions=map:type+merge:type
apps.v1.DaemonSetStatus conditions=map:type+merge:type
apps.v1.DeploymentSpec strategy=retainKeys
apps.v1.DeploymentStatus conditions=map:type+merge:type
apps.v1.ReplicaSetStatus conditions=map:type+merge:type
apps.v1.StatefulSetStatus conditions=map:type+merge:type
autoscaling.v1.CrossVersionObjectReference .=object
autoscaling.v2.HorizontalPodAutoscalerStatus conditions=map:type+merge:type
batch.v1.JobStatus conditions=merge:type
batch.v1.PodFailurePolicyOnExitCodesRequirement values=set
batch.v1.UncountedTerminatedPods failed=set succeeded=set
certificates.v1.CertificateSigningRequestStatus conditions=map:type
core.v1.ComponentStatus conditions=map:type+merge:type
core.v1.ConfigMapKeySelector .=object
core.v1.Container env=map:name+merge:name ports=map:containerPort&protocol+merge:containerPort \
    volumeDevices=map:devicePath+merge:devicePath volumeMounts=map:mountPath+merge:mountPath
core.v1.ContainerPort protocol=default:TCP
core.v1.ContainerRestartRuleOnExitCodes values=set
core.v1.ContainerStatus allocatedResourcesStatus=map:name+merge:name \
    volumeMounts=map:mountPath+merge:mountPath
core.v1.EndpointAddress .=object
core.v1.EndpointPort .=object
core.v1.EphemeralContainer env=map:name+merge:name ports=map:containerPort&protocol+merge:containerPort \
    volumeDevices=map:devicePath+merge:devicePath volumeMounts=map:mountPath+merge:mountPath
core.v1.FileKeySelector .=object
core.v1.LocalObjectReference .=object
core.v1.NamespaceStatus conditions=map:type+merge:type
core.v1.NodeSelector .=object
core.v1.NodeSelectorTerm .=object
core.v1.NodeSpec podCIDRs=set+merge
core.v1.NodeStatus addresses=map:type+merge:type conditions=map:type+merge:type
core.v1.ObjectFieldSelector .=object
core.v1.ObjectReference .=object
core.v1.PersistentVolumeClaimStatus conditions=map:type+merge:type
core.v1.PodSpec containers=map:name+merge:name ephemeralContainers=map:name+merge:name \
    evictionResponders=map:name+merge:name hostAliases=map:ip+merge:ip imagePullSecrets=map:name+merge:name \
    initContainers=map:name+merge:name nodeSelector=object resourceClaims=map:name+merge|retainKeys:name \
    schedulingGates=map:name+merge:name \
    topologySpreadConstraints=map:topologyKey&whenUnsatisfiable+merge:topologyKey \
    volumes=map:name+merge|retainKeys:name
core.v1.PodStatus conditions=map:type+merge:type hostIPs=merge:ip \
    nodeAllocatableResourceClaimStatuses=map:resourceClaimName+merge:resourceClaimName podIPs=map:ip+merge:ip \
    resourceClaimStatuses=map:name+merge|retainKeys:name volumeHealth=map:name
core.v1.ReplicationControllerSpec selector=object
core.v1.ReplicationControllerStatus conditions=map:type+merge:type
core.v1.ResourceFieldSelector .=object
core.v1.ResourceRequirements claims=map:name
core.v1.ResourceStatus resources=map:resourceID
core.v1.ScopeSelector .=object
core.v1.SecretKeySelector .=object
core.v1.SecretReference .=object
core.v1.ServiceAccount secrets=map:name+merge:name
core.v1.ServicePort protocol=default:TCP
core.v1.ServiceSpec ports=map:port&protocol+merge:port selector=object
core.v1.ServiceStatus conditions=map:type+merge:type
core.v1.TopologySelectorTerm .=object
core.v1.TypedLocalObjectReference .=object
core.v1.VolumeMount bindMountOptions=set
discovery.v1.Endpoint addresses=set
discovery.v1.EndpointPort .=object
flowcontrol.v1.FlowSchemaStatus conditions=map:type+merge:type
flowcontrol.v1.NonResourcePolicyRule nonResourceURLs=set verbs=set
flowcontrol.v1.PriorityLevelConfigurationStatus conditions=map:type+merge:type
flowcontrol.v1.ResourcePolicyRule apiGroups=set namespaces=set resources=set verbs=set
meta.v1.LabelSelector .=object
meta.v1.ObjectMeta finalizers=set+merge ownerReferences=map:uid+merge:uid
meta.v1.OwnerReference .=object
networking.v1.ServiceBackendPort .=object
networking.v1.ServiceCIDRStatus conditions=map:type+merge:type
node.v1.Scheduling nodeSelector=object
policy.v1.PodDisruptionBudgetSpec selector=replace
policy.v1.PodDisruptionBudgetStatus conditions=map:type+merge:type
rbac.v1.RoleRef .=object
rbac.v1.Subject .=object
resource.v1.AllocatedDeviceStatus conditions=map:type
resource.v1.DeviceRequestAllocationResult skipNodeOperations=set
resource.v1.ResourceClaimStatus devices=map:driver&device&pool&shareID reservedFor=map:uid+merge:uid
resource.v1.ResourceSliceSpec skipNodeOperations=set
storage.v1.CSIDriverSpec volumeLifecycleModes=set
storage.v1.CSINodeSpec drivers=map:name+merge:name
";

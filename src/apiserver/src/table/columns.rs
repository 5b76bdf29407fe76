//! Column definitions of the built-in kinds.

use serde_json::Value;

use super::{column, metadata_description, with_name};
use crate::registry::Call;
use crate::schema::Schema;

/// Where a column's description comes from.
#[derive(Clone, Copy)]
enum About {
    /// This text.
    Text(&'static str),
    /// The description of a field of the kind's schema.
    Field(&'static str),
    /// When the object was created.
    Age,
    /// The name.
    Name,
}

use About::{Age, Field, Name, Text};

/// Heading, description, priority.
type Column = (&'static str, About, i32);

const AGE: Column = ("Age", Age, 0);
const CONTAINERS: Column = ("Containers", Text("Names of each container in the template."), 1);
const IMAGES: Column = ("Images", Text("Images referenced by each container in the template."), 1);

/// The columns after the name. Events begin with others and have the name at the end.
fn of(group: &str, resource: &str) -> &'static [Column] {
    match (group, resource) {
        ("", "pods") => &[
            ("Ready", Text("The aggregate readiness state of this pod for accepting traffic."), 0),
            ("Status", Text("The aggregate status of the containers in this pod."), 0),
            (
                "Restarts",
                Text(
                    "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
                ),
                0,
            ),
            AGE,
            ("IP", Field("status.podIP"), 1),
            ("Node", Field("spec.nodeName"), 1),
            ("Nominated Node", Field("status.nominatedNodeName"), 1),
            ("Readiness Gates", Field("spec.readinessGates"), 1),
        ],
        ("", "nodes") => &[
            ("Status", Text("The status of the node"), 0),
            ("Roles", Text("The roles of the node"), 0),
            AGE,
            ("Version", Field("status.nodeInfo.kubeletVersion"), 0),
            ("Internal-IP", Field("status.addresses"), 1),
            ("External-IP", Field("status.addresses"), 1),
            ("OS-Image", Field("status.nodeInfo.osImage"), 1),
            ("Kernel-Version", Field("status.nodeInfo.kernelVersion"), 1),
            ("Container-Runtime", Field("status.nodeInfo.containerRuntimeVersion"), 1),
        ],
        ("", "namespaces") => &[("Status", Text("The status of the namespace"), 0), AGE],
        ("", "services") => &[
            ("Type", Field("spec.type"), 0),
            ("Cluster-IP", Field("spec.clusterIP"), 0),
            ("External-IP", Field("spec.externalIPs"), 0),
            ("Port(s)", Field("spec.ports"), 0),
            AGE,
            ("Selector", Field("spec.selector"), 1),
        ],
        ("", "endpoints") => &[("Endpoints", Field("subsets"), 0), AGE],
        ("", "persistentvolumeclaims") => &[
            ("Status", Field("status.phase"), 0),
            ("Volume", Field("spec.volumeName"), 0),
            ("Capacity", Field("status.capacity"), 0),
            ("Access Modes", Field("status.accessModes"), 0),
            ("StorageClass", Text("StorageClass of the pvc"), 0),
            ("VolumeAttributesClass", Text("VolumeAttributesClass of the pvc"), 0),
            AGE,
            ("VolumeMode", Field("spec.volumeMode"), 1),
        ],
        ("", "persistentvolumes") => &[
            ("Capacity", Field("spec.capacity"), 0),
            ("Access Modes", Field("spec.accessModes"), 0),
            ("Reclaim Policy", Field("spec.persistentVolumeReclaimPolicy"), 0),
            ("Status", Field("status.phase"), 0),
            ("Claim", Field("spec.claimRef"), 0),
            ("StorageClass", Text("StorageClass of the pv"), 0),
            ("VolumeAttributesClass", Text("VolumeAttributesClass of the pv"), 0),
            ("Reason", Field("status.reason"), 0),
            AGE,
            ("VolumeMode", Field("spec.volumeMode"), 1),
        ],
        ("", "configmaps") => &[("Data", Field("data"), 0), AGE],
        ("", "secrets") => &[("Type", Field("type"), 0), ("Data", Field("data"), 0), AGE],
        ("" | "events.k8s.io", "events") => &[
            ("Last Seen", Field("lastTimestamp"), 0),
            ("Type", Field("type"), 0),
            ("Reason", Field("reason"), 0),
            ("Object", Field("involvedObject"), 0),
            ("Subobject", Field("involvedObject.fieldPath"), 1),
            ("Source", Field("source"), 1),
            ("Message", Field("message"), 0),
            ("First Seen", Field("firstTimestamp"), 1),
            ("Count", Field("count"), 1),
            ("Name", Name, 1),
        ],
        ("", "resourcequotas") => &[
            ("Request", Text("Request represents a minimum amount of cpu/memory that a container may consume."), 0),
            (
                "Limit",
                Text("Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node."),
                0,
            ),
            AGE,
        ],
        ("apps", "deployments") => &[
            ("Ready", Text("Number of the pod with ready state"), 0),
            ("Up-to-date", Field("status.updatedReplicas"), 0),
            ("Available", Field("status.availableReplicas"), 0),
            AGE,
            CONTAINERS,
            IMAGES,
            ("Selector", Field("spec.selector"), 1),
        ],
        ("", "replicationcontrollers") | ("apps", "replicasets") => &[
            ("Desired", Field("spec.replicas"), 0),
            ("Current", Field("status.replicas"), 0),
            ("Ready", Field("status.readyReplicas"), 0),
            AGE,
            CONTAINERS,
            IMAGES,
            ("Selector", Field("spec.selector"), 1),
        ],
        ("apps", "daemonsets") => &[
            ("Desired", Field("status.desiredNumberScheduled"), 0),
            ("Current", Field("status.currentNumberScheduled"), 0),
            ("Ready", Field("status.numberReady"), 0),
            ("Up-to-date", Field("status.updatedNumberScheduled"), 0),
            ("Available", Field("status.numberAvailable"), 0),
            ("Node Selector", Text("NodeSelector is a selector which must be true for the pod to fit on a node."), 0),
            AGE,
            CONTAINERS,
            IMAGES,
            ("Selector", Field("spec.selector"), 1),
        ],
        ("apps", "statefulsets") => &[("Ready", Text("Number of the pod with ready state"), 0), AGE, CONTAINERS, IMAGES],
        ("apps", "controllerrevisions") => &[("Controller", Text("Controller of the object"), 0), ("Revision", Field("revision"), 0), AGE],
        ("batch", "jobs") => &[
            ("Status", Text("Status of the job."), 0),
            ("Completions", Field("status.succeeded"), 0),
            ("Duration", Text("Time required to complete the job."), 0),
            AGE,
            CONTAINERS,
            IMAGES,
            ("Selector", Field("spec.selector"), 1),
        ],
        ("batch", "cronjobs") => &[
            ("Schedule", Field("spec.schedule"), 0),
            ("Timezone", Field("spec.timeZone"), 0),
            ("Suspend", Field("spec.suspend"), 0),
            ("Active", Field("status.active"), 0),
            ("Last Schedule", Field("status.lastScheduleTime"), 0),
            AGE,
            CONTAINERS,
            IMAGES,
        ],
        ("policy", "poddisruptionbudgets") => &[
            ("Min Available", Text("The minimum number of pods that must be available."), 0),
            ("Max Unavailable", Text("The maximum number of pods that may be unavailable."), 0),
            ("Allowed Disruptions", Text("Calculated number of pods that may be disrupted at this time."), 0),
            AGE,
        ],
        ("coordination.k8s.io", "leases") => &[("Holder", Field("spec.holderIdentity"), 0), AGE],
        ("storage.k8s.io", "storageclasses") => &[
            ("Provisioner", Field("provisioner"), 0),
            ("ReclaimPolicy", Field("reclaimPolicy"), 0),
            ("VolumeBindingMode", Field("volumeBindingMode"), 0),
            ("AllowVolumeExpansion", Field("allowVolumeExpansion"), 0),
            AGE,
        ],
        ("scheduling.k8s.io", "priorityclasses") => &[
            ("Value", Field("value"), 0),
            ("Global-Default", Field("globalDefault"), 0),
            AGE,
            ("PreemptionPolicy", Field("preemptionPolicy"), 0),
        ],
        ("", "limitranges")
        | ("rbac.authorization.k8s.io", "roles" | "clusterroles")
        | ("apiextensions.k8s.io", "customresourcedefinitions") => &[("Created At", Age, 0)],
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => &[
            ("Role", Text("Reference to a role in the current namespace or a cluster role in the global namespace"), 0),
            AGE,
            ("Users", Text("Users in the roleBinding"), 1),
            ("Groups", Text("Groups in the roleBinding"), 1),
            ("ServiceAccounts", Text("ServiceAccounts in the roleBinding"), 1),
        ],
        ("apiregistration.k8s.io", "apiservices") => &[
            ("Service", Text("The reference to the service that hosts this API endpoint."), 0),
            ("Available", Text("Whether this service is available."), 0),
            AGE,
        ],
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations" | "mutatingwebhookconfigurations") => {
            &[("Webhooks", Text("Webhooks indicates the number of webhooks registered in this configuration"), 0), AGE]
        }
        ("admissionregistration.k8s.io", "validatingadmissionpolicies") => &[
            ("Validations", Text("Validations indicates the number of validation rules defined in this configuration"), 0),
            ("ParamKind", Text("ParamKind specifies the kind of resources used to parameterize this policy"), 0),
            AGE,
        ],
        ("admissionregistration.k8s.io", "mutatingadmissionpolicies") => &[
            ("Mutations", Text("Mutation indicates the number of mutations rules defined in this configuration"), 0),
            ("ParamKind", Text("ParamKind specifies the kind of resources used to parameterize this policy"), 0),
            AGE,
        ],
        ("admissionregistration.k8s.io", "validatingadmissionpolicybindings" | "mutatingadmissionpolicybindings") => &[
            ("PolicyName", Text("PolicyName indicates the policy definition which the policy binding binded to"), 0),
            ("ParamRef", Text("ParamRef indicates the param resource which sets the configration param"), 0),
            AGE,
        ],
        ("autoscaling", "horizontalpodautoscalers") => &[
            ("Reference", Field("spec.scaleTargetRef"), 0),
            ("Targets", Field("spec.metrics"), 0),
            ("MinPods", Field("spec.minReplicas"), 0),
            ("MaxPods", Field("spec.maxReplicas"), 0),
            ("Replicas", Field("status.currentReplicas"), 0),
            AGE,
        ],
        ("networking.k8s.io", "networkpolicies") => &[("Pod-Selector", Field("spec.podSelector"), 0), AGE],
        ("networking.k8s.io", "ingresses") => &[
            ("Class", Text("The name of the IngressClass resource that should be used for additional configuration"), 0),
            ("Hosts", Text("Hosts that incoming requests are matched against before the ingress rule"), 0),
            ("Address", Text("Address is a list containing ingress points for the load-balancer"), 0),
            ("Ports", Text("Ports of TLS configurations that open"), 0),
            AGE,
        ],
        ("discovery.k8s.io", "endpointslices") => {
            &[("AddressType", Field("addressType"), 0), ("Ports", Field("ports"), 0), ("Endpoints", Field("endpoints"), 0), AGE]
        }
        ("certificates.k8s.io", "certificatesigningrequests") => &[
            AGE,
            ("SignerName", Field("spec.signerName"), 0),
            ("Requestor", Field("spec.username"), 0),
            ("RequestedDuration", Field("spec.expirationSeconds"), 0),
            ("Condition", Field("status.conditions"), 0),
        ],
        ("node.k8s.io", "runtimeclasses") => &[("Handler", Field("handler"), 0), AGE],
        _ => &[AGE],
    }
}

/// The headings of a built-in resource after the name, in order.
pub(super) fn headings(group: &str, resource: &str) -> impl Iterator<Item = &'static str> {
    of(group, resource).iter().map(|(name, _, _)| *name)
}

/// The definitions of a built-in resource.
pub(super) fn definitions(call: &Call) -> Vec<Value> {
    let schema = if call.info.gr.resource == "events" {
        crate::schema::builtin::schema_of(&crate::resource::Gvk::new("", "v1", "Event"))
    } else {
        call.schema()
    };
    let columns = of(&call.info.gr.group, &call.info.gr.resource).iter().map(|(name, about, priority)| {
        let kind = match *name {
            "Allowed Disruptions" => "integer",
            "Created At" => "date",
            _ => "string",
        };
        let description = match about {
            Text(text) => (*text).to_owned(),
            Age => metadata_description("creationTimestamp"),
            Name => metadata_description("name"),
            Field(path) => schema.as_deref().map(|schema| described(schema, path)).unwrap_or_default(),
        };
        let format = if matches!(about, Name) { "name" } else { "" };
        column(name, kind, format, &description, *priority)
    });
    if call.info.gr.resource == "events" { columns.collect() } else { with_name(columns) }
}

fn described(schema: &Schema, path: &str) -> String {
    let mut at = schema;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        // The reference's own description hides that of its target; the field's is meant.
        let Some(field) = at.properties.get(part) else { return String::new() };
        if parts.peek().is_none() {
            return field.description().to_owned();
        }
        at = field.resolve();
    }
    String::new()
}

//! Services for guests (spec/virtctl.md §7).

use super::{at, exact, owner, required};
use crate::error::{Error, Result, bail};
use crate::{ConnectionArgs, Deps};
use serde_json::{Value, json};

/// `expose`.
#[derive(Debug, clap::Args)]
pub struct Expose {
    /// vm, vmi or vmirs, and its name
    #[arg(value_name = "TYPE NAME")]
    names: Vec<String>,
    /// Name of the Service (required)
    #[arg(long, value_name = "SERVICE")]
    name: Option<String>,
    /// Port of the Service; the ports of the guest's interface, if not given
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    port: i32,
    /// Port of the guest, by number or name; the Service's, if not given
    #[arg(long, default_value = "", hide_default_value = true, value_name = "PORT")]
    target_port: String,
    /// Protocol: TCP or UDP
    #[arg(long, default_value = "TCP")]
    protocol: String,
    /// Type: ClusterIP, NodePort or LoadBalancer
    #[arg(long = "type", default_value = "ClusterIP", value_name = "TYPE")]
    service_type: String,
    /// Name of the port
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    port_name: String,
    /// Address of the Service in the cluster, or None
    #[arg(long, default_value = "", hide_default_value = true, value_name = "IP")]
    cluster_ip: String,
    /// Further address of the Service
    #[arg(long, default_value = "", hide_default_value = true, value_name = "IP")]
    external_ip: String,
    /// IP families: IPv4, IPv6, or both in order of preference
    #[arg(long, default_value = "", hide_default_value = true, value_name = "FAMILIES")]
    ip_family: String,
    /// How many families: SingleStack, PreferDualStack or RequireDualStack
    #[arg(long, default_value = "", hide_default_value = true, value_name = "POLICY")]
    ip_family_policy: String,
}

/// What can be exposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exposed {
    Vm,
    Vmi,
    ReplicaSet,
}

impl Exposed {
    fn parse(word: &str) -> Result<Self> {
        Ok(match word {
            "vm" | "vms" | "virtualmachine" | "virtualmachines" => Self::Vm,
            "vmi" | "vmis" | "virtualmachineinstance" | "virtualmachineinstances" => Self::Vmi,
            "vmirs" | "vmirss" | "virtualmachineinstancereplicaset" | "virtualmachineinstancereplicasets" => Self::ReplicaSet,
            other => bail!("unsupported resource type: {other}"),
        })
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Vm => ("virtualmachines", "VirtualMachine"),
            Self::Vmi => ("virtualmachineinstances", "VirtualMachineInstance"),
            Self::ReplicaSet => ("virtualmachineinstancereplicasets", "VirtualMachineInstanceReplicaSet"),
        }
    }

    /// Labels of the pods behind the Service.
    fn selector(self, object: &Value) -> Result<Value> {
        if self != Self::ReplicaSet {
            return Ok(json!({"vmi.kubevirt.io/id": convert::pod::vmi_id(at(object, "/metadata/name"))}));
        }
        let selector = &object["spec"]["selector"];
        if selector["matchExpressions"].as_array().is_some_and(|expressions| !expressions.is_empty()) {
            bail!("cannot expose VirtualMachineInstanceReplicaSet with match expressions");
        }
        match selector["matchLabels"].as_object() {
            Some(labels) if !labels.is_empty() => Ok(json!(labels)),
            _ => bail!("cannot expose VirtualMachineInstanceReplicaSet without any selector labels"),
        }
    }
}

/// Ports of the interfaces that are on the pod network.
fn interface_ports(spec: &Value) -> Vec<Value> {
    let list = |pointer: &str| spec.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let networks = list("/networks");
    let on_pod_network = |name: &str| networks.iter().any(|network| network["name"] == name && network.get("pod").is_some());
    let mut ports = Vec::new();
    for interface in list("/domain/devices/interfaces") {
        if !on_pod_network(interface["name"].as_str().unwrap_or_default()) {
            continue;
        }
        for port in interface["ports"].as_array().into_iter().flatten() {
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            ports.push(json!({"name": format!("port-{}", ports.len() + 1), "protocol": protocol, "port": port["port"], "targetPort": port["port"]}));
        }
    }
    ports
}

impl Expose {
    /// The Service for an object.
    fn service(&self, kind: Exposed, object: &Value, namespace: &str) -> Result<Value> {
        if !matches!(self.protocol.as_str(), "TCP" | "UDP") {
            bail!("unknown protocol: {}", self.protocol);
        }
        match self.service_type.as_str() {
            "ClusterIP" | "NodePort" | "LoadBalancer" => {}
            "ExternalName" => bail!("type: {} not supported", self.service_type),
            other => bail!("unknown service type: {other}"),
        }
        let families: Vec<&str> = match self.ip_family.to_lowercase().as_str() {
            "" => Vec::new(),
            "ipv4" => vec!["IPv4"],
            "ipv6" => vec!["IPv6"],
            "ipv4,ipv6" => vec!["IPv4", "IPv6"],
            "ipv6,ipv4" => vec!["IPv6", "IPv4"],
            _ => bail!("unknown IPFamily/s: {}", self.ip_family),
        };
        let policy = match self.ip_family_policy.to_lowercase().as_str() {
            "" if families.len() == 2 => Some("PreferDualStack"),
            "" => None,
            "singlestack" => Some("SingleStack"),
            "preferdualstack" => Some("PreferDualStack"),
            "requiredualstack" => Some("RequireDualStack"),
            _ => bail!("unknown IPFamilyPolicy/s: {}", self.ip_family_policy),
        };
        let ports = if self.port == 0 {
            interface_ports(if kind == Exposed::Vmi { &object["spec"] } else { &object["spec"]["template"]["spec"] })
        } else {
            let target = match self.target_port.as_str() {
                "" => json!(self.port),
                text => text.parse::<i32>().map_or_else(|_| json!(text), |number| json!(number)),
            };
            let mut port = json!({"protocol": self.protocol, "port": self.port, "targetPort": target});
            if !self.port_name.is_empty() {
                port["name"] = json!(self.port_name);
            }
            vec![port]
        };
        if ports.is_empty() {
            bail!("couldn't find port via --port flag or introspection");
        }
        let mut spec = json!({"selector": kind.selector(object)?, "ports": ports, "type": self.service_type});
        if !self.cluster_ip.is_empty() {
            spec["clusterIP"] = json!(self.cluster_ip);
        }
        if !self.external_ip.is_empty() {
            spec["externalIPs"] = json!([self.external_ip]);
        }
        if !families.is_empty() {
            spec["ipFamilies"] = json!(families);
        }
        if let Some(policy) = policy {
            spec["ipFamilyPolicy"] = json!(policy);
        }
        Ok(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": self.name, "namespace": namespace, "ownerReferences": [owner(object, true)]},
            "spec": spec,
        }))
    }

    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [word, name] = exact(&self.names)?;
        required(&[("name", self.name.is_some())])?;
        let kind = Exposed::parse(&word.to_lowercase())?;
        let (resource, title) = kind.names();
        let session = deps.connect.connect(flags).await?;
        let object = session.get(&session.custom("kubevirt.io/v1", resource, name)).await;
        let mut object = object.map_err(|error| error.after(format!("error fetching {title}: ")))?;
        object["apiVersion"] = json!("kubevirt.io/v1");
        object["kind"] = json!(title);
        let service = self.service(kind, &object, &session.namespace)?;
        let created = session.create(&session.core("services", ""), &service).await;
        created.map_err(|error: Error| error.after("service creation failed: "))?;
        deps.out.line(format!("Service {} successfully created for {word} {name}", self.name.unwrap_or_default()));
        Ok(())
    }
}

//! Interfaces and the networks they connect to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A network interface; it connects to the network of the same name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Interface {
    /// The network it connects to.
    pub name: String,
    /// virtio (the default), e1000, e1000e, igb, ne2k_pci, pcnet or rtl8139.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub model: Option<String>,
    /// Bridged to the pod's interface: the guest takes its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<InterfaceBridge>,
    /// Removed; refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slirp: Option<DeprecatedInterfaceSlirp>,
    /// Behind address translation in the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masquerade: Option<InterfaceMasquerade>,
    /// A virtual function of the host's network card, passed through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sriov: Option<InterfaceSRIOV>,
    /// Removed; refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macvtap: Option<DeprecatedInterfaceMacvtap>,
    /// Removed; refused. See `passtBinding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passt: Option<DeprecatedInterfacePasst>,
    /// Connected by passt, in user space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passt_binding: Option<InterfacePasstBinding>,
    /// Connected by a plugin that is registered in the cluster's configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<PluginBinding>,
    /// Ports that are reachable through masquerade; all if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub ports: Vec<Port>,
    /// Ranges of ports that are reachable through masquerade.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub port_ranges: Vec<PortRange>,
    /// The MAC address; generated if unset.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub mac_address: Option<String>,
    /// The place in the boot order, 1 first; unique among disks and interfaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub boot_order: Option<u64>,
    /// The address on the guest's PCI bus, as 0000:81:01.10.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub pci_address: Option<String>,
    /// What the pod's DHCP server tells the guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dhcp_options: Option<DHCPOptions>,
    /// A label the guest finds in its metadata.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub tag: Option<String>,
    /// A number the guest derives a stable interface name from; unique.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub acpi_index: Option<i64>,
    /// up, down (the cable is unplugged) or absent (the interface is to be removed).
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub state: Option<String>,
}

/// Bridged to the pod's interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InterfaceBridge {}

/// Removed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeprecatedInterfaceSlirp {}

/// Behind address translation in the pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InterfaceMasquerade {}

/// A virtual function passed through.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InterfaceSRIOV {}

/// Removed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeprecatedInterfaceMacvtap {}

/// Removed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeprecatedInterfacePasst {}

/// Connected by passt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InterfacePasstBinding {}

/// A binding by a registered plugin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginBinding {
    /// The plugin's name in the cluster's configuration.
    pub name: String,
}

/// A reachable port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Port {
    /// The port's name; unique.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub name: Option<String>,
    /// TCP (the default) or UDP.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub protocol: Option<String>,
    /// The port number, 1 to 65535.
    pub port: i32,
}

/// A range of reachable ports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PortRange {
    /// TCP or UDP.
    pub protocol: String,
    /// The first port.
    pub start: i32,
    /// The last port.
    pub end: i32,
}

/// What the pod's DHCP server tells the guest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DHCPOptions {
    /// The file to boot from the network (option 67).
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub boot_file_name: Option<String>,
    /// The server to boot from (option 66).
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub tftp_server_name: Option<String>,
    /// Time servers, IPv4 (option 42).
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::address::list")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub ntp_servers: Vec<String>,
    /// Options 224 to 254.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub private_options: Vec<DHCPPrivateOptions>,
}

/// A private DHCP option.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DHCPPrivateOptions {
    /// The option's number.
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub option: i64,
    /// The value.
    pub value: String,
}

/// A network an interface connects to; exactly one source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Network {
    /// The name interfaces refer to.
    pub name: String,
    /// The pod's network; at most one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodNetwork>,
    /// A network of a NetworkAttachmentDefinition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multus: Option<MultusNetwork>,
    /// A network device of a resource claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_claim: Option<ClaimRequest>,
}

/// The pod's network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PodNetwork {
    /// The guest's IPv4 range behind masquerade; 10.0.2.0/24 if unset.
    #[serde(rename = "vmNetworkCIDR", skip_serializing_if = "crate::zero::is_empty", deserialize_with = "crate::address::cidr")]
    pub vm_network_cidr: Option<String>,
    /// The guest's IPv6 range behind masquerade; fd10:0:2::/120 if unset.
    #[serde(rename = "vmIPv6NetworkCIDR", skip_serializing_if = "crate::zero::is_empty")]
    pub vm_ipv6_network_cidr: Option<String>,
}

/// A network of a NetworkAttachmentDefinition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MultusNetwork {
    /// The NetworkAttachmentDefinition, as `name` or `namespace/name`.
    pub network_name: String,
    /// Takes the place of the pod network; at most one.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub default: Option<bool>,
}

/// A request of a resource claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimRequest {
    /// The claim, one of `resourceClaims`.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub claim_name: Option<String>,
    /// The request inside the claim.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub request_name: Option<String>,
}

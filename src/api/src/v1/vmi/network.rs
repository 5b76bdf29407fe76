//! Interfaces and the networks they connect to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A network interface; it connects to the network of the same name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Interface {
    /// The name; other parts refer to it: must equal a network name; unique.
    pub name: String,
    /// The emulated model: virtio (default) | e1000 | e1000e | igb | ne2k_pci | pcnet | rtl8139.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub model: Option<String>,
    /// Bridged to the pod's interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<InterfaceBridge>,
    /// Slirp: removed; rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slirp: Option<DeprecatedInterfaceSlirp>,
    /// Behind address translation in the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masquerade: Option<InterfaceMasquerade>,
    /// A virtual function passed through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sriov: Option<InterfaceSRIOV>,
    /// Macvtap: removed; rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macvtap: Option<DeprecatedInterfaceMacvtap>,
    /// Passt: removed; rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passt: Option<DeprecatedInterfacePasst>,
    /// Passt binding: gate PasstBinding (beta).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passt_binding: Option<InterfacePasstBinding>,
    /// Binding: plugin registered in KubeVirt CR configuration.network.binding; excludes the core methods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<PluginBinding>,
    /// Ports: port required 1..65535; protocol default TCP; excludes portRanges.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub ports: Vec<Port>,
    /// Port ranges: gate PortRangesSpec; masquerade only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub port_ranges: Vec<PortRange>,
    /// Mac address: aa:bb:cc:dd:ee:ff or with dashes.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub mac_address: Option<String>,
    /// The place in the boot order, 1 first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub boot_order: Option<u64>,
    /// The address on the guest's PCI bus, as 0000:81:01.10.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub pci_address: Option<String>,
    /// Dhcp options: option 67, 66, 42; private options 224..254.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dhcp_options: Option<DHCPOptions>,
    /// A label the guest finds in its metadata.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub tag: Option<String>,
    /// Acpi index: stable guest NIC naming; unique.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    #[schemars(extend("format" = serde_json::Value::Null))]
    pub acpi_index: Option<i64>,
    /// The state: absent = hot-unplug request; down = link down; up/empty = link up.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub state: Option<String>,
}

/// `bridge` of a Interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InterfaceBridge {}

/// `slirp` of a Interface: removed; rejected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeprecatedInterfaceSlirp {}

/// `masquerade` of a Interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InterfaceMasquerade {}

/// `sriov` of a Interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InterfaceSRIOV {}

/// `macvtap` of a Interface: removed; rejected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeprecatedInterfaceMacvtap {}

/// `passt` of a Interface: removed; rejected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeprecatedInterfacePasst {}

/// `passtBinding` of a Interface: gate PasstBinding (beta).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InterfacePasstBinding {}

/// `binding` of a Interface: plugin registered in KubeVirt CR configuration.network.binding; excludes the core methods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginBinding {
    /// The name; other parts refer to it.
    pub name: String,
}

/// `ports` of a Interface: port required 1..65535; protocol default TCP; excludes portRanges.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Port {
    /// The name; other parts refer to it.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub name: Option<String>,
    /// TCP or UDP.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub protocol: Option<String>,
    /// The port number.
    pub port: i32,
}

/// `portRanges` of a Interface: gate PortRangesSpec; masquerade only.
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

/// `dhcpOptions` of a Interface: option 67, 66, 42; private options 224..254.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DHCPOptions {
    /// The file to boot from the network.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub boot_file_name: Option<String>,
    /// The server to boot from.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub tftp_server_name: Option<String>,
    /// Time servers.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::address::list")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub ntp_servers: Vec<String>,
    /// Site-specific options.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = serde_json::Value::Null))]
    pub private_options: Vec<DHCPPrivateOptions>,
}

/// `privateOptions` of a DHCPOptions.
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
    /// The name; other parts refer to it.
    pub name: String,
    /// The pod: at most one; v4 default 10.0.2.0/24, v6 default fd10:0:2::/120 (masquerade).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodNetwork>,
    /// Multus: networkName \[ns/\]nad; at most one default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multus: Option<MultusNetwork>,
    /// Resource claim: gate NetworkDevicesWithDRA (SR-IOV).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_claim: Option<ClaimRequest>,
}

/// `pod` of a Network: at most one; v4 default 10.0.2.0/24, v6 default fd10:0:2::/120 (masquerade).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PodNetwork {
    /// The IPv4 range behind the address translation.
    #[serde(rename = "vmNetworkCIDR", skip_serializing_if = "crate::zero::is_empty", deserialize_with = "crate::address::cidr")]
    pub vm_network_cidr: Option<String>,
    /// The IPv6 range behind the address translation.
    #[serde(rename = "vmIPv6NetworkCIDR", skip_serializing_if = "crate::zero::is_empty")]
    pub vm_ipv6_network_cidr: Option<String>,
}

/// `multus` of a Network: networkName \[ns/\]nad; at most one default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MultusNetwork {
    /// The NetworkAttachmentDefinition, with or without a namespace.
    pub network_name: String,
    /// Whether it takes the place of the pod network.
    #[serde(skip_serializing_if = "crate::zero::is_false")]
    pub default: Option<bool>,
}

/// `resourceClaim` of a Network: gate NetworkDevicesWithDRA (SR-IOV).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimRequest {
    /// The PersistentVolumeClaim used.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub claim_name: Option<String>,
    /// The request inside the resource claim.
    #[serde(skip_serializing_if = "crate::zero::is_empty")]
    pub request_name: Option<String>,
}

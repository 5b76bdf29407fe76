//! Tap devices, once the pod's network is known. Source: spec/domain-xml.md §9, phase 2.

use std::collections::BTreeMap;

use domain::{Domain, InterfaceTarget, Mac, Mtu, YesNo};

/// What the pod's network gives an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tap {
    /// The tap device.
    pub device: String,
    /// The MAC address of the pod's interface; one the VMI asks for wins.
    pub mac: String,
    /// The MTU of the pod's interface, in bytes.
    pub mtu: u32,
}

/// The tap device of a network, given the pod's interface of it: `tap0` for the pod network, else after the interface.
pub fn device_name(primary: bool, pod_interface: &str) -> String {
    /// The prefix of pod interfaces.
    const PREFIX: usize = 3;
    if primary { "tap0".to_owned() } else { format!("tap{}", pod_interface.get(PREFIX..).unwrap_or_default()) }
}

/// Ties interfaces to their taps, by the name of the network.
pub fn attach(domain: &mut Domain, taps: &BTreeMap<String, Tap>) {
    for interface in domain.devices.interfaces.iter_mut().filter(|i| i.kind == "ethernet") {
        let Some(tap) = interface.alias.as_ref().and_then(|a| taps.get(&a.name)) else { continue };
        interface.mac.get_or_insert_with(|| Mac { address: tap.mac.clone() });
        interface.mtu = Some(Mtu { size: tap.mtu });
        interface.target = Some(InterfaceTarget { dev: tap.device.clone(), managed: Some(YesNo::No) });
    }
}

#[cfg(test)]
mod tests {
    use domain::{Alias, Devices, Interface};

    use super::*;

    #[test]
    fn the_mac_of_the_vmi_wins() {
        let interface = |name: &str, mac: Option<&str>| Interface {
            kind: "ethernet".into(),
            alias: Some(Alias::user(name)),
            mac: mac.map(|m| Mac { address: m.into() }),
            ..Interface::default()
        };
        let mut domain = Domain {
            devices: Devices {
                interfaces: vec![interface("a", None), interface("b", Some("02:00:00:00:00:01")), interface("c", None)],
                ..Devices::default()
            },
            ..Domain::default()
        };
        let tap = |device: &str| Tap { device: device.into(), mac: "02:00:00:00:00:99".into(), mtu: 1450 };
        attach(&mut domain, &BTreeMap::from([("a".to_owned(), tap("tap0")), ("b".to_owned(), tap("tapx"))]));
        let got: Vec<_> = domain
            .devices
            .interfaces
            .iter()
            .map(|i| {
                (i.mac.as_ref().map(|m| m.address.as_str()), i.target.as_ref().map(|t| t.dev.as_str()), i.mtu.as_ref().map(|m| m.size))
            })
            .collect();
        assert_eq!(
            got,
            [
                (Some("02:00:00:00:00:99"), Some("tap0"), Some(1450)),
                (Some("02:00:00:00:00:01"), Some("tapx"), Some(1450)),
                (None, None, None)
            ]
        );
    }

    #[test]
    fn taps_are_named_after_the_pods_interface() {
        assert_eq!(device_name(true, "eth0"), "tap0");
        assert_eq!(
            device_name(false, &crate::vmi::pod_interface_name("red")),
            format!("tap{}", &crate::vmi::pod_interface_name("red")[3..])
        );
    }
}

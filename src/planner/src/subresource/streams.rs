//! Whether a stream of a VirtualMachineInstance can be opened (spec/api.md §4).

use super::{Refusal, phase};
use api::v1::VirtualMachineInstance;

const VMI: &str = "virtualmachineinstance";

fn running(vmi: &VirtualMachineInstance) -> Result<(), Refusal> {
    if phase(vmi) == "Running" { Ok(()) } else { Err(Refusal::bad_request("VMI is not running")) }
}

/// Whether the `console` or `vnc` stream of the VMI can be opened.
///
/// # Errors
/// 400 without the device or a running guest, 409 when the VMI failed.
pub fn stream(vmi: &VirtualMachineInstance, verb: &str) -> Result<(), Refusal> {
    let name = vmi.metadata.name.as_deref().unwrap_or_default();
    let devices = &vmi.spec.domain.devices;
    match verb {
        "console" if devices.autoattach_serial_console == Some(false) => {
            return Err(Refusal::bad_request("No serial consoles are present."));
        }
        "vnc" if devices.autoattach_graphics_device == Some(false) => return Err(Refusal::bad_request("No graphics devices are present.")),
        "console" if phase(vmi) == "Failed" => return Err(Refusal::conflict(VMI, name, "VMI is in failed status")),
        _ => {}
    }
    running(vmi)
}

/// Whether a USB device can be redirected to the guest.
///
/// # Errors
/// 409 on a machine without USB or a VMI that was not prepared for it, 400 without a running guest.
pub fn usb_redirection(vmi: &VirtualMachineInstance) -> Result<(), Refusal> {
    let name = vmi.metadata.name.as_deref().unwrap_or_default();
    if vmi.spec.architecture.as_deref() == Some("s390x") {
        return Err(Refusal::conflict(VMI, name, "No USB support on s390x"));
    }
    if vmi.spec.domain.devices.client_passthrough.is_none() {
        return Err(Refusal::conflict(VMI, name, "Not configured with USB Redirection"));
    }
    running(vmi)
}

/// Whether a VSOCK port of the guest can be reached; virt-handler reads which one.
///
/// # Errors
/// 400 without the device, or where no node has the guest.
pub fn vsock(vmi: &VirtualMachineInstance) -> Result<(), Refusal> {
    if vmi.spec.domain.devices.autoattach_vsock != Some(true) {
        return Err(Refusal::bad_request("VSOCK is not attached."));
    }
    super::vmi::on_a_node(vmi)
}

/// Protocols that are forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// A stream of bytes.
    Tcp,
    /// Datagrams.
    Udp,
}

/// The address that a port of the VMI is reached at, and how; `rest` is what follows `portforward` in the path.
///
/// # Errors
/// 409 for a paused guest, 400 without an interface, 500 for a port or protocol that is none.
pub fn port_forward(vmi: &VirtualMachineInstance, rest: &[String]) -> Result<(String, Forwarded), Refusal> {
    let name = vmi.metadata.name.as_deref().unwrap_or_default();
    let status = vmi.status.clone().unwrap_or_default();
    if status.conditions.iter().any(|condition| condition.r#type == "Paused") {
        return Err(Refusal::conflict(VMI, name, "VMI is paused"));
    }
    let Some(interface) = status.interfaces.first() else { return Err(Refusal::bad_request("no network interfaces are present")) };
    let (port, protocol) = match rest {
        [port] => (port.as_str(), "tcp"),
        [port, protocol, ..] => (port.as_str(), protocol.as_str()),
        [] => ("", "tcp"),
    };
    let dialing = |why: String| Refusal::internal(format!("dialing VM: {why}"));
    let number: u16 = port.parse().map_err(|_| dialing(format!("invalid port {port:?}")))?;
    let protocol = match protocol {
        "tcp" => Forwarded::Tcp,
        "udp" => Forwarded::Udp,
        other => return Err(dialing(format!("unknown protocol {other}"))),
    };
    let ip = interface.ip_address.clone().unwrap_or_default();
    if ip.is_empty() {
        return Err(dialing("the guest has no address yet".to_owned()));
    }
    let address = if ip.contains(':') { format!("[{ip}]:{number}") } else { format!("{ip}:{number}") };
    Ok((address, protocol))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn vmi(devices: &Value, status: &Value) -> VirtualMachineInstance {
        serde_json::from_value(json!({"metadata": {"name": "vm"}, "spec": {"domain": {"devices": devices}}, "status": status})).unwrap()
    }

    #[rstest]
    #[case("10.0.0.1", &["22", "tcp"], Ok(("10.0.0.1:22", Forwarded::Tcp)))]
    #[case("fd00::1", &["53", "udp"], Ok(("[fd00::1]:53", Forwarded::Udp)))]
    #[case("10.0.0.1", &["ssh"], Err("dialing VM: invalid port \"ssh\""))]
    #[case("10.0.0.1", &["22", "sctp"], Err("dialing VM: unknown protocol sctp"))]
    #[case("", &["22"], Err("dialing VM: the guest has no address yet"))]
    fn ports_lead_to_the_first_interface(#[case] ip: &str, #[case] rest: &[&str], #[case] expected: Result<(&str, Forwarded), &str>) {
        let rest: Vec<String> = rest.iter().map(|part| (*part).to_owned()).collect();
        match (port_forward(&vmi(&json!({}), &json!({"interfaces": [{"ipAddress": ip}]})), &rest), expected) {
            (Ok((address, protocol)), Ok(wanted)) => assert_eq!((address.as_str(), protocol), wanted),
            (Err(refusal), Err(why)) => assert!(refusal.message.ends_with(why), "{}", refusal.message),
            (got, wanted) => panic!("{got:?}, not {wanted:?}"),
        }
    }

    #[test]
    fn a_stream_needs_its_device_and_a_running_guest() {
        let up = json!({"phase": "Running"});
        assert_eq!(usb_redirection(&vmi(&json!({}), &up)).unwrap_err().code, 409);
        assert_eq!(usb_redirection(&vmi(&json!({"clientPassthrough": {}}), &json!({"phase": "Scheduled"}))).unwrap_err().code, 400);
        assert!(usb_redirection(&vmi(&json!({"clientPassthrough": {}}), &up)).is_ok());
        assert_eq!(port_forward(&vmi(&json!({}), &up), &["22".to_owned()]).unwrap_err().message, "no network interfaces are present");
        assert_eq!(vsock(&vmi(&json!({}), &up)).unwrap_err().message, "VSOCK is not attached.");
        let attached = json!({"autoattachVSOCK": true});
        assert!(vsock(&vmi(&attached, &json!({"phase": "Pending"}))).unwrap_err().message.contains("phase is Pending"));
        assert!(vsock(&vmi(&attached, &up)).is_ok());
    }
}

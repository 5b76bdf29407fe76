//! What libvirt relays of the guest agent (`virDomainGetGuestInfo`) as ours.

use hypervisor::{GuestFilesystem, GuestInfo, GuestInterface, GuestLoad, GuestOs, GuestTimezone, GuestUser};

use crate::sys::{Params, Value};

/// Reads what the agent said; what it did not say is empty.
pub(crate) fn read(params: &Params) -> GuestInfo {
    let text = |name: &str| params.text(name);
    let number = |name: &str| params.number(name).unwrap_or_default();
    let each = |group: &str| {
        let group = group.to_owned();
        (0..number(&format!("{group}.count"))).map(move |index| format!("{group}.{index}"))
    };
    let double = |name: &str| match params.get(name) {
        Some(Value::Double(value)) => Some(*value),
        _ => None,
    };
    GuestInfo {
        hostname: text("hostname"),
        os: GuestOs {
            id: text("os.id"),
            name: text("os.name"),
            pretty_name: text("os.pretty-name"),
            version: text("os.version"),
            version_id: text("os.version-id"),
            kernel_release: text("os.kernel-release"),
            kernel_version: text("os.kernel-version"),
            machine: text("os.machine"),
        },
        timezone: GuestTimezone {
            name: text("timezone.name"),
            offset_seconds: match params.get("timezone.offset") {
                Some(Value::Integer(offset)) => i32::try_from(*offset).unwrap_or_default(),
                _ => 0,
            },
        },
        users: each("user")
            .map(|user| GuestUser {
                name: text(&format!("{user}.name")),
                domain: text(&format!("{user}.domain")),
                // libvirt counts milliseconds.
                login_time: number(&format!("{user}.login-time")) as f64 / 1000.0,
            })
            .collect(),
        interfaces: each("if")
            .map(|interface| GuestInterface {
                name: text(&format!("{interface}.name")),
                mac: text(&format!("{interface}.hwaddr")),
                addresses: each(&format!("{interface}.addr")).map(|address| text(&format!("{address}.addr"))).collect(),
            })
            .collect(),
        filesystems: each("fs")
            .map(|filesystem| GuestFilesystem {
                name: text(&format!("{filesystem}.name")),
                mountpoint: text(&format!("{filesystem}.mountpoint")),
                kind: text(&format!("{filesystem}.fstype")),
                used_bytes: number(&format!("{filesystem}.used-bytes")),
                total_bytes: number(&format!("{filesystem}.total-bytes")),
            })
            .collect(),
        load: double("load.1m").zip(double("load.5m")).zip(double("load.15m")).map(|((one, five), fifteen)| GuestLoad {
            one,
            five,
            fifteen,
        }),
    }
}

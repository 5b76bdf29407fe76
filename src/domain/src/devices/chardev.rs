//! Channels, serial ports, consoles and USB redirection.

use super::Address;
use crate::element::element;
use crate::values::{Alias, OnOff};

element! {
    /// `<channel>`: a virtio port between host and guest.
    Channel {
        req "@type" kind: String,
        opt "source" source: SocketSource,
        opt "target" target: ChannelTarget,
        opt "alias" alias: Alias,
        opt "address" address: Address,
    }
}

element! {
    /// The port's name in the guest; libvirt adds its state.
    ChannelTarget {
        opt "@name" name: String,
        req "@type" kind: String,
        opt "@address" address: String,
        opt "@port" port: u32,
        opt "@state" state: String,
    }
}

element! {
    /// A socket or terminal on the host.
    SocketSource {
        opt "@mode" mode: String,
        opt "@path" path: String,
    }
}

impl SocketSource {
    /// A socket that QEMU listens on.
    pub fn bind(path: impl Into<String>) -> Self {
        Self { mode: Some("bind".to_owned()), path: Some(path.into()) }
    }
}

element! {
    /// `<serial>`.
    Serial {
        req "@type" kind: String,
        opt "target" target: SerialTarget,
        opt "source" source: SocketSource,
        opt "alias" alias: Alias,
        opt "log" log: SerialLog,
        opt "address" address: Address,
    }
}

element! {
    /// The guest's serial port.
    SerialTarget {
        opt "@type" kind: String,
        opt "@port" port: u32,
        opt "model" model: SerialModel,
    }
}

element! {
    /// The device libvirt chose for a serial port.
    SerialModel {
        req "@name" name: String,
    }
}

element! {
    /// A file that keeps what the guest prints.
    SerialLog {
        opt "@file" file: String,
        opt "@append" append: OnOff,
    }
}

element! {
    /// `<console>`.
    Console {
        req "@type" kind: String,
        opt "@tty" tty: String,
        opt "target" target: ConsoleTarget,
        opt "source" source: SocketSource,
        opt "alias" alias: Alias,
        opt "log" log: SerialLog,
        opt "address" address: Address,
    }
}

element! {
    /// The guest's side of the console.
    ConsoleTarget {
        opt "@type" kind: String,
        opt "@port" port: u32,
    }
}

element! {
    /// `<redirdev>`: a USB device of a remote client.
    RedirDev {
        req "@type" kind: String,
        req "@bus" bus: String,
        req "source" source: SocketSource,
        opt "alias" alias: Alias,
        opt "address" address: Address,
    }
}

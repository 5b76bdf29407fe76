//! Screens, input and sound.

use super::Address;
use crate::element::element;
use crate::values::{Alias, YesNo};

element! {
    /// `<video>`.
    Video {
        req "model" model: VideoModel,
        opt "alias" alias: Alias,
        opt "address" address: Address,
    }
}

element! {
    /// The graphics card; memory in KiB.
    VideoModel {
        req "@type" kind: String,
        opt "@heads" heads: u32,
        opt "@ram" ram: u32,
        opt "@vram" vram: u32,
        opt "@vgamem" vgamem: u32,
        opt "@primary" primary: YesNo,
    }
}

element! {
    /// `<graphics>`.
    Graphics {
        opt "@autoport" autoport: YesNo,
        opt "@defaultMode" default_mode: String,
        opt "@passwdValidTo" passwd_valid_to: String,
        opt "@port" port: i32,
        opt "@tlsPort" tls_port: i32,
        opt "@socket" socket: String,
        req "@type" kind: String,
        opt "listen" listen: GraphicsListen,
    }
}

element! {
    /// Where the display is served.
    GraphicsListen {
        req "@type" kind: String,
        opt "@address" address: String,
        opt "@socket" socket: String,
    }
}

element! {
    /// `<input>`.
    Input {
        /// `tablet`, `keyboard`, `mouse`.
        req "@type" kind: String,
        req "@bus" bus: String,
        opt "@model" model: String,
        opt "alias" alias: Alias,
        opt "address" address: Address,
    }
}

element! {
    /// `<sound>`.
    Sound {
        req "@model" model: String,
        opt "alias" alias: Alias,
        opt "address" address: Address,
    }
}

element! {
    /// `<audio>`: the host's side of sound, which libvirt adds.
    Audio {
        req "@id" id: u32,
        req "@type" kind: String,
    }
}

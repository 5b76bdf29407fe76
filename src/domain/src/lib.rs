//! libvirt's domain XML as Rust types: render and parse.

//! A Linux guest with the real guest agent: this machine's kernel, and an initial RAM disk made of its own programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Modules the agent's port and a file system to freeze need.
const MODULES: &[&str] = &["virtio_pci", "virtio_console", "virtio_blk", "ext4"];

const AGENT: &str = "/usr/sbin/qemu-ga";

const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
/bin/busybox --install -s /sbin
export PATH=/bin:/sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read module; do insmod /modules/$module; done < /modules/order
hostname conformance
ip link set lo up
mount -t ext4 /dev/vda /mnt
for port in /sys/class/virtio-ports/*; do
  [ "$(cat $port/name)" = org.qemu.guest_agent.0 ] && agent=/dev/${port##*/}
done
echo up > /dev/ttyS0
exec qemu-ga -m virtio-serial -p $agent -t /run
"#;

/// A guest's files.
#[derive(Clone)]
pub struct Linux {
    pub kernel: String,
    pub initrd: String,
    /// A disk with an empty ext4 file system.
    pub disk: String,
}

impl Linux {
    /// Makes them in a folder.
    ///
    /// # Errors
    /// What this machine lacks.
    pub fn make(folder: &Path) -> Result<Self, String> {
        for (path, package) in [("/bin/busybox", "busybox-static"), (AGENT, "qemu-guest-agent")] {
            if !Path::new(path).exists() {
                return Err(format!("{path} is missing (package {package})"));
            }
        }
        let version = newest_kernel().ok_or("no kernel with modules (package linux-image-cloud-amd64)")?;
        let image = PathBuf::from(format!("/boot/vmlinuz-{version}"));
        let kernel = folder.join("vmlinuz");
        fs::copy(&image, &kernel).map_err(|error| format!("{}: {error}", image.display()))?;
        let initrd = folder.join("initrd");
        fs::write(&initrd, archive(&version)?).map_err(|error| error.to_string())?;
        let disk = folder.join("ext4.raw");
        fs::File::create(&disk).and_then(|file| file.set_len(8 << 20)).map_err(|error| error.to_string())?;
        run(Command::new("mke2fs").args(["-q", "-F", "-t", "ext4"]).arg(&disk))?;
        for path in [&kernel, &initrd, &disk] {
            super::open_up(path);
        }
        let text = |path: &Path| path.display().to_string();
        Ok(Self { kernel: text(&kernel), initrd: text(&initrd), disk: text(&disk) })
    }
}

fn newest_kernel() -> Option<String> {
    let mut versions: Vec<String> = fs::read_dir("/lib/modules")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|version| Path::new(&format!("/boot/vmlinuz-{version}")).exists())
        .collect();
    versions.sort();
    versions.pop()
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// The RAM disk: `cpio` in its `newc` form.
fn archive(version: &str) -> Result<Vec<u8>, String> {
    let mut archive = Archive::default();
    for folder in ["bin", "sbin", "dev", "proc", "sys", "run", "tmp", "mnt", "etc", "modules", "var"] {
        archive.folder(folder);
    }
    archive.file("init", 0o755, INIT.as_bytes());
    archive.copy("bin/busybox", "/bin/busybox")?;
    archive.copy("bin/qemu-ga", AGENT)?;
    archive.file("etc/os-release", 0o644, b"NAME=\"Debian\"\nID=debian\n");
    for line in run(Command::new("ldd").arg(AGENT))?.lines() {
        let path = line.split_whitespace().find(|word| word.starts_with('/'));
        if let Some(path) = path {
            archive.copy(path.trim_start_matches('/'), path)?;
        }
    }
    let mut order = Vec::new();
    for module in MODULES {
        for line in run(Command::new("modprobe").args(["-S", version, "--show-depends", module]))?.lines() {
            let mut words = line.split_whitespace();
            if let (Some("insmod"), Some(path)) = (words.next(), words.next()) {
                let name = path.rsplit('/').next().unwrap_or(path).to_owned();
                if !order.contains(&name) {
                    archive.copy(&format!("modules/{name}"), path)?;
                    order.push(name);
                }
            }
        }
    }
    archive.file("modules/order", 0o644, format!("{}\n", order.join("\n")).as_bytes());
    Ok(archive.end())
}

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    folders: Vec<String>,
}

impl Archive {
    fn copy(&mut self, name: &str, from: &str) -> Result<(), String> {
        let content = fs::read(from).map_err(|error| format!("{from}: {error}"))?;
        let mut folder = String::new();
        for part in name.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev() {
            folder = if folder.is_empty() { part.to_owned() } else { format!("{folder}/{part}") };
            self.folder(&folder);
        }
        self.file(name, 0o755, &content);
        Ok(())
    }

    fn folder(&mut self, name: &str) {
        if !self.folders.iter().any(|folder| folder == name) {
            self.folders.push(name.to_owned());
            self.entry(name, 0o040_755, &[]);
        }
    }

    fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entry(name, 0o100_000 | mode, content);
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let size = content.len();
        let name_size = name.len() + 1;
        let header = format!(
            "070701{:08X}{mode:08X}{:08X}{:08X}{:08X}{:08X}{size:08X}{:08X}{:08X}{:08X}{:08X}{name_size:08X}{:08X}",
            self.entries, 0, 0, 1, 0, 0, 0, 0, 0, 0
        );
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

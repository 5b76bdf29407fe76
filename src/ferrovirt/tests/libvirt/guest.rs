//! A guest made of this machine's own kernel and BusyBox: the content of the images that VMs boot from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the guest needs of its kernel's modules: the power button, disks, the file system of media.
const MODULES: [&str; 5] = ["button", "evdev", "virtio_pci", "virtio_blk", "isofs"];

/// What the guest does: it tells of its disks, ticks, repeats what it hears, and powers off when its button is pressed.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec < /dev/ttyS0 > /dev/ttyS0 2>&1
while read module; do insmod /modules/$module; done < /modules/order
for event in /dev/input/event*; do
  (dd if=$event of=/dev/null bs=24 count=1 2> /dev/null; echo "guest: the power button was pressed"; poweroff -f) &
done
for disk in /sys/block/vd*; do
  device=/dev/${disk##*/}
  echo "guest: $device has $(cat $disk/size) sectors and begins with $(dd if=$device bs=16 count=1 2> /dev/null | tr -cd 'a-z ')"
  mount -t iso9660 -o ro $device /mnt 2> /dev/null && echo "guest: user data: $(cat /mnt/user-data)"
done
echo "guest: up"
(while sleep 1; do echo "guest: tick"; done) &
while read line; do echo "guest: heard $line"; done
"#;

/// The folder of images.
pub struct Images {
    folder: tempfile::TempDir,
}

impl Images {
    /// Makes the images: `kernel` to boot, and `disk`.
    ///
    /// # Errors
    /// What this machine lacks.
    pub fn make() -> Result<Self, String> {
        use std::os::unix::fs::PermissionsExt as _;
        if !Path::new("/bin/busybox").exists() {
            return Err("/bin/busybox is missing (Debian: apt install busybox-static)".to_owned());
        }
        let version = newest_kernel().ok_or("no kernel with modules (Debian: apt install linux-image-cloud-amd64)")?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        // Launchers may run as somebody else.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).map_err(|error| error.to_string())?;
        let boot = folder.path().join("kernel/boot");
        let disks = folder.path().join("disk/disk");
        let done = fs::create_dir_all(&boot)
            .and_then(|()| fs::create_dir_all(&disks))
            .and_then(|()| fs::copy(format!("/boot/vmlinuz-{version}"), boot.join("vmlinuz")).map(drop))
            .and_then(|()| fs::write(disks.join("disk.img"), [b"container disk  ".to_vec(), vec![0; 1 << 20]].concat()));
        done.map_err(|error| error.to_string())?;
        initrd(&version, folder.path(), &boot.join("initrd"))?;
        Ok(Self { folder })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn newest_kernel() -> Option<String> {
    let versions = fs::read_dir("/lib/modules").ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    versions.filter(|version| Path::new(&format!("/boot/vmlinuz-{version}")).exists()).max()
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// The initial RAM disk: BusyBox, modules and the script above.
fn initrd(version: &str, folder: &Path, path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let tree = folder.join("initrd");
    let failed = |error: std::io::Error| error.to_string();
    for name in ["bin", "dev", "proc", "sys", "mnt", "modules"] {
        fs::create_dir_all(tree.join(name)).map_err(failed)?;
    }
    fs::copy("/bin/busybox", tree.join("bin/busybox")).map_err(failed)?;
    fs::write(tree.join("init"), INIT).map_err(failed)?;
    fs::set_permissions(tree.join("init"), fs::Permissions::from_mode(0o755)).map_err(failed)?;
    let mut order: Vec<String> = Vec::new();
    for module in MODULES {
        for line in output(Command::new("modprobe").args(["-S", version, "--show-depends", module]))?.lines() {
            let Some(path) = line.strip_prefix("insmod ").map(|path| PathBuf::from(path.trim())) else { continue };
            let name = path.file_name().unwrap_or_default().display().to_string();
            if !order.contains(&name) {
                fs::copy(&path, tree.join("modules").join(&name)).map_err(failed)?;
                order.push(name);
            }
        }
    }
    fs::write(tree.join("modules/order"), format!("{}\n", order.join("\n"))).map_err(failed)?;
    let pack = "find . | cpio --quiet -o -H newc | gzip -1 > \"$1\"";
    output(Command::new("sh").args(["-ec", pack, "sh"]).arg(path).current_dir(&tree))?;
    fs::remove_dir_all(&tree).map_err(failed)
}

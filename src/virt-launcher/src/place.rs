//! Where the paths of the launcher's container are on this machine.
//!
//! A domain's XML names files and sockets as the container has them (`/var/run/kubevirt-private/…`). A launcher without a mount
//! namespace of its own has all of that below a folder that stands in for `/`, and its hypervisor has to be told the real paths.

use std::path::{Path, PathBuf};

use domain::{BackingStore, Disk, DiskSource, Domain, Interface, SocketSource};
use runtime::process::Options;

/// Folders that are the container's own; what is elsewhere (firmware, programs) belongs to its image, which here is the machine.
const OWN: [&str; 3] = ["/var/run/", "/var/lib/", "/run/"];

/// The container's place on this machine.
#[derive(Clone, Debug, Default)]
pub struct Place {
    process: Options,
}

impl Place {
    /// The place of a process with these options.
    pub fn new(process: &Options) -> Self {
        Self { process: process.clone() }
    }

    /// Where a path of the container is.
    pub fn path(&self, path: &str) -> PathBuf {
        self.process.path(path)
    }

    /// Whether the container shares the machine's file system and network.
    pub fn is_shared(&self) -> bool {
        self.process.root.is_some()
    }

    /// Rewrites every path of the domain that is the container's to where it is on this machine. Nothing to do in a real container.
    ///
    /// Guarantees: repeating it changes nothing, as long as the container's root is not itself in one of the container's folders.
    pub fn relocate(&self, domain: &mut Domain) {
        if !self.is_shared() {
            return;
        }
        let os = &mut domain.os;
        let files = [&mut os.kernel, &mut os.initrd];
        files.into_iter().flatten().for_each(|path| self.own(path));
        if let Some(loader) = &mut os.loader {
            self.own(&mut loader.path);
        }
        if let Some(nvram) = &mut os.nvram {
            self.own(&mut nvram.path);
        }
        for table in os.acpi.iter_mut().flat_map(|acpi| &mut acpi.tables) {
            self.own(&mut table.path);
        }
        for argument in domain.qemu_commandline.iter_mut().flat_map(|line| &mut line.args) {
            if let Some((option, path)) = argument.value.split_once("file=") {
                let mut path = path.to_owned();
                self.own(&mut path);
                argument.value = format!("{option}file={path}");
            }
        }
        let devices = &mut domain.devices;
        devices.disks.iter_mut().for_each(|disk| self.disk(disk));
        let sockets = devices.channels.iter_mut().map(|channel| &mut channel.source);
        let sockets = sockets.chain(devices.serials.iter_mut().map(|serial| &mut serial.source));
        sockets.flatten().for_each(|source| self.socket(source));
        devices.redirdevs.iter_mut().for_each(|redirdev| self.socket(&mut redirdev.source));
        for log in devices.serials.iter_mut().filter_map(|serial| serial.log.as_mut()) {
            log.file.iter_mut().for_each(|path| self.own(path));
        }
        for graphics in &mut devices.graphics {
            graphics.socket.iter_mut().for_each(|path| self.own(path));
            graphics.listen.iter_mut().flat_map(|listen| &mut listen.socket).for_each(|path| self.own(path));
        }
        for source in devices.filesystems.iter_mut().filter_map(|filesystem| filesystem.source.as_mut()) {
            self.own(&mut source.dir);
            source.socket.iter_mut().for_each(|path| self.own(path));
        }
        for backend in devices.interfaces.iter_mut().filter_map(|interface| interface.backend.as_mut()) {
            backend.log_file.iter_mut().for_each(|path| self.own(path));
        }
    }

    fn own(&self, path: &mut String) {
        if OWN.iter().any(|folder| path.starts_with(folder)) && !self.is_real(path) {
            *path = self.path(path).display().to_string();
        }
    }

    fn is_real(&self, path: &str) -> bool {
        self.process.root.as_ref().is_some_and(|root| Path::new(path).starts_with(root))
    }

    fn socket(&self, source: &mut SocketSource) {
        source.path.iter_mut().for_each(|path| self.own(path));
    }

    fn disk(&self, disk: &mut Disk) {
        if self.source(&mut disk.source) {
            "file".clone_into(&mut disk.kind);
        }
        let mut backing = disk.backing_store.as_mut();
        while let Some(BackingStore { kind, source, backing_store, .. }) = backing {
            if source.as_mut().is_some_and(|source| self.source(source)) {
                *kind = Some("file".to_owned());
            }
            backing = backing_store.as_deref_mut();
        }
    }

    /// Whether a block device turned out to be a file.
    fn source(&self, source: &mut DiskSource) -> bool {
        source.file.iter_mut().for_each(|path| self.own(path));
        let behind = source.data_store.as_mut().and_then(|store| Some((&mut store.kind, store.source.as_mut()?)));
        if let Some((kind, behind)) = behind
            && self.source(behind)
        {
            *kind = Some("file".to_owned());
        }
        // A volume that the container has at `/dev/NAME`: here it may well be a file.
        let Some(own) = source.dev.as_deref().map(|device| self.path(device)).filter(|own| own.exists()) else { return false };
        let is_file = own.is_file();
        let path = Some(own.display().to_string());
        if is_file {
            *source = DiskSource { dev: None, file: path, name: None, ..std::mem::take(source) };
        } else {
            source.dev = path;
        }
        is_file
    }
}

/// Gives every NIC whose tap device nobody made the emulator's own network: the guest reaches the network as a program on this machine
/// would, by network address translation, and is reached by nobody (docs/libvirt.md).
pub fn use_user_network(domain: &mut Domain) {
    for interface in domain.devices.interfaces.iter_mut().filter(|interface| interface.kind == "ethernet" && interface.target.is_none()) {
        // Queues in the kernel and an MTU are properties of a tap device.
        let Interface { kind, driver, mtu, .. } = interface;
        "user".clone_into(kind);
        *driver = None;
        *mtu = None;
    }
}

#[cfg(test)]
mod tests {
    use domain::{Alias, Format, Interface, InterfaceDriver, Serial, SerialLog};

    use super::*;

    fn place(root: &Path) -> Place {
        Place::new(&Options { root: Some(root.to_owned()), ..Options::default() })
    }

    #[test]
    fn the_containers_paths_are_below_its_root() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("dev")).unwrap();
        std::fs::write(folder.path().join("dev/data"), []).unwrap();
        let root = folder.path().display().to_string();
        let backing =
            |path: &str| BackingStore { format: Some(Format::new("raw")), source: Some(DiskSource::file(path)), ..BackingStore::default() };
        let mut domain = Domain::default();
        domain.os.kernel = Some("/var/run/kubevirt/container-disks/kernel-boot/vmlinuz".to_owned());
        domain.devices.disks = vec![
            Disk {
                kind: "file".into(),
                source: DiskSource::file("/var/run/kubevirt-ephemeral-disks/a"),
                backing_store: Some(backing("/var/run/b")),
                ..Disk::default()
            },
            Disk { kind: "block".into(), source: DiskSource::block("/dev/data"), ..Disk::default() },
            Disk { kind: "block".into(), source: DiskSource::block("/dev/other"), ..Disk::default() },
        ];
        domain.devices.serials = vec![Serial {
            source: Some(SocketSource::bind("/var/run/kubevirt-private/1/virt-serial0")),
            log: Some(SerialLog { file: Some("/usr/share/elsewhere".into()), ..SerialLog::default() }),
            ..Serial::default()
        }];
        for _ in 0..2 {
            place(folder.path()).relocate(&mut domain);
            assert_eq!(domain.os.kernel, Some(format!("{root}/var/run/kubevirt/container-disks/kernel-boot/vmlinuz")));
            let disks = &domain.devices.disks;
            assert_eq!(disks[0].source.path(), Some(format!("{root}/var/run/kubevirt-ephemeral-disks/a").as_str()));
            let below = disks[0].backing_store.as_ref().unwrap().source.as_ref().unwrap();
            assert_eq!(below.path(), Some(format!("{root}/var/run/b").as_str()));
            assert_eq!((disks[1].kind.as_str(), disks[1].source.file.clone()), ("file", Some(format!("{root}/dev/data"))));
            assert_eq!((disks[2].kind.as_str(), disks[2].source.path()), ("block", Some("/dev/other")));
            let serial = &domain.devices.serials[0];
            assert_eq!(serial.source.as_ref().unwrap().path, Some(format!("{root}/var/run/kubevirt-private/1/virt-serial0")));
            assert_eq!(serial.log.as_ref().unwrap().file.as_deref(), Some("/usr/share/elsewhere"));
        }
    }

    #[test]
    fn a_container_of_its_own_is_left_alone() {
        let mut domain = Domain::default();
        domain.os.kernel = Some("/var/run/x".to_owned());
        let before = domain.clone();
        Place::default().relocate(&mut domain);
        assert_eq!(domain, before);
    }

    #[test]
    fn a_nic_without_a_tap_device_has_the_emulators_network() {
        let nic = |tap: bool| Interface {
            kind: "ethernet".into(),
            alias: Some(Alias::user("default")),
            driver: Some(InterfaceDriver { name: Some("vhost".into()), ..InterfaceDriver::default() }),
            target: tap.then(|| domain::InterfaceTarget { dev: "tap0".into(), managed: None }),
            ..Interface::default()
        };
        let mut domain = Domain::default();
        domain.devices.interfaces = vec![nic(true), nic(false)];
        use_user_network(&mut domain);
        let kinds: Vec<_> = domain.devices.interfaces.iter().map(|nic| (nic.kind.as_str(), nic.driver.is_some())).collect();
        assert_eq!(kinds, [("ethernet", true), ("user", false)]);
    }
}

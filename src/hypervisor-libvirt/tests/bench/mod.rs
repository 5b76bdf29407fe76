//! libvirt under the conformance suite: guests that need no operating system, and one that has a small Linux.

pub mod boot_sector;
pub mod linux;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use boot_sector::Behaviour;
use ferrovirt_hypervisor_libvirt::Libvirt;
use futures::StreamExt;
use hypervisor::conformance::{self, Ability, Bench, Guest, Report, Verdict};
use hypervisor::{DomainEvent, EventKind, Hypervisor, LifecycleEvent};
use linux::Linux;

/// Whether a check is one of those in `FERROVIRT_CHECKS`, parts of names with commas between; all are, where there is none.
fn chosen(check: &str) -> bool {
    std::env::var("FERROVIRT_CHECKS").map_or(true, |chosen| chosen.split(',').any(|part| check.contains(part)))
}

/// A folder anybody can enter, whoever QEMU runs as.
pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("fv-").tempdir().expect("a folder");
    open_up(folder.path());
    folder
}

pub fn open_up(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("permissions");
}

/// A disk on a server of this test's: the first write to it finds no space, every other one does.
pub struct FullDisk {
    port: u16,
    server: Child,
}

impl FullDisk {
    fn serve(folder: &Path) -> Result<Self, String> {
        let image = folder.join("full.raw");
        fs::File::create(&image).and_then(|file| file.set_len(1 << 20)).map_err(|error| error.to_string())?;
        // A port that was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map_err(|error| error.to_string())?.port();
        let options = format!(
            "driver=blkdebug,inject-error.0.event=pwritev,inject-error.0.errno=28,inject-error.0.once=on,inject-error.0.state=1,\
             set-state.0.event=pwritev,set-state.0.state=1,set-state.0.new_state=2,\
             image.driver=raw,image.file.driver=file,image.file.filename={}",
            image.display()
        );
        let mut command = Command::new("qemu-nbd");
        command.args(["--bind", "127.0.0.1", "--persistent", "--shared", "4", "--port"]).arg(port.to_string());
        let server = command.args(["--image-opts", &options]).spawn().map_err(|error| format!("qemu-nbd: {error}"))?;
        Ok(Self { port, server })
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// One connection of libvirt's, and the folder its guests' files are in.
pub struct LibvirtBench {
    pub hypervisor: Libvirt,
    pub folder: PathBuf,
    /// A guest with an agent, or why there is none.
    linux: Result<Linux, String>,
    /// A disk that fails, or why there is none.
    full_disk: Result<FullDisk, String>,
}

impl LibvirtBench {
    pub fn new(hypervisor: Libvirt, folder: &Path) -> Self {
        Self { hypervisor, folder: folder.to_owned(), linux: Linux::make(folder), full_disk: FullDisk::serve(folder) }
    }

    /// What the checks find: all, or those in `FERROVIRT_CHECKS`.
    pub async fn report(&self) -> Report {
        let report = conformance::run_some(self, chosen).await;
        self.clear().await;
        report
    }

    /// Ends and forgets every domain, and waits until all that was announced.
    pub async fn clear(&self) {
        let mut events = self.hypervisor.events();
        for domain in self.hypervisor.list().await.expect("list") {
            // Either does not apply, depending on what a check left.
            let _ = domain.destroy().await;
            let _ = domain.undefine().await;
        }
        let mark = self.hypervisor.define(&self.definition(Guest::Deaf, "mark")).await.expect("define");
        mark.undefine().await.expect("undefine");
        let is_mark =
            |event: &DomainEvent| event.domain == "mark" && matches!(event.kind, EventKind::Lifecycle(LifecycleEvent::Undefined(_)));
        while !is_mark(&events.next().await.expect("an event")) {}
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.folder.join(name);
        // A guest may still have the old one.
        let _ = fs::remove_file(&path);
        fs::write(&path, bytes).expect("an image");
        open_up(&path);
        path.display().to_string()
    }
}

#[async_trait]
impl Bench for LibvirtBench {
    async fn connect(&self, guest: Guest) -> Result<Arc<dyn Hypervisor>, String> {
        self.clear().await;
        match guest {
            Guest::WithAgent if let Err(why) = &self.linux => Err(why.clone()),
            Guest::OutOfSpace if let Err(why) = &self.full_disk => Err(why.clone()),
            _ => Ok(Arc::new(self.hypervisor.clone())),
        }
    }

    fn definition(&self, guest: Guest, name: &str) -> domain::Domain {
        let behaviour = match guest {
            Guest::Obedient => Behaviour::Obeys,
            Guest::Deaf | Guest::WithAgent | Guest::Stillborn => Behaviour::Idles,
            Guest::PowersOff => Behaviour::PowersOff,
            Guest::Reboots => Behaviour::Reboots,
            Guest::Dies => Behaviour::Exits,
            Guest::Panics => Behaviour::Panics,
            Guest::OutOfSpace => Behaviour::Writes,
        };
        let mut image = boot_sector::assemble(behaviour).to_vec();
        // The BIOS wants a whole cylinder.
        image.resize(1 << 20, 0);
        let boot = match guest {
            Guest::Stillborn => self.folder.join("missing.img").display().to_string(),
            _ => self.write(&format!("{name}.img"), &image),
        };
        let (mut direct_boot, mut second_disk, mut mib) = (String::new(), String::new(), 64);
        if let (Guest::WithAgent, Ok(linux)) = (guest, &self.linux) {
            direct_boot =
                format!("<kernel>{}</kernel><initrd>{}</initrd><cmdline>console=ttyS0 quiet</cmdline>", linux.kernel, linux.initrd);
            second_disk = format!(
                "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{}'/><target dev='vda' bus='virtio'/></disk>",
                linux.disk
            );
            mib = 256;
        }
        if let (Guest::OutOfSpace, Ok(disk)) = (guest, &self.full_disk) {
            second_disk = format!(
                "<disk type='network' device='disk'><driver name='qemu' type='raw' error_policy='stop'/>\
                 <source protocol='nbd'><host name='127.0.0.1' port='{}'/></source><target dev='sdb' bus='sata'/></disk>",
                disk.port
            );
        }
        let panics = if guest == Guest::Panics { "<panic model='isa'/>" } else { "" };
        let extra = match guest {
            Guest::Dies => {
                "<qemu:commandline><qemu:arg value='-device'/><qemu:arg value='isa-debug-exit,iobase=0x501,iosize=1'/></qemu:commandline>"
            }
            _ => "",
        };
        let (serial, screen) = (self.folder.join(format!("{name}.serial")), self.folder.join(format!("{name}.vnc")));
        let boot_order = if direct_boot.is_empty() { "<boot order='1'/>" } else { "" };
        let port = |index| format!("<controller type='pci' index='{index}' model='pcie-root-port'/>");
        let ports = (1..=6).map(port).collect::<Vec<_>>().concat();
        domain::Domain::from_xml(&format!(
            "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>{name}</name>\
             <uuid>6a1a24a1-4061-4607-8bf4-a3963d0c5895</uuid>\
             <memory unit='MiB'>{mib}</memory><maxMemory slots='4' unit='b'>1073741824</maxMemory>\
             <os><type arch='x86_64' machine='q35'>hvm</type>{direct_boot}</os>\
             <features><acpi/></features><vcpu current='1'>2</vcpu>\
             <cpu mode='custom'><model>qemu64</model><numa><cell id='0' cpus='0-1' memory='{mib}' unit='MiB'/></numa></cpu>\
             <devices><controller type='usb' index='0' model='none'/>{ports}\
             <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{boot}'/>\
             <target dev='sda' bus='sata'/>{boot_order}</disk>{second_disk}\
             <disk type='file' device='cdrom'><driver name='qemu' type='raw'/><target dev='sdc' bus='sata'/><readonly/></disk>\
             <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>\
             <serial type='unix'><source mode='bind' path='{}'/><target port='0'/></serial>\
             <graphics type='vnc'><listen type='socket' socket='{}'/></graphics>\
             <video><model type='vga' vram='16384' heads='1'/></video>\
             <memballoon model='virtio'/>{panics}</devices>{extra}</domain>",
            serial.display(),
            screen.display(),
        ))
        .expect("well-formed")
    }

    fn image(&self, name: &str, bytes: u64) -> String {
        let path = self.write(&format!("{name}.raw"), b"");
        fs::File::options().write(true).open(&path).and_then(|file| file.set_len(bytes)).expect("an image");
        path
    }

    fn lacks(&self, _: Ability) -> Option<String> {
        None
    }

    #[allow(clippy::print_stdout, reason = "who waits for real guests wants to see how far it is")]
    fn ended(&self, verdict: &Verdict) {
        println!("{verdict}");
    }

    fn silence(&self) -> Duration {
        Duration::from_secs(3)
    }
}

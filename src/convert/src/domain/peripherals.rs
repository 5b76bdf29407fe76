//! The small devices. Source: spec/domain-xml.md §7.

use api::v1::{self, VirtualMachineInstance};
use domain::{
    Alias, Channel, ChannelTarget, Cid, Console, ConsoleTarget, Devices, Filesystem, FilesystemDriver, FilesystemSource, FilesystemTarget,
    Graphics, GraphicsListen, Input, MemBalloon, OnOff, Panic, RedirDev, Rng, RngBackend, Serial, SerialLog, SerialTarget, SocketSource,
    Sound, Stats, Tpm, TpmBackend, Video, VideoModel, VirtioDriver, Vsock, Watchdog, YesNo,
};

use super::security::virtio_iommu;
use super::{Architecture, Context, ConvertError};
use crate::paths::{PRIVATE, VIRTIOFS};
use crate::vmi;

/// USB devices that remote clients may pass through.
const USB_REDIRECTIONS: u32 = 4;
/// Memory of the graphics card, in KiB.
const VIDEO_MEMORY: u32 = 16_384;
const VIRTIOFS_QUEUE: u32 = 1024;
/// The address of a guest whose launcher has addresses of its own.
const LOCAL_CID: u32 = 3;

/// The directory with a guest's own sockets.
fn sockets(vmi: &VirtualMachineInstance) -> String {
    format!("{PRIVATE}/{}", vmi::uid(vmi))
}

/// Everything that depends on the VMI alone.
pub(super) fn render(vmi: &VirtualMachineInstance, cx: &Context, arch: Architecture, out: &mut Devices) -> Result<(), ConvertError> {
    let spec = &vmi.spec.domain.devices;
    let driver = virtio_iommu(vmi).map(|iommu| VirtioDriver { iommu: Some(iommu) });
    if vmi::has_tpm(vmi) {
        out.tpms.push(tpm(vmi));
    }
    if let Some(address) = vmi.status.as_ref().and_then(|s| s.vsockcid) {
        let address = Some(if cx.vsock_is_local { LOCAL_CID } else { address });
        out.vsock =
            Some(Vsock { model: Some("virtio-non-transitional".to_owned()), cid: Cid { auto: YesNo::No, address }, ..Vsock::default() });
    }
    channels(vmi, out);
    if spec.rng.is_some() {
        out.rng = Some(Rng {
            model: arch.virtio_model(vmi).to_owned(),
            backend: Some(RngBackend { model: "random".to_owned(), source: "/dev/urandom".to_owned() }),
            driver: driver.clone(),
            ..Rng::default()
        });
    }
    for input in &spec.inputs {
        out.inputs.push(self::input(input)?);
    }
    out.mem_balloon = Some(mem_balloon(vmi, cx, arch, driver));
    graphics(vmi, cx, arch, out);
    if let Some(sound) = &spec.sound {
        let model = sound.model.as_deref().filter(|m| !m.is_empty()).unwrap_or("ich9");
        if !matches!(model, "ich9" | "ac97") {
            return Err(ConvertError::SoundModel(model.to_owned()));
        }
        out.sounds.push(Sound { model: model.to_owned(), alias: Some(Alias::user(&sound.name)), address: None });
    }
    out.panics =
        spec.panic_devices.iter().map(|p| Panic { model: p.model.clone().filter(|m| !m.is_empty()), ..Panic::default() }).collect();
    out.filesystems = spec.filesystems.iter().map(|f| filesystem(&f.name)).collect();
    if spec.client_passthrough.is_some() {
        let directory = sockets(vmi);
        out.redirdevs = (0..USB_REDIRECTIONS)
            .map(|i| RedirDev {
                kind: "unix".to_owned(),
                bus: "usb".to_owned(),
                source: SocketSource::bind(format!("{directory}/virt-usbredir-{i}")),
                ..RedirDev::default()
            })
            .collect();
    }
    Ok(())
}

fn tpm(vmi: &VirtualMachineInstance) -> Tpm {
    let persistent = vmi::has_persistent_tpm(vmi);
    Tpm {
        model: if persistent { "tpm-crb" } else { "tpm-tis" }.to_owned(),
        backend: TpmBackend { kind: "emulator".to_owned(), version: "2.0".to_owned(), persistent_state: persistent.then_some(YesNo::Yes) },
        ..Tpm::default()
    }
}

fn channels(vmi: &VirtualMachineInstance, out: &mut Devices) {
    let channel = |name: &str, source| Channel {
        kind: "unix".to_owned(),
        source,
        target: Some(ChannelTarget { name: Some(name.to_owned()), kind: "virtio".to_owned(), ..ChannelTarget::default() }),
        ..Channel::default()
    };
    out.channels.push(channel("org.qemu.guest_agent.0", None));
    if vmi.spec.domain.devices.downward_metrics.is_some() {
        let socket = SocketSource::bind(format!("{PRIVATE}/downwardmetrics-channel/downwardmetrics.sock"));
        out.channels.push(channel("org.github.vhostmd.1", Some(socket)));
    }
}

fn input(spec: &v1::Input) -> Result<Input, ConvertError> {
    let bus = spec.bus.as_deref().filter(|b| !b.is_empty()).unwrap_or("usb");
    if !matches!(bus, "usb" | "virtio") {
        return Err(ConvertError::InputBus(bus.to_owned()));
    }
    if spec.r#type != "tablet" {
        return Err(ConvertError::InputType(spec.r#type.clone()));
    }
    Ok(Input {
        kind: spec.r#type.clone(),
        bus: bus.to_owned(),
        model: (bus == "virtio").then(|| "virtio".to_owned()),
        alias: Some(Alias::user(&spec.name)),
        address: None,
    })
}

fn mem_balloon(vmi: &VirtualMachineInstance, cx: &Context, arch: Architecture, driver: Option<VirtioDriver>) -> MemBalloon {
    let attached = vmi::unless_off(vmi.spec.domain.devices.autoattach_mem_balloon);
    if !attached {
        return MemBalloon { model: "none".to_owned(), ..MemBalloon::default() };
    }
    // Guests that pin or preallocate their memory have none to give back.
    let high_performance = vmi::has_dedicated_cpus(vmi) || vmi::is_realtime(vmi) || vmi::hugepage_size(vmi).is_some();
    let declined = vmi::annotation(vmi, "kubevirt.io/free-page-reporting-disabled") == Some("true");
    MemBalloon {
        model: arch.virtio_model(vmi).to_owned(),
        free_page_reporting: Some(OnOff::from(cx.free_page_reporting && !high_performance && !declined)),
        stats: (cx.mem_balloon_stats_period != 0).then_some(Stats { period: cx.mem_balloon_stats_period }),
        driver,
        ..MemBalloon::default()
    }
}

fn graphics(vmi: &VirtualMachineInstance, cx: &Context, arch: Architecture, out: &mut Devices) {
    let spec = &vmi.spec.domain.devices;
    if !vmi::unless_off(spec.autoattach_graphics_device) {
        return;
    }
    out.videos.push(Video { model: video(vmi, cx, arch), ..Video::default() });
    out.graphics.push(Graphics {
        kind: "vnc".to_owned(),
        listen: Some(GraphicsListen { kind: "socket".to_owned(), socket: Some(format!("{}/virt-vnc", sockets(vmi))), address: None }),
        ..Graphics::default()
    });
    // Machines without a keyboard controller need their input devices named.
    let device = |kind: &str, bus: &str| Input { kind: kind.to_owned(), bus: bus.to_owned(), ..Input::default() };
    match arch {
        Architecture::Amd64 => {}
        Architecture::Arm64 => {
            if !spec.inputs.iter().any(|i| i.r#type == "tablet") {
                out.inputs.push(device("tablet", "usb"));
            }
            out.inputs.push(device("keyboard", "usb"));
        }
        Architecture::S390x => out.inputs.push(device("keyboard", "virtio")),
    }
}

fn video(vmi: &VirtualMachineInstance, cx: &Context, arch: Architecture) -> VideoModel {
    let model = |kind: &str, vram| VideoModel { kind: kind.to_owned(), heads: Some(1), vram, ..VideoModel::default() };
    if let Some(kind) = vmi.spec.domain.devices.video.as_ref().and_then(|v| v.r#type.as_deref()).filter(|t| !t.is_empty()) {
        return model(kind, Some(VIDEO_MEMORY));
    }
    match arch {
        Architecture::Amd64 if vmi::efi(vmi).is_some() && cx.bochs_for_efi => model("bochs", None),
        Architecture::Amd64 => model("vga", Some(VIDEO_MEMORY)),
        Architecture::Arm64 | Architecture::S390x => model("virtio", None),
    }
}

fn filesystem(name: &str) -> Filesystem {
    Filesystem {
        kind: "mount".to_owned(),
        access_mode: "passthrough".to_owned(),
        source: Some(FilesystemSource { dir: String::new(), socket: Some(format!("{VIRTIOFS}/{name}.sock")) }),
        target: Some(FilesystemTarget { dir: Some(name.to_owned()) }),
        driver: Some(FilesystemDriver { kind: "virtiofs".to_owned(), queue: Some(VIRTIOFS_QUEUE) }),
        ..Filesystem::default()
    }
}

pub(super) fn watchdog(vmi: &VirtualMachineInstance, arch: Architecture, out: &mut Devices) -> Result<(), ConvertError> {
    let Some(spec) = &vmi.spec.domain.devices.watchdog else { return Ok(()) };
    let (model, action) = match arch {
        Architecture::Amd64 => ("i6300esb", spec.i6300esb.as_ref().map(|w| &w.action)),
        Architecture::S390x => ("diag288", spec.diag288.as_ref().map(|w| &w.action)),
        Architecture::Arm64 => return Err(ConvertError::WatchdogOnArm64),
    };
    let action = action.ok_or_else(|| ConvertError::WatchdogUnmapped(spec.name.clone()))?;
    out.watchdogs.push(Watchdog {
        model: model.to_owned(),
        action: action.clone().unwrap_or_default(),
        alias: Some(Alias::user(&spec.name)),
        address: None,
    });
    Ok(())
}

pub(super) fn serial_console(vmi: &VirtualMachineInstance, cx: &Context, out: &mut Devices) {
    if !vmi::unless_off(vmi.spec.domain.devices.autoattach_serial_console) {
        return;
    }
    let path = format!("{}/virt-serial0", sockets(vmi));
    let log = vmi::logs_serial_console(vmi, cx.serial_console_log);
    out.serials.push(Serial {
        kind: "unix".to_owned(),
        target: Some(SerialTarget { port: Some(0), ..SerialTarget::default() }),
        log: log.then(|| SerialLog { file: Some(format!("{path}-log")), append: Some(OnOff::On) }),
        source: Some(SocketSource::bind(path)),
        ..Serial::default()
    });
    out.consoles.push(Console {
        kind: "pty".to_owned(),
        target: Some(ConsoleTarget { kind: Some("serial".to_owned()), port: Some(0) }),
        ..Console::default()
    });
}

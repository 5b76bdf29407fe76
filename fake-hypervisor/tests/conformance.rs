//! The fake passes the suite that every backend passes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ferrovirt_fake_hypervisor::{AgentScript, DiskFault, Failures, FakeHypervisor, GuestScript, Host};
use hypervisor::Hypervisor;
use hypervisor::conformance::{self, Ability, Bench, Guest};

struct Fake;

#[async_trait]
impl Bench for Fake {
    async fn connect(&self, guest: Guest) -> Result<Arc<dyn Hypervisor>, String> {
        let second = Duration::from_secs(1);
        let base = GuestScript { shutdown_time: Duration::from_secs(3), ..GuestScript::default() };
        let script = match guest {
            Guest::Obedient => base,
            Guest::Deaf => GuestScript { ignores_shutdown: Failures::Always, releases_devices: false, ..base },
            Guest::PowersOff => GuestScript { power_off_after: Some(second), ..base },
            Guest::Reboots => GuestScript { reboot_after: Some(second), ..base },
            Guest::Dies => GuestScript { crash_after: Some(second), ..base },
            Guest::Panics => GuestScript { panic_after: Some(second), ..base },
            Guest::OutOfSpace => GuestScript { io_error: Some(DiskFault { after: second, resumes: 1 }), ..base },
            Guest::Stillborn => GuestScript { start_fails: Failures::Always, ..base },
            Guest::WithAgent => GuestScript { agent: AgentScript::ConnectsAfter(Duration::from_secs(5)), ..base },
        };
        Ok(Arc::new(FakeHypervisor::new(Arc::new(Host::default()), script)))
    }

    fn definition(&self, _: Guest, name: &str) -> domain::Domain {
        domain::Domain::from_xml(&format!(
            "<domain type='kvm'><name>{name}</name><uuid>6a1a24a1-4061-4607-8bf4-a3963d0c5895</uuid>\
             <memory unit='b'>67108864</memory><maxMemory slots='4' unit='b'>1073741824</maxMemory>\
             <os><type arch='x86_64' machine='q35'>hvm</type></os>\
             <features><acpi/></features><vcpu current='1'>2</vcpu><cpu/><devices>\
             <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/boot.img'/><target dev='sda' bus='sata'/></disk>\
             <disk type='file' device='cdrom'><driver name='qemu' type='raw'/><target dev='sdc' bus='sata'/><readonly/></disk>\
             <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>\
             <serial type='unix'><source mode='bind' path='/serial'/><target port='0'/></serial>\
             <graphics type='vnc'><listen type='socket' socket='/vnc'/></graphics>\
             <video><model type='vga' vram='16384' heads='1'/></video></devices></domain>"
        ))
        .expect("well-formed")
    }

    fn image(&self, name: &str, _: u64) -> String {
        format!("/images/{name}.raw")
    }

    fn lacks(&self, ability: Ability) -> Option<String> {
        (ability == Ability::Files).then(|| "the fake has no files".to_owned())
    }
}

#[tokio::test(start_paused = true)]
async fn the_fake_conforms() {
    let report = conformance::run(&Fake).await;
    println!("fake: {report}");
    assert!(report.deviations().is_empty(), "{report}");
    assert_eq!(report.skipped().len(), 1, "{report}");
}

//! The fake passes the suite that every backend passes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ferrovirt_fake_hypervisor::{AgentScript, Failures, FakeHypervisor, GuestScript, Host};
use hypervisor::Hypervisor;
use hypervisor::conformance::{self, Bench, Finding, Guest};

struct Fake;

#[async_trait]
impl Bench for Fake {
    async fn connect(&self, guest: Guest) -> Option<Arc<dyn Hypervisor>> {
        let second = Some(Duration::from_secs(1));
        let base = GuestScript { shutdown_time: Duration::from_secs(3), ..GuestScript::default() };
        let script = match guest {
            Guest::Obedient => base,
            Guest::Deaf => GuestScript { ignores_shutdown: Failures::Always, ..base },
            Guest::PowersOff => GuestScript { power_off_after: second, ..base },
            Guest::Dies => GuestScript { crash_after: second, ..base },
            Guest::Panics => GuestScript { panic_after: second, ..base },
            Guest::Stillborn => GuestScript { start_fails: Failures::Always, ..base },
            Guest::WithAgent => GuestScript { agent: AgentScript::ConnectsAfter(Duration::from_secs(5)), ..base },
        };
        Some(Arc::new(FakeHypervisor::new(Arc::new(Host::default()), script)))
    }

    fn definition(&self, name: &str) -> domain::Domain {
        domain::Domain::from_xml(&format!(
            "<domain type='kvm'><name>{name}</name><uuid>6a1a24a1-4061-4607-8bf4-a3963d0c5895</uuid>\
             <memory unit='b'>67108864</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>\
             <features><acpi/></features><vcpu>1</vcpu><cpu/><devices><channel type='unix'>\
             <target type='virtio' name='org.qemu.guest_agent.0'/></channel></devices></domain>"
        ))
        .expect("well-formed")
    }
}

#[tokio::test(start_paused = true)]
async fn the_fake_conforms() {
    let verdicts = conformance::run(&Fake).await;
    assert!(verdicts.len() >= 19, "{} checks", verdicts.len());
    let others: Vec<String> = verdicts.iter().filter(|verdict| verdict.result != Finding::Conforms).map(ToString::to_string).collect();
    assert_eq!(others, Vec::<String>::new());
}

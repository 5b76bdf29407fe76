//! Both services over real Unix sockets: what goes in comes out at the other side.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ferrovirt_launcher_rpc::cmd::{SmBios, VirtualMachineOptions};
use ferrovirt_launcher_rpc::{
    DomainChange, DomainEvent, DomainFacts, DomainObject, DomainStatus, Executed, Launcher, Notify, ObjectMetadata, Picture, Result,
    RpcError, Severity, VmiEvent, grpc,
};
use tokio_util::sync::CancellationToken;

#[derive(Default)]
struct Recorder {
    calls: Mutex<Vec<String>>,
}

impl Recorder {
    fn note(&self, call: &str, vmi: &[u8]) -> Result<()> {
        self.calls.lock().unwrap().push(format!("{call} {}", String::from_utf8_lossy(vmi)));
        if vmi == b"bad" { Err(RpcError::Refused(format!("{call} refused"))) } else { Ok(()) }
    }
}

#[async_trait]
impl Launcher for Recorder {
    async fn sync_virtual_machine(&self, vmi: &[u8], options: &VirtualMachineOptions) -> Result<()> {
        let manufacturer = options.smbios.as_ref().map(|smbios| smbios.manufacturer.clone()).unwrap_or_default();
        self.note(&format!("sync {manufacturer}"), vmi)
    }
    async fn pause_virtual_machine(&self, vmi: &[u8]) -> Result<()> {
        self.note("pause", vmi)
    }
    async fn unpause_virtual_machine(&self, vmi: &[u8]) -> Result<()> {
        self.note("unpause", vmi)
    }
    async fn freeze_virtual_machine(&self, vmi: &[u8], unfreeze_timeout_seconds: i32) -> Result<()> {
        self.note(&format!("freeze {unfreeze_timeout_seconds}"), vmi)
    }
    async fn unfreeze_virtual_machine(&self, vmi: &[u8]) -> Result<()> {
        self.note("unfreeze", vmi)
    }
    async fn reset_virtual_machine(&self, vmi: &[u8]) -> Result<()> {
        self.note("reset", vmi)
    }
    async fn soft_reboot_virtual_machine(&self, vmi: &[u8]) -> Result<()> {
        self.note("softreboot", vmi)
    }
    async fn shutdown_virtual_machine(&self, vmi: &[u8]) -> Result<()> {
        self.note("shutdown", vmi)
    }
    async fn kill_virtual_machine(&self, vmi: &[u8]) -> Result<()> {
        self.note("kill", vmi)
    }
    async fn delete_virtual_machine(&self, vmi: &[u8]) -> Result<()> {
        self.note("delete", vmi)
    }
    async fn get_domain(&self) -> Result<Option<DomainObject>> {
        Ok(Some(domain()))
    }
    async fn get_domain_stats(&self) -> Result<String> {
        Ok("{}".to_owned())
    }
    async fn get_guest_info(&self) -> Result<String> {
        Err(RpcError::Refused("no agent".to_owned()))
    }
    async fn get_users(&self) -> Result<String> {
        Ok("[]".to_owned())
    }
    async fn get_filesystems(&self) -> Result<String> {
        Ok("[]".to_owned())
    }
    async fn ping(&self) -> Result<()> {
        Ok(())
    }
    async fn exec(&self, domain: &str, command: &str, args: &[String], timeout_seconds: i32) -> Result<Executed> {
        Ok(Executed { exit_code: 3, stdout: format!("{domain} {command} {args:?} {timeout_seconds}") })
    }
    async fn guest_ping(&self, _domain: &str, _timeout_seconds: i32) -> Result<()> {
        Err(RpcError::Refused("silent".to_owned()))
    }
    async fn get_qemu_version(&self) -> Result<String> {
        Ok("QEMU 9.1.0".to_owned())
    }
    async fn sync_virtual_machine_cpus(&self, vmi: &[u8], _options: &VirtualMachineOptions) -> Result<()> {
        self.note("cpus", vmi)
    }
    async fn sync_virtual_machine_memory(&self, vmi: &[u8], _options: &VirtualMachineOptions) -> Result<()> {
        self.note("memory", vmi)
    }
    async fn get_domain_dirty_rate(&self) -> Result<i64> {
        Ok(7)
    }
    async fn get_screenshot(&self, _vmi: &[u8]) -> Result<Picture> {
        Ok(Picture { mime: "image/png".to_owned(), data: vec![1, 2] })
    }
}

fn domain() -> DomainObject {
    DomainObject {
        metadata: ObjectMetadata { name: "vm".to_owned(), uid: "uid-1".to_owned(), ..ObjectMetadata::default() },
        spec: DomainFacts { name: "ns_vm".to_owned(), ..DomainFacts::default() },
        status: DomainStatus { status: "Running".into(), ..DomainStatus::default() },
    }
}

#[tokio::test]
async fn a_launcher_is_called_through_its_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("launcher-sock");
    let missing = grpc::connect_launcher(&socket).await.err().expect("nobody listens");
    assert!(matches!(&missing, RpcError::Unavailable(text) if text.contains("No such file")), "{missing}");

    let launcher = Arc::new(Recorder::default());
    let shutdown = CancellationToken::new();
    let server = {
        let (socket, launcher, shutdown) = (socket.clone(), launcher.clone(), shutdown.clone());
        tokio::spawn(async move { grpc::serve_launcher(&socket, launcher, shutdown).await })
    };
    let client = loop {
        match grpc::connect_launcher(&socket).await {
            Ok(client) => break client,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    client.ping().await.unwrap();
    let smbios = Some(SmBios { manufacturer: "KubeVirt".to_owned(), ..SmBios::default() });
    client.sync_virtual_machine(b"{}", &VirtualMachineOptions { smbios, ..Default::default() }).await.unwrap();
    client.freeze_virtual_machine(b"{}", 5).await.unwrap();
    client.sync_virtual_machine_cpus(b"{}", &VirtualMachineOptions::default()).await.unwrap();
    assert_eq!(client.pause_virtual_machine(b"bad").await, Err(RpcError::Refused("pause refused".to_owned())));
    assert_eq!(client.get_domain().await, Ok(Some(domain())));
    assert_eq!(client.get_guest_info().await, Err(RpcError::Refused("no agent".to_owned())));
    assert_eq!(client.guest_ping("ns_vm", 1).await, Err(RpcError::Refused("silent".to_owned())));
    let executed = client.exec("ns_vm", "ls", &["-l".to_owned()], 2).await.unwrap();
    assert_eq!((executed.exit_code, executed.stdout.as_str()), (3, r#"ns_vm ls ["-l"] 2"#));
    assert_eq!(client.get_domain_dirty_rate().await, Ok(7));
    assert!(matches!(client.hotplug_host_devices(b"{}").await, Err(RpcError::Unimplemented(_))));
    assert_eq!(*launcher.calls.lock().unwrap(), ["sync KubeVirt {}", "freeze 5 {}", "cpus {}", "pause bad"]);
    shutdown.cancel();
    drop(client);
    server.await.unwrap().unwrap();
}

#[derive(Default)]
struct Handler {
    taken: Mutex<Vec<String>>,
}

#[async_trait]
impl Notify for Handler {
    async fn handle_domain_event(&self, event: DomainEvent) -> Result<()> {
        self.taken.lock().unwrap().push(format!("{} {}", event.change.as_str(), event.domain.status.status));
        Ok(())
    }
    async fn handle_k8s_event(&self, event: VmiEvent) -> Result<()> {
        Err(RpcError::Refused(format!("VMI not found: {}", event.uid)))
    }
}

#[tokio::test]
async fn a_handler_is_told_through_its_socket_even_if_it_comes_late() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("domain-notify.sock");
    let notify = grpc::connect_handler(socket.clone());
    let handler = Arc::new(Handler::default());
    let shutdown = CancellationToken::new();
    let sending = {
        let notify = notify.clone();
        tokio::spawn(async move { notify.handle_domain_event(DomainEvent { change: DomainChange::Added, domain: domain() }).await })
    };
    tokio::task::yield_now().await;
    let server = {
        let (handler, shutdown) = (handler.clone(), shutdown.clone());
        tokio::spawn(async move { grpc::serve_handler(&socket, handler, shutdown).await })
    };
    sending.await.unwrap().unwrap();
    assert_eq!(*handler.taken.lock().unwrap(), ["ADDED Running"]);
    let event = VmiEvent {
        namespace: "ns".to_owned(),
        name: "vm".to_owned(),
        uid: "uid-2".to_owned(),
        severity: Severity::Warning,
        reason: "IOerror".to_owned(),
        message: String::new(),
    };
    assert_eq!(notify.handle_k8s_event(event).await, Err(RpcError::Refused("VMI not found: uid-2".to_owned())));
    shutdown.cancel();
    drop(notify);
    server.await.unwrap().unwrap();
}

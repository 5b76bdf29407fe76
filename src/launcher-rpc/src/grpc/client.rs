//! A launcher at the other end of a socket.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tonic::transport::Channel;

use super::{agree, dial, failed};
use crate::cmd::cmd_client::CmdClient;
use crate::cmd::{
    EmptyRequest, ExecRequest, FreezeRequest, GuestPingRequest, InjectLaunchSecretRequest, MemoryDumpRequest, MigrationRequest, Response,
    VirtualMachineOptions, Vmi, VmiRequest,
};
use crate::cmd_info::CmdInfoRequest;
use crate::cmd_info::cmd_info_client::CmdInfoClient;
use crate::{DomainObject, Executed, Launcher, Picture, Result, RpcError};

/// Connects to the launcher that listens on `socket`, and agrees on a version.
pub async fn connect_launcher(socket: &Path) -> Result<Arc<dyn Launcher>> {
    let channel = dial(socket).await?;
    let info = CmdInfoClient::new(channel.clone()).info(CmdInfoRequest {}).await.map_err(|status| failed(&status))?;
    agree(&info.into_inner().supported_cmd_versions)?;
    Ok(Arc::new(Remote { client: CmdClient::new(channel) }))
}

struct Remote {
    client: CmdClient<Channel>,
}

/// A refusal is a failure only when it says why (node.md §3.4).
fn done(response: Option<Response>) -> Result<()> {
    match response {
        Some(Response { success: false, message }) if !message.is_empty() => Err(RpcError::Refused(message)),
        Some(_) | None => Ok(()),
    }
}

fn request(vmi: &[u8], options: Option<&VirtualMachineOptions>) -> VmiRequest {
    VmiRequest { vmi: Some(Vmi { vmi_json: vmi.to_vec() }), options: options.cloned() }
}

macro_rules! call {
    ($self:ident.$method:ident($request:expr)) => {
        $self.client.clone().$method($request).await.map_err(|status| failed(&status))?.into_inner()
    };
}

#[async_trait]
impl Launcher for Remote {
    async fn sync_virtual_machine(&self, vmi: &[u8], options: &VirtualMachineOptions) -> Result<()> {
        done(Some(call!(self.sync_virtual_machine(request(vmi, Some(options))))))
    }

    async fn pause_virtual_machine(&self, vmi: &[u8]) -> Result<()> {
        done(Some(call!(self.pause_virtual_machine(request(vmi, None)))))
    }

    async fn unpause_virtual_machine(&self, vmi: &[u8]) -> Result<()> {
        done(Some(call!(self.unpause_virtual_machine(request(vmi, None)))))
    }

    async fn freeze_virtual_machine(&self, vmi: &[u8], unfreeze_timeout_seconds: i32) -> Result<()> {
        let vmi = Some(Vmi { vmi_json: vmi.to_vec() });
        done(Some(call!(self.freeze_virtual_machine(FreezeRequest { vmi, unfreeze_timeout_seconds }))))
    }

    async fn unfreeze_virtual_machine(&self, vmi: &[u8]) -> Result<()> {
        done(Some(call!(self.unfreeze_virtual_machine(request(vmi, None)))))
    }

    async fn reset_virtual_machine(&self, vmi: &[u8]) -> Result<()> {
        done(Some(call!(self.reset_virtual_machine(request(vmi, None)))))
    }

    async fn soft_reboot_virtual_machine(&self, vmi: &[u8]) -> Result<()> {
        done(Some(call!(self.soft_reboot_virtual_machine(request(vmi, None)))))
    }

    async fn shutdown_virtual_machine(&self, vmi: &[u8]) -> Result<()> {
        done(Some(call!(self.shutdown_virtual_machine(request(vmi, None)))))
    }

    async fn kill_virtual_machine(&self, vmi: &[u8]) -> Result<()> {
        done(Some(call!(self.kill_virtual_machine(request(vmi, None)))))
    }

    async fn delete_virtual_machine(&self, vmi: &[u8]) -> Result<()> {
        done(Some(call!(self.delete_virtual_machine(request(vmi, None)))))
    }

    async fn migrate_virtual_machine(&self, vmi: &[u8], options: &[u8]) -> Result<()> {
        let vmi = Some(Vmi { vmi_json: vmi.to_vec() });
        done(Some(call!(self.migrate_virtual_machine(MigrationRequest { vmi, options: options.to_vec() }))))
    }

    async fn sync_migration_target(&self, vmi: &[u8], options: &VirtualMachineOptions) -> Result<()> {
        done(Some(call!(self.sync_migration_target(request(vmi, Some(options))))))
    }

    async fn cancel_virtual_machine_migration(&self, vmi: &[u8]) -> Result<()> {
        done(Some(call!(self.cancel_virtual_machine_migration(request(vmi, None)))))
    }

    async fn signal_target_pod_cleanup(&self, vmi: &[u8]) -> Result<()> {
        done(Some(call!(self.signal_target_pod_cleanup(request(vmi, None)))))
    }

    async fn finalize_virtual_machine_migration(&self, vmi: &[u8], options: &VirtualMachineOptions) -> Result<()> {
        done(Some(call!(self.finalize_virtual_machine_migration(request(vmi, Some(options))))))
    }

    async fn hotplug_host_devices(&self, vmi: &[u8]) -> Result<()> {
        done(Some(call!(self.hotplug_host_devices(request(vmi, None)))))
    }

    async fn get_domain(&self) -> Result<Option<DomainObject>> {
        let answer = call!(self.get_domain(EmptyRequest {}));
        done(answer.response)?;
        if answer.domain.is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&answer.domain).map(Some).map_err(|error| RpcError::Refused(format!("read domain: {error}")))
    }

    async fn get_domain_stats(&self) -> Result<String> {
        let answer = call!(self.get_domain_stats(EmptyRequest {}));
        done(answer.response)?;
        Ok(answer.domain_stats)
    }

    async fn get_guest_info(&self) -> Result<String> {
        let answer = call!(self.get_guest_info(EmptyRequest {}));
        done(answer.response)?;
        Ok(answer.guest_info)
    }

    async fn get_users(&self) -> Result<String> {
        let answer = call!(self.get_users(EmptyRequest {}));
        done(answer.response)?;
        Ok(answer.guest_users)
    }

    async fn get_filesystems(&self) -> Result<String> {
        let answer = call!(self.get_filesystems(EmptyRequest {}));
        done(answer.response)?;
        Ok(answer.guest_filesystems)
    }

    async fn ping(&self) -> Result<()> {
        done(Some(call!(self.ping(EmptyRequest {}))))
    }

    async fn exec(&self, domain: &str, command: &str, args: &[String], timeout_seconds: i32) -> Result<Executed> {
        let answer = call!(self.exec(ExecRequest {
            domain_name: domain.to_owned(),
            command: command.to_owned(),
            args: args.to_vec(),
            timeout_seconds,
        }));
        done(answer.response)?;
        Ok(Executed { exit_code: answer.exit_code, stdout: answer.std_out })
    }

    async fn guest_ping(&self, domain: &str, timeout_seconds: i32) -> Result<()> {
        done(call!(self.guest_ping(GuestPingRequest { domain_name: domain.to_owned(), timeout_seconds })).response)
    }

    async fn virtual_machine_memory_dump(&self, vmi: &[u8], path: &str) -> Result<()> {
        let vmi = Some(Vmi { vmi_json: vmi.to_vec() });
        done(Some(call!(self.virtual_machine_memory_dump(MemoryDumpRequest { vmi, dump_path: path.to_owned() }))))
    }

    async fn get_qemu_version(&self) -> Result<String> {
        let answer = call!(self.get_qemu_version(EmptyRequest {}));
        done(answer.response)?;
        Ok(answer.version)
    }

    async fn sync_virtual_machine_cpus(&self, vmi: &[u8], options: &VirtualMachineOptions) -> Result<()> {
        done(Some(call!(self.sync_virtual_machine_cp_us(request(vmi, Some(options))))))
    }

    async fn sync_virtual_machine_memory(&self, vmi: &[u8], options: &VirtualMachineOptions) -> Result<()> {
        done(Some(call!(self.sync_virtual_machine_memory(request(vmi, Some(options))))))
    }

    async fn get_domain_dirty_rate(&self) -> Result<i64> {
        let answer = call!(self.get_domain_dirty_rate_stats(EmptyRequest {}));
        done(answer.response)?;
        Ok(answer.dirty_rate_mbs)
    }

    async fn get_screenshot(&self, vmi: &[u8]) -> Result<Picture> {
        let answer = call!(self.get_screenshot(request(vmi, None)));
        done(answer.response)?;
        Ok(Picture { mime: answer.mime, data: answer.data })
    }

    async fn get_sev_info(&self) -> Result<String> {
        let answer = call!(self.get_sev_info(EmptyRequest {}));
        done(answer.response)?;
        Ok(String::from_utf8_lossy(&answer.sev_info).into_owned())
    }

    async fn get_launch_measurement(&self, vmi: &[u8]) -> Result<String> {
        let answer = call!(self.get_launch_measurement(request(vmi, None)));
        done(answer.response)?;
        Ok(String::from_utf8_lossy(&answer.launch_measurement).into_owned())
    }

    async fn inject_launch_secret(&self, vmi: &[u8], options: &[u8]) -> Result<()> {
        let vmi = Some(Vmi { vmi_json: vmi.to_vec() });
        done(Some(call!(self.inject_launch_secret(InjectLaunchSecretRequest { vmi, options: options.to_vec() }))))
    }
}

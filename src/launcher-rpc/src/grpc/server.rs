//! A launcher's end of the socket.

use std::path::Path;
use std::sync::Arc;

use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response as Answer, Status};

use super::{ServeError, VERSIONS, listen};
use crate::cmd::cmd_server::{Cmd, CmdServer};
use crate::cmd::{
    DirtyRateStatsResponse, DomainResponse, DomainStatsResponse, EmptyRequest, ExecRequest, ExecResponse, FreezeRequest,
    GuestFilesystemsResponse, GuestInfoResponse, GuestPingRequest, GuestPingResponse, GuestUserListResponse, InjectLaunchSecretRequest,
    LaunchMeasurementResponse, MemoryDumpRequest, MigrationRequest, QemuVersionResponse, Response, ScreenshotResponse, SevInfoResponse,
    Vmi, VmiRequest,
};
use crate::cmd_info::cmd_info_server::{CmdInfo, CmdInfoServer};
use crate::cmd_info::{CmdInfoRequest, CmdInfoResponse};
use crate::{Launcher, Result, RpcError};

/// Serves a launcher on `socket` until `shutdown`.
///
/// # Errors
/// The socket cannot be listened on, or the server breaks.
pub async fn serve_launcher(
    socket: &Path,
    launcher: Arc<dyn Launcher>,
    shutdown: CancellationToken,
) -> std::result::Result<(), ServeError> {
    let listener = listen(socket)?;
    tonic::transport::Server::builder()
        .add_service(CmdInfoServer::new(Info))
        .add_service(CmdServer::new(Served { launcher }))
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), shutdown.cancelled_owned())
        .await?;
    Ok(())
}

struct Info;

#[tonic::async_trait]
impl CmdInfo for Info {
    async fn info(&self, _: Request<CmdInfoRequest>) -> std::result::Result<Answer<CmdInfoResponse>, Status> {
        Ok(Answer::new(CmdInfoResponse { supported_cmd_versions: VERSIONS.to_vec() }))
    }
}

struct Served {
    launcher: Arc<dyn Launcher>,
}

type Reply<T> = std::result::Result<Answer<T>, Status>;

fn json(vmi: Option<Vmi>) -> Vec<u8> {
    vmi.map(|vmi| vmi.vmi_json).unwrap_or_default()
}

/// What the launcher said, beside the payload: refusals are answers, a call it does not know is an error (node.md §3.4).
fn split<T: Default>(result: Result<T>) -> std::result::Result<(Option<Response>, T), Status> {
    match result {
        Ok(value) => Ok((Some(Response { success: true, message: String::new() }), value)),
        Err(RpcError::Unimplemented(message)) => Err(Status::unimplemented(message)),
        Err(error) => Ok((Some(Response { success: false, message: error.to_string() }), T::default())),
    }
}

fn plain(result: Result<()>) -> Reply<Response> {
    split(result).map(|(response, ())| Answer::new(response.unwrap_or_default()))
}

/// The whole implementation at once: the calls of one shape differ in their names only.
macro_rules! serve {
    (
        commands { $($command:ident)* }
        commands with options { $($options_rpc:ident $options_method:ident)* }
        queries { $($query_rpc:ident $query_method:ident $answer:ident $field:ident)* }
        $($others:item)*
    ) => {
        #[tonic::async_trait]
        impl Cmd for Served {
            $(async fn $command(&self, request: Request<VmiRequest>) -> Reply<Response> {
                plain(self.launcher.$command(&json(request.into_inner().vmi)).await)
            })*
            $(async fn $options_rpc(&self, request: Request<VmiRequest>) -> Reply<Response> {
                let VmiRequest { vmi, options } = request.into_inner();
                plain(self.launcher.$options_method(&json(vmi), &options.unwrap_or_default()).await)
            })*
            $(async fn $query_rpc(&self, _: Request<EmptyRequest>) -> Reply<$answer> {
                let (response, $field) = split(self.launcher.$query_method().await)?;
                Ok(Answer::new($answer { response, $field }))
            })*
            $($others)*
        }
    };
}

serve! {
    commands {
        pause_virtual_machine unpause_virtual_machine unfreeze_virtual_machine reset_virtual_machine
        soft_reboot_virtual_machine shutdown_virtual_machine kill_virtual_machine delete_virtual_machine
        cancel_virtual_machine_migration signal_target_pod_cleanup hotplug_host_devices
    }
    commands with options {
        sync_virtual_machine sync_virtual_machine
        sync_migration_target sync_migration_target
        finalize_virtual_machine_migration finalize_virtual_machine_migration
        sync_virtual_machine_cp_us sync_virtual_machine_cpus
        sync_virtual_machine_memory sync_virtual_machine_memory
    }
    queries {
        get_domain_stats get_domain_stats DomainStatsResponse domain_stats
        get_guest_info get_guest_info GuestInfoResponse guest_info
        get_users get_users GuestUserListResponse guest_users
        get_filesystems get_filesystems GuestFilesystemsResponse guest_filesystems
        get_qemu_version get_qemu_version QemuVersionResponse version
        get_domain_dirty_rate_stats get_domain_dirty_rate DirtyRateStatsResponse dirty_rate_mbs
    }

    async fn freeze_virtual_machine(&self, request: Request<FreezeRequest>) -> Reply<Response> {
        let FreezeRequest { vmi, unfreeze_timeout_seconds } = request.into_inner();
        plain(self.launcher.freeze_virtual_machine(&json(vmi), unfreeze_timeout_seconds).await)
    }

    async fn migrate_virtual_machine(&self, request: Request<MigrationRequest>) -> Reply<Response> {
        let MigrationRequest { vmi, options } = request.into_inner();
        plain(self.launcher.migrate_virtual_machine(&json(vmi), &options).await)
    }

    async fn virtual_machine_memory_dump(&self, request: Request<MemoryDumpRequest>) -> Reply<Response> {
        let MemoryDumpRequest { vmi, dump_path } = request.into_inner();
        plain(self.launcher.virtual_machine_memory_dump(&json(vmi), &dump_path).await)
    }

    async fn get_domain(&self, _: Request<EmptyRequest>) -> Reply<DomainResponse> {
        let (response, domain) = split(self.launcher.get_domain().await)?;
        let domain = domain.map(|domain| serde_json::to_string(&domain)).transpose();
        let domain = domain.map_err(|error| Status::internal(error.to_string()))?.unwrap_or_default();
        Ok(Answer::new(DomainResponse { response, domain }))
    }

    async fn ping(&self, _: Request<EmptyRequest>) -> Reply<Response> {
        plain(self.launcher.ping().await)
    }

    // Exec and GuestPing alone answer refusals as errors.
    async fn exec(&self, request: Request<ExecRequest>) -> Reply<ExecResponse> {
        let ExecRequest { domain_name, command, args, timeout_seconds } = request.into_inner();
        let done = self.launcher.exec(&domain_name, &command, &args, timeout_seconds).await;
        let done = done.map_err(|error| Status::unknown(error.to_string()))?;
        let response = Some(Response { success: true, message: String::new() });
        Ok(Answer::new(ExecResponse { response, exit_code: done.exit_code, std_out: done.stdout }))
    }

    async fn guest_ping(&self, request: Request<GuestPingRequest>) -> Reply<GuestPingResponse> {
        let GuestPingRequest { domain_name, timeout_seconds } = request.into_inner();
        let done = self.launcher.guest_ping(&domain_name, timeout_seconds).await;
        done.map_err(|error| Status::unknown(error.to_string()))?;
        let response = Some(Response { success: true, message: String::new() });
        Ok(Answer::new(GuestPingResponse { response }))
    }

    async fn get_screenshot(&self, request: Request<VmiRequest>) -> Reply<ScreenshotResponse> {
        let (response, picture) = split(self.launcher.get_screenshot(&json(request.into_inner().vmi)).await)?;
        Ok(Answer::new(ScreenshotResponse { response, mime: picture.mime, data: picture.data }))
    }

    async fn get_sev_info(&self, _: Request<EmptyRequest>) -> Reply<SevInfoResponse> {
        let (response, info) = split(self.launcher.get_sev_info().await)?;
        Ok(Answer::new(SevInfoResponse { response, sev_info: info.into_bytes() }))
    }

    async fn get_launch_measurement(&self, request: Request<VmiRequest>) -> Reply<LaunchMeasurementResponse> {
        let (response, measured) = split(self.launcher.get_launch_measurement(&json(request.into_inner().vmi)).await)?;
        Ok(Answer::new(LaunchMeasurementResponse { response, launch_measurement: measured.into_bytes() }))
    }

    async fn inject_launch_secret(&self, request: Request<InjectLaunchSecretRequest>) -> Reply<Response> {
        let InjectLaunchSecretRequest { vmi, options } = request.into_inner();
        plain(self.launcher.inject_launch_secret(&json(vmi), &options).await)
    }
}

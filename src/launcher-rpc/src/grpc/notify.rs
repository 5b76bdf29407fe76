//! A handler's end of the socket, and a launcher's way to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Request, Response as Answer, Status};

use super::path::bind_for_owner;
use super::{ServeError, VERSIONS, agree, dial, failed};
use crate::notify_info::notify_info_client::NotifyInfoClient;
use crate::notify_info::notify_info_server::{NotifyInfo, NotifyInfoServer};
use crate::notify_info::{NotifyInfoRequest, NotifyInfoResponse};
use crate::notify_v1::notify_client::NotifyClient;
use crate::notify_v1::notify_server::{Notify as Service, NotifyServer};
use crate::notify_v1::{DomainEventRequest, K8sEventRequest, Response};
use crate::{DomainChange, DomainEvent, Notify, Result, RpcError, Severity, VmiEvent, timeouts};

/// Serves a handler on `socket` until `shutdown`.
///
/// # Errors
/// The socket cannot be listened on, or the server breaks.
pub async fn serve_handler(socket: &Path, handler: Arc<dyn Notify>, shutdown: CancellationToken) -> std::result::Result<(), ServeError> {
    let listener = bind_for_owner(socket).map_err(|source| ServeError::Listen { path: socket.to_owned(), source })?;
    tonic::transport::Server::builder()
        .add_service(NotifyInfoServer::new(Info))
        .add_service(NotifyServer::new(Served { handler }))
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), shutdown.cancelled_owned())
        .await?;
    Ok(())
}

struct Info;

#[tonic::async_trait]
impl NotifyInfo for Info {
    async fn info(&self, _: Request<NotifyInfoRequest>) -> std::result::Result<Answer<NotifyInfoResponse>, Status> {
        Ok(Answer::new(NotifyInfoResponse { supported_notify_versions: VERSIONS.to_vec() }))
    }
}

struct Served {
    handler: Arc<dyn Notify>,
}

fn reply(result: Result<()>) -> std::result::Result<Answer<Response>, Status> {
    match result {
        Ok(()) => Ok(Answer::new(Response { success: true, message: String::new() })),
        Err(error) if error.is_transient() => Err(Status::unavailable(error.to_string())),
        Err(error) => Ok(Answer::new(Response { success: false, message: error.to_string() })),
    }
}

fn malformed(what: &str, error: &serde_json::Error) -> Status {
    Status::invalid_argument(format!("{what}: {error}"))
}

#[tonic::async_trait]
impl Service for Served {
    async fn handle_domain_event(&self, request: Request<DomainEventRequest>) -> std::result::Result<Answer<Response>, Status> {
        let request = request.into_inner();
        let change = DomainChange::parse(&request.event_type)
            .ok_or_else(|| Status::invalid_argument(format!("unknown event type {:?}", request.event_type)))?;
        let domain = serde_json::from_slice(&request.domain_json).map_err(|error| malformed("domain", &error))?;
        reply(self.handler.handle_domain_event(DomainEvent { change, domain }).await)
    }

    async fn handle_k8s_event(&self, request: Request<K8sEventRequest>) -> std::result::Result<Answer<Response>, Status> {
        let event = serde_json::from_slice(&request.into_inner().event_json).map_err(|error| malformed("event", &error))?;
        reply(self.handler.handle_k8s_event(from_core(&event)).await)
    }
}

/// The event as core/v1 has it.
fn to_core(event: &VmiEvent) -> Value {
    let severity = match event.severity {
        Severity::Normal => "Normal",
        Severity::Warning => "Warning",
    };
    json!({
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"namespace": event.namespace},
        "involvedObject": {
            "kind": "VirtualMachineInstance", "apiVersion": "kubevirt.io/v1",
            "namespace": event.namespace, "name": event.name, "uid": event.uid,
        },
        "type": severity,
        "reason": event.reason,
        "message": event.message,
    })
}

fn from_core(event: &Value) -> VmiEvent {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    VmiEvent {
        namespace: text("/involvedObject/namespace"),
        name: text("/involvedObject/name"),
        uid: text("/involvedObject/uid"),
        severity: if text("/type") == "Warning" { Severity::Warning } else { Severity::Normal },
        reason: text("/reason"),
        message: text("/message"),
    }
}

/// The handler that listens on `socket`; connected on first use, and again after it restarted.
pub fn connect_handler(socket: PathBuf) -> Arc<dyn Notify> {
    Arc::new(Remote { socket, client: Mutex::new(None) })
}

struct Remote {
    socket: PathBuf,
    client: Mutex<Option<NotifyClient<Channel>>>,
}

impl Remote {
    async fn client(&self) -> Result<NotifyClient<Channel>> {
        let mut slot = self.client.lock().await;
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        let channel = dial(&self.socket).await?;
        let info = NotifyInfoClient::new(channel.clone()).info(NotifyInfoRequest {}).await;
        agree(&info.map_err(|status| failed(&status))?.into_inner().supported_notify_versions)?;
        let client = NotifyClient::new(channel);
        *slot = Some(client.clone());
        Ok(client)
    }

    /// Sends until it is taken or time is up; a connection that failed is given up.
    async fn deliver<F>(&self, send: impl Fn(NotifyClient<Channel>) -> F + Send) -> Result<()>
    where
        F: Future<Output = std::result::Result<Answer<Response>, Status>> + Send,
    {
        let deadline = Instant::now() + timeouts::NOTIFY_TOTAL;
        loop {
            let attempt = async {
                let client = self.client().await?;
                match tokio::time::timeout(timeouts::SHORT, send(client)).await {
                    Ok(Ok(answer)) => Ok(answer.into_inner()),
                    Ok(Err(status)) => Err(failed(&status)),
                    Err(_) => Err(RpcError::Timeout(timeouts::SHORT)),
                }
            };
            match attempt.await {
                Ok(Response { success: false, message }) if !message.is_empty() => return Err(RpcError::Refused(message)),
                Ok(_) => return Ok(()),
                Err(error) => {
                    let next = Instant::now() + timeouts::NOTIFY_RETRY;
                    if !error.is_transient() || next > deadline {
                        return Err(error);
                    }
                    *self.client.lock().await = None;
                    tokio::time::sleep_until(next).await;
                }
            }
        }
    }
}

#[async_trait]
impl Notify for Remote {
    async fn handle_domain_event(&self, event: DomainEvent) -> Result<()> {
        let encode = |value: serde_json::Result<Vec<u8>>| value.map_err(|error| RpcError::Refused(format!("encode domain: {error}")));
        let request = DomainEventRequest {
            domain_json: encode(serde_json::to_vec(&event.domain))?,
            status_json: encode(serde_json::to_vec(&json!({})))?,
            event_type: event.change.as_str().to_owned(),
        };
        self.deliver(|mut client| {
            let request = request.clone();
            async move { client.handle_domain_event(request).await }
        })
        .await
    }

    async fn handle_k8s_event(&self, event: VmiEvent) -> Result<()> {
        let request = K8sEventRequest { event_json: to_core(&event).to_string().into_bytes() };
        self.deliver(|mut client| {
            let request = request.clone();
            async move { client.handle_k8s_event(request).await }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_travel_as_core_events() {
        let event = VmiEvent {
            namespace: "ns".to_owned(),
            name: "vm".to_owned(),
            uid: "1".to_owned(),
            severity: Severity::Warning,
            reason: "IOerror".to_owned(),
            message: "VM Paused due to IO error".to_owned(),
        };
        assert_eq!(from_core(&to_core(&event)), event);
    }
}

//! What launchers tell their handler (node.md §3.5).

use std::sync::Arc;

use api::v1::VirtualMachineInstance;
use async_trait::async_trait;
use launcher_rpc::{DomainEvent, Notify, Result, RpcError, Severity, VmiEvent};
use planner::plan::{EventType, ObjectRef, kinds};
use runtime::{EventRecorder, Store};
use tokio_util::sync::CancellationToken;

use crate::domains::Domains;

/// Takes in reports and events; refuses them once the handler ends, so that launchers try its successor.
pub(crate) struct Receiver {
    pub(crate) domains: Arc<Domains>,
    pub(crate) vmis: Store<VirtualMachineInstance>,
    pub(crate) recorder: EventRecorder,
    pub(crate) shutdown: CancellationToken,
}

impl Receiver {
    fn open(&self) -> Result<()> {
        if self.shutdown.is_cancelled() { Err(RpcError::Unavailable("virt-handler ends".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl Notify for Receiver {
    async fn handle_domain_event(&self, event: DomainEvent) -> Result<()> {
        self.open()?;
        self.domains.report(&event.domain);
        Ok(())
    }

    async fn handle_k8s_event(&self, event: VmiEvent) -> Result<()> {
        self.open()?;
        let vmi = self.vmis.named(&event.namespace, &event.name);
        let vmi = vmi.filter(|vmi| vmi.metadata.uid.as_deref() == Some(&event.uid));
        let vmi = vmi.ok_or_else(|| RpcError::Refused("VMI not found".to_owned()))?;
        let severity = match event.severity {
            Severity::Normal => EventType::Normal,
            Severity::Warning => EventType::Warning,
        };
        self.recorder.record(&ObjectRef::of(&kinds::VMI, &vmi.metadata), severity, &event.reason, &event.message);
        Ok(())
    }
}

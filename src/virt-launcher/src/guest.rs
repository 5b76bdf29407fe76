//! Commands that go through the guest agent (node.md §7.2, §8.4, §19.1).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hypervisor::{DomainState, ErrorCode};
use launcher_rpc::{Executed, Result, RpcError};
use lifecycle::PausedReason;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::agent::{ask, freeze_status};
use crate::launcher::{Inner, refused};

/// What the agent calls frozen file systems.
const FROZEN: &str = "frozen";

impl Inner {
    pub(crate) async fn freeze(this: &Arc<Self>, timeout_seconds: i32) -> Result<()> {
        let domain = this.existing().await?;
        let command = r#"{"execute":"guest-fsfreeze-status"}"#;
        let status = ask(&*domain, command).await.map_err(|error| refused(&error))?;
        // Frozen already: idempotent, with the earlier timer.
        if status.as_str() == Some(FROZEN) {
            return Ok(());
        }
        domain.fs_freeze().await.map_err(|error| refused(&error))?;
        let own = {
            let mut state = this.state();
            state.freezes += 1;
            state.freezes
        };
        if let Ok(seconds) = u64::try_from(timeout_seconds)
            && seconds > 0
        {
            let launcher = Arc::downgrade(this);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                let Some(launcher) = launcher.upgrade() else { return };
                let current = launcher.state().freezes == own;
                if current && let Err(error) = launcher.unfreeze().await {
                    tracing::warn!(%error, "thaw after the freeze's time limit failed");
                }
            });
        }
        Ok(())
    }

    pub(crate) async fn unfreeze(&self) -> Result<()> {
        let domain = self.existing().await?;
        // Ends the timer of the freeze that is undone here.
        self.state().freezes += 1;
        match freeze_status(&*domain).await {
            Some(status) if status != FROZEN => Ok(()),
            Some(_) | None => domain.fs_thaw().await.map(drop).map_err(|error| refused(&error)),
        }
    }

    pub(crate) async fn exec(&self, command: &str, args: &[String], timeout_seconds: i32) -> Result<Executed> {
        let domain = self.existing().await?;
        let timeout = Duration::from_secs(u64::try_from(timeout_seconds).unwrap_or_default().max(1));
        let deadline = Instant::now() + timeout;
        let request = json!({
            "execute": "guest-exec",
            "arguments": {"path": command, "arg": args, "capture-output": true},
        });
        let started = ask(&*domain, &request.to_string()).await.map_err(|error| refused(&error))?;
        let pid = started.get("pid").and_then(Value::as_i64).filter(|pid| *pid > 0);
        let pid = pid.ok_or_else(|| RpcError::Refused(format!("guest-exec answered without a process: {started}")))?;
        let request = json!({"execute": "guest-exec-status", "arguments": {"pid": pid}}).to_string();
        loop {
            let status = ask(&*domain, &request).await.map_err(|error| refused(&error))?;
            if status.get("exited").and_then(Value::as_bool) == Some(true) {
                let exit_code = status.get("exitcode").and_then(Value::as_i64).unwrap_or_default();
                let output = status.get("out-data").and_then(Value::as_str).unwrap_or_default();
                let output = BASE64_STANDARD.decode(output).unwrap_or_default();
                return Ok(Executed {
                    exit_code: i32::try_from(exit_code).unwrap_or(-1),
                    stdout: String::from_utf8_lossy(&output).into_owned(),
                });
            }
            if Instant::now() >= deadline {
                return Err(RpcError::Refused(format!("command {command} did not end within {timeout:?}")));
            }
            tokio::time::sleep(timeout / 10).await;
        }
    }

    /// A sign of life of the agent; where its silence has a good reason, none is needed.
    pub(crate) async fn guest_ping(&self, _timeout_seconds: i32) -> Result<()> {
        if self.state().probes_paused {
            return Ok(());
        }
        let Some(domain) = self.domain().await? else { return Ok(()) };
        let Err(error) = domain.agent_command(r#"{"execute":"guest-ping"}"#).await else { return Ok(()) };
        let suspended = match domain.state().await {
            Err(_) => true,
            Ok(DomainState::Paused(reason)) => match reason {
                PausedReason::User
                | PausedReason::Migration
                | PausedReason::Save
                | PausedReason::Dump
                | PausedReason::FromSnapshot
                | PausedReason::ShuttingDown
                | PausedReason::Snapshot
                | PausedReason::StartingUp
                | PausedReason::Postcopy => true,
                PausedReason::Unknown
                | PausedReason::IoError
                | PausedReason::Watchdog
                | PausedReason::Crashed
                | PausedReason::PostcopyFailed
                | PausedReason::ApiError => false,
            },
            Ok(_) => false,
        };
        let migrating = self
            .records
            .snapshot()
            .migration
            .is_some_and(|migration| migration.start_timestamp.is_some() && migration.end_timestamp.is_none());
        let excusable = matches!(error.code, ErrorCode::AGENT_UNRESPONSIVE | ErrorCode::NO_DOMAIN);
        if excusable && (suspended || migrating) { Ok(()) } else { Err(refused(&error)) }
    }
}

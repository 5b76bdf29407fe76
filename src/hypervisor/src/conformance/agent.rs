//! The guest agent (hypervisor.md §5).

use lifecycle::{AgentState, DomainState, ErrorCode, LifecycleEvent, ShutoffReason};

use super::Check;
use super::case::{Case, accepted, equal, holds, refused, refused_with, state_is};
use crate::{EventKind, RebootMode, View};

const PING: &str = r#"{"execute":"guest-ping"}"#;

pub(super) async fn refuses_the_agent_while_it_is_away(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let (away, words) = (ErrorCode::AGENT_UNRESPONSIVE, "Guest agent is not responding: QEMU guest agent is not connected");
    refused_with("ping", domain.agent_command(PING).await, away, words)?;
    refused_with("guest info", domain.guest_info().await, away, words)?;
    refused_with("freeze", domain.fs_freeze().await, away, words)?;
    refused_with("thaw", domain.fs_thaw().await, away, words)?;
    refused_with("set time", domain.set_time(0, 0).await, away, words)?;
    refused_with("set password", domain.set_user_password("root", "secret").await, away, words)?;
    refused_with("set keys", domain.set_authorized_ssh_keys("root", &["ssh-ed25519 AAAA".to_owned()]).await, away, words)?;
    refused_with("reboot by the agent", domain.reboot(RebootMode::GuestAgent).await, away, words)
}

pub(super) async fn refuses_the_agent_without_a_channel(mut case: Case<'_>) -> Check {
    case.definition.devices.channels.clear();
    let domain = case.start().await?;
    let words = "QEMU guest agent is not configured";
    refused_with("ping", domain.agent_command(PING).await, ErrorCode::ARGUMENT_UNSUPPORTED, words)?;
    refused_with("guest info", domain.guest_info().await, ErrorCode::ARGUMENT_UNSUPPORTED, words)?;
    refused_with("reboot by the agent", domain.reboot(RebootMode::GuestAgent).await, ErrorCode::ARGUMENT_UNSUPPORTED, words)
}

pub(super) async fn refuses_the_agent_while_paused(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    case.until_agent(AgentState::Connected).await?;
    accepted("suspend", domain.suspend().await)?;
    let (invalid, words) = (ErrorCode::OPERATION_INVALID, "domain is not running");
    refused_with("ping", domain.agent_command(PING).await, invalid, words)?;
    refused_with("guest info", domain.guest_info().await, invalid, words)?;
    refused_with("freeze", domain.fs_freeze().await, invalid, words)?;
    refused_with("reboot by the agent", domain.reboot(RebootMode::GuestAgent).await, invalid, words)?;
    accepted("resume", domain.resume().await)?;
    accepted("ping", domain.agent_command(PING).await).map(drop)
}

pub(super) async fn answers_the_agents_ping(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    case.until_agent(AgentState::Connected).await?;
    let live = accepted("description", domain.description(View::Live).await)?;
    let states: Vec<_> = live.devices.channels.iter().filter_map(|channel| channel.target.as_ref()?.state.as_deref()).collect();
    equal("state of the channel", &states, &vec!["connected"])?;
    let answer = accepted("ping", domain.agent_command(PING).await)?;
    equal("answer", &answer.as_str(), &r#"{"return":{}}"#)?;
    let info = accepted("info", domain.agent_command(r#"{"execute":"guest-info"}"#).await)?;
    holds("the agent lists its commands", info.contains("supported_commands") && info.contains("guest-ping"))?;
    holds("what it does not know is refused", domain.agent_command(r#"{"execute":"guest-nonsense"}"#).await.is_err())
}

pub(super) async fn freezes_and_thaws(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    case.until_agent(AgentState::Connected).await?;
    let status = r#"{"execute":"guest-fsfreeze-status"}"#;
    equal("status", &accepted("status", domain.agent_command(status).await)?.as_str(), &r#"{"return":"thawed"}"#)?;
    let frozen = accepted("freeze", domain.fs_freeze().await)?;
    holds("something froze", frozen > 0)?;
    equal("status", &accepted("status", domain.agent_command(status).await)?.as_str(), &r#"{"return":"frozen"}"#)?;
    holds("frozen cannot be frozen again", domain.fs_freeze().await.is_err())?;
    equal("number of thawed file systems", &accepted("thaw", domain.fs_thaw().await)?, &frozen)?;
    equal("status", &accepted("status", domain.agent_command(status).await)?.as_str(), &r#"{"return":"thawed"}"#)
}

pub(super) async fn tells_about_the_guest(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    case.until_agent(AgentState::Connected).await?;
    let info = accepted("guest info", domain.guest_info().await)?;
    holds("it has a host name", !info.hostname.is_empty())?;
    holds("it runs a kernel", !info.os.kernel_release.is_empty() && !info.os.machine.is_empty())?;
    holds("it has a loopback interface", info.interfaces.iter().any(|interface| interface.name == "lo"))?;
    accepted("set time", domain.set_time(1_800_000_000, 0).await)
}

pub(super) async fn loses_the_agent_with_the_domain(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    case.until_agent(AgentState::Connected).await?;
    accepted("destroy", domain.destroy().await)?;
    let announced = case.find("STOPPED", |kind| match kind {
        EventKind::Agent(_) => Some(true),
        EventKind::Lifecycle(LifecycleEvent::Stopped(_)) => Some(false),
        _ => None,
    });
    holds("the agent's end goes without saying", !announced.await?)?;
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Destroyed)).await?;
    refused("ping", domain.agent_command(PING).await, ErrorCode::OPERATION_INVALID)
}

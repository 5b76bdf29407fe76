//! Calls and their effect on state and events (hypervisor.md §9.1, §14).

use lifecycle::{DomainState, ErrorCode, PausedReason, RunningReason, ShutoffReason};

use super::Check;
use super::case::{Case, accepted, equal, eventually, holds, refused, refused_with, state_is};
use crate::{RebootMode, Scope, StartMode, View};

const BOOTED: DomainState = DomainState::Running(RunningReason::Booted);
const UNPAUSED: DomainState = DomainState::Running(RunningReason::Unpaused);
const PAUSED: DomainState = DomainState::Paused(PausedReason::User);

pub(super) async fn defines_and_finds(mut case: Case<'_>) -> Check {
    refused("lookup of nothing", case.hypervisor.lookup("default_conformance").await, ErrorCode::NO_DOMAIN)?;
    let domain = case.define().await?;
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Unknown)).await?;
    let found = accepted("lookup", case.hypervisor.lookup("default_conformance").await)?;
    equal("UUID", &found.uuid(), &domain.uuid())?;
    equal("name", &found.name(), &"default_conformance")?;
    accepted("second define", case.hypervisor.define(&case.definition).await)?;
    case.expect("DEFINED/UPDATED").await?;
    accepted("description", domain.description(View::Inactive).await)?;
    accepted("undefine", domain.undefine().await)?;
    case.expect("UNDEFINED/REMOVED").await?;
    refused("state of the undefined", domain.state().await, ErrorCode::NO_DOMAIN)?;
    let left = accepted("list", case.hypervisor.list().await)?;
    equal("number of domains left", &left.len(), &0)
}

pub(super) async fn refuses_a_name_of_another_uuid(mut case: Case<'_>) -> Check {
    let domain = case.define().await?;
    let mut other = case.definition.clone();
    other.uuid = Some("00000000-1111-2222-3333-444444444444".to_owned());
    let words = format!("operation failed: domain 'default_conformance' already exists with uuid {}", domain.uuid());
    refused_with("define", case.hypervisor.define(&other).await, ErrorCode::OPERATION_FAILED, &words)
}

pub(super) async fn refuses_what_is_no_definition(case: Case<'_>) -> Check {
    let mut unnamed = case.definition.clone();
    unnamed.name = String::new();
    refused("define without a name", case.hypervisor.define(&unnamed).await, ErrorCode::NO_NAME)?;
    let mut slashed = case.definition.clone();
    slashed.name = "default/conformance".to_owned();
    refused("define with a slash in the name", case.hypervisor.define(&slashed).await, ErrorCode::XML_ERROR)?;
    let mut of_no_kind = case.definition.clone();
    of_no_kind.kind = String::new();
    refused("define without a type", case.hypervisor.define(&of_no_kind).await, ErrorCode::INTERNAL_ERROR)?;
    let mut of_odd_kind = case.definition.clone();
    of_odd_kind.kind = "perpetuum".to_owned();
    let answer = case.hypervisor.define(&of_odd_kind).await;
    refused_with("define with an unknown type", answer, ErrorCode::CONFIG_UNSUPPORTED, "invalid domain type perpetuum")?;
    let mut of_bad_uuid = case.definition.clone();
    of_bad_uuid.uuid = Some("not-a-uuid".to_owned());
    let answer = case.hypervisor.define(&of_bad_uuid).await;
    refused_with("define with a malformed UUID", answer, ErrorCode::INTERNAL_ERROR, "malformed uuid element")?;
    let left = accepted("list", case.hypervisor.list().await)?;
    equal("number of domains", &left.len(), &0)
}

pub(super) async fn starts_cold(mut case: Case<'_>) -> Check {
    let domain = case.define().await?;
    accepted("create", domain.create(StartMode::Running).await)?;
    case.expect("RESUMED/UNPAUSED").await?;
    case.expect("STARTED/BOOTED").await?;
    state_is(&*domain, BOOTED).await?;
    let words = "domain is already running";
    refused_with("second create", domain.create(StartMode::Running).await, ErrorCode::OPERATION_INVALID, words)
}

pub(super) async fn starts_paused(mut case: Case<'_>) -> Check {
    let domain = case.define().await?;
    accepted("create", domain.create(StartMode::Paused).await)?;
    case.expect("STARTED/BOOTED").await?;
    case.expect("SUSPENDED/PAUSED").await?;
    state_is(&*domain, PAUSED).await
}

pub(super) async fn resumes_what_started_paused(mut case: Case<'_>) -> Check {
    let domain = case.define().await?;
    accepted("create", domain.create(StartMode::Paused).await)?;
    case.until("SUSPENDED/PAUSED").await?;
    accepted("resume", domain.resume().await)?;
    case.expect("RESUMED/UNPAUSED").await?;
    state_is(&*domain, UNPAUSED).await?;
    case.nothing().await
}

pub(super) async fn refuses_what_needs_a_process(mut case: Case<'_>) -> Check {
    let domain = case.define().await?;
    let (invalid, words) = (ErrorCode::OPERATION_INVALID, "domain is not running");
    refused_with("suspend", domain.suspend().await, invalid, words)?;
    refused_with("resume", domain.resume().await, invalid, words)?;
    refused_with("shutdown", domain.shutdown().await, invalid, words)?;
    refused_with("destroy", domain.destroy().await, invalid, words)?;
    refused_with("reset", domain.reset().await, invalid, words)?;
    refused_with("reboot", domain.reboot(RebootMode::AcpiPowerButton).await, invalid, words)?;
    refused_with("reboot by the agent", domain.reboot(RebootMode::GuestAgent).await, invalid, words)?;
    refused_with("screenshot", domain.screenshot().await, invalid, words)?;
    refused_with("agent command", domain.agent_command(r#"{"execute":"guest-ping"}"#).await, invalid, words)?;
    refused_with("guest info", domain.guest_info().await, invalid, words)?;
    refused_with("freeze", domain.fs_freeze().await, invalid, words)?;
    refused_with("thaw", domain.fs_thaw().await, invalid, words)?;
    refused_with("set password", domain.set_user_password("root", "secret").await, invalid, words)?;
    refused_with("abort of a job", domain.abort_job().await, invalid, words)?;
    refused_with("disk errors", domain.disk_errors().await, invalid, words)?;
    refused_with("block resize", domain.block_resize("/nowhere", 1 << 20).await, invalid, words)?;
    refused_with("dirty rate", domain.dirty_rate(1).await, invalid, words)?;
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Unknown)).await?;
    case.nothing().await
}

pub(super) async fn knows_nothing_of_the_undefined(mut case: Case<'_>) -> Check {
    let domain = case.define().await?;
    accepted("undefine", domain.undefine().await)?;
    let gone = ErrorCode::NO_DOMAIN;
    refused("state", domain.state().await, gone)?;
    refused("description", domain.description(View::Live).await, gone)?;
    refused("create", domain.create(StartMode::Running).await, gone)?;
    refused("suspend", domain.suspend().await, gone)?;
    refused("resume", domain.resume().await, gone)?;
    refused("shutdown", domain.shutdown().await, gone)?;
    refused("destroy", domain.destroy().await, gone)?;
    refused("reset", domain.reset().await, gone)?;
    refused("reboot", domain.reboot(RebootMode::AcpiPowerButton).await, gone)?;
    refused("undefine", domain.undefine().await, gone)?;
    refused("set vcpus", domain.set_vcpus(1).await, gone)?;
    refused("job info", domain.job_info().await, gone)?;
    refused("agent command", domain.agent_command(r#"{"execute":"guest-ping"}"#).await, gone)?;
    refused("guest info", domain.guest_info().await, gone)?;
    refused("console", domain.console().await.map(drop), gone)?;
    let disk = super::devices::disk("/nowhere", "vdb", "data");
    refused("attach", domain.attach_device(&disk, Scope::LiveAndConfig).await, gone)
}

pub(super) async fn suspends_and_resumes(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let words = "domain is already running";
    refused_with("resume of the running", domain.resume().await, ErrorCode::OPERATION_INVALID, words)?;
    accepted("suspend", domain.suspend().await)?;
    case.expect("SUSPENDED/PAUSED").await?;
    state_is(&*domain, PAUSED).await?;
    accepted("suspend of the paused", domain.suspend().await)?;
    state_is(&*domain, PAUSED).await?;
    refused_with("create of the paused", domain.create(StartMode::Running).await, ErrorCode::OPERATION_INVALID, words)?;
    accepted("resume", domain.resume().await)?;
    case.expect("RESUMED/UNPAUSED").await?;
    state_is(&*domain, UNPAUSED).await?;
    case.nothing().await
}

pub(super) async fn shuts_down_when_the_guest_wants(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let event = case.press_until_shutdown(&*domain).await?;
    equal("event", &event.as_str(), &"SHUTDOWN/GUEST")?;
    case.expect("STOPPED/SHUTDOWN").await?;
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Shutdown)).await?;
    refused("shutdown of what is off", domain.shutdown().await, ErrorCode::OPERATION_INVALID)?;
    accepted("undefine", domain.undefine().await)?;
    case.expect("UNDEFINED/REMOVED").await
}

pub(super) async fn outlives_a_shutdown_the_guest_ignores(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    accepted("shutdown", domain.shutdown().await)?;
    accepted("second shutdown", domain.shutdown().await)?;
    state_is(&*domain, BOOTED).await?;
    case.nothing().await?;
    state_is(&*domain, BOOTED).await
}

pub(super) async fn destroys(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    accepted("destroy", domain.destroy().await)?;
    case.expect_destroyed().await?;
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Destroyed)).await?;
    refused("second destroy", domain.destroy().await, ErrorCode::OPERATION_INVALID)?;
    case.nothing().await
}

pub(super) async fn destroys_the_paused(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    accepted("suspend", domain.suspend().await)?;
    case.expect("SUSPENDED/PAUSED").await?;
    accepted("destroy", domain.destroy().await)?;
    case.expect_destroyed().await?;
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Destroyed)).await
}

pub(super) async fn refuses_a_shutdown_while_paused(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    accepted("suspend", domain.suspend().await)?;
    let words = "domain is not running";
    refused_with("shutdown", domain.shutdown().await, ErrorCode::OPERATION_INVALID, words)?;
    state_is(&*domain, PAUSED).await
}

pub(super) async fn vanishes_when_undefined_while_running(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    accepted("undefine", domain.undefine().await)?;
    case.expect("UNDEFINED/REMOVED").await?;
    state_is(&*domain, BOOTED).await?;
    refused("second undefine", domain.undefine().await, ErrorCode::OPERATION_INVALID)?;
    accepted("destroy", domain.destroy().await)?;
    case.expect_destroyed().await?;
    refused("lookup", case.hypervisor.lookup("default_conformance").await, ErrorCode::NO_DOMAIN)?;
    refused("state", domain.state().await, ErrorCode::NO_DOMAIN)
}

pub(super) async fn is_kept_when_defined_again_while_running(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    accepted("undefine", domain.undefine().await)?;
    case.expect("UNDEFINED/REMOVED").await?;
    accepted("define", case.hypervisor.define(&case.definition).await)?;
    case.expect("DEFINED/UPDATED").await?;
    accepted("destroy", domain.destroy().await)?;
    case.expect_destroyed().await?;
    state_is(&*domain, DomainState::Shutoff(ShutoffReason::Destroyed)).await
}

pub(super) async fn resets_and_reboots_in_place(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    accepted("reset", domain.reset().await)?;
    state_is(&*domain, BOOTED).await?;
    accepted("reboot", domain.reboot(RebootMode::AcpiPowerButton).await)?;
    state_is(&*domain, BOOTED).await?;
    case.nothing().await
}

pub(super) async fn resets_while_paused(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    accepted("suspend", domain.suspend().await)?;
    case.expect("SUSPENDED/PAUSED").await?;
    accepted("reset", domain.reset().await)?;
    state_is(&*domain, PAUSED).await?;
    case.nothing().await?;
    accepted("resume", domain.resume().await)?;
    case.expect("RESUMED/UNPAUSED").await?;
    state_is(&*domain, UNPAUSED).await
}

pub(super) async fn takes_a_reboot_while_paused(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    accepted("suspend", domain.suspend().await)?;
    case.expect("SUSPENDED/PAUSED").await?;
    accepted("reboot", domain.reboot(RebootMode::AcpiPowerButton).await)?;
    state_is(&*domain, PAUSED).await?;
    refused("reboot by the agent", domain.reboot(RebootMode::GuestAgent).await, ErrorCode::OPERATION_INVALID)?;
    case.nothing().await
}

pub(super) async fn reboots_by_the_power_button(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    accepted("reboot", domain.reboot(RebootMode::AcpiPowerButton).await)?;
    case.nothing().await?;
    let running = accepted("state", domain.state().await)?;
    holds("it runs again", matches!(running, DomainState::Running(_)))?;
    equal("event", &case.press_until_shutdown(&*domain).await?.as_str(), &"SHUTDOWN/GUEST")
}

pub(super) async fn starts_again_after_it_stopped(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let first = accepted("description", domain.description(View::Live).await)?.id;
    accepted("destroy", domain.destroy().await)?;
    case.expect_destroyed().await?;
    accepted("create", domain.create(StartMode::Running).await)?;
    case.expect("RESUMED/UNPAUSED").await?;
    case.expect("STARTED/BOOTED").await?;
    state_is(&*domain, BOOTED).await?;
    let second = accepted("description", domain.description(View::Live).await)?.id;
    holds("each start has a number of its own", first.is_some() && second > first)
}

pub(super) async fn tells_domains_apart(mut case: Case<'_>) -> Check {
    let one = case.define().await?;
    let mut definition = case.bench.definition(case.guest, "default_other");
    definition.uuid = Some("7b2b35b2-5172-4718-9c05-b4a74e1d6906".to_owned());
    let other = accepted("define", case.hypervisor.define(&definition).await)?;
    case.expect("DEFINED/ADDED").await?;
    accepted("create", other.create(StartMode::Running).await)?;
    case.until("STARTED/BOOTED").await?;
    state_is(&*one, DomainState::Shutoff(ShutoffReason::Unknown)).await?;
    let names: Vec<String> = accepted("list", case.hypervisor.list().await)?.iter().map(|domain| domain.name().to_owned()).collect();
    equal("names", &names, &vec!["default_conformance".to_owned(), "default_other".to_owned()])?;
    let measured = accepted("stats", case.hypervisor.stats().await)?;
    equal("number of measured domains", &measured.len(), &1)?;
    accepted("destroy", other.destroy().await)?;
    case.expect_destroyed().await?;
    accepted("undefine", other.undefine().await)?;
    eventually("only one is left", || async { Ok(accepted("list", case.hypervisor.list().await)?.len() == 1) }).await
}

pub(super) async fn replays_nothing_to_a_second_listener(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let mut second = Case { events: case.hypervisor.events(), ..Case::new(case.bench, case.guest, case.hypervisor.clone()) };
    accepted("suspend", domain.suspend().await)?;
    second.expect("SUSPENDED/PAUSED").await?;
    case.expect("SUSPENDED/PAUSED").await
}

//! What can be read of a domain and its host (hypervisor.md §8, §11).

use lifecycle::ErrorCode;

use super::Check;
use super::case::{Case, accepted, equal, eventually, holds, refused};
use crate::View;

const AGENT: &str = "org.qemu.guest_agent.0";

fn agent_state(description: &domain::Domain) -> Option<String> {
    let targets = description.devices.channels.iter().filter_map(|channel| channel.target.as_ref());
    targets.filter(|target| target.name.as_deref() == Some(AGENT)).find_map(|target| target.state.clone())
}

pub(super) async fn tells_live_from_inactive(mut case: Case<'_>) -> Check {
    let domain = case.define().await?;
    let off = accepted("description", domain.description(View::Live).await)?;
    equal("number while off", &off.id, &None)?;
    equal("state of the agent's channel while off", &agent_state(&off), &None)?;
    equal("current memory", &off.current_memory.as_ref().and_then(domain::Memory::to_bytes), &off.memory.to_bytes())?;
    holds("the machine type is a canonical one", off.os.kind.machine.as_deref().is_some_and(|m| m.starts_with("pc-q35-")))?;
    equal("what a power-off does", &off.on_poweroff.as_deref(), &Some("destroy"))?;
    equal("what a reboot does", &off.on_reboot.as_deref(), &Some("restart"))?;
    equal("what a crash does", &off.on_crash.as_deref(), &Some("destroy"))?;
    accepted("create", domain.create(crate::StartMode::Running).await)?;
    case.until("STARTED/BOOTED").await?;
    let live = accepted("description", domain.description(View::Live).await)?;
    let inactive = accepted("description", domain.description(View::Inactive).await)?;
    holds("a running domain has a number", live.id.is_some_and(|id| id > 0))?;
    equal("number in the configuration", &inactive.id, &None)?;
    equal("state of the agent's channel", &agent_state(&live).as_deref(), &Some("disconnected"))?;
    equal("state of the agent's channel in the configuration", &agent_state(&inactive), &None)?;
    equal("UUID", &live.uuid.as_deref(), &Some(domain.uuid()))?;
    holds("running disks have aliases", live.devices.disks.iter().all(|disk| disk.alias.is_some()))
}

pub(super) async fn defines_the_next_start_while_running(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let mut next = case.definition.clone();
    next.title = Some("the next start".to_owned());
    accepted("define", case.hypervisor.define(&next).await)?;
    case.expect("DEFINED/UPDATED").await?;
    let title = |description: &domain::Domain| description.title.clone();
    equal("title of the running", &title(&*accepted("description", domain.description(View::Live).await)?), &None)?;
    equal("title of the next", &title(&*accepted("description", domain.description(View::Inactive).await)?), &next.title)?;
    accepted("destroy", domain.destroy().await)?;
    case.expect_destroyed().await?;
    equal("title when off", &title(&*accepted("description", domain.description(View::Live).await)?), &next.title)
}

pub(super) async fn measures_what_runs(mut case: Case<'_>) -> Check {
    let domain = case.define().await?;
    equal("number of measured domains while off", &accepted("stats", case.hypervisor.stats().await)?.len(), &0)?;
    accepted("create", domain.create(crate::StartMode::Running).await)?;
    case.until("STARTED/BOOTED").await?;
    eventually("it uses its processor", || async {
        let stats = accepted("stats", case.hypervisor.stats().await)?;
        Ok(stats.iter().any(|domain| domain.cpu.time > 0 && domain.vcpus.iter().any(|vcpu| vcpu.time > 0)))
    })
    .await?;
    let first = accepted("stats", case.hypervisor.stats().await)?;
    let [first] = first.as_slice() else { return Err(format!("{} domains are measured", first.len())) };
    equal("name", &first.name.as_str(), &domain.name())?;
    equal("UUID", &first.uuid.as_str(), &domain.uuid())?;
    let live = accepted("description", domain.description(View::Live).await)?;
    let kib = live.current_memory.as_ref().and_then(domain::Memory::to_bytes).map(|bytes| bytes / 1024);
    equal("balloon", &Some(first.memory.actual_balloon), &kib)?;
    holds("it is resident", first.memory.rss > 0)?;
    let online = first.vcpus.iter().filter(|vcpu| vcpu.state != crate::VcpuState::Offline).count();
    equal("processors", &online, &1)?;
    let disks: Vec<&str> = first.block.iter().map(|disk| disk.name.as_str()).collect();
    let described: Vec<&str> = live.devices.disks.iter().filter_map(|disk| disk.target.dev.as_deref()).collect();
    equal("disks", &disks, &described)?;
    eventually("it goes on", || async {
        let stats = accepted("stats", case.hypervisor.stats().await)?;
        Ok(stats.iter().any(|domain| domain.cpu.time > first.cpu.time))
    })
    .await?;
    accepted("suspend", domain.suspend().await)?;
    equal("number of measured domains while paused", &accepted("stats", case.hypervisor.stats().await)?.len(), &1)
}

pub(super) async fn measures_the_dirty_rate(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let rate = accepted("dirty rate", domain.dirty_rate(1).await)?;
    equal("period", &rate.period_seconds, &1)?;
    refused("measuring for no time", domain.dirty_rate(0).await, ErrorCode::CONFIG_UNSUPPORTED)
}

pub(super) async fn has_no_job(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    let job = accepted("job info", domain.job_info().await)?;
    equal("job", &job.operation, &None)?;
    super::case::refused_with("abort of no job", domain.abort_job().await, ErrorCode::OPERATION_INVALID, "no job is active on the domain")
}

pub(super) async fn has_no_disk_errors(mut case: Case<'_>) -> Check {
    let domain = case.start().await?;
    equal("disk errors", &accepted("disk errors", domain.disk_errors().await)?, &Vec::new())
}

pub(super) async fn knows_its_host(case: Case<'_>) -> Check {
    let host = case.hypervisor.capabilities();
    holds("the version is one of QEMU's", host.version.starts_with("QEMU ") && host.version.len() > 6)?;
    holds("the architecture is in Kubernetes' words", ["amd64", "arm64", "s390x"].contains(&host.arch.as_str()))?;
    holds("there are machine types", host.machines.iter().any(|machine| machine == "q35"))?;
    holds("there are processor models", !host.cpu_models.is_empty() && !host.cpu_features.is_empty())?;
    holds("there is a model of the host", host.host_model.as_ref().is_some_and(|model| !model.name.is_empty()))?;
    holds("there is memory in a cell with processors", host.cells.iter().any(|cell| cell.memory_kib > 0 && !cell.cpus.is_empty()))
}

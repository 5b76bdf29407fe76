//! Probes of the guest, as probes of `compute`. Source: spec/pod.md §4.2.

use api::v1::{self, VirtualMachineInstance};
use k8s_openapi::api::core::v1::{ExecAction, Probe};

use crate::vmi;

/// libvirt's start-up time, in seconds.
const START_UP_SECONDS: i32 = 10;
/// What the way through the guest agent costs, in seconds.
const AGENT_SECONDS: i32 = 1;

/// The pod's probe for a probe of the guest.
pub(super) fn render(vmi: &VirtualMachineInstance, probe: &v1::Probe) -> Probe {
    let or = |value: Option<i32>, default: i32| value.filter(|v| *v != 0).unwrap_or(default);
    let timeout = or(probe.timeout_seconds, 1);
    let exec = if probe.guest_agent_ping.is_some() {
        Some((agent_command(vmi, timeout, &["--guestAgentPing".to_owned()]), true))
    } else {
        probe.exec.as_ref().map(|exec| wrapped(vmi, exec, timeout))
    };
    let through_agent = exec.as_ref().is_some_and(|(_, wrapped)| *wrapped);
    Probe {
        initial_delay_seconds: Some(probe.initial_delay_seconds.unwrap_or_default() + START_UP_SECONDS),
        timeout_seconds: Some(if through_agent { timeout + AGENT_SECONDS } else { timeout }),
        period_seconds: Some(or(probe.period_seconds, 10)),
        success_threshold: Some(or(probe.success_threshold, 1)),
        failure_threshold: Some(or(probe.failure_threshold, 3)),
        exec: exec.map(|(command, _)| ExecAction { command: Some(command) }),
        http_get: probe.http_get.clone(),
        tcp_socket: probe.tcp_socket.clone(),
        ..Probe::default()
    }
}

/// The command through the guest agent, and whether it had to be wrapped.
fn wrapped(vmi: &VirtualMachineInstance, exec: &ExecAction, timeout: i32) -> (Vec<String>, bool) {
    let command = exec.command.clone().unwrap_or_default();
    match command.split_first() {
        Some((program, arguments)) if program != "virt-probe" => {
            let mut tail = vec!["--command".to_owned(), program.clone(), "--".to_owned()];
            tail.extend_from_slice(arguments);
            (agent_command(vmi, timeout, &tail), true)
        }
        _ => (command, false),
    }
}

fn agent_command(vmi: &VirtualMachineInstance, timeout: i32, tail: &[String]) -> Vec<String> {
    let mut command =
        vec!["virt-probe".to_owned(), "--domainName".to_owned(), vmi::domain_name(vmi), "--timeoutSeconds".to_owned(), timeout.to_string()];
    command.extend_from_slice(tail);
    command
}

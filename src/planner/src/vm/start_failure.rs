//! Starts that fail early are spaced out (spec controllers §3.7).

use std::time::Duration;

use api::v1::values::vmi_phase;
use api::v1::{VirtualMachineInstance, VirtualMachineStartFailure, VirtualMachineStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;

use super::{Observed, RunStrategy};
use crate::metadata;
use crate::vmi::Phase;

/// The longest delay, in seconds.
const LONGEST: u64 = 300;
/// The delay after the first failure, in seconds.
const INTERVAL: u64 = 10;

/// How long until the next start may be tried, in whole seconds.
pub(super) fn time_left(observed: &Observed<'_>) -> Option<Duration> {
    let retry_after = observed.vm.status.as_ref()?.start_failure.as_ref()?.retry_after_timestamp.as_ref()?;
    let left = retry_after.0.as_second() - observed.now.0.as_second();
    u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_secs)
}

/// The delay after `failures` failures: ten seconds times their square, up to half more at random, at most five minutes.
fn delay(failures: i64, spread: f64) -> u64 {
    let failures = u64::try_from(failures).unwrap_or(1).clamp(1, 1000);
    let base = (INTERVAL * failures * failures).min(LONGEST);
    let extra = ((base / 2) as f64 * spread.clamp(0.0, 1.0)).round() as u64;
    (base + extra).min(LONGEST)
}

/// Counts a failed start, once an instance; forgets failures once an instance ran, or when the strategy does not care.
pub(super) fn update(observed: &Observed<'_>, strategy: Option<&RunStrategy>, status: &mut VirtualMachineStatus) {
    let ran = observed.vmi.is_some_and(has_run);
    if ran || !strategy.is_some_and(RunStrategy::counts_start_failures) {
        status.start_failure = None;
        return;
    }
    let Some(vmi) = observed.vmi.filter(|vmi| Phase::of(vmi).is_final()) else { return };
    let uid = metadata::uid(&vmi.metadata);
    let known = status.start_failure.as_ref();
    if known.is_some_and(|known| known.last_failed_vmi_uid.as_deref() == Some(uid)) {
        return;
    }
    let failures = known.and_then(|known| known.consecutive_fail_count).unwrap_or(0) + 1;
    let delay = i64::try_from(delay(failures, observed.spread)).unwrap_or(i64::MAX);
    let retry_at = observed.now.0.saturating_add(SignedDuration::from_secs(delay)).unwrap_or(observed.now.0);
    status.start_failure = Some(VirtualMachineStartFailure {
        consecutive_fail_count: Some(failures),
        last_failed_vmi_uid: Some(uid.to_owned()),
        retry_after_timestamp: Some(Time(retry_at)),
    });
}

/// Whether the guest ever ran; virt-handler records that.
fn has_run(vmi: &VirtualMachineInstance) -> bool {
    let entered = vmi.status.as_ref().map(|status| status.phase_transition_timestamps.as_slice()).unwrap_or_default();
    entered.iter().any(|entry| entry.phase.as_deref() == Some(vmi_phase::RUNNING))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_with_the_square() {
        let range = |failures| (delay(failures, 0.0), delay(failures, 1.0));
        assert_eq!(
            [range(1), range(2), range(3), range(4), range(5), range(6), range(500)],
            [(10, 15), (40, 60), (90, 135), (160, 240), (250, 300), (300, 300), (300, 300)]
        );
    }
}

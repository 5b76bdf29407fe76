//! The clock: the only source of timestamps (DESIGN, invariant 6).
//!
//! Waiting is `tokio::time`'s business; what is *written* as a time comes from here. In a simulation both are the same
//! virtual time: the clock's epoch plus what tokio's paused clock has advanced.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use tokio::time::Instant;

/// Where timestamps come from.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    System,
    Virtual { epoch: Timestamp, started: Instant },
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self { source: Source::System }
    }

    /// A clock that reads `epoch` now and advances with tokio's time.
    pub fn virtual_from(epoch: Timestamp) -> Self {
        Self { source: Source::Virtual { epoch, started: Instant::now() } }
    }

    /// The present.
    pub fn now(&self) -> Timestamp {
        match &self.source {
            // The one place that reads the wall clock.
            #[allow(clippy::disallowed_methods)]
            Source::System => Timestamp::now(),
            Source::Virtual { epoch, started } => {
                let elapsed = SignedDuration::try_from(started.elapsed()).unwrap_or(SignedDuration::MAX);
                epoch.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// The present as Kubernetes writes it, in whole seconds.
    pub fn time(&self) -> Time {
        Time(whole_seconds(self.now()))
    }

    /// The present as Kubernetes writes it in leases, in whole microseconds.
    pub fn micro_time(&self) -> MicroTime {
        let now = self.now();
        MicroTime(Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now))
    }
}

/// `at` without its fraction of a second: `metav1.Time` loses it on the wire.
pub fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn virtual_time_follows_tokio() {
        let epoch: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let clock = Clock::virtual_from(epoch);
        tokio::time::advance(Duration::from_millis(61_500)).await;
        assert_eq!(clock.now().to_string(), "2026-01-01T00:01:01.5Z");
        assert_eq!(clock.time().0.to_string(), "2026-01-01T00:01:01Z");
    }
}

//! What the server takes from outside: the clock for timestamps, the source of randomness, and the way to open connections.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use crate::net;

/// The clock for timestamps (`metadata.creationTimestamp`, managed fields, certificates). Waiting is tokio's.
pub type Now = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// The alphabet of names that `generateName` completes: no vowels, nothing that reads like another character.
const SUFFIX_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A seeded source of randomness that clones share, so one seed gives one sequence for the whole server.
#[derive(Clone)]
pub struct Entropy(Arc<Mutex<StdRng>>);

impl Entropy {
    /// A source that always yields the same sequence for the same seed.
    pub fn from_seed(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// The next 64 random bits.
    pub fn next_u64(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }

    /// A version 4 UUID in its usual spelling.
    pub fn uuid(&self) -> String {
        let mut bytes = [0_u8; 16];
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// Five characters for `generateName`.
    pub fn suffix5(&self) -> String {
        let mut bits = self.next_u64();
        (0..5)
            .map(|_| {
                let index = (bits % SUFFIX_ALPHABET.len() as u64) as usize;
                bits /= SUFFIX_ALPHABET.len() as u64;
                SUFFIX_ALPHABET.get(index).copied().map_or('b', char::from)
            })
            .collect()
    }
}

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy")
    }
}

/// Everything the server takes from its surroundings; cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// The clock for timestamps.
    pub now: Now,
    /// The source of randomness.
    pub entropy: Entropy,
    /// Opens connections to webhooks, aggregated servers and kubelets.
    pub dialer: Arc<dyn net::Dial>,
}

impl Env {
    /// An environment on the system's clock, for programs that serve real clients.
    // The one place where the wall clock enters: everything else gets it injected.
    #[allow(clippy::disallowed_methods)]
    pub fn system(seed: u64, dialer: Arc<dyn net::Dial>) -> Self {
        Self { now: Arc::new(jiff::Timestamp::now), entropy: Entropy::from_seed(seed), dialer }
    }

    /// The present as `metav1.Time` is written: whole seconds, UTC, `2006-01-02T15:04:05Z`.
    pub fn timestamp(&self) -> String {
        rfc3339(&(self.now)())
    }

    /// The present as `metav1.MicroTime` is written: six fractional digits.
    pub fn micro_timestamp(&self) -> String {
        rfc3339_micro(&(self.now)())
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Env")
    }
}

/// `2006-01-02T15:04:05Z`, the wire form of `metav1.Time`.
pub fn rfc3339(at: &jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2006-01-02T15:04:05.000000Z`, the wire form of `metav1.MicroTime`.
pub fn rfc3339_micro(at: &jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence() {
        let (a, b) = (Entropy::from_seed(7), Entropy::from_seed(7));
        assert_eq!(a.uuid(), b.uuid());
        assert_eq!(a.suffix5(), b.suffix5());
        assert_ne!(a.uuid(), Entropy::from_seed(8).uuid());
    }

    #[test]
    fn times_are_written_as_kubernetes_does() {
        let at: jiff::Timestamp = "2024-05-06T07:08:09.123456789Z".parse().unwrap();
        assert_eq!(rfc3339(&at), "2024-05-06T07:08:09Z");
        assert_eq!(rfc3339_micro(&at), "2024-05-06T07:08:09.123456Z");
    }
}

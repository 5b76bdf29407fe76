//! Randomness, injected: a simulation is replayed from its seed (DESIGN, invariant 6).

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

/// The characters Kubernetes puts into generated names: no vowels, nothing that looks like something else.
const NAME_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A source of random values; clones share it.
#[derive(Clone, Debug)]
pub struct Entropy {
    seed: u64,
    state: Arc<Mutex<StdRng>>,
}

impl Entropy {
    /// A reproducible source.
    pub fn from_seed(seed: u64) -> Self {
        Self { seed, state: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))) }
    }

    /// A source seeded by the operating system.
    pub fn system() -> Self {
        let mut seed = [0; 8];
        // ring's generator reads the operating system's; a seed of zero would only cost uniqueness of jitter.
        let _ = rustls::crypto::ring::default_provider().secure_random.fill(&mut seed);
        Self::from_seed(u64::from_le_bytes(seed))
    }

    /// An independent source for `label`: the same seed and label give the same values, whatever was drawn from here.
    #[must_use]
    pub fn fork(&self, label: &str) -> Self {
        let mut seed = self.seed ^ 0x9e37_79b9_7f4a_7c15;
        for byte in label.bytes() {
            seed = (seed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            seed ^= seed >> 29;
        }
        Self::from_seed(seed)
    }

    /// Any 64 bits.
    pub fn next_u64(&self) -> u64 {
        self.draw(RngCore::next_u64)
    }

    /// A value below `limit`; 0 when the limit is 0.
    pub fn below(&self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.draw(|rng| rng.random_range(0..limit)) }
    }

    /// A fraction in [0, 1).
    pub fn fraction(&self) -> f64 {
        self.draw(Rng::random::<f64>)
    }

    /// `duration` stretched by a random part of `factor`, as client-go jitters.
    pub fn jitter(&self, duration: std::time::Duration, factor: f64) -> std::time::Duration {
        duration.mul_f64(1.0 + self.fraction() * factor)
    }

    /// A suffix for a generated name.
    pub fn name_suffix(&self, length: usize) -> String {
        let letters = NAME_ALPHABET.len() as u64;
        (0..length).filter_map(|_| NAME_ALPHABET.get(self.below(letters) as usize)).map(|letter| char::from(*letter)).collect()
    }

    /// A version 4 UUID.
    pub fn uuid(&self) -> String {
        let (high, low) = (self.next_u64(), self.next_u64());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            (low >> 48) & 0x3fff | 0x8000,
            low & 0xffff_ffff_ffff
        )
    }

    fn draw<T>(&self, from: impl FnOnce(&mut StdRng) -> T) -> T {
        from(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forks_depend_on_seed_and_label_only() {
        let one = Entropy::from_seed(7);
        let other = Entropy::from_seed(7);
        other.next_u64();
        assert_eq!(one.fork("a").uuid(), other.fork("a").uuid());
        assert_ne!(one.fork("a").uuid(), one.fork("b").uuid());
        assert_ne!(one.fork("a").uuid(), Entropy::from_seed(8).fork("a").uuid());
    }

    #[test]
    fn uuids_are_version_four() {
        let uuid = Entropy::from_seed(1).uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4");
        assert!("89ab".contains(&uuid[19..20]));
    }

    #[test]
    fn two_system_sources_differ() {
        assert_ne!(Entropy::system().next_u64(), Entropy::system().next_u64());
    }
}

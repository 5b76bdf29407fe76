//! Virtual addresses and node ports of Services.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::Value;

use crate::object;
use crate::resource::GroupResource;
use crate::store::Store;

/// First and last address that Services get: `10.96.0.0/16`, without network and broadcast address.
const FIRST: u32 = 0x0a60_0001;
const LAST: u32 = 0x0a60_fffe;
/// The address of the `kubernetes` Service.
pub const KUBERNETES: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// Node ports.
const PORTS: std::ops::RangeInclusive<u16> = 30_000..=32_767;

/// Chooses addresses and ports that no stored Service uses.
#[derive(Debug, Default)]
pub struct Addresses {
    taken: std::sync::Mutex<(u64, Taken)>,
}

#[derive(Debug, Default, Clone)]
struct Taken {
    addresses: BTreeSet<u32>,
    ports: BTreeSet<u16>,
}

impl Taken {
    fn read(store: &Store) -> Self {
        let mut taken = Self::default();
        for stored in store.list(&GroupResource::new("", "services"), None).0 {
            taken.add(&stored.value());
        }
        taken
    }

    fn add(&mut self, service: &Value) {
        for address in object::strings(service, &["spec", "clusterIPs"]) {
            if let Ok(address) = address.parse::<Ipv4Addr>() {
                self.addresses.insert(address.into());
            }
        }
        for port in object::list(service, &["spec", "ports"]) {
            if let Some(port) = port.get("nodePort").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok()) {
                self.ports.insert(port);
            }
        }
        if let Some(port) = object::number(service, &["spec", "healthCheckNodePort"]).and_then(|port| u16::try_from(port).ok()) {
            self.ports.insert(port);
        }
    }
}

impl Addresses {
    fn with<T>(&self, store: &Store, choose: impl FnOnce(&mut Taken) -> T) -> T {
        let mut guard = self.taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let last = store.last_write(&GroupResource::new("", "services"));
        if guard.0 != last {
            // What was chosen but not stored yet is forgotten; the store refuses nothing here, so look again.
            *guard = (last, Taken::read(store));
        }
        choose(&mut guard.1)
    }

    /// A free address, starting to look at a random one.
    pub fn address(&self, store: &Store, random: u64) -> Option<Ipv4Addr> {
        self.with(store, |taken| {
            let size = LAST - FIRST + 1;
            let start = u32::try_from(random % u64::from(size)).unwrap_or(0);
            let found = (0..size)
                .map(|step| FIRST + (start + step) % size)
                .find(|address| Ipv4Addr::from(*address) != KUBERNETES && !taken.addresses.contains(address))?;
            taken.addresses.insert(found);
            Some(found.into())
        })
    }

    /// Whether a chosen address is free; `None` when it is out of range.
    pub fn is_free(&self, store: &Store, address: Ipv4Addr) -> Option<bool> {
        let number = u32::from(address);
        (FIRST..=LAST).contains(&number).then(|| self.with(store, |taken| !taken.addresses.contains(&number)))
    }

    /// A free node port, starting to look at a random one.
    pub fn port(&self, store: &Store, random: u64) -> Option<u16> {
        self.with(store, |taken| {
            let size = u64::from(PORTS.end() - PORTS.start()) + 1;
            let found = (0..size)
                .filter_map(|step| u16::try_from(u64::from(*PORTS.start()) + (random % size + step) % size).ok())
                .find(|port| !taken.ports.contains(port))?;
            taken.ports.insert(found);
            Some(found)
        })
    }

    /// Whether a chosen node port is free; `None` when it is out of range.
    pub fn is_port_free(&self, store: &Store, port: u16) -> Option<bool> {
        PORTS.contains(&port).then(|| self.with(store, |taken| !taken.ports.contains(&port)))
    }
}

//! I/O threads, and which disk runs on which. Source: spec/domain-xml.md §6.9.

use api::quantity::Amount;
use api::v1::{self, VirtualMachineInstance};
use domain::{DiskIoThread, DiskIoThreads};

use super::ConvertError;
use super::disks::{bus_of, is_on_bus};
use crate::vmi;

/// More threads than make sense; what is beyond is an error before memory is spent on it.
const MAX_THREADS: u32 = 1024;

/// How disks share I/O threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IoThreads {
    /// All virtio disks use all threads.
    Pool {
        /// How many there are.
        count: u32,
    },
    /// Disks take turns on the shared threads, which come first; some have one of their own.
    Assigned {
        /// How many are shared.
        shared: u32,
        /// How many belong to one disk.
        dedicated: u32,
    },
}

fn is_dedicated(disk: &v1::Disk) -> bool {
    disk.dedicated_io_thread == Some(true)
}

impl IoThreads {
    /// The threads of a VMI; `None` where disks run on the emulator's own.
    pub(super) fn plan(vmi: &VirtualMachineInstance) -> Result<Option<Self>, ConvertError> {
        let disks = &vmi.spec.domain.devices.disks;
        let policy = vmi.spec.domain.io_threads_policy.as_deref();
        if policy.is_none() && !disks.iter().any(is_dedicated) {
            return Ok(None);
        }
        let pool = vmi::supplemental_threads(vmi);
        if vmi::has_supplemental_pool(vmi) && pool > 0 {
            if pool > MAX_THREADS {
                return Err(ConvertError::TooMany { what: "I/O threads", most: MAX_THREADS });
            }
            return Ok(Some(Self::Pool { count: pool }));
        }
        let limit = match policy {
            None | Some("shared") => 1,
            Some("auto") if vmi::has_dedicated_cpus(vmi) && vmi::isolates_emulator(vmi) => 1,
            Some("auto") => {
                let cpus = vmi::request(vmi, "cpu").or_else(|| vmi::limit(vmi, "cpu")).map_or(1, Amount::value);
                u32::try_from(cpus.saturating_mul(2)).unwrap_or(u32::MAX)
            }
            // A pool without a size: one shared thread is left.
            Some(_) => 0,
        };
        // CD-ROMs and disks on other buses count although they use no thread.
        let dedicated = disks.iter().filter(|d| is_dedicated(d)).count() as u32;
        let mut shared = disks.len() as u32 - dedicated;
        if shared.saturating_add(dedicated) > limit {
            shared = limit.saturating_sub(dedicated).max(1);
        }
        Ok(Some(Self::Assigned { shared, dedicated }))
    }

    /// The number of threads.
    pub(super) fn total(&self) -> u32 {
        match self {
            Self::Pool { count } => *count,
            Self::Assigned { shared, dedicated } => shared + dedicated,
        }
    }

    /// Hands out threads to virtio disks, in the order of the spec.
    pub(super) fn hand_out(&self) -> Turns {
        Turns { threads: *self, next_shared: 1, next_dedicated: 1 }
    }

    /// The thread of the SCSI controller, once a disk on it wants one: where the virtio disks left off.
    pub(super) fn of_scsi_controller(&self, disks: &[v1::Disk]) -> Option<u32> {
        let Self::Assigned { shared, .. } = *self else { return None };
        if shared == 0 || !disks.iter().any(|d| is_dedicated(d) && is_on_bus(d, "scsi")) {
            return None;
        }
        let used = disks.iter().filter(|d| bus_of(d) == "virtio" && !is_dedicated(d)).count() as u32;
        Some(used % shared + 1)
    }
}

/// The state of handing out threads.
pub(super) struct Turns {
    threads: IoThreads,
    next_shared: u32,
    next_dedicated: u32,
}

impl Turns {
    /// The thread, or threads, of the next disk.
    pub(super) fn next(&mut self, disk: &v1::Disk) -> (Option<u32>, Option<DiskIoThreads>) {
        if bus_of(disk) != "virtio" {
            return (None, None);
        }
        match self.threads {
            IoThreads::Pool { count } => (None, Some(DiskIoThreads { threads: (1..=count).map(|id| DiskIoThread { id }).collect() })),
            IoThreads::Assigned { shared, .. } if is_dedicated(disk) => {
                let thread = shared + self.next_dedicated;
                self.next_dedicated += 1;
                (Some(thread), None)
            }
            IoThreads::Assigned { shared: 0, .. } => (None, None),
            IoThreads::Assigned { shared, .. } => {
                let thread = self.next_shared;
                self.next_shared = thread % shared + 1;
                (Some(thread), None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// A disk by a word: `v` virtio, `s` sata, `c` scsi; `*` with a thread of its own.
    fn disk(word: &str) -> v1::Disk {
        let bus = match word.trim_end_matches('*') {
            "v" => "virtio",
            "c" => "scsi",
            _ => "sata",
        };
        v1::Disk {
            disk: Some(v1::DiskTarget { bus: Some(bus.to_owned()), ..v1::DiskTarget::default() }),
            dedicated_io_thread: word.ends_with('*').then_some(true),
            ..v1::Disk::default()
        }
    }

    /// spec/domain-xml.md §11.2.
    #[rstest]
    #[case(None, None, "v v", None, "- -")]
    #[case(None, None, "v* v s", Some(2), "2 1 -")]
    #[case(Some("shared"), None, "v v v", Some(1), "1 1 1")]
    #[case(Some("shared"), None, "v* v* v", Some(3), "2 3 1")]
    #[case(Some("auto"), Some("1"), "v v v v", Some(2), "1 2 1 2")]
    #[case(Some("auto"), Some("2"), "v v* v", Some(3), "1 3 2")]
    #[case(Some("auto"), None, "v* v* s s v", Some(3), "2 3 - - 1")]
    fn threads(
        #[case] policy: Option<&str>,
        #[case] cpus: Option<&str>,
        #[case] disks: &str,
        #[case] total: Option<u32>,
        #[case] ids: &str,
    ) {
        let mut vmi = VirtualMachineInstance::default();
        vmi.spec.domain.io_threads_policy = policy.map(ToOwned::to_owned);
        vmi.spec.domain.devices.disks = disks.split(' ').map(disk).collect();
        if let Some(cpus) = cpus {
            let requests = &mut vmi.spec.domain.resources.get_or_insert_default().requests;
            requests.insert("cpu".to_owned(), k8s_openapi::apimachinery::pkg::api::resource::Quantity(cpus.to_owned()));
        }
        let plan = IoThreads::plan(&vmi).unwrap();
        assert_eq!(plan.map(|p| p.total()), total);
        let mut turns = plan.map(|p| p.hand_out());
        let got: Vec<String> = vmi
            .spec
            .domain
            .devices
            .disks
            .iter()
            .map(|d| turns.as_mut().and_then(|t| t.next(d).0).map_or("-".to_owned(), |t| t.to_string()))
            .collect();
        assert_eq!(got.join(" "), ids);
    }

    #[test]
    fn a_pool_serves_every_virtio_disk() {
        let mut vmi = VirtualMachineInstance::default();
        vmi.spec.domain.io_threads_policy = Some("supplementalPool".to_owned());
        vmi.spec.domain.io_threads = Some(v1::DiskIOThreads { supplemental_pool_thread_count: Some(2) });
        let plan = IoThreads::plan(&vmi).unwrap().unwrap();
        assert_eq!(plan.total(), 2);
        let mut turns = plan.hand_out();
        assert_eq!(turns.next(&disk("v")).1.unwrap().threads.iter().map(|t| t.id).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(turns.next(&disk("s")), (None, None));
    }

    #[test]
    fn the_scsi_controller_goes_on_where_virtio_disks_stopped() {
        let plan = IoThreads::Assigned { shared: 3, dedicated: 1 };
        let disks: Vec<_> = "v v c*".split(' ').map(disk).collect();
        assert_eq!(plan.of_scsi_controller(&disks), Some(3));
        assert_eq!(plan.of_scsi_controller(&disks[..2]), None);
    }
}

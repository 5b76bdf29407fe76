//! Host CPUs of the pod, handed out to guest cores and single threads. Source: spec/domain-xml.md §14.1.

use std::collections::{BTreeSet, VecDeque};

use super::{ConvertError, HostTopology};

/// Free CPUs of one host NUMA cell.
#[derive(Clone, Debug, Default)]
struct Cell {
    /// Host cores with at least as many free threads as a guest core has.
    full: VecDeque<Vec<u32>>,
    /// Single threads of all other cores.
    fragments: VecDeque<u32>,
}

/// The pod's CPUs.
#[derive(Clone, Debug)]
pub(super) struct CpuPool {
    cells: Vec<Cell>,
    threads: usize,
    strict: bool,
}

impl CpuPool {
    /// `threads` is the number of threads of a guest core; in a `strict` pool no guest core spans host cells.
    pub(super) fn new(topology: &HostTopology, cpuset: &[u32], threads: u32, strict: bool) -> Self {
        let free: BTreeSet<u32> = cpuset.iter().copied().collect();
        let threads = threads.max(1) as usize;
        let cells = topology
            .cells
            .iter()
            .map(|host| {
                let mut cell = Cell::default();
                let mut seen = BTreeSet::new();
                for cpu in &host.cpus {
                    let alone = [cpu.id];
                    let siblings: &[u32] = if cpu.siblings.is_empty() { &alone } else { &cpu.siblings };
                    let core: Vec<u32> = siblings.iter().copied().filter(|t| free.contains(t) && seen.insert(*t)).collect();
                    if core.len() >= threads {
                        cell.full.push_back(core);
                    } else {
                        cell.fragments.extend(core);
                    }
                }
                cell
            })
            .collect();
        Self { cells, threads, strict }
    }

    /// Host CPUs for `cores` guest cores, in the order of the guest's threads: whole host cores first, then threads of one
    /// cell, then (in a pool that is not strict) threads of several.
    pub(super) fn take_cores(&mut self, cores: u32) -> Result<Vec<u32>, ConvertError> {
        let threads = self.threads;
        let wanted = cores as usize * threads;
        let mut taken: Vec<u32> = Vec::with_capacity(wanted);
        for cell in &mut self.cells {
            while taken.len() < wanted {
                let Some(mut core) = cell.full.pop_front() else { break };
                let rest = core.split_off(threads.min(core.len()));
                taken.append(&mut core);
                if rest.len() >= threads {
                    cell.full.push_front(rest);
                } else {
                    cell.fragments.extend(rest);
                }
            }
        }
        for cell in &mut self.cells {
            while taken.len() < wanted && cell.fragments.len() >= threads {
                taken.extend(cell.fragments.drain(..threads));
            }
        }
        if taken.len() < wanted {
            let missing = ((wanted - taken.len()) / threads) as u32;
            let left: usize = self.cells.iter().map(|c| c.fragments.len()).sum();
            if left < wanted - taken.len() {
                return Err(ConvertError::NotEnoughThreads(missing));
            }
            if self.strict {
                return Err(ConvertError::CoreSpansCells(missing));
            }
            let fragments = self.cells.iter_mut().flat_map(|c| c.fragments.drain(..)).collect::<Vec<_>>();
            taken.extend(fragments.into_iter().take(wanted - taken.len()));
        }
        Ok(taken)
    }

    /// One thread: a fragment of the first cell that has any, else a part of a whole core.
    pub(super) fn take_thread(&mut self) -> Option<u32> {
        let cell = self.cells.iter_mut().find(|c| !c.fragments.is_empty() || !c.full.is_empty())?;
        if let Some(thread) = cell.fragments.pop_front() {
            return Some(thread);
        }
        let core = cell.full.pop_front()?;
        let (first, rest) = core.split_first()?;
        cell.fragments.extend(rest);
        Some(*first)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::{HostCell, HostCpu};
    use super::*;

    /// A host as `{0,4}{1,5} / {2,6}`: cores in braces, cells between slashes.
    pub(crate) fn host(text: &str) -> HostTopology {
        let cells = text.split('/').enumerate().map(|(id, cell)| {
            let cores = cell
                .split('{')
                .skip(1)
                .map(|core| core.trim().trim_end_matches('}').split(',').map(|c| c.trim().parse().unwrap()).collect::<Vec<u32>>());
            let cpus = cores.flat_map(|siblings| siblings.clone().into_iter().map(move |id| HostCpu { id, siblings: siblings.clone() }));
            HostCell { id: id as u32, cpus: cpus.collect(), distances: Vec::new() }
        });
        HostTopology { cells: cells.collect() }
    }

    /// spec/domain-xml.md §11.4: two guest cores of two threads.
    #[rstest]
    #[case("{0,4}{1,5} / {2,6}{3,7}", &[1, 2, 5, 6], false, Ok(vec![1, 5, 2, 6]))]
    #[case("{0,4}{1,5} / {2,6}{3,7}", &[1, 2, 5, 6], true, Ok(vec![1, 5, 2, 6]))]
    #[case("{0,4}{1,5} / {2,6}{3,7}", &[0, 1, 2, 3], true, Ok(vec![0, 1, 2, 3]))]
    #[case("{0,4} / {1,5}", &[0, 1, 5, 4], true, Ok(vec![0, 4, 1, 5]))]
    #[case("{0} / {1,5}{2}", &[0, 1, 5, 2], true, Err(ConvertError::CoreSpansCells(1)))]
    #[case("{0} / {1,5}{2}", &[0, 1, 5, 2], false, Ok(vec![1, 5, 0, 2]))]
    #[case("{0,4} / {1,5}", &[0, 1, 4], false, Err(ConvertError::NotEnoughThreads(1)))]
    fn cores(#[case] topology: &str, #[case] cpuset: &[u32], #[case] strict: bool, #[case] wanted: Result<Vec<u32>, ConvertError>) {
        assert_eq!(CpuPool::new(&host(topology), cpuset, 2, strict).take_cores(2), wanted);
    }

    #[test]
    fn a_core_larger_than_needed_is_sliced() {
        let mut pool = CpuPool::new(&host("{0,1,2,3}{4,5,6,7}"), &(0..8).collect::<Vec<_>>(), 2, true);
        assert_eq!(pool.take_cores(1).unwrap(), [0, 1]);
        assert_eq!(pool.take_cores(2).unwrap(), [2, 3, 4, 5]);
        assert_eq!(pool.take_thread(), Some(6));
        assert_eq!(pool.take_thread(), Some(7));
        assert_eq!(pool.take_thread(), None);
    }
}

//! The host's NUMA layout, passed on to the guest. Source: spec/domain-xml.md §14.2.

use api::quantity;
use api::v1::VirtualMachineInstance;
use domain::{
    Domain, HugePage, HugePages, MemNode, MemoryAllocation, Numa, NumaCell, NumaDistances, NumaSibling, NumaTune, NumaTuneMemory, Presence,
};

use super::{Context, ConvertError, HostCell};
use crate::vmi;

/// Whether the VMI asks for it.
pub(super) fn is_passed_through(vmi: &VirtualMachineInstance) -> bool {
    vmi.spec.domain.cpu.as_ref().and_then(|c| c.numa.as_ref()).is_some_and(|n| n.guest_mapping_passthrough.is_some())
}

/// Makes a guest cell of every host cell a vCPU is pinned to; `cpus` are the host CPUs by vCPU.
pub(super) fn pass_through(vmi: &VirtualMachineInstance, cx: &Context, cpus: &[u32], out: &mut Domain) -> Result<(), ConvertError> {
    if cx.topology.cells.is_empty() {
        return Ok(());
    }
    let text = vmi::hugepage_size(vmi).ok_or(ConvertError::NumaWithoutHugepages)?;
    let page = quantity::parse(text).and_then(|p| u64::try_from(p.value()).ok()).filter(|p| *p > 0);
    let page = page.ok_or_else(|| ConvertError::HugepageSize(text.to_owned()))?;
    let mut cells: Vec<(&HostCell, Vec<String>)> = cx.topology.cells.iter().map(|c| (c, Vec::new())).collect();
    for (vcpu, cpu) in (0..).zip(cpus) {
        let cell = cells.iter_mut().find(|(cell, _)| cell.cpus.iter().any(|c| c.id == *cpu));
        let (_, vcpus) = cell.ok_or(ConvertError::UnknownHostCpu { vcpu, cpu: *cpu })?;
        vcpus.push(vcpu.to_string());
    }
    cells.retain(|(_, vcpus)| !vcpus.is_empty());
    let shares = shares(out.memory.value, page, cells.len() as u64)?;

    let hosts: Vec<u32> = cells.iter().map(|(cell, _)| cell.id).collect();
    let nodeset: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let mut tune = NumaTune {
        memory: Some(NumaTuneMemory { mode: "strict".to_owned(), nodeset: Some(nodeset.join(",")), placement: None }),
        nodes: Vec::new(),
    };
    let mut numa = Numa::default();
    let mut hugepages = HugePages::default();
    for (((host, vcpus), memory), id) in cells.iter().zip(shares).zip(0..) {
        tune.nodes.push(MemNode { cell: id, mode: "strict".to_owned(), nodeset: host.id.to_string() });
        numa.cells.push(NumaCell {
            id,
            cpus: Some(vcpus.join(",")),
            memory,
            unit: Some("b".to_owned()),
            mem_access: None,
            distances: distances(host, &hosts),
        });
        hugepages.pages.push(HugePage { size: page, unit: Some("b".to_owned()), nodeset: Some(id.to_string()) });
    }
    out.numa_tune = Some(tune);
    out.cpu.numa = Some(numa);
    let backing = out.memory_backing.get_or_insert_default();
    backing.hugepages = Some(hugepages);
    backing.allocation = Some(MemoryAllocation { mode: Some("immediate".to_owned()) });
    if vmi::is_realtime(vmi) {
        backing.no_share_pages = Some(Presence {});
    }
    Ok(())
}

/// Whole pages for every cell, the first cells taking what does not divide.
fn shares(memory: u64, page: u64, cells: u64) -> Result<Vec<u64>, ConvertError> {
    let needed = page * cells;
    if memory < needed {
        return Err(ConvertError::TooFewHugepages { memory, needed });
    }
    if !memory.is_multiple_of(page) {
        return Err(ConvertError::UnalignedHugepages { memory, page });
    }
    let pages = memory / page;
    Ok((0..cells).map(|cell| (pages / cells + u64::from(cell < pages % cells)) * page).collect())
}

/// The distances between the cells that take part, by their number in the guest.
fn distances(host: &HostCell, hosts: &[u32]) -> Option<NumaDistances> {
    let siblings: Vec<NumaSibling> = host
        .distances
        .iter()
        .filter_map(|(cell, value)| Some(NumaSibling { id: hosts.iter().position(|h| h == cell)? as u32, value: *value }))
        .collect();
    (!siblings.is_empty()).then_some(NumaDistances { siblings })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// spec/domain-xml.md §11.5.
    #[test]
    fn memory_is_split_by_pages() {
        assert_eq!(shares(1 << 30, 2 << 20, 3).unwrap(), [358_612_992, 358_612_992, 356_515_840]);
        assert!(matches!(shares(2 << 20, 2 << 20, 2), Err(ConvertError::TooFewHugepages { .. })));
        assert!(matches!(shares((4 << 20) + 1, 2 << 20, 2), Err(ConvertError::UnalignedHugepages { .. })));
    }
}

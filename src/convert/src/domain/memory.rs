//! Guest memory and the host memory behind it. Source: spec/domain-xml.md §6.2.

use api::quantity::Amount;
use api::v1::VirtualMachineInstance;
use domain::{Domain, HugePages, MaxMemory, Memory, MemoryAccess, MemoryBacking, MemorySource};

use super::{Architecture, ConvertError};
use crate::vmi;

pub(super) fn render(vmi: &VirtualMachineInstance, arch: Architecture, out: &mut Domain) -> Result<(), ConvertError> {
    let guest = guest_bytes(vmi)?;
    out.memory = Memory::bytes(guest);
    let max = vmi.spec.domain.memory.as_ref().and_then(|m| vmi::amount(m.max_guest.as_ref()));
    if let Some(max) = max {
        let max = bytes(max)?;
        if max != guest {
            out.max_memory = Some(MaxMemory { unit: Some("b".to_owned()), slots: 0, value: max });
        }
    }
    out.memory_backing = backing(vmi, arch);
    Ok(())
}

/// The memory the guest boots with, in bytes.
pub(super) fn guest_bytes(vmi: &VirtualMachineInstance) -> Result<u64, ConvertError> {
    let memory = vmi::guest_memory(vmi).or_else(|| match (vmi::request(vmi, "memory"), vmi::limit(vmi, "memory")) {
        (None, limit) => limit,
        (request, _) => request,
    });
    bytes(memory.unwrap_or_default())
}

/// A quantity in bytes. What is no whole number comes out one below the next, as upstream's does.
pub(super) fn bytes(amount: Amount) -> Result<u64, ConvertError> {
    let value = amount.value();
    let whole = if amount < Amount::whole(value) { value.saturating_sub(1) } else { value };
    u64::try_from(whole).map_err(|_| ConvertError::NegativeMemory(amount.to_string()))
}

fn is_shared(vmi: &VirtualMachineInstance) -> bool {
    vmi::has_passt(vmi) || !vmi.spec.domain.devices.filesystems.is_empty()
}

/// Whether memory is an anonymous file, for huge pages or for sharing it with daemons.
pub(super) fn needs_memfd(vmi: &VirtualMachineInstance, arch: Architecture) -> bool {
    let hugepages = vmi::hugepage_size(vmi).is_some() && vmi::annotation(vmi, "kubevirt.io/memfd") != Some("false");
    arch.has_memfd() && (hugepages || is_shared(vmi))
}

fn backing(vmi: &VirtualMachineInstance, arch: Architecture) -> Option<MemoryBacking> {
    let hugepages = vmi::hugepage_size(vmi).is_some();
    if !hugepages && !is_shared(vmi) {
        return None;
    }
    Some(MemoryBacking {
        hugepages: hugepages.then(HugePages::default),
        access: is_shared(vmi).then(|| MemoryAccess { mode: Some("shared".to_owned()) }),
        source: needs_memfd(vmi, arch).then(|| MemorySource { kind: Some("memfd".to_owned()) }),
        ..MemoryBacking::default()
    })
}

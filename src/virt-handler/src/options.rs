//! What a launcher is told beside the VMI (node.md §3.3).

use api::config::ClusterConfig;
use api::v1::VirtualMachineInstance;
use launcher_rpc::cmd::{self, VirtualMachineOptions};

/// The options of a sync.
pub fn sync_options(vmi: &VirtualMachineInstance, config: &ClusterConfig) -> VirtualMachineOptions {
    let statuses = vmi.status.as_ref().map(|status| status.volume_status.as_slice()).unwrap_or_default();
    let preallocated = statuses.iter().filter(|status| {
        let claim = status.persistent_volume_claim_info.as_ref();
        claim.is_some_and(|claim| claim.preallocated == Some(true))
    });
    let smbios = config.configuration().smbios.clone().unwrap_or_default();
    let text = |text: Option<String>| text.unwrap_or_default();
    VirtualMachineOptions {
        smbios: Some(cmd::SmBios {
            manufacturer: text(smbios.manufacturer),
            product: text(smbios.product),
            version: text(smbios.version),
            sku: text(smbios.sku),
            family: text(smbios.family),
        }),
        mem_balloon_stats_period: config.mem_balloon_stats_period(),
        preallocated_volumes: preallocated.map(|status| status.name.clone()).collect(),
        cluster_config: Some(cmd::ClusterConfig {
            free_page_reporting_disabled: !config.free_page_reporting(),
            bochs_display_for_efi_guests: config.gate("BochsDisplayForEFIGuests"),
            serial_console_log_disabled: !config.serial_console_log(),
            pci_numa_aware_topology_enabled: config.gate("PCINUMAAwareTopology"),
            vgpu_live_migration_enabled: config.gate("VGPULiveMigration"),
            ..cmd::ClusterConfig::default()
        }),
        interface_domain_attachment: convert::domain::interface_attachments(vmi, config).into_iter().collect(),
        ..VirtualMachineOptions::default()
    }
}

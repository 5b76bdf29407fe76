//! Feature gates: what there is, how mature it is, and what that means (spec/observability.md §10).

/// How mature a feature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maturity {
    /// Off unless listed.
    Alpha,
    /// On unless listed as disabled.
    Beta,
    /// Always on.
    GeneralAvailability,
    /// Off unless listed; listing it earns a warning.
    Deprecated,
    /// Without effect; using what it enabled is rejected.
    Discontinued,
}

const ALPHA: &[&str] = &[
    "CPUManager",
    "ExperimentalIgnitionSupport",
    "HypervStrictCheck",
    "Sidecar",
    "HostDevices",
    "HostDisk",
    "DownwardMetrics",
    "Root",
    "WorkloadEncryptionTDX",
    "VSOCK",
    "AlignCPUs",
    "EnableVirtioFsStorageVolumes",
    "PCINUMAAwareTopology",
    "NetworkDevicesWithDRA",
    "ObjectGraph",
    "UtilityVolumes",
    "ConfigurableHypervisor",
    "IncrementalBackup",
    "ContainerPathVolumes",
    "ReservedOverheadMemlock",
    "VGPULiveMigration",
    "VMStatsCollector",
    "OCIExport",
    "Plugins",
    "GraceIOVirtualization",
    "IOMMUFD",
    "FirmwareAutoSelection",
    "MigrationStallDetection",
    "MigrationDowntimeTuning",
    "CrossArchitectureVirtualization",
    "PortRangesSpec",
];

const BETA: &[&str] = &[
    "ImageVolume",
    "Snapshot",
    "WorkloadEncryptionSEV",
    "KubevirtSeccompProfile",
    "NodeRestriction",
    "GPUsWithDRA",
    "HostDevicesWithDRA",
    "DecentralizedLiveMigration",
    "DeclarativeHotplugVolumes",
    "PasstBinding",
    "PodSecondaryInterfaceNamingUpgrade",
    "ExternalNetResourceInjection",
    "RebootPolicy",
    "Template",
    "OptOutRoleAggregation",
];

const GENERAL_AVAILABILITY: &[&str] = &[
    "LiveMigration",
    "SRIOVLiveMigration",
    "NonRoot",
    "PSA",
    "CPUNodeDiscovery",
    "NUMA",
    "CommonInstancetypesDeploymentGate",
    "GPU",
    "HotplugNICs",
    "BochsDisplayForEFIGuests",
    "VMLiveUpdateFeatures",
    "NetworkBindingPlugins",
    "DynamicPodInterfaceNaming",
    "VolumesUpdateStrategy",
    "VolumeMigration",
    "DisableCustomSELinuxPolicy",
    "AutoResourceLimitsGate",
    "ClusterProfiler",
    "VMPersistentState",
    "VMExport",
    "PersistentReservation",
    "InstancetypeReferencePolicy",
    "EnableVirtioFsConfigVolumes",
    "ExpandDisks",
    "PanicDevices",
    "LiveUpdateNADRef",
    "VideoConfig",
    "SecureExecution",
    "MigrationPriorityQueue",
    "VmiMemoryOverheadReport",
    "LibvirtHooksServerAndClient",
];

const DEPRECATED: &[&str] = &["DockerSELinuxMCSWorkaround", "MultiArchitecture", "DisableMDEVConfiguration", "HotplugVolumes"];

const DISCONTINUED: &[&str] = &["ExperimentalVirtiofsSupport", "Passt", "Macvtap", "PasstIPStackMigration"];

/// The maturity of a gate; `None` for a name that is no gate.
pub fn maturity(gate: &str) -> Option<Maturity> {
    [
        (GENERAL_AVAILABILITY, Maturity::GeneralAvailability),
        (BETA, Maturity::Beta),
        (ALPHA, Maturity::Alpha),
        (DEPRECATED, Maturity::Deprecated),
        (DISCONTINUED, Maturity::Discontinued),
    ]
    .into_iter()
    .find_map(|(names, maturity)| names.contains(&gate).then_some(maturity))
}

/// Every gate with its maturity.
pub fn all() -> impl Iterator<Item = (&'static str, Maturity)> {
    ALPHA
        .iter()
        .chain(BETA)
        .chain(GENERAL_AVAILABILITY)
        .chain(DEPRECATED)
        .chain(DISCONTINUED)
        .filter_map(|name| maturity(name).map(|m| (*name, m)))
}

/// Whether a gate is on, given the lists of the configuration.
pub fn enabled(gate: &str, listed: &[String], disabled: &[String]) -> bool {
    let Some(maturity) = maturity(gate) else { return false };
    let is_in = |list: &[String]| list.iter().any(|g| g == gate);
    maturity == Maturity::GeneralAvailability || is_in(listed) || (maturity == Maturity::Beta && !is_in(disabled))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    #[rstest]
    #[case::ga_cannot_be_disabled("NUMA", "", "NUMA", true)]
    #[case::beta_is_on("Snapshot", "", "", true)]
    #[case::beta_can_be_disabled("Snapshot", "", "Snapshot", false)]
    #[case::listing_wins("Snapshot", "Snapshot", "Snapshot", true)]
    #[case::alpha_is_off("HostDisk", "", "", false)]
    #[case::alpha_can_be_listed("HostDisk", "HostDisk", "", true)]
    #[case::deprecated_is_opt_in("HotplugVolumes", "", "", false)]
    #[case::unknown("NoSuchGate", "NoSuchGate", "", false)]
    fn gates(#[case] gate: &str, #[case] listed: &str, #[case] disabled: &str, #[case] wanted: bool) {
        assert_eq!(super::enabled(gate, &[listed.to_owned()], &[disabled.to_owned()]), wanted);
    }
}

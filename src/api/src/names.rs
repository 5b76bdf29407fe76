//! Names that clients see: labels, annotations, finalizers, taints, devices and reasons (spec/api.md §1.3, §6, §7).

/// Label: which component made the object.
pub const APP_LABEL: &str = "kubevirt.io";
/// Label: UID of the instance a pod belongs to.
pub const CREATED_BY_LABEL: &str = "kubevirt.io/created-by";
/// Annotation: name of the instance a pod belongs to.
pub const OWNER_VMI_NAME_ANNOTATION: &str = "kubevirt.io/owner-vmi-name";
/// Annotation: UID of the instance a pod belongs to.
pub const OWNER_VMI_UID_ANNOTATION: &str = "kubevirt.io/owner-vmi-uid";
/// Annotation: name of the instance in a launcher pod.
pub const DOMAIN_ANNOTATION: &str = "kubevirt.io/domain";
/// Label: stable identity of an instance, for Service selectors.
pub const VMI_ID_LABEL: &str = "vmi.kubevirt.io/id";
/// Label: host name of the instance, on its pod (deprecated).
pub const VM_NAME_LABEL: &str = "vm.kubevirt.io/name";
/// Label: name of the virtual machine, by convention.
pub const VM_LABEL: &str = "kubevirt.io/vm";
/// Label: node an instance runs on.
pub const NODE_NAME_LABEL: &str = "kubevirt.io/nodeName";
/// Label: node a migration goes to.
pub const MIGRATION_TARGET_NODE_NAME_LABEL: &str = "kubevirt.io/migrationTargetNodeName";
/// Label: UID of the migration a target pod serves.
pub const MIGRATION_JOB_LABEL: &str = "kubevirt.io/migrationJobUID";
/// Annotation: name of the migration a target pod serves.
pub const MIGRATION_JOB_NAME_ANNOTATION: &str = "kubevirt.io/migrationJobName";
/// Label: migration a PodDisruptionBudget protects.
pub const MIGRATION_NAME_LABEL: &str = "kubevirt.io/migrationName";
/// Label: instance a migration moves.
pub const MIGRATION_SELECTOR_LABEL: &str = "kubevirt.io/vmi-name";
/// Annotation: migration caused by an eviction.
pub const EVACUATION_MIGRATION_ANNOTATION: &str = "kubevirt.io/evacuationMigration";
/// Annotation: migration caused by an update of KubeVirt.
pub const WORKLOAD_UPDATE_MIGRATION_ANNOTATION: &str = "kubevirt.io/workloadUpdateMigration";
/// Label: migration that moves volumes.
pub const VOLUME_UPDATE_MIGRATION_LABEL: &str = "kubevirt.io/volume-update-migration";
/// Label: the launcher's image is not the installed one.
pub const OUTDATED_LAUNCHER_IMAGE_LABEL: &str = "kubevirt.io/outdatedLauncherImage";
/// Label: the node can run guests.
pub const NODE_SCHEDULABLE_LABEL: &str = "kubevirt.io/schedulable";
/// Annotation: time of the node agent's last sign of life.
pub const HEARTBEAT_ANNOTATION: &str = "kubevirt.io/heartbeat";
/// Label: the node pins CPUs.
pub const CPU_MANAGER_LABEL: &str = "cpumanager";
/// Label: the node pins CPUs.
pub const CPU_MANAGER_K_LABEL: &str = "kubevirt.io/cpumanager";
/// Label: the node runs real-time guests.
pub const REALTIME_LABEL: &str = "kubevirt.io/realtime";
/// Label: the node has SEV.
pub const SEV_LABEL: &str = "kubevirt.io/sev";
/// Label: the node has SEV-ES.
pub const SEV_ES_LABEL: &str = "kubevirt.io/sev-es";
/// Label: the node has SEV-SNP.
pub const SEV_SNP_LABEL: &str = "kubevirt.io/sev-snp";
/// Label: the node has TDX.
pub const TDX_LABEL: &str = "kubevirt.io/tdx";
/// Label: the node has Secure Execution.
pub const SECURE_EXECUTION_LABEL: &str = "kubevirt.io/s390-pv";
/// Label prefix: the node runs guests of that architecture.
pub const VM_ARCHITECTURE_LABEL_PREFIX: &str = "kubevirt.io/vm-arch-";
/// Label: the node merges equal pages.
pub const KSM_ENABLED_LABEL: &str = "kubevirt.io/ksm-enabled";
/// Annotation: the node agent switched page merging on.
pub const KSM_HANDLER_MANAGED_ANNOTATION: &str = "kubevirt.io/ksm-handler-managed";
/// Label prefix: the node offers that CPU model.
pub const CPU_MODEL_LABEL_PREFIX: &str = "cpu-model.node.kubevirt.io/";
/// Label prefix: the node can take in guests with that CPU model.
pub const CPU_MODEL_MIGRATION_LABEL_PREFIX: &str = "cpu-model-migration.node.kubevirt.io/";
/// Label prefix: the node's CPU has that feature.
pub const CPU_FEATURE_LABEL_PREFIX: &str = "cpu-feature.node.kubevirt.io/";
/// Label prefix: the node's CPU vendor.
pub const CPU_VENDOR_LABEL_PREFIX: &str = "cpu-vendor.node.kubevirt.io/";
/// Label prefix: facts about the node's timers.
pub const CPU_TIMER_LABEL_PREFIX: &str = "cpu-timer.node.kubevirt.io/";
/// Label prefix: the node offers that enlightenment.
pub const HYPERV_LABEL_PREFIX: &str = "hyperv.node.kubevirt.io/";
/// Label prefix: what host-model means on the node.
pub const HOST_MODEL_CPU_LABEL_PREFIX: &str = "host-model-cpu.node.kubevirt.io/";
/// Label prefix: features host-model needs.
pub const HOST_MODEL_REQUIRED_FEATURES_LABEL_PREFIX: &str = "host-model-required-features.node.kubevirt.io/";
/// Label prefix: the node offers that machine type.
pub const MACHINE_TYPE_LABEL_PREFIX: &str = "machine-type.node.kubevirt.io/";
/// Label prefix: the node offers that TSC frequency.
pub const TSC_FREQUENCY_LABEL_PREFIX: &str = "scheduling.node.kubevirt.io/tsc-frequency-";
/// Annotation: the node is not labelled.
pub const LABELLER_SKIP_NODE_ANNOTATION: &str = "node-labeller.kubevirt.io/skip-node";
/// Annotation: the node's CPU model is obsolete.
pub const LABELLER_OBSOLETE_HOST_MODEL_ANNOTATION: &str = "node-labeller.kubevirt.io/obsolete-host-model";
/// Taint: guests are asked to leave the node.
pub const DRAIN_TAINT: &str = "kubevirt.io/drain";
/// Annotation: generation of the virtual machine an instance was made from.
pub const VM_GENERATION_ANNOTATION: &str = "kubevirt.io/vm-generation";
/// Label: revision of the pool.
pub const VM_POOL_REVISION_NAME_LABEL: &str = "kubevirt.io/vm-pool-revision-name";
/// Annotation: instance type of an instance.
pub const INSTANCETYPE_ANNOTATION: &str = "kubevirt.io/instancetype-name";
/// Annotation: cluster instance type of an instance.
pub const CLUSTER_INSTANCETYPE_ANNOTATION: &str = "kubevirt.io/cluster-instancetype-name";
/// Annotation: preference of an instance.
pub const PREFERENCE_ANNOTATION: &str = "kubevirt.io/preference-name";
/// Annotation: cluster preference of an instance.
pub const CLUSTER_PREFERENCE_ANNOTATION: &str = "kubevirt.io/cluster-preference-name";
/// Label: instance type a volume suggests.
pub const DEFAULT_INSTANCETYPE_LABEL: &str = "instancetype.kubevirt.io/default-instancetype";
/// Label: kind of the instance type a volume suggests.
pub const DEFAULT_INSTANCETYPE_KIND_LABEL: &str = "instancetype.kubevirt.io/default-instancetype-kind";
/// Label: preference a volume suggests.
pub const DEFAULT_PREFERENCE_LABEL: &str = "instancetype.kubevirt.io/default-preference";
/// Label: kind of the preference a volume suggests.
pub const DEFAULT_PREFERENCE_KIND_LABEL: &str = "instancetype.kubevirt.io/default-preference-kind";
/// Annotation: Ignition configuration of the guest.
pub const IGNITION_ANNOTATION: &str = "kubevirt.io/ignitiondata";
/// Annotation: PCI devices sit on the root complex.
pub const PLACE_PCI_DEVICES_ON_ROOT_COMPLEX_ANNOTATION: &str = "kubevirt.io/placePCIDevicesOnRootComplex";
/// Annotation: no 64-bit PCI hole.
pub const DISABLE_PCI_HOLE64_ANNOTATION: &str = "kubevirt.io/disablePCIHole64";
/// Annotation: whether memory is backed by memfd.
pub const MEMFD_ANNOTATION: &str = "kubevirt.io/memfd";
/// Annotation: UEFI guests get VGA.
pub const VGA_DISPLAY_EFI_X86_ANNOTATION: &str = "kubevirt.io/vga-display-efi-x86";
/// Annotation: layout of the PCI bus.
pub const PCI_TOPOLOGY_VERSION_ANNOTATION: &str = "kubevirt.io/pci-topology-version";
/// Annotation: slots reserved for interfaces.
pub const PCI_INTERFACE_SLOT_COUNT_ANNOTATION: &str = "kubevirt.io/pci-interface-slot-count";
/// Annotation: libvirt's log filter.
pub const LIBVIRT_LOG_FILTERS_ANNOTATION: &str = "kubevirt.io/libvirt-log-filters";
/// Annotation: the launcher stays for inspection.
pub const KEEP_LAUNCHER_ALIVE_AFTER_FAILURE_ANNOTATION: &str = "kubevirt.io/keep-launcher-alive-after-failure";
/// Annotation: the launcher runs without root (deprecated).
pub const NONROOT_ANNOTATION: &str = "kubevirt.io/nonroot";
/// Annotation: migration traffic goes through Unix sockets.
pub const MIGRATION_TRANSPORT_UNIX_ANNOTATION: &str = "kubevirt.io/migrationTransportUnix";
/// Annotation: seconds an unschedulable target pod is kept.
pub const MIGRATION_UNSCHEDULABLE_POD_TIMEOUT_ANNOTATION: &str = "kubevirt.io/migrationUnschedulablePodTimeoutSeconds";
/// Annotation: seconds a pending target pod is kept.
pub const MIGRATION_PENDING_POD_TIMEOUT_ANNOTATION: &str = "kubevirt.io/migrationPendingPodTimeoutSeconds";
/// Annotation: when the target pod was ready.
pub const MIGRATION_TARGET_READY_TIMESTAMP_ANNOTATION: &str = "kubevirt.io/migration-target-ready-timestamp";
/// Annotation: guests bridged to the pod network may migrate.
pub const ALLOW_POD_BRIDGE_LIVE_MIGRATION_ANNOTATION: &str = "kubevirt.io/allow-pod-bridge-network-live-migration";
/// Annotation: the instance waits to receive a guest.
pub const CREATE_MIGRATION_TARGET_ANNOTATION: &str = "kubevirt.io/create-migration-target";
/// Annotation: run strategy after a guest was received.
pub const RESTORE_RUN_STRATEGY_ANNOTATION: &str = "kubevirt.io/restore-run-strategy";
/// Annotation: "false" delays DataVolumes until the first start.
pub const IMMEDIATE_DATA_VOLUME_CREATION_ANNOTATION: &str = "kubevirt.io/immediate-data-volume-creation";
/// Annotation: free pages are kept.
pub const FREE_PAGE_REPORTING_DISABLED_ANNOTATION: &str = "kubevirt.io/free-page-reporting-disabled";
/// Label: CPU limit of the pod.
pub const CPU_RESOURCE_LIMITS_LABEL: &str = "kubevirt.io/vmi-pod-cpu-resource-limits";
/// Label: memory request of the pod.
pub const MEMORY_RESOURCE_REQUESTS_LABEL: &str = "kubevirt.io/vmi-pod-memory-resource-requests";
/// Label: overhead ratio used for memory hotplug.
pub const MEMORY_HOTPLUG_OVERHEAD_RATIO_LABEL: &str = "kubevirt.io/memory-hotplug-overhead-ratio";
/// Label: memory limit to request in a namespace.
pub const AUTO_MEMORY_LIMITS_RATIO_LABEL: &str = "alpha.kubevirt.io/auto-memory-limits-ratio";
/// Annotation: emulator threads round CPUs up to an even number.
pub const EMULATOR_THREAD_EVEN_PARITY_ANNOTATION: &str = "alpha.kubevirt.io/EmulatorThreadCompleteToEvenParity";
/// Annotation: memory overhead a pod was rendered with.
pub const MEMORY_OVERHEAD_BYTES_ANNOTATION: &str = "kubevirt.io/memory-overhead-bytes";
/// Annotation: who asked for the eviction.
pub const EVICTION_SOURCE_ANNOTATION: &str = "kubevirt.io/eviction-source";
/// Annotation: guest agent probes pass without asking.
pub const PAUSE_GUEST_AGENT_PROBES_ANNOTATION: &str = "kubevirt.io/pause-guest-agent-probes";
/// Annotation: socket of the quote generation service.
pub const QGS_SOCKET_PATH_ANNOTATION: &str = "kubevirt.io/qgs-socket-path";
/// Annotation: pod that only binds claims.
pub const EPHEMERAL_PROVISIONING_ANNOTATION: &str = "kubevirt.io/ephemeral-provisioning";
/// Annotation: facts about the pod's network devices.
pub const NETWORK_INFO_ANNOTATION: &str = "kubevirt.io/network-info";
/// Annotation: hook sidecars as JSON.
pub const HOOK_SIDECARS_ANNOTATION: &str = "hooks.kubevirt.io/hookSidecars";
/// Annotation: presets are not applied.
pub const PRESET_EXCLUDE_ANNOTATION: &str = "virtualmachineinstancepresets.admission.kubevirt.io/exclude";
/// Annotation prefix: preset that was applied.
pub const PRESET_APPLIED_ANNOTATION_PREFIX: &str = "virtualmachinepreset.kubevirt.io/";
/// Annotation: default storage class for guests' disks.
pub const DEFAULT_VIRT_CLASS_ANNOTATION: &str = "storageclass.kubevirt.io/is-default-virt-class";
/// Label: virtual machine a state claim belongs to.
pub const PERSISTENT_STATE_FOR_LABEL: &str = "persistent-state-for";
/// Name prefix: state claims.
pub const PERSISTENT_STATE_CLAIM_PREFIX: &str = "persistent-state-for-";
/// Annotation: no freeze hooks for backups.
pub const SKIP_BACKUP_HOOKS_ANNOTATION: &str = "kubevirt.io/skip-backup-hooks";
/// Label: install strategy object.
pub const INSTALL_STRATEGY_LABEL: &str = "kubevirt.io/install-strategy";
/// Annotation: version an object was installed from.
pub const INSTALL_STRATEGY_VERSION_ANNOTATION: &str = "kubevirt.io/install-strategy-version";
/// Annotation: registry an object was installed from.
pub const INSTALL_STRATEGY_REGISTRY_ANNOTATION: &str = "kubevirt.io/install-strategy-registry";
/// Annotation: deployment an object belongs to.
pub const INSTALL_STRATEGY_IDENTIFIER_ANNOTATION: &str = "kubevirt.io/install-strategy-identifier";
/// Label: who manages the object.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Annotation: API version last written.
pub const LATEST_OBSERVED_API_VERSION_ANNOTATION: &str = "kubevirt.io/latest-observed-api-version";
/// Annotation: API version stored.
pub const STORAGE_OBSERVED_API_VERSION_ANNOTATION: &str = "kubevirt.io/storage-observed-api-version";
/// Pod readiness gate: the guest is not paused.
pub const VIRTUAL_MACHINE_UNPAUSED_GATE: &str = "kubevirt.io/virtual-machine-unpaused";
/// Device resource: /dev/kvm.
pub const KVM_DEVICE: &str = "devices.kubevirt.io/kvm";
/// Device resource: /dev/net/tun.
pub const TUN_DEVICE: &str = "devices.kubevirt.io/tun";
/// Device resource: /dev/vhost-net.
pub const VHOST_NET_DEVICE: &str = "devices.kubevirt.io/vhost-net";
/// Device resource: /dev/vhost-vsock.
pub const VHOST_VSOCK_DEVICE: &str = "devices.kubevirt.io/vhost-vsock";
/// Device resource: /dev/sev.
pub const SEV_DEVICE: &str = "devices.kubevirt.io/sev";
/// Finalizer: the virtual machine controller has work to do on deletion.
pub const VM_FINALIZER: &str = "kubevirt.io/virtualMachineControllerFinalize";
/// Finalizer: the guest is shut down before the instance goes.
pub const VMI_FINALIZER: &str = "kubevirt.io/foregroundDeleteVirtualMachine";
/// Finalizer: the former spelling, rewritten on sight.
pub const LEGACY_VMI_FINALIZER: &str = "foregroundDeleteVirtualMachine";
/// Finalizer: the migration ends before the object goes.
pub const MIGRATION_FINALIZER: &str = "kubevirt.io/migrationJobFinalize";
/// Finalizer: the connection between clusters is released first.
pub const SYNC_MIGRATION_FINALIZER: &str = "synchronization.kubevirt.io/migrationFinalizer";
/// Finalizer: the installation is removed first.
pub const KUBEVIRT_FINALIZER: &str = "kubevirt.io/foregroundDeleteKubeVirt";
/// Finalizer: the operator removes the component first.
pub const OPERATOR_FINALIZER: &str = "kubevirt.io/virtOperatorFinalizer";
/// Finalizer: the pool is cleaned up first.
pub const POOL_FINALIZER: &str = "pool.kubevirt.io/finalizer";
/// Finalizer: the snapshot's content goes first.
pub const SNAPSHOT_FINALIZER: &str = "snapshot.kubevirt.io/vmsnapshot-protection";
/// Finalizer: the volume snapshots go first.
pub const SNAPSHOT_CONTENT_FINALIZER: &str = "snapshot.kubevirt.io/vmsnapshotcontent-protection";
/// Finalizer: the restore lets go of its target first.
pub const RESTORE_FINALIZER: &str = "snapshot.kubevirt.io/vmrestore-protection";
/// Finalizer: a snapshot or restore works on the virtual machine.
pub const SNAPSHOT_SOURCE_FINALIZER: &str = "snapshot.kubevirt.io/snapshot-source-protection";
/// Finalizer: the backup ends first.
pub const BACKUP_FINALIZER: &str = "backup.kubevirt.io/vmbackup-protection";
/// Component: runs one guest.
pub const LAUNCHER: &str = "virt-launcher";
/// Component: cares for the guests of a node.
pub const HANDLER: &str = "virt-handler";
/// Component: admission and subresources.
pub const API: &str = "virt-api";
/// Component: reconciles the cluster's objects.
pub const CONTROLLER: &str = "virt-controller";
/// Component: installs the others.
pub const OPERATOR: &str = "virt-operator";

/// Reasons of conditions (spec/api.md §6.3-§6.6).
pub mod reason {
    /// `PodNotExists`
    pub const POD_NOT_EXISTS: &str = "PodNotExists";
    /// `PodTerminating`
    pub const POD_TERMINATING: &str = "PodTerminating";
    /// `GuestNotRunning`
    pub const GUEST_NOT_RUNNING: &str = "GuestNotRunning";
    /// `PodConditionMissing`
    pub const POD_CONDITION_MISSING: &str = "PodConditionMissing";
    /// `FailedCreate`
    pub const FAILED_CREATE: &str = "FailedCreate";
    /// `FailedDelete`
    pub const FAILED_DELETE: &str = "FailedDelete";
    /// `FailedPvcNotFound`
    pub const FAILED_PVC_NOT_FOUND: &str = "FailedPvcNotFound";
    /// `ErrImagePull`
    pub const ERR_IMAGE_PULL: &str = "ErrImagePull";
    /// `ImagePullBackOff`
    pub const IMAGE_PULL_BACK_OFF: &str = "ImagePullBackOff";
    /// `FailedGuaranteeResources`
    pub const FAILED_GUARANTEE_RESOURCES: &str = "FailedGuaranteeResources";
    /// `FailedHandOver`
    pub const FAILED_HAND_OVER: &str = "FailedHandOver";
    /// `FailedBackendStorageCreate`
    pub const FAILED_BACKEND_STORAGE_CREATE: &str = "FailedBackendStorageCreate";
    /// `FailedBackendStorageProbe`
    pub const FAILED_BACKEND_STORAGE_PROBE: &str = "FailedBackendStorageProbe";
    /// `BackendStorageNotReady`
    pub const BACKEND_STORAGE_NOT_READY: &str = "BackendStorageNotReady";
    /// `FailedHotplugSync`
    pub const FAILED_HOTPLUG_SYNC: &str = "FailedHotplugSync";
    /// `MissingAttachmentPod`
    pub const MISSING_ATTACHMENT_POD: &str = "MissingAttachmentPod";
    /// `PVCNotReady`
    pub const PVC_NOT_READY: &str = "PVCNotReady";
    /// `FailedPodPatch`
    pub const FAILED_POD_PATCH: &str = "FailedPodPatch";
    /// `FailedDataVolumeImport`
    pub const FAILED_DATA_VOLUME_IMPORT: &str = "FailedDataVolumeImport";
    /// `ContainerPathVolumesDisabled`
    pub const CONTAINER_PATH_VOLUMES_DISABLED: &str = "ContainerPathVolumesDisabled";
    /// `MissingVirtiofsContainers`
    pub const MISSING_VIRTIOFS_CONTAINERS: &str = "MissingVirtiofsContainers";
    /// `FailedCreateValidation`
    pub const FAILED_CREATE_VALIDATION: &str = "FailedCreateValidation";
    /// `PausedByUser`
    pub const PAUSED_BY_USER: &str = "PausedByUser";
    /// `PausedByMigrationMonitor`
    pub const PAUSED_BY_MIGRATION_MONITOR: &str = "PausedByMigrationMonitor";
    /// `PausedIOError`
    pub const PAUSED_IO_ERROR: &str = "PausedIOError";
    /// `InterfaceNotLiveMigratable`
    pub const INTERFACE_NOT_LIVE_MIGRATABLE: &str = "InterfaceNotLiveMigratable";
    /// `CPUModeLiveMigratable`
    pub const CPU_MODE_LIVE_MIGRATABLE: &str = "CPUModeLiveMigratable";
    /// `HostDeviceNotLiveMigratable`
    pub const HOST_DEVICE_NOT_LIVE_MIGRATABLE: &str = "HostDeviceNotLiveMigratable";
    /// `SEVNotLiveMigratable`
    pub const SEV_NOT_LIVE_MIGRATABLE: &str = "SEVNotLiveMigratable";
    /// `TDXNotLiveMigratable`
    pub const TDX_NOT_LIVE_MIGRATABLE: &str = "TDXNotLiveMigratable";
    /// `SecureExecutionNotLiveMigratable`
    pub const SECURE_EXECUTION_NOT_LIVE_MIGRATABLE: &str = "SecureExecutionNotLiveMigratable";
    /// `NoTSCFrequencyNotLiveMigratable`
    pub const NO_TSC_FREQUENCY_NOT_LIVE_MIGRATABLE: &str = "NoTSCFrequencyNotLiveMigratable";
    /// `HypervPassthroughNotLiveMigratable`
    pub const HYPERV_PASSTHROUGH_NOT_LIVE_MIGRATABLE: &str = "HypervPassthroughNotLiveMigratable";
    /// `DisksNotLiveMigratable`
    pub const DISKS_NOT_LIVE_MIGRATABLE: &str = "DisksNotLiveMigratable";
    /// `PersistentReservationNotLiveMigratable`
    pub const PERSISTENT_RESERVATION_NOT_LIVE_MIGRATABLE: &str = "PersistentReservationNotLiveMigratable";
    /// `DecentralizedNotLiveMigratable`
    pub const DECENTRALIZED_NOT_LIVE_MIGRATABLE: &str = "DecentralizedNotLiveMigratable";
    /// `NotMigratable`
    pub const NOT_MIGRATABLE: &str = "NotMigratable";
    /// `AllDVsReady`
    pub const ALL_D_VS_READY: &str = "AllDVsReady";
    /// `NotAllDVsReady`
    pub const NOT_ALL_D_VS_READY: &str = "NotAllDVsReady";
    /// `Unschedulable`
    pub const UNSCHEDULABLE: &str = "Unschedulable";
    /// `SchedulerError`
    pub const SCHEDULER_ERROR: &str = "SchedulerError";
    /// `AutoMigrationDueToLiveUpdate`
    pub const AUTO_MIGRATION_DUE_TO_LIVE_UPDATE: &str = "AutoMigrationDueToLiveUpdate";
    /// `AutoMigrationPending`
    pub const AUTO_MIGRATION_PENDING: &str = "AutoMigrationPending";
    /// `EvictionRequested`
    pub const EVICTION_REQUESTED: &str = "EvictionRequested";
    /// `CrossArchitectureEmulation`
    pub const CROSS_ARCHITECTURE_EMULATION: &str = "CrossArchitectureEmulation";
    /// `UtilityVolumesPresent`
    pub const UTILITY_VOLUMES_PRESENT: &str = "UtilityVolumesPresent";
    /// `BackupInProgress`
    pub const BACKUP_IN_PROGRESS: &str = "BackupInProgress";
    /// `VMINotExists`
    pub const VMI_NOT_EXISTS: &str = "VMINotExists";
    /// `ExistingDeployment`
    pub const EXISTING_DEPLOYMENT: &str = "ExistingDeployment";
    /// `DeploymentFailed`
    pub const DEPLOYMENT_FAILED: &str = "DeploymentFailed";
    /// `DeletionFailed`
    pub const DELETION_FAILED: &str = "DeletionFailed";
    /// `AllResourcesCreated`
    pub const ALL_RESOURCES_CREATED: &str = "AllResourcesCreated";
    /// `AllComponentsReady`
    pub const ALL_COMPONENTS_READY: &str = "AllComponentsReady";
    /// `DeploymentInProgress`
    pub const DEPLOYMENT_IN_PROGRESS: &str = "DeploymentInProgress";
    /// `UpdateInProgress`
    pub const UPDATE_IN_PROGRESS: &str = "UpdateInProgress";
    /// `DeletionInProgress`
    pub const DELETION_IN_PROGRESS: &str = "DeletionInProgress";
    /// `Paused`
    pub const PAUSED: &str = "Paused";
    /// `NotPaused`
    pub const NOT_PAUSED: &str = "NotPaused";
    /// `VolumesChangeCancellation`
    pub const VOLUMES_CHANGE_CANCELLATION: &str = "VolumesChangeCancellation";
}

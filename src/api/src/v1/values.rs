//! The values of string fields that rules branch on. Fields stay text, so that unknown values survive.

/// How a VirtualMachine decides whether its instance is to exist (spec/api.md §6.2).
pub mod run_strategy {
    /// `Always`
    pub const ALWAYS: &str = "Always";
    /// `Halted`
    pub const HALTED: &str = "Halted";
    /// `Manual`
    pub const MANUAL: &str = "Manual";
    /// `RerunOnFailure`
    pub const RERUN_ON_FAILURE: &str = "RerunOnFailure";
    /// `Once`
    pub const ONCE: &str = "Once";
    /// `WaitAsReceiver`
    pub const WAIT_AS_RECEIVER: &str = "WaitAsReceiver";
}

/// What an eviction of the launcher pod leads to (spec/api.md §6.10).
pub mod eviction_strategy {
    /// `None`
    pub const NONE: &str = "None";
    /// `LiveMigrate`
    pub const LIVE_MIGRATE: &str = "LiveMigrate";
    /// `LiveMigrateIfPossible`
    pub const LIVE_MIGRATE_IF_POSSIBLE: &str = "LiveMigrateIfPossible";
    /// `External`
    pub const EXTERNAL: &str = "External";
}

/// How an instance starts.
pub mod start_strategy {
    /// `Paused`
    pub const PAUSED: &str = "Paused";
}

/// What a reboot of the guest leads to.
pub mod reboot_policy {
    /// `Reboot`
    pub const REBOOT: &str = "Reboot";
    /// `Terminate`
    pub const TERMINATE: &str = "Terminate";
}

/// The one-word state of a VirtualMachine (spec/api.md §6.1).
pub mod printable_status {
    /// `Stopped`
    pub const STOPPED: &str = "Stopped";
    /// `Provisioning`
    pub const PROVISIONING: &str = "Provisioning";
    /// `Starting`
    pub const STARTING: &str = "Starting";
    /// `Running`
    pub const RUNNING: &str = "Running";
    /// `Paused`
    pub const PAUSED: &str = "Paused";
    /// `Stopping`
    pub const STOPPING: &str = "Stopping";
    /// `Terminating`
    pub const TERMINATING: &str = "Terminating";
    /// `CrashLoopBackOff`
    pub const CRASH_LOOP_BACK_OFF: &str = "CrashLoopBackOff";
    /// `Migrating`
    pub const MIGRATING: &str = "Migrating";
    /// `Unknown`
    pub const UNKNOWN: &str = "Unknown";
    /// `ErrorUnschedulable`
    pub const ERROR_UNSCHEDULABLE: &str = "ErrorUnschedulable";
    /// `ErrImagePull`
    pub const ERR_IMAGE_PULL: &str = "ErrImagePull";
    /// `ImagePullBackOff`
    pub const IMAGE_PULL_BACK_OFF: &str = "ImagePullBackOff";
    /// `ErrorPvcNotFound`
    pub const ERROR_PVC_NOT_FOUND: &str = "ErrorPvcNotFound";
    /// `DataVolumeError`
    pub const DATA_VOLUME_ERROR: &str = "DataVolumeError";
    /// `WaitingForVolumeBinding`
    pub const WAITING_FOR_VOLUME_BINDING: &str = "WaitingForVolumeBinding";
    /// `WaitingForReceiver`
    pub const WAITING_FOR_RECEIVER: &str = "WaitingForReceiver";
}

/// Phases of an instance (spec/api.md §6.4).
pub mod vmi_phase {
    /// `Pending`
    pub const PENDING: &str = "Pending";
    /// `Scheduling`
    pub const SCHEDULING: &str = "Scheduling";
    /// `Scheduled`
    pub const SCHEDULED: &str = "Scheduled";
    /// `Running`
    pub const RUNNING: &str = "Running";
    /// `Succeeded`
    pub const SUCCEEDED: &str = "Succeeded";
    /// `Failed`
    pub const FAILED: &str = "Failed";
    /// `WaitingForSync`
    pub const WAITING_FOR_SYNC: &str = "WaitingForSync";
    /// `Unknown`
    pub const UNKNOWN: &str = "Unknown";
}

/// Condition types of a VirtualMachine.
pub mod vm_condition {
    /// `Failure`
    pub const FAILURE: &str = "Failure";
    /// `Ready`
    pub const READY: &str = "Ready";
    /// `Paused`
    pub const PAUSED: &str = "Paused";
    /// `RestartRequired`
    pub const RESTART_REQUIRED: &str = "RestartRequired";
    /// `ManualRecoveryRequired`
    pub const MANUAL_RECOVERY_REQUIRED: &str = "ManualRecoveryRequired";
    /// `Initialized`
    pub const INITIALIZED: &str = "Initialized";
    /// `PodTerminating`
    pub const POD_TERMINATING: &str = "PodTerminating";
}

/// Condition types of an instance (spec/api.md §6.5).
pub mod vmi_condition {
    /// `Provisioning`
    pub const PROVISIONING: &str = "Provisioning";
    /// `Ready`
    pub const READY: &str = "Ready";
    /// `Synchronized`
    pub const SYNCHRONIZED: &str = "Synchronized";
    /// `Paused`
    pub const PAUSED: &str = "Paused";
    /// `AgentConnected`
    pub const AGENT_CONNECTED: &str = "AgentConnected";
    /// `AccessCredentialsSynchronized`
    pub const ACCESS_CREDENTIALS_SYNCHRONIZED: &str = "AccessCredentialsSynchronized";
    /// `AgentVersionNotSupported`
    pub const AGENT_VERSION_NOT_SUPPORTED: &str = "AgentVersionNotSupported";
    /// `LiveMigratable`
    pub const LIVE_MIGRATABLE: &str = "LiveMigratable";
    /// `HotVCPUChange`
    pub const HOT_VCPU_CHANGE: &str = "HotVCPUChange";
    /// `HotMemoryChange`
    pub const HOT_MEMORY_CHANGE: &str = "HotMemoryChange";
    /// `VolumesChange`
    pub const VOLUMES_CHANGE: &str = "VolumesChange";
    /// `DataVolumesReady`
    pub const DATA_VOLUMES_READY: &str = "DataVolumesReady";
    /// `StorageLiveMigratable`
    pub const STORAGE_LIVE_MIGRATABLE: &str = "StorageLiveMigratable";
    /// `DecentralizedLiveMigrationFailure`
    pub const DECENTRALIZED_LIVE_MIGRATION_FAILURE: &str = "DecentralizedLiveMigrationFailure";
    /// `MigrationRequired`
    pub const MIGRATION_REQUIRED: &str = "MigrationRequired";
    /// `EvictionRequested`
    pub const EVICTION_REQUESTED: &str = "EvictionRequested";
    /// `SoftwareEmulation`
    pub const SOFTWARE_EMULATION: &str = "SoftwareEmulation";
    /// `PodScheduled`
    pub const POD_SCHEDULED: &str = "PodScheduled";
}

/// Condition statuses.
pub mod condition_status {
    /// `True`
    pub const TRUE: &str = "True";
    /// `False`
    pub const FALSE: &str = "False";
    /// `Unknown`
    pub const UNKNOWN: &str = "Unknown";
}

/// Phases of a migration (spec/api.md §6.6).
pub mod migration_phase {
    /// `Pending`
    pub const PENDING: &str = "Pending";
    /// `Scheduling`
    pub const SCHEDULING: &str = "Scheduling";
    /// `Scheduled`
    pub const SCHEDULED: &str = "Scheduled";
    /// `PreparingTarget`
    pub const PREPARING_TARGET: &str = "PreparingTarget";
    /// `TargetReady`
    pub const TARGET_READY: &str = "TargetReady";
    /// `Running`
    pub const RUNNING: &str = "Running";
    /// `Succeeded`
    pub const SUCCEEDED: &str = "Succeeded";
    /// `Failed`
    pub const FAILED: &str = "Failed";
    /// `WaitingForSync`
    pub const WAITING_FOR_SYNC: &str = "WaitingForSync";
    /// `Synchronizing`
    pub const SYNCHRONIZING: &str = "Synchronizing";
}

/// Condition types of a migration.
pub mod migration_condition {
    /// `migrationAbortRequested`
    pub const MIGRATION_ABORT_REQUESTED: &str = "migrationAbortRequested";
    /// `migrationRejectedByResourceQuota`
    pub const MIGRATION_REJECTED_BY_RESOURCE_QUOTA: &str = "migrationRejectedByResourceQuota";
    /// `migrationBlockedByUtilityVolumes`
    pub const MIGRATION_BLOCKED_BY_UTILITY_VOLUMES: &str = "migrationBlockedByUtilityVolumes";
    /// `decentralizedMigrationBlocked`
    pub const DECENTRALIZED_MIGRATION_BLOCKED: &str = "decentralizedMigrationBlocked";
    /// `migrationBlockedByBackup`
    pub const MIGRATION_BLOCKED_BY_BACKUP: &str = "migrationBlockedByBackup";
}

/// How a migration moves memory.
pub mod migration_mode {
    /// `PreCopy`
    pub const PRE_COPY: &str = "PreCopy";
    /// `PostCopy`
    pub const POST_COPY: &str = "PostCopy";
    /// `Paused`
    pub const PAUSED: &str = "Paused";
}

/// Whether a migration moves storage.
pub mod migration_method {
    /// `BlockMigration`
    pub const BLOCK_MIGRATION: &str = "BlockMigration";
    /// `LiveMigration`
    pub const LIVE_MIGRATION: &str = "LiveMigration";
}

/// How far stopping a migration went.
pub mod migration_abort_status {
    /// `Succeeded`
    pub const SUCCEEDED: &str = "Succeeded";
    /// `Failed`
    pub const FAILED: &str = "Failed";
    /// `Aborting`
    pub const ABORTING: &str = "Aborting";
}

/// Which migrations go first.
pub mod migration_priority {
    /// `system-critical`
    pub const SYSTEM_CRITICAL: &str = "system-critical";
    /// `user-triggered`
    pub const USER_TRIGGERED: &str = "user-triggered";
    /// `system-maintenance`
    pub const SYSTEM_MAINTENANCE: &str = "system-maintenance";
}

/// Phases of a hotplugged volume.
pub mod volume_phase {
    /// `Pending`
    pub const PENDING: &str = "Pending";
    /// `Bound`
    pub const BOUND: &str = "Bound";
    /// `AttachedToNode`
    pub const ATTACHED_TO_NODE: &str = "AttachedToNode";
    /// `MountedToPod`
    pub const MOUNTED_TO_POD: &str = "MountedToPod";
    /// `Ready`
    pub const READY: &str = "Ready";
    /// `Detaching`
    pub const DETACHING: &str = "Detaching";
    /// `UnMountedFromPod`
    pub const UN_MOUNTED_FROM_POD: &str = "UnMountedFromPod";
    /// `MemoryDumpCompleted`
    pub const MEMORY_DUMP_COMPLETED: &str = "MemoryDumpCompleted";
    /// `MemoryDumpInProgress`
    pub const MEMORY_DUMP_IN_PROGRESS: &str = "MemoryDumpInProgress";
    /// `MemoryDumpFailed`
    pub const MEMORY_DUMP_FAILED: &str = "MemoryDumpFailed";
}

/// Actions of a state change request.
pub mod state_change {
    /// `Start`
    pub const START: &str = "Start";
    /// `Stop`
    pub const STOP: &str = "Stop";
}

/// How changed volumes reach a running instance.
pub mod update_volumes_strategy {
    /// `Migration`
    pub const MIGRATION: &str = "Migration";
    /// `Replacement`
    pub const REPLACEMENT: &str = "Replacement";
}

/// How a disk is attached.
pub mod disk_bus {
    /// `scsi`
    pub const SCSI: &str = "scsi";
    /// `sata`
    pub const SATA: &str = "sata";
    /// `virtio`
    pub const VIRTIO: &str = "virtio";
    /// `usb`
    pub const USB: &str = "usb";
}

/// The state an interface is to have.
pub mod interface_state {
    /// `absent`
    pub const ABSENT: &str = "absent";
    /// `up`
    pub const UP: &str = "up";
    /// `down`
    pub const DOWN: &str = "down";
}

/// Phases of a memory dump request.
pub mod memory_dump_phase {
    /// `Associating`
    pub const ASSOCIATING: &str = "Associating";
    /// `InProgress`
    pub const IN_PROGRESS: &str = "InProgress";
    /// `Unmounting`
    pub const UNMOUNTING: &str = "Unmounting";
    /// `Completed`
    pub const COMPLETED: &str = "Completed";
    /// `Dissociating`
    pub const DISSOCIATING: &str = "Dissociating";
    /// `Failed`
    pub const FAILED: &str = "Failed";
}

/// Phases of an installation.
pub mod kubevirt_phase {
    /// `Deploying`
    pub const DEPLOYING: &str = "Deploying";
    /// `Deployed`
    pub const DEPLOYED: &str = "Deployed";
    /// `Deleting`
    pub const DELETING: &str = "Deleting";
    /// `Deleted`
    pub const DELETED: &str = "Deleted";
}

/// Condition types of an installation.
pub mod kubevirt_condition {
    /// `Synchronized`
    pub const SYNCHRONIZED: &str = "Synchronized";
    /// `Created`
    pub const CREATED: &str = "Created";
    /// `Available`
    pub const AVAILABLE: &str = "Available";
    /// `Progressing`
    pub const PROGRESSING: &str = "Progressing";
    /// `Degraded`
    pub const DEGRADED: &str = "Degraded";
}

/// What a failed inference leads to.
pub mod instancetype_failure_policy {
    /// `Reject`
    pub const REJECT: &str = "Reject";
    /// `Ignore`
    pub const IGNORE: &str = "Ignore";
}

/// What becomes of instance type references.
pub mod reference_policy {
    /// `reference`
    pub const REFERENCE: &str = "reference";
    /// `expand`
    pub const EXPAND: &str = "expand";
    /// `expandAll`
    pub const EXPAND_ALL: &str = "expandAll";
}

/// How changes of a template reach a running instance.
pub mod rollout_strategy {
    /// `Stage`
    pub const STAGE: &str = "Stage";
    /// `LiveUpdate`
    pub const LIVE_UPDATE: &str = "LiveUpdate";
}

/// Condition types of replica sets and pools.
pub mod replicaset_condition {
    /// `ReplicaFailure`
    pub const REPLICA_FAILURE: &str = "ReplicaFailure";
    /// `ReplicaPaused`
    pub const REPLICA_PAUSED: &str = "ReplicaPaused";
}

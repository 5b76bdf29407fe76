//! The phase that follows (node.md §6.4).

use api::names::CREATE_MIGRATION_TARGET_ANNOTATION;
use api::v1::VirtualMachineInstance;
use api::v1::values::{migration_mode, vmi_phase};

use super::{Domain, DomainStatus, Launcher, reasons};

/// Whether nothing follows a phase.
pub fn is_final(phase: &str) -> bool {
    matches!(phase, vmi_phase::SUCCEEDED | vmi_phase::FAILED)
}

/// The phase the VMI has now; empty before anybody wrote one.
pub fn of(vmi: &VirtualMachineInstance) -> &str {
    vmi.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Whether the VMI waits to take a guest in.
pub fn is_migration_target(vmi: &VirtualMachineInstance) -> bool {
    let annotations = vmi.metadata.annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(CREATE_MIGRATION_TARGET_ANNOTATION)).is_some_and(|value| value == "true")
}

/// The phase of a VMI with this domain and launcher. A domain that is marked as gone counts as none.
pub fn next<'a>(vmi: &'a VirtualMachineInstance, domain: Option<&Domain>, launcher: Launcher) -> &'a str {
    match domain.filter(|domain| !domain.deleted) {
        Some(domain) => with_domain(vmi, domain),
        None => without_domain(vmi, launcher),
    }
}

fn without_domain(vmi: &VirtualMachineInstance, launcher: Launcher) -> &str {
    let phase = of(vmi);
    let target = is_migration_target(vmi);
    let migration = vmi.status.as_ref().and_then(|status| status.migration_state.as_ref());
    if target && migration.is_some_and(|migration| migration.failed == Some(true)) {
        return phase;
    }
    match phase {
        vmi_phase::SCHEDULED | vmi_phase::RUNNING => {
            if !launcher.initialized || !launcher.unresponsive {
                phase
            } else if target {
                vmi_phase::WAITING_FOR_SYNC
            } else {
                vmi_phase::FAILED
            }
        }
        _ if is_final(phase) => phase,
        _ => vmi_phase::SCHEDULED,
    }
}

fn with_domain<'a>(vmi: &'a VirtualMachineInstance, domain: &Domain) -> &'a str {
    match domain.status {
        DomainStatus::Shutoff | DomainStatus::Crashed => match domain.reason.as_ref() {
            reasons::CRASHED | reasons::PANICKED => vmi_phase::FAILED,
            reasons::DESTROYED => destroyed(vmi, domain),
            reasons::SHUTDOWN | reasons::SAVED | reasons::FROM_SNAPSHOT => vmi_phase::SUCCEEDED,
            _ => of(vmi),
        },
        DomainStatus::Paused if domain.reason == reasons::POSTCOPY_FAILED => vmi_phase::FAILED,
        DomainStatus::Paused | DomainStatus::Running | DomainStatus::Blocked | DomainStatus::PmSuspended => vmi_phase::RUNNING,
        DomainStatus::ShuttingDown | DomainStatus::NoState | DomainStatus::Unknown | DomainStatus::Unsaid => of(vmi),
    }
}

/// A guest that was destroyed although it could have obeyed ran out of its grace period.
fn destroyed<'a>(vmi: &VirtualMachineInstance, domain: &Domain) -> &'a str {
    let had_grace = vmi.spec.termination_grace_period_seconds != Some(0);
    let migration = vmi.status.as_ref().and_then(|status| status.migration_state.as_ref());
    let post_copy_failed =
        migration.is_some_and(|migration| migration.failed == Some(true) && migration.mode.as_deref() == Some(migration_mode::POST_COPY));
    if (had_grace && domain.acpi) || post_copy_failed { vmi_phase::FAILED } else { vmi_phase::SUCCEEDED }
}

#[cfg(test)]
mod tests {
    use api::v1::VirtualMachineInstanceMigrationState;
    use rstest::rstest;

    use super::*;

    fn vmi(phase: &str) -> VirtualMachineInstance {
        let mut vmi = VirtualMachineInstance::default();
        vmi.status.get_or_insert_default().phase = Some(phase.to_owned());
        vmi
    }

    fn domain(status: DomainStatus, reason: &'static str) -> Domain {
        Domain { status, reason: reason.into(), ..Domain::default() }
    }

    #[rstest]
    #[case("Scheduled", DomainStatus::Running, "Unknown", "Running")]
    #[case("Scheduled", DomainStatus::Blocked, "Unknown", "Running")]
    #[case("Scheduled", DomainStatus::PmSuspended, "Unknown", "Running")]
    #[case("Scheduled", DomainStatus::Paused, "User", "Running")]
    #[case("Running", DomainStatus::Paused, "IOError", "Running")]
    #[case("Running", DomainStatus::Paused, "PostcopyFailed", "Failed")]
    #[case("Running", DomainStatus::ShuttingDown, "Unknown", "Running")]
    #[case("Scheduled", DomainStatus::NoState, "NonExistent", "Scheduled")]
    #[case("Scheduled", DomainStatus::Unknown, "", "Scheduled")]
    #[case("Scheduled", DomainStatus::Shutoff, "Unknown", "Scheduled")]
    #[case("Scheduled", DomainStatus::Shutoff, "Failed", "Scheduled")]
    #[case("Running", DomainStatus::Shutoff, "Migrated", "Running")]
    #[case("Running", DomainStatus::Shutoff, "Shutdown", "Succeeded")]
    #[case("Running", DomainStatus::Shutoff, "Saved", "Succeeded")]
    #[case("Running", DomainStatus::Shutoff, "FromSnapshot", "Succeeded")]
    #[case("Running", DomainStatus::Shutoff, "Crashed", "Failed")]
    #[case("Running", DomainStatus::Crashed, "Panicked", "Failed")]
    fn follows_the_domain(#[case] phase: &str, #[case] status: DomainStatus, #[case] reason: &'static str, #[case] expected: &str) {
        let mut vmi = vmi(phase);
        for launcher in [Launcher::FINE, Launcher::AWAITED, Launcher::GONE] {
            assert_eq!(next(&vmi, Some(&domain(status, reason)), launcher), expected);
        }
        let gone = Domain { deleted: true, ..domain(status, reason) };
        vmi.status.get_or_insert_default().phase = Some("Running".to_owned());
        assert_eq!(next(&vmi, Some(&gone), Launcher::GONE), "Failed", "a domain that is gone is none");
    }

    #[rstest]
    #[case::ran_out_of_grace(None, true, false, "Failed")]
    #[case::ran_out_of_a_given_grace(Some(10), true, false, "Failed")]
    #[case::had_none(Some(0), true, false, "Succeeded")]
    #[case::could_not_hear(Some(10), false, false, "Succeeded")]
    #[case::post_copy_broke(Some(0), true, true, "Failed")]
    fn destroyed(#[case] grace: Option<i64>, #[case] acpi: bool, #[case] post_copy_failed: bool, #[case] expected: &str) {
        let mut vmi = vmi("Running");
        vmi.spec.termination_grace_period_seconds = grace;
        if post_copy_failed {
            vmi.status.get_or_insert_default().migration_state = Some(Box::new(VirtualMachineInstanceMigrationState {
                failed: Some(true),
                mode: Some(migration_mode::POST_COPY.to_owned()),
                ..VirtualMachineInstanceMigrationState::default()
            }));
        }
        let domain = Domain { acpi, ..domain(DomainStatus::Shutoff, "Destroyed") };
        assert_eq!(next(&vmi, Some(&domain), Launcher::FINE), expected);
    }

    #[rstest]
    #[case("", Launcher::AWAITED, false, "Scheduled")]
    #[case("Pending", Launcher::FINE, false, "Scheduled")]
    #[case("Scheduling", Launcher::GONE, false, "Scheduled")]
    #[case("Scheduled", Launcher::FINE, false, "Scheduled")]
    #[case("Scheduled", Launcher::AWAITED, false, "Scheduled")]
    #[case("Scheduled", Launcher { initialized: false, unresponsive: true }, false, "Scheduled")]
    #[case("Scheduled", Launcher::GONE, false, "Failed")]
    #[case("Running", Launcher::FINE, false, "Running")]
    #[case("Running", Launcher::GONE, false, "Failed")]
    #[case("Running", Launcher::GONE, true, "WaitingForSync")]
    #[case("Succeeded", Launcher::GONE, false, "Succeeded")]
    #[case("Failed", Launcher::FINE, false, "Failed")]
    fn follows_the_launcher_without_a_domain(
        #[case] phase: &str,
        #[case] launcher: Launcher,
        #[case] target: bool,
        #[case] expected: &str,
    ) {
        let mut vmi = vmi(phase);
        if target {
            let mark = (CREATE_MIGRATION_TARGET_ANNOTATION.to_owned(), "true".to_owned());
            vmi.metadata.annotations = Some([mark].into());
        }
        assert_eq!(next(&vmi, None, launcher), expected);
    }
}

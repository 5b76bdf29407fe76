//! Which migration policy governs a guest, and the settings of a migration that result (spec/controllers.md §6.10).

use std::collections::BTreeMap;

use api::migrations::v1alpha1::{MigrationPolicy, MigrationPolicySpec};
use api::v1::{
    DowntimeTuningOptions, ExperimentalMigrationOptions, MigrationConfiguration, StallDetectorOptions, VMIMConfigurationOptions,
};

type Labels = BTreeMap<String, String>;

/// The policy that governs a guest's migrations: of those that match, the one with the most matching labels; then with the most
/// labels of the guest; then the first by name. `vmi` are the guest's labels, `namespace` those of its namespace.
pub fn select<'a>(policies: &'a [MigrationPolicy], vmi: Option<&Labels>, namespace: &Labels) -> Option<&'a MigrationPolicy> {
    let scored = policies.iter().filter_map(|policy| Some((matching(&policy.spec, vmi, namespace)?, policy)));
    let best = scored.min_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.metadata.name.cmp(&other.metadata.name)));
    best.map(|(_, policy)| policy)
}

/// How many labels match, and how many of them are the guest's; `None` where one does not. A guest without labels matches
/// every selector, as upstream has it.
fn matching(policy: &MigrationPolicySpec, vmi: Option<&Labels>, namespace: &Labels) -> Option<(usize, usize)> {
    let selectors = policy.selectors.as_ref()?;
    let Some(vmi) = vmi else { return Some((0, 0)) };
    let all = |wanted: &Labels, of: &Labels| wanted.iter().all(|(key, value)| of.get(key) == Some(value)).then_some(wanted.len());
    let own = all(&selectors.virtual_machine_instance_selector, vmi)?;
    let around = all(&selectors.namespace_selector, namespace)?;
    Some((own + around, own))
}

/// The cluster's settings, with those of a policy laid over them.
///
/// A policy that says whether guests may run on the target early, but not whether they may be paused, says the same of both.
pub fn settings(cluster: MigrationConfiguration, policy: Option<&MigrationPolicySpec>) -> VMIMConfigurationOptions {
    let mut options = of_cluster(cluster);
    let Some(policy) = policy else { return options };
    lay(&mut options.allow_workload_disruption, policy.allow_workload_disruption.as_ref().or(policy.allow_post_copy.as_ref()));
    lay(&mut options.allow_auto_converge, policy.allow_auto_converge.as_ref());
    lay(&mut options.bandwidth_per_migration, policy.bandwidth_per_migration.as_ref());
    lay(&mut options.completion_timeout_per_gib, policy.completion_timeout_per_gib.as_ref());
    lay(&mut options.max_downtime_ms, policy.max_downtime_ms.as_ref());
    lay(&mut options.allow_post_copy, policy.allow_post_copy.as_ref());
    if let Some(experimental) = policy.experimental.as_deref() {
        lay_experimental(options.experimental.get_or_insert_default(), experimental);
    }
    options
}

/// The cluster's settings, as one migration has them.
fn of_cluster(cluster: MigrationConfiguration) -> VMIMConfigurationOptions {
    VMIMConfigurationOptions {
        node_drain_taint_key: cluster.node_drain_taint_key,
        parallel_outbound_migrations_per_node: cluster.parallel_outbound_migrations_per_node,
        parallel_migrations_per_cluster: cluster.parallel_migrations_per_cluster,
        allow_auto_converge: cluster.allow_auto_converge,
        bandwidth_per_migration: cluster.bandwidth_per_migration,
        completion_timeout_per_gib: cluster.completion_timeout_per_gib,
        max_downtime_ms: cluster.max_downtime_ms,
        progress_timeout: cluster.progress_timeout,
        utility_volumes_timeout: cluster.utility_volumes_timeout,
        unsafe_migration_override: cluster.unsafe_migration_override,
        allow_post_copy: cluster.allow_post_copy,
        allow_workload_disruption: cluster.allow_workload_disruption,
        disable_tls: cluster.disable_tls,
        network: cluster.network,
        match_selinux_level_on_migration: cluster.match_selinux_level_on_migration,
        experimental: None,
    }
}

fn lay<T: Clone>(target: &mut Option<T>, from: Option<&T>) {
    if from.is_some() {
        *target = from.cloned();
    }
}

fn lay_experimental(target: &mut ExperimentalMigrationOptions, from: &ExperimentalMigrationOptions) {
    if let Some(from) = &from.stall_detector {
        lay_stall_detector(target.stall_detector.get_or_insert_default(), from);
    }
    if let Some(from) = &from.downtime_tuning {
        lay_downtime_tuning(target.downtime_tuning.get_or_insert_default(), from);
    }
    lay(&mut target.compression, from.compression.as_ref());
}

fn lay_stall_detector(target: &mut StallDetectorOptions, from: &StallDetectorOptions) {
    lay(&mut target.stall_margin, from.stall_margin.as_ref());
    lay(&mut target.ewma_alpha, from.ewma_alpha.as_ref());
    lay(&mut target.stall_progress_timeout, from.stall_progress_timeout.as_ref());
    lay(&mut target.switchover_timeout, from.switchover_timeout.as_ref());
    lay(&mut target.precopy_possible_factor, from.precopy_possible_factor.as_ref());
    lay(&mut target.patience_window_decay_factor, from.patience_window_decay_factor.as_ref());
    lay(&mut target.search_local_minima, from.search_local_minima.as_ref());
    lay(&mut target.completion_timeout_factor, from.completion_timeout_factor.as_ref());
}

fn lay_downtime_tuning(target: &mut DowntimeTuningOptions, from: &DowntimeTuningOptions) {
    lay(&mut target.initial_ms, from.initial_ms.as_ref());
    lay(&mut target.steps, from.steps.as_ref());
    lay(&mut target.start_after_iteration, from.start_after_iteration.as_ref());
    lay(&mut target.cooldown_seconds, from.cooldown_seconds.as_ref());
}

#[cfg(test)]
mod tests {
    use super::{select, settings};
    use api::migrations::v1alpha1::MigrationPolicy;
    use api::v1::MigrationConfiguration;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn policy(name: &str, spec: &Value) -> MigrationPolicy {
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn the_most_specific_policy_governs() {
        let policies = [
            policy("b", &json!({"selectors": {"namespaceSelector": {"team": "a"}}})),
            policy("a", &json!({"selectors": {"namespaceSelector": {"team": "a"}}})),
            policy("c", &json!({"selectors": {"virtualMachineInstanceSelector": {"app": "web"}}})),
            policy("d", &json!({"selectors": {"virtualMachineInstanceSelector": {"app": "db"}, "namespaceSelector": {"team": "a"}}})),
            policy("e", &json!({})),
        ];
        let name = |vmi: Option<&BTreeMap<String, String>>, namespace: &[(&str, &str)]| {
            select(&policies, vmi, &labels(namespace)).and_then(|p| p.metadata.name.clone())
        };
        assert_eq!(name(Some(&labels(&[("app", "web")])), &[("team", "a")]).as_deref(), Some("c"));
        assert_eq!(name(Some(&labels(&[("app", "x")])), &[("team", "a")]).as_deref(), Some("a"));
        assert_eq!(name(Some(&labels(&[("app", "x")])), &[]), None);
        assert_eq!(name(None, &[]).as_deref(), Some("a"));
    }

    #[test]
    fn a_policy_is_laid_over_the_clusters_settings() {
        let cluster: MigrationConfiguration = serde_json::from_value(json!({"maxDowntimeMs": 900, "progressTimeout": 7})).unwrap();
        let spec =
            policy("p", &json!({"allowPostCopy": true, "maxDowntimeMs": 5, "experimental": {"stallDetector": {"stallMargin": 9}}})).spec;
        let merged = settings(cluster, Some(&spec));
        assert_eq!((merged.max_downtime_ms, merged.progress_timeout), (Some(5), Some(7)));
        assert_eq!(merged.allow_workload_disruption, Some(true));
        assert_eq!(merged.experimental.unwrap().stall_detector.unwrap().stall_margin, Some(9));
    }
}

//! Tables and laws of pools.

use super::*;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

fn pool(change: &Value) -> VirtualMachinePool {
    let mut pool = json!({
        "metadata": {"name": "db", "namespace": "ns", "uid": "pool", "generation": 3, "finalizers": [names::POOL_FINALIZER]},
        "spec": {
            "replicas": 3, "selector": {"matchLabels": {"app": "db"}},
            "virtualMachineTemplate": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"runStrategy": "Always", "template": {"spec": {"domain": {"devices": {}}}}},
            },
        },
    });
    json_patch::merge(&mut pool, change);
    serde_json::from_value(pool).unwrap()
}

fn vm(ordinal: u64, change: &Value) -> Arc<VirtualMachine> {
    let name = format!("db-{ordinal}");
    let mut vm = json!({
        "metadata": {
            "name": name, "namespace": "ns", "uid": name, "finalizers": [names::POOL_FINALIZER],
            "labels": {"app": "db", names::VM_POOL_REVISION_NAME_LABEL: "db-3"},
            "creationTimestamp": format!("2026-01-01T00:00:{:02}Z", 10 - ordinal % 10),
            "ownerReferences": [{"apiVersion": "pool.kubevirt.io/v1beta1", "kind": "VirtualMachinePool", "name": "db", "uid": "pool", "controller": true}],
        },
        "spec": {"runStrategy": "Always", "template": {"spec": {"domain": {"devices": {}}}}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    });
    json_patch::merge(&mut vm, change);
    Arc::new(serde_json::from_value(vm).unwrap())
}

fn vmi(ordinal: u64, revision: &str) -> (String, Arc<VirtualMachineInstance>) {
    let name = format!("db-{ordinal}");
    let vmi = json!({
        "metadata": {"name": name, "namespace": "ns", "uid": format!("vmi-{ordinal}"), "labels": {names::VM_POOL_REVISION_NAME_LABEL: revision}},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    (name, Arc::new(serde_json::from_value(vmi).unwrap()))
}

fn revision(name: &str, template: &Value) -> Arc<ControllerRevision> {
    let mut spec = json!(pool(&json!({})).spec);
    json_patch::merge(&mut spec["virtualMachineTemplate"], template);
    let revision = json!({"metadata": {"name": name, "namespace": "ns", "uid": name}, "data": spec, "revision": 1});
    Arc::new(serde_json::from_value(revision).unwrap())
}

/// What a pool has.
#[derive(Clone, Default)]
struct World {
    vms: Vec<Arc<VirtualMachine>>,
    vmis: BTreeMap<String, Arc<VirtualMachineInstance>>,
    revisions: Vec<Arc<ControllerRevision>>,
}

impl World {
    fn of(vms: impl IntoIterator<Item = Arc<VirtualMachine>>) -> Self {
        Self { vms: vms.into_iter().collect(), vmis: BTreeMap::new(), revisions: vec![revision("db-3", &json!({}))] }
    }

    fn plan(&self, pool: &VirtualMachinePool, salt: u64) -> Plan {
        let now = Time("2026-01-01T01:00:00Z".parse().unwrap());
        sync(&Observed {
            pool,
            vms: &self.vms,
            vmis: &self.vmis,
            revisions: &self.revisions,
            storage: &Storage::default(),
            heal_after: Duration::from_mins(5),
            salt,
            now: &now,
        })
    }

    /// The writes, as `verb kind name`.
    fn writes(&self, pool: &VirtualMachinePool) -> Vec<String> {
        writes(&self.plan(pool, 1))
    }
}

fn writes(plan: &Plan) -> Vec<String> {
    plan.actions
        .iter()
        .filter_map(|action| {
            let object = action.object()?;
            let name = match action {
                Action::Create { body, .. } => body["metadata"]["name"].as_str().unwrap_or_default(),
                _ => &object.name,
            };
            Some(format!("{} {} {name}", action.verb(), object.kind))
        })
        .collect()
}

const SORT: &str = "/spec/scaleInStrategy/proactive/selectionPolicy/sortPolicy";

#[test]
fn the_lowest_free_ordinals_are_taken() {
    let stranger = vm(1, &json!({"metadata": {"ownerReferences": null, "labels": {"app": "x"}}}));
    let world = World::of([vm(0, &json!({})), stranger]);
    assert_eq!(world.writes(&pool(&json!({}))), ["create VirtualMachine db-2", "create VirtualMachine db-3"]);
    let first = World { revisions: vec![], ..World::default() };
    assert_eq!(first.writes(&pool(&json!({"spec": {"replicas": 1}}))), ["create ControllerRevision db-3", "create VirtualMachine db-0"]);
}

#[rstest]
#[case("AscendingOrder", "delete VirtualMachine db-2")]
#[case("DescendingOrder", "delete VirtualMachine db-10")]
#[case("Newest", "delete VirtualMachine db-10")]
#[case("Oldest", "delete VirtualMachine db-9")]
fn who_goes_first(#[case] policy: &str, #[case] wanted: &str) {
    let mut spec =
        json!(pool(&json!({"spec": {"replicas": 2, "scaleInStrategy": {"proactive": {"selectionPolicy": {"sortPolicy": "?"}}}}})));
    *spec.pointer_mut(SORT).unwrap() = json!(policy);
    let world = World::of([vm(10, &json!({})), vm(2, &json!({})), vm(9, &json!({}))]);
    assert_eq!(world.writes(&serde_json::from_value(spec).unwrap()), [wanted]);
}

#[rstest]
#[case::all(json!({}), 2)]
#[case::those_labelled(json!({"labelSelector": {"matchLabels": {"idle": "yes"}}}), 1)]
#[case::those_bound_to_nodes(json!({"nodeSelectorRequirementMatcher": [{"key": "zone", "operator": "In", "values": ["a"]}]}), 1)]
#[case::not_there(json!({"nodeSelectorRequirementMatcher": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}), 2)]
#[case::above(json!({"nodeSelectorRequirementMatcher": [{"key": "rank", "operator": "Gt", "values": ["3"]}]}), 1)]
#[case::below(json!({"nodeSelectorRequirementMatcher": [{"key": "rank", "operator": "Lt", "values": ["3"]}]}), 0)]
fn who_may_go(#[case] selectors: Value, #[case] going: usize) {
    let pool = pool(&json!({"spec": {"replicas": 1, "scaleInStrategy": {"proactive": {"selectionPolicy": {"selectors": selectors}}}}}));
    let idle =
        json!({"spec": {"template": {"metadata": {"labels": {"idle": "yes"}}, "spec": {"nodeSelector": {"zone": "a", "rank": "4"}}}}});
    let world = World::of([vm(0, &json!({})), vm(1, &idle), vm(2, &json!({}))]);
    assert_eq!(world.writes(&pool).len(), going);
}

#[test]
fn a_bad_selector_is_told() {
    let selectors = json!({"nodeSelectorRequirementMatcher": [{"key": "zone", "operator": "Near", "values": ["a"]}]});
    let pool = pool(&json!({"spec": {"replicas": 0, "scaleInStrategy": {"proactive": {"selectionPolicy": {"selectors": selectors}}}}}));
    let error = World::of([vm(0, &json!({}))]).plan(&pool, 1).error.unwrap();
    assert_eq!(error.reason, reason::SCALE_IN);
    assert!(error.message.contains("\"Near\" is not a valid label selector operator"), "{error}");
}

#[test]
fn those_that_go_already_count() {
    let going = |ordinal| vm(ordinal, &json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
    let world = World::of([vm(0, &json!({})), going(1), going(2)]);
    let let_go = ["patch VirtualMachine db-1", "patch VirtualMachine db-2"];
    assert_eq!(world.writes(&pool(&json!({"spec": {"replicas": 1}}))), let_go);
    assert_eq!(world.writes(&pool(&json!({"spec": {"replicas": 3}}))), let_go);
    let emptied = world.writes(&pool(&json!({"spec": {"replicas": 0}})));
    assert_eq!(emptied, [let_go[0], let_go[1], "delete VirtualMachine db-0"]);
}

#[rstest]
#[case::unmanaged(json!({"unmanaged": {}}))]
#[case::opportunistic(json!({"opportunistic": {}}))]
fn scaling_in_may_be_left_to_others(#[case] strategy: Value) {
    let pool = pool(&json!({"spec": {"replicas": 0, "scaleInStrategy": strategy}}));
    assert_eq!(World::of([vm(0, &json!({}))]).writes(&pool), Vec::<String>::new());
}

#[rstest]
#[case::failing(json!({"startFailure": {"consecutiveFailCount": 3}}), true)]
#[case::failed_twice(json!({"startFailure": {"consecutiveFailCount": 2}}), false)]
#[case::stuck(json!({"printableStatus": "ErrImagePull", "conditions": [{"type": "Ready", "status": "False", "lastProbeTime": "2026-01-01T00:55:00Z"}]}), true)]
#[case::stuck_of_late(json!({"printableStatus": "ErrImagePull", "conditions": [{"type": "Ready", "status": "False", "lastProbeTime": "2026-01-01T00:56:00Z"}]}), false)]
#[case::ready(json!({"printableStatus": "CrashLoopBackOff"}), false)]
#[case::stopped(json!({"printableStatus": "Stopped", "conditions": [{"type": "Ready", "status": "False", "lastProbeTime": "2026-01-01T00:00:00Z"}]}), false)]
fn who_is_healed(#[case] status: Value, #[case] replaced: bool) {
    let pool = |autohealing: Value| pool(&json!({"spec": {"replicas": 1, "autohealing": autohealing}}));
    let mut world = World::of([vm(0, &json!({"status": status}))]);
    world.vmis.extend([vmi(0, "db-3")]);
    assert_eq!(world.writes(&pool(json!({}))) == ["delete VirtualMachine db-0"], replaced);
    assert_eq!(world.writes(&pool(Value::Null)), Vec::<String>::new());
}

/// A pool at revision `db-3` whose VM and instance were made from others.
fn changed(vm_revision: &str, vmi_revision: &str, recorded: &[(&str, Value)]) -> Vec<String> {
    let label = json!({"metadata": {"labels": {names::VM_POOL_REVISION_NAME_LABEL: vm_revision}}});
    let mut world = World::of([vm(0, &label)]);
    world.vmis.extend([vmi(0, vmi_revision)]);
    world.revisions.extend(recorded.iter().map(|(name, template)| revision(name, template)));
    world.writes(&pool(&json!({"spec": {"replicas": 1}})))
}

#[test]
fn how_updates_reach_instances() {
    let template = |seconds: u64| json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": seconds}}}});
    let disks = json!({"spec": {"dataVolumeTemplates": [{"metadata": {"name": "root"}, "spec": {}}]}});
    let none = Vec::<String>::new();
    assert_eq!(changed("db-3", "db-3", &[]), none);
    // The VM first.
    assert_eq!(changed("db-2", "db-2", &[("db-2", template(7))]), ["update VirtualMachine db-0"]);
    assert_eq!(changed("db-1", "db-3", &[]), ["update VirtualMachine db-0"]);
    // Only the number of replicas differs.
    assert_eq!(changed("db-2", "db-2", &[("db-2", json!({}))]), ["delete ControllerRevision db-3"]);
    // Then its instance.
    assert_eq!(changed("db-3", "db-2", &[("db-2", template(7))]), ["delete VirtualMachineInstance db-0"]);
    assert_eq!(changed("db-3", "db-1", &[]), ["delete VirtualMachineInstance db-0"]);
    assert_eq!(changed("db-3", "db-2", &[("db-2", disks)]), ["delete VirtualMachine db-0"]);
    assert_eq!(
        changed("db-3", "db-2", &[("db-2", json!({"metadata": {"annotations": {"a": "b"}}}))]),
        ["patch VirtualMachineInstance db-0"]
    );
    // What nobody uses goes.
    assert_eq!(changed("db-3", "db-3", &[("db-1", json!({}))]), ["delete ControllerRevision db-1"]);
}

#[rstest]
#[case(json!(1), 1)]
#[case(json!(3), 3)]
#[case(json!("50%"), 2)]
#[case(json!("10%"), 1)]
#[case(json!("100%"), 4)]
#[case(Value::Null, 4)]
fn how_many_at_a_time(#[case] limit: Value, #[case] restarted: usize) {
    let mut world = World::of((0..4).map(|ordinal| vm(ordinal, &json!({}))));
    world.vmis.extend((0..4).map(|ordinal| vmi(ordinal, "db-2")));
    let pool = pool(&json!({"spec": {"replicas": 4, "maxUnavailable": limit}}));
    let plan = world.plan(&pool, 1);
    assert_eq!(writes(&plan).len(), restarted);
    assert_eq!(plan.requeue.is_some(), restarted < 4);
}

#[test]
fn identity_outlives_an_update() {
    let label = json!({
        "metadata": {"labels": {names::VM_POOL_REVISION_NAME_LABEL: "db-2"}, "annotations": {"old": "1", names::LATEST_OBSERVED_API_VERSION_ANNOTATION: "v1"}},
        "spec": {"template": {"spec": {"domain": {"firmware": {"uuid": "u", "serial": "s"}}}}},
    });
    let world = World::of([vm(0, &label)]);
    let plan = world.plan(&pool(&json!({"spec": {"replicas": 1}})), 1);
    let Some(Action::Replace { body, .. }) = plan.actions.first() else { panic!("{plan:?}") };
    assert_eq!(body["spec"]["template"]["spec"]["domain"]["firmware"], json!({"uuid": "u", "serial": "s"}));
    assert_eq!(body["metadata"]["annotations"], json!({names::LATEST_OBSERVED_API_VERSION_ANNOTATION: "v1"}));
    assert_eq!(body["spec"]["template"]["metadata"]["labels"][names::VM_POOL_REVISION_NAME_LABEL], "db-3");
}

proptest! {
    /// Whatever the pool is like, a plan brings it nearer to its number, and never beyond; no name is made twice, and what somebody
    /// else owns is left alone.
    #[test]
    fn plans_approach_the_number(
        wanted in 0_i64..12,
        states in prop::collection::vec(prop::sample::select(vec!["ours", "going", "stranger", "absent"]), 0..12),
        salt in any::<u64>(),
    ) {
        let vms = states.iter().zip(0_u64..).filter_map(|(state, ordinal)| match *state {
            "ours" => Some(vm(ordinal, &json!({}))),
            "going" => Some(vm(ordinal, &json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}))),
            "stranger" => Some(vm(ordinal, &json!({"metadata": {"ownerReferences": null}}))),
            _ => None,
        });
        let world = World::of(vms);
        let count = |state: &str| states.iter().filter(|known| **known == state).count() as i64;
        let plan = world.plan(&pool(&json!({"spec": {"replicas": wanted, "updateStrategy": {"unmanaged": {}}}})), salt);
        let (created, deleted): (Vec<_>, Vec<_>) = writes(&plan)
            .into_iter()
            .filter(|write| write.contains(" VirtualMachine ") && !write.starts_with("patch"))
            .partition(|write| write.starts_with("create"));
        let owned = count("ours") + count("going");
        prop_assert_eq!(created.len() as i64, (wanted - owned).max(0));
        prop_assert_eq!(deleted.len() as i64, (owned - wanted - count("going")).clamp(0, count("ours")));
        let names: std::collections::BTreeSet<_> = created.iter().collect();
        prop_assert_eq!(names.len(), created.len());
        for name in created.iter().chain(&deleted) {
            let ordinal: usize = name.rsplit('-').next().unwrap().parse().unwrap();
            let state = states.get(ordinal).copied().unwrap_or("absent");
            prop_assert_eq!(state, if name.starts_with("create") { "absent" } else { "ours" });
        }
    }
}

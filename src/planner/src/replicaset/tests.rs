//! Tables and laws of replica sets.

use super::*;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::Value;

fn set(change: &Value) -> VirtualMachineInstanceReplicaSet {
    let mut set = json!({
        "metadata": {"name": "web", "namespace": "ns", "uid": "set"},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}, "annotations": {"a": "b"}}, "spec": {"domain": {"devices": {}}}},
        },
    });
    json_patch::merge(&mut set, change);
    serde_json::from_value(set).unwrap()
}

fn vmi(name: &str, change: &Value) -> Arc<VirtualMachineInstance> {
    let mut vmi = json!({
        "metadata": {
            "name": name, "namespace": "ns", "uid": name, "labels": {"app": "web"}, "creationTimestamp": "2026-01-01T00:00:00Z",
            "ownerReferences": [{"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceReplicaSet", "name": "web", "uid": "set", "controller": true}],
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    json_patch::merge(&mut vmi, change);
    Arc::new(serde_json::from_value(vmi).unwrap())
}

fn now() -> Time {
    Time("2026-01-01T01:00:00Z".parse().unwrap())
}

fn planned(set: &VirtualMachineInstanceReplicaSet, vmis: &[Arc<VirtualMachineInstance>], unanswered: &[&str], salt: u64) -> Plan {
    let unanswered: Vec<String> = unanswered.iter().map(ToString::to_string).collect();
    sync(&Observed { set, vmis, unanswered: &unanswered, salt, now: &now() })
}

fn writes(plan: &Plan) -> Vec<String> {
    plan.actions
        .iter()
        .filter_map(|action| match action {
            Action::Create { body, .. } => Some(format!("create {}", body["metadata"]["name"].as_str().unwrap_or_default())),
            other => other.object().map(|object| format!("{} {}", other.verb(), object.name)),
        })
        .collect()
}

#[rstest]
#[case::sound(json!({}), true)]
#[case::no_labels(json!({"spec": {"template": {"metadata": {"labels": null}}}}), false)]
#[case::no_spec(json!({"spec": {"template": {"spec": null}}}), false)]
#[case::does_not_fit(json!({"spec": {"selector": {"matchLabels": {"app": "other"}}}}), false)]
#[case::not_well_made(json!({"spec": {"selector": {"matchExpressions": [{"key": "app", "operator": "Like"}]}}}), false)]
fn what_can_be_worked_on(#[case] change: Value, #[case] sound: bool) {
    assert_eq!(judge(&set(&change)).is_ok(), sound);
}

#[rstest]
#[case::matches_and_free(json!({"metadata": {"ownerReferences": null}}), (1, 0))]
#[case::matches_and_of_another(json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "x", "controller": true}]}}), (0, 0))]
#[case::free_but_going(json!({"metadata": {"ownerReferences": null, "deletionTimestamp": "2026-01-01T00:00:00Z"}}), (0, 0))]
#[case::free_but_different(json!({"metadata": {"ownerReferences": null, "labels": {"app": "x"}}}), (0, 0))]
#[case::ours(json!({}), (0, 0))]
#[case::ours_no_longer(json!({"metadata": {"labels": {"app": "x"}}}), (0, 1))]
fn who_is_claimed(#[case] change: Value, #[case] wanted: (usize, usize)) {
    let vmis = [vmi("a", &change)];
    let count = |set: &VirtualMachineInstanceReplicaSet| {
        let claims = claims(&Observed { set, vmis: &vmis, unanswered: &[], salt: 1, now: &now() });
        (claims.adopt.len(), claims.release.len())
    };
    assert_eq!(count(&set(&json!({}))), wanted);
    assert_eq!(count(&set(&json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}))), (0, 0));
}

#[rstest]
#[case::not_ready(json!({"status": {"conditions": []}}))]
#[case::on_its_way(json!({"status": {"phase": "Scheduling", "conditions": []}}))]
#[case::young(json!({"metadata": {"creationTimestamp": "2026-01-01T00:30:00Z"}}))]
fn who_goes_first(#[case] change: Value) {
    let vmis = [vmi("a", &json!({})), vmi("b", &change), vmi("c", &json!({}))];
    assert_eq!(writes(&planned(&set(&json!({})), &vmis, &[], 1)), ["delete b"]);
}

#[rstest]
#[case::ended(json!({"status": {"phase": "Succeeded"}}))]
#[case::failed(json!({"status": {"phase": "Failed"}}))]
#[case::on_a_silent_node(json!({"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "PodTerminating"}]}}))]
fn who_is_replaced(#[case] change: Value) {
    let vmis = [vmi("a", &json!({})), vmi("b", &change)];
    let writes = writes(&planned(&set(&json!({})), &vmis, &[], 1));
    assert_eq!(writes.len(), 2);
    assert!(writes[0].starts_with("create web"), "{writes:?}");
    assert_eq!(writes[1], "delete b");
}

#[rstest]
#[case::paused(json!({"spec": {"paused": true}}))]
#[case::going(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}))]
fn who_holds_still(#[case] change: Value) {
    assert!(planned(&set(&change), &[], &[], 1).is_quiet());
}

#[rstest]
#[case(json!({}), "web")]
#[case(json!({"generateName": "front-"}), "front-")]
#[case(json!({"name": "one", "generateName": "front-"}), "one")]
fn names_come_from_the_template(#[case] metadata: Value, #[case] base: &str) {
    let plan = planned(&set(&json!({"spec": {"replicas": 1, "template": {"metadata": metadata}}})), &[], &[], 1);
    let Some(Action::Create { body, .. }) = plan.actions.first() else { panic!("{plan:?}") };
    let name = body["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with(base) && name.len() == base.len() + 5, "{name}");
    assert_eq!((&body["metadata"]["labels"], &body["metadata"]["annotations"]), (&json!({"app": "web"}), &json!({"a": "b"})));
    assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], "set");
}

#[test]
fn an_unanswered_creation_is_repeated_by_name() {
    assert_eq!(writes(&planned(&set(&json!({"spec": {"replicas": 1}})), &[], &["webxyz"], 1)), ["create webxyz"]);
    let there = [vmi("webxyz", &json!({}))];
    assert_eq!(writes(&planned(&set(&json!({"spec": {"replicas": 1}})), &there, &["webxyz"], 1)), Vec::<String>::new());
}

#[test]
fn the_status_is_written_when_it_changes() {
    let vmis = [vmi("a", &json!({})), vmi("b", &json!({"status": {"conditions": []}}))];
    let mut set = set(&json!({"spec": {"paused": true}}));
    let told = |set: &VirtualMachineInstanceReplicaSet, error: Option<&PlanError>| {
        status(&Observed { set, vmis: &vmis, unanswered: &[], salt: 1, now: &now() }, error)
    };
    let refused = PlanError::new(reason::FAILED_CREATE, "no");
    let plan = told(&set, Some(&refused));
    let Some(Action::Replace { body, subresource: Some("status"), .. }) = plan.actions.first() else { panic!("{plan:?}") };
    let conditions = body["status"]["conditions"].as_array().unwrap();
    let reasons: Vec<&Value> = conditions.iter().map(|condition| &condition["reason"]).collect();
    assert_eq!(reasons, ["Paused", "FailedCreate"]);
    assert_eq!(body["status"]["replicas"], 2);
    assert_eq!(body["status"]["readyReplicas"], 1);
    assert_eq!(body["status"]["labelSelector"], "app=web");
    set.status = serde_json::from_value(body["status"].clone()).unwrap();
    assert!(told(&set, Some(&refused)).is_quiet());
    assert!(!told(&set, None).is_quiet());
}

proptest! {
    /// Whatever there is, one plan brings the set to its number, makes no name twice and deletes nothing that is not its own.
    #[test]
    fn one_plan_reaches_the_number(
        wanted in 0_usize..8,
        states in prop::collection::vec(prop::sample::select(vec!["active", "finished", "going", "stranger"]), 0..8),
        unanswered in prop::collection::vec("web[a-c]", 0..3),
        salt in any::<u64>(),
    ) {
        let vmis: Vec<_> = states.iter().enumerate().map(|(index, state)| vmi(&format!("vmi-{index}"), &match *state {
            "finished" => json!({"status": {"phase": "Failed"}}),
            "going" => json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            "stranger" => json!({"metadata": {"ownerReferences": null}}),
            _ => json!({}),
        })).collect();
        let unanswered: Vec<&str> = unanswered.iter().map(String::as_str).collect();
        let writes = writes(&planned(&set(&json!({"spec": {"replicas": wanted}})), &vmis, &unanswered, salt));
        let (created, deleted): (Vec<_>, Vec<_>) = writes.iter().partition(|write| write.starts_with("create"));
        let count = |state: &str| states.iter().filter(|known| **known == state).count();
        let distinct: BTreeSet<_> = created.iter().collect();
        prop_assert_eq!(distinct.len(), created.len());
        prop_assert_eq!(count("active") + created.len(), wanted.max(count("active")));
        prop_assert_eq!(deleted.len(), count("finished") + count("active").saturating_sub(wanted));
        for name in deleted {
            let index: usize = name.rsplit('-').next().unwrap().parse().unwrap();
            prop_assert!(matches!(states[index], "active" | "finished"));
        }
    }
}

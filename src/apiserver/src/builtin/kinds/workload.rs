//! Workloads.

use serde_json::{Value, json};

use super::pod_defaults;
use super::{null_members, pod_rules};
use crate::builtin::{Context, Strategy};
use crate::error::{ApiError, FieldError, printed};
use crate::object;
use crate::registry::delete_options::Propagation;
use crate::resource::ScalePaths;
use crate::selector::LabelSelector;

const SCALED: fn() -> Option<ScalePaths> = || {
    Some(ScalePaths {
        spec_replicas: ".spec.replicas".to_owned(),
        status_replicas: ".status.replicas".to_owned(),
        label_selector: Some(".spec.selector".to_owned()),
    })
};

const CONDITION_TIMES: &[&str] = &["lastTransitionTime"];

pub(super) fn default_template(object: &mut Value, path: &[&str]) {
    if let Some(template) = path.iter().try_fold(object, |value, key| value.get_mut(*key)) {
        object::set_default(template, &["metadata"], json!({}));
        pod_defaults::fill(template, true);
    }
}

/// Selector and template must fit, and an update keeps the selector.
fn check_selector(object: &Value, old: Option<&Value>, wrong: &mut Vec<FieldError>) {
    let selector = object::at(object, &["spec", "selector"]);
    let kind = object::kind(object).to_lowercase();
    if let Some(old) = old
        && kind != "statefulset"
        && selector != object::at(old, &["spec", "selector"])
    {
        wrong.push(FieldError::invalid("spec.selector", selector.cloned().unwrap_or(Value::Null), "field is immutable"));
    }
    let empty = selector.and_then(Value::as_object).is_none_or(serde_json::Map::is_empty);
    if selector.is_none() {
        wrong.push(FieldError::required("spec.selector", ""));
    } else if empty {
        // The original says deployment of replica sets, too.
        let kind = if kind == "replicaset" { "deployment" } else { &kind };
        wrong.push(FieldError::invalid("spec.selector", json!({}), format!("empty selector is invalid for {kind}")));
    }
    let labels = object::at(object, &["spec", "template", "metadata", "labels"]).cloned().unwrap_or_else(|| json!({}));
    let matches = !empty
        && LabelSelector::from_object(selector).is_ok_and(|selector| selector.matches_with(|key| labels.get(key).and_then(Value::as_str)));
    if !matches {
        let detail = "`selector` does not match template `labels`";
        wrong.push(FieldError::invalid("spec.template.metadata.labels", labels, detail));
    }
}

pub(super) fn check_replicas(object: &Value, field: &str, wrong: &mut Vec<FieldError>) {
    if let Some(replicas) = object::number(object, &["spec", field]).filter(|replicas| *replicas < 0) {
        wrong.push(FieldError::invalid(format!("spec.{field}"), replicas, "must be greater than or equal to 0"));
    }
}

/// A StatefulSet's pods and claims depend on most of its spec.
fn check_frozen_set(object: &Value, old: &Value, wrong: &mut Vec<FieldError>) {
    const FREE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let rest = |set: &Value| {
        let mut spec = set.get("spec").cloned().unwrap_or(Value::Null);
        for field in FREE {
            object::remove(&mut spec, &[field]);
        }
        spec
    };
    if rest(object) != rest(old) {
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
                      'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        wrong.push(FieldError::forbidden("spec", detail));
    }
}

fn check_workload(cx: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    if cx.subresource == "status" {
        return Vec::new();
    }
    let mut wrong = Vec::new();
    check_replicas(object, "replicas", &mut wrong);
    check_selector(object, old, &mut wrong);
    if let Some(old) = old.filter(|_| object::kind(object) == "StatefulSet") {
        check_frozen_set(object, old, &mut wrong);
    }
    let recreate = object::text(object, &["spec", "strategy", "type"]) == "Recreate";
    if recreate && object::at(object, &["spec", "strategy", "rollingUpdate"]).is_some() {
        let detail = "may not be specified when strategy `type` is 'Recreate'";
        wrong.push(FieldError::forbidden("spec.strategy.rollingUpdate", detail));
    }
    if let Some(template) = object::at(object, &["spec", "template"]) {
        pod_rules::check_template(template, "spec.template", &mut wrong);
        let policy = object::text(template, &["spec", "restartPolicy"]);
        if policy != "Always" {
            wrong.push(FieldError::not_supported("spec.template.spec.restartPolicy", policy, &["Always"]));
        }
    }
    wrong
}

pub(super) fn keep_spec_on_status(cx: &Context<'_>, object: &mut Value, old: &Value) {
    if cx.subresource == "status" {
        object::copy(object, old, &["spec"]);
    }
}

macro_rules! workload {
    ($(#[$doc:meta])* $name:ident, scale: $scale:expr, status: $status:tt, default: $default:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl Strategy for $name {
            fn has_generation(&self) -> bool {
                true
            }

            fn has_status(&self) -> bool {
                true
            }

            fn scale(&self) -> Option<ScalePaths> {
                $scale
            }

            fn default(&self, object: &mut Value, _version: &str) {
                let default: fn(&mut Value) = $default;
                default(object);
                default_template(object, &["spec", "template"]);
                object::set_default(object, &["status"], json!($status));
                null_members(object, &["status", "conditions"], CONDITION_TIMES);
            }

            fn prepare_create(&self, _cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
                object::set(object, &["status"], json!($status));
                Ok(())
            }

            fn prepare_update(&self, cx: &Context<'_>, object: &mut Value, old: &Value) -> Result<(), ApiError> {
                keep_spec_on_status(cx, object, old);
                Ok(())
            }

            fn validate(&self, cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
                check_workload(cx, object, None)
            }

            fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
                check_workload(cx, object, Some(old))
            }
        }
    };
}

workload!(
    /// `Deployment`.
    Deployment,
    scale: SCALED(),
    status: {},
    default: |object| {
        object::set_default(object, &["spec", "replicas"], 1);
        object::set_default(object, &["spec", "strategy", "type"], "RollingUpdate");
        if object::text(object, &["spec", "strategy", "type"]) == "RollingUpdate" {
            object::set_default(object, &["spec", "strategy", "rollingUpdate", "maxSurge"], "25%");
            object::set_default(object, &["spec", "strategy", "rollingUpdate", "maxUnavailable"], "25%");
        }
        object::set_default(object, &["spec", "revisionHistoryLimit"], 10);
        object::set_default(object, &["spec", "progressDeadlineSeconds"], 600);
        null_members(object, &["status", "conditions"], &["lastUpdateTime"]);
    }
);

workload!(
    /// `ReplicaSet`.
    ReplicaSet,
    scale: SCALED(),
    status: {"replicas": 0},
    default: |object| {
        object::set_default(object, &["spec", "replicas"], 1);
        object::set_default(object, &["status", "replicas"], 0);
    }
);

workload!(
    /// `StatefulSet`.
    StatefulSet,
    scale: SCALED(),
    status: {"replicas": 0, "availableReplicas": 0},
    default: |object| {
        object::set_default(object, &["spec", "podManagementPolicy"], "OrderedReady");
        object::set_default(object, &["spec", "replicas"], 1);
        object::set_default(object, &["spec", "revisionHistoryLimit"], 10);
        object::set_default(object, &["spec", "updateStrategy", "type"], "RollingUpdate");
        if object::text(object, &["spec", "updateStrategy", "type"]) == "RollingUpdate" {
            object::set_default(object, &["spec", "updateStrategy", "rollingUpdate", "partition"], 0);
        }
        for key in ["whenDeleted", "whenScaled"] {
            object::set_default(object, &["spec", "persistentVolumeClaimRetentionPolicy", key], "Retain");
        }
        object::set_default(object, &["status", "replicas"], 0);
        object::set_default(object, &["status", "availableReplicas"], 0);
    }
);

workload!(
    /// `DaemonSet`.
    DaemonSet,
    scale: None,
    status: {"currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0},
    default: |object| {
        object::set_default(object, &["spec", "revisionHistoryLimit"], 10);
        object::set_default(object, &["spec", "updateStrategy", "type"], "RollingUpdate");
        if object::text(object, &["spec", "updateStrategy", "type"]) == "RollingUpdate" {
            object::set_default(object, &["spec", "updateStrategy", "rollingUpdate", "maxSurge"], 0);
            object::set_default(object, &["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"], 1);
        }
        let generation = object::number(object, &["metadata", "generation"]).unwrap_or(1).max(1).to_string();
        object::set_default(object, &["metadata", "annotations", "deprecated.daemonset.template.generation"], generation);
        for key in ["currentNumberScheduled", "desiredNumberScheduled", "numberMisscheduled", "numberReady"] {
            object::set_default(object, &["status", key], 0);
        }
    }
);

/// `ReplicationController`: its selector is a plain map, by default the template's labels.
#[derive(Debug)]
pub struct ReplicationController;

impl Strategy for ReplicationController {
    fn has_generation(&self) -> bool {
        true
    }

    fn has_status(&self) -> bool {
        true
    }

    fn scale(&self) -> Option<ScalePaths> {
        SCALED()
    }

    fn default(&self, object: &mut Value, _version: &str) {
        object::set_default(object, &["spec", "replicas"], 1);
        if let Some(labels) = object::at(object, &["spec", "template", "metadata", "labels"]).cloned() {
            object::set_default(object, &["spec", "selector"], labels);
        }
        default_template(object, &["spec", "template"]);
        object::set_default(object, &["status", "replicas"], 0);
    }

    fn prepare_create(&self, _cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
        object::set(object, &["status"], json!({"replicas": 0}));
        Ok(())
    }

    fn prepare_update(&self, cx: &Context<'_>, object: &mut Value, old: &Value) -> Result<(), ApiError> {
        keep_spec_on_status(cx, object, old);
        Ok(())
    }

    fn default_propagation(&self, _version: &str) -> Option<Propagation> {
        Some(Propagation::Orphan)
    }
}

/// `PodTemplate`.
#[derive(Debug)]
pub struct PodTemplate;

impl Strategy for PodTemplate {
    fn has_generation(&self) -> bool {
        true
    }

    fn create_on_update(&self) -> bool {
        true
    }

    fn default(&self, object: &mut Value, _version: &str) {
        default_template(object, &["template"]);
    }
}

/// `HorizontalPodAutoscaler` in both versions: v1 knows one CPU target, v2 a list of metrics.
#[derive(Debug)]
pub struct HorizontalPodAutoscaler;

impl Strategy for HorizontalPodAutoscaler {
    fn has_status(&self) -> bool {
        true
    }

    fn convert(&self, object: &mut Value, to: &crate::resource::GroupResource, version: &str) {
        let from = object::text(object, &["apiVersion"]).to_owned();
        object::set(object, &["apiVersion"], crate::resource::api_version(&to.group, version));
        match (from.as_str(), version) {
            ("autoscaling/v2", "v1") => {
                let target = object::list(object, &["spec", "metrics"])
                    .iter()
                    .find(|metric| object::text(metric, &["resource", "name"]) == "cpu")
                    .and_then(|metric| object::number(metric, &["resource", "target", "averageUtilization"]));
                object::remove(object, &["spec", "metrics"]);
                object::remove(object, &["spec", "behavior"]);
                if let Some(target) = target {
                    object::set(object, &["spec", "targetCPUUtilizationPercentage"], target);
                }
            }
            ("autoscaling/v1", "v2") => {
                if let Some(target) = object::remove(object, &["spec", "targetCPUUtilizationPercentage"]) {
                    let metric = json!([{
                        "type": "Resource",
                        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": target}},
                    }]);
                    object::set(object, &["spec", "metrics"], metric);
                }
            }
            _ => {}
        }
    }

    fn default(&self, object: &mut Value, version: &str) {
        object::set_default(object, &["spec", "minReplicas"], 1);
        if version == "v2" {
            let metrics = json!([{
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
            }]);
            object::set_default(object, &["spec", "metrics"], metrics);
        }
        object::set_default(object, &["status", "desiredReplicas"], 0);
        object::set_default(object, &["status", "currentMetrics"], Value::Null);
    }

    fn prepare_update(&self, cx: &Context<'_>, object: &mut Value, old: &Value) -> Result<(), ApiError> {
        keep_spec_on_status(cx, object, old);
        Ok(())
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        let (min, max) =
            (object::number(object, &["spec", "minReplicas"]).unwrap_or(1), object::number(object, &["spec", "maxReplicas"]).unwrap_or(0));
        if min < 1 {
            wrong.push(FieldError::invalid("spec.minReplicas", min, "must be greater than or equal to 1"));
        }
        if max < 1 {
            wrong.push(FieldError::invalid("spec.maxReplicas", max, "must be greater than 0"));
        } else if max < min {
            wrong.push(FieldError::invalid("spec.maxReplicas", max, "must be greater than or equal to `minReplicas`"));
        }
        wrong
    }
}

/// `PodDisruptionBudget`.
#[derive(Debug)]
pub struct PodDisruptionBudget;

const BUDGET: [&str; 4] = ["currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods"];

impl Strategy for PodDisruptionBudget {
    fn has_generation(&self) -> bool {
        true
    }

    fn has_status(&self) -> bool {
        true
    }

    fn unconditional_update(&self) -> bool {
        false
    }

    fn default(&self, object: &mut Value, _version: &str) {
        for key in BUDGET {
            object::set_default(object, &["status", key], 0);
        }
        null_members(object, &["status", "conditions"], CONDITION_TIMES);
    }

    fn prepare_create(&self, _cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
        object::remove(object, &["status"]);
        self.default(object, "v1");
        Ok(())
    }

    fn prepare_update(&self, cx: &Context<'_>, object: &mut Value, old: &Value) -> Result<(), ApiError> {
        keep_spec_on_status(cx, object, old);
        Ok(())
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        let part = |key: &str| object::at(object, &["spec", key]);
        let shown = |key: &str| part(key).map_or_else(|| "null".to_owned(), Value::to_string);
        if part("minAvailable").is_some() && part("maxUnavailable").is_some() {
            let text = format!(
                "{{\"MinAvailable\":{},\"Selector\":{},\"MaxUnavailable\":{},\"UnhealthyPodEvictionPolicy\":{}}}",
                shown("minAvailable"),
                shown("selector"),
                shown("maxUnavailable"),
                shown("unhealthyPodEvictionPolicy")
            );
            wrong.push(FieldError::invalid("spec", printed(text), "minAvailable and maxUnavailable cannot be both set"));
        }
        for key in ["minAvailable", "maxUnavailable"] {
            let field = format!("spec.{key}");
            match part(key) {
                Some(Value::Number(number)) if number.as_i64().unwrap_or(0) < 0 => {
                    wrong.push(FieldError::invalid(field, Value::Number(number.clone()), "must be greater than or equal to 0"));
                }
                Some(Value::String(text)) => {
                    let percent = text.strip_suffix('%').and_then(|digits| digits.parse::<u32>().ok());
                    match percent {
                        Some(percent) if percent > 100 => {
                            wrong.push(FieldError::invalid(field, text.as_str(), "must not be greater than 100%"));
                        }
                        Some(_) => {}
                        None => wrong.push(FieldError::invalid(field, text.as_str(), "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')")),
                    }
                }
                _ => {}
            }
        }
        wrong
    }
}

//! Priority: a pod's number comes from its PriorityClass; only one class may be the default.
//!
//! Facts: `plugin/pkg/admission/priority/admission.go`.

use serde_json::Value;

use super::{Attributes, Chain, Operation};
use crate::error::ApiError;
use crate::object;

const GROUP: &str = "scheduling.k8s.io";
const DEFAULT_PREEMPTION: &str = "PreemptLowerPriority";

pub(super) fn admit(chain: &Chain, attributes: &mut Attributes) -> Result<(), ApiError> {
    if attributes.operation != Operation::Create || !attributes.is("", "pods") {
        return Ok(());
    }
    let Some(pod) = &attributes.object else { return Ok(()) };
    let mut class_name = object::text(pod, &["spec", "priorityClassName"]).to_owned();
    let class = if class_name.is_empty() {
        let class = default_class(chain);
        if let Some(class) = &class {
            object::name(class).clone_into(&mut class_name);
        }
        class
    } else {
        let class = chain
            .get(GROUP, "priorityclasses", "", &class_name)
            .ok_or_else(|| attributes.forbidden(format!("no PriorityClass with name {class_name} was found")))?;
        Some(class)
    };
    let value = class.as_ref().and_then(|class| object::number(class, &["value"])).unwrap_or(0);
    let policy = class.as_ref().map(|class| object::text(class, &["preemptionPolicy"])).filter(|p| !p.is_empty());
    let policy = policy.unwrap_or(DEFAULT_PREEMPTION).to_owned();
    if let Some(asked) = object::number(pod, &["spec", "priority"])
        && asked != value
    {
        return Err(attributes.forbidden(format!(
            "the integer value of priority ({asked}) must not be provided in pod spec; priority admission controller \
             computed {value} from the given PriorityClass name"
        )));
    }
    let asked = object::text(pod, &["spec", "preemptionPolicy"]);
    if !asked.is_empty() && asked != policy {
        return Err(attributes.forbidden(format!(
            "the string value of PreemptionPolicy ({asked}) must not be provided in pod spec; priority admission \
             controller computed {policy} from the given PriorityClass name"
        )));
    }
    if let Some(pod) = &mut attributes.object {
        if !class_name.is_empty() {
            object::set(pod, &["spec", "priorityClassName"], class_name);
        }
        object::set(pod, &["spec", "priority"], value);
        object::set(pod, &["spec", "preemptionPolicy"], policy);
    }
    Ok(())
}

/// The default class; of several, the one of the lowest value counts.
fn default_class(chain: &Chain) -> Option<Value> {
    chain
        .list(GROUP, "priorityclasses", None)
        .into_iter()
        .filter(|class| object::flag(class, &["globalDefault"]))
        .min_by_key(|class| object::number(class, &["value"]).unwrap_or(0))
}

pub(super) fn validate(chain: &Chain, attributes: &Attributes) -> Result<(), ApiError> {
    let writes = matches!(attributes.operation, Operation::Create | Operation::Update);
    if !writes || !attributes.is(GROUP, "priorityclasses") {
        return Ok(());
    }
    let Some(class) = attributes.object.as_ref().filter(|class| object::flag(class, &["globalDefault"])) else {
        return Ok(());
    };
    match default_class(chain) {
        Some(other) if object::name(&other) != object::name(class) => Err(attributes
            .forbidden(format!("PriorityClass {} is already marked as default. Only one default can exist", object::name(&other)))),
        _ => Ok(()),
    }
}

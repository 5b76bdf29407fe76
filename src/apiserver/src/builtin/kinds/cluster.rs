//! Namespaces, nodes, roles.

use serde_json::{Value, json};

use crate::builtin::{Context, Strategy};
use crate::error::{ApiError, FieldError, printed};
use crate::object;
use crate::registry::names::{self, NameRule};

use super::null_members;

const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// `Namespace`.
#[derive(Debug)]
pub struct Namespace;

impl Strategy for Namespace {
    fn name_rule(&self) -> NameRule {
        NameRule::Label
    }

    fn has_status(&self) -> bool {
        true
    }

    fn field_names(&self) -> &'static [&'static str] {
        &["status.phase"]
    }

    fn default(&self, object: &mut Value, _version: &str) {
        let name = object::name(object).to_owned();
        if !name.is_empty() {
            object::set(object, &["metadata", "labels", NAME_LABEL], name);
        }
        null_members(object, &["status", "conditions"], &["lastTransitionTime"]);
    }

    fn prepare_create(&self, _cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
        let name = object::name(object).to_owned();
        object::set(object, &["metadata", "labels", NAME_LABEL], name);
        let mut finalizers = object::strings(object, &["spec", "finalizers"]);
        if !finalizers.contains(&"kubernetes") {
            finalizers.push("kubernetes");
        }
        let finalizers = json!(finalizers);
        object::set(object, &["spec", "finalizers"], finalizers);
        object::set(object, &["status"], json!({"phase": "Active"}));
        Ok(())
    }

    fn prepare_update(&self, cx: &Context<'_>, object: &mut Value, old: &Value) -> Result<(), ApiError> {
        match cx.subresource {
            "finalize" => object::copy(object, old, &["status"]),
            "status" => object::copy(object, old, &["spec"]),
            _ => object::copy(object, old, &["spec", "finalizers"]),
        }
        object::set_default(object, &["status", "phase"], "Active");
        Ok(())
    }

    /// A namespace is marked first; it goes when its own finalizers are gone.
    fn holds(&self, object: &Value) -> bool {
        !object::is_terminating(object) || !object::list(object, &["spec", "finalizers"]).is_empty()
    }

    fn may_end(&self, object: &Value) -> bool {
        object::list(object, &["spec", "finalizers"]).is_empty()
    }

    fn prepare_delete(&self, object: &mut Value) {
        object::set(object, &["status", "phase"], "Terminating");
        // There is no grace to wait for, but for the finalizers.
        object::remove(object, &["metadata", "deletionGracePeriodSeconds"]);
    }

    fn delete_returns_object(&self) -> bool {
        false
    }
}

/// `Node`.
#[derive(Debug)]
pub struct Node;

impl Strategy for Node {
    fn has_status(&self) -> bool {
        true
    }

    fn field_names(&self) -> &'static [&'static str] {
        &["spec.unschedulable"]
    }

    fn fields(&self, object: &Value) -> std::collections::BTreeMap<String, String> {
        let unschedulable = object::flag(object, &["spec", "unschedulable"]);
        [("spec.unschedulable".to_owned(), unschedulable.to_string())].into()
    }

    fn default(&self, object: &mut Value, _version: &str) {
        let cidr = object::text(object, &["spec", "podCIDR"]).to_owned();
        if !cidr.is_empty() {
            object::set_default(object, &["spec", "podCIDRs"], json!([cidr]));
        }
        object::set_default(object, &["spec"], json!({}));
        let capacity = object::at(object, &["status", "capacity"]).cloned();
        if let Some(capacity) = capacity {
            object::set_default(object, &["status", "allocatable"], capacity);
        }
        object::set_default(object, &["status", "daemonEndpoints", "kubeletEndpoint", "Port"], 0);
        for key in [
            "architecture",
            "bootID",
            "containerRuntimeVersion",
            "kernelVersion",
            "kubeProxyVersion",
            "kubeletVersion",
            "machineID",
            "operatingSystem",
            "osImage",
            "systemUUID",
        ] {
            object::set_default(object, &["status", "nodeInfo", key], "");
        }
        null_members(object, &["status", "conditions"], &["lastHeartbeatTime", "lastTransitionTime"]);
    }

    fn prepare_update(&self, cx: &Context<'_>, object: &mut Value, old: &Value) -> Result<(), ApiError> {
        if cx.subresource == "status" {
            object::copy(object, old, &["spec"]);
        }
        Ok(())
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        check_taints(object, &mut wrong);
        wrong
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        if cx.subresource.is_empty() {
            // The original checks the whole node once and its update once more.
            check_taints(object, &mut wrong);
            check_taints(object, &mut wrong);
        }
        let before = object::list(old, &["spec", "podCIDRs"]);
        if !before.is_empty() && before != object::list(object, &["spec", "podCIDRs"]) {
            wrong.push(FieldError::forbidden("spec.podCIDRs", "node updates may not change podCIDR except from \"\" to valid"));
        }
        let provider = object::text(old, &["spec", "providerID"]);
        if !provider.is_empty() && provider != object::text(object, &["spec", "providerID"]) {
            wrong.push(FieldError::forbidden("spec.providerID", "node updates may not change providerID except from \"\" to valid"));
        }
        wrong
    }
}

fn check_taints(object: &Value, wrong: &mut Vec<FieldError>) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (index, taint) in object::list(object, &["spec", "taints"]).iter().enumerate() {
        let field = format!("metadata.taints[{index}]");
        let (key, effect) = (object::text(taint, &["key"]), object::text(taint, &["effect"]));
        let value = object::text(taint, &["value"]);
        let texts = names::qualified_name(key);
        wrong.extend(texts.into_iter().map(|text| FieldError::invalid(format!("{field}.key"), key, text)));
        let texts = names::label_value(value);
        wrong.extend(texts.into_iter().map(|text| FieldError::invalid(format!("{field}.value"), value, text)));
        if effect.is_empty() {
            wrong.push(FieldError::required(format!("{field}.effect"), ""));
        } else if !matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
            let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
            wrong.push(FieldError::not_supported(format!("{field}.effect"), effect, &known));
        }
        if seen.contains(&(key, effect)) {
            let added = taint.get("timeAdded").cloned().unwrap_or(Value::Null);
            let text = format!("{{\"Key\":{},\"Value\":{},\"Effect\":{},\"TimeAdded\":{added}}}", json!(key), json!(value), json!(effect));
            let mut error = FieldError::duplicate(field, printed(text));
            "taints must be unique by key and effect pair".clone_into(&mut error.detail);
            wrong.push(error);
        }
        seen.push((key, effect));
    }
}

/// Roles and their bindings.
#[derive(Debug)]
pub struct Rbac;

impl Strategy for Rbac {
    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn create_on_update(&self) -> bool {
        true
    }

    fn default(&self, object: &mut Value, _version: &str) {
        if object::kind(object).ends_with("Binding") {
            object::set_default(object, &["roleRef", "apiGroup"], "rbac.authorization.k8s.io");
            for subject in object::list_mut(object, &["subjects"]) {
                let group = match object::kind(subject) {
                    "User" | "Group" => "rbac.authorization.k8s.io",
                    _ => continue,
                };
                object::set_default(subject, &["apiGroup"], group);
            }
        } else if object.get("rules").is_none() {
            object::set(object, &["rules"], Value::Null);
        }
    }

    fn prepare_create(&self, cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
        let gr = resource_of(object);
        cx.core.authorizer.check_escalation(cx.user, &gr, cx.namespace, object, None)
    }

    fn prepare_update(&self, cx: &Context<'_>, object: &mut Value, old: &Value) -> Result<(), ApiError> {
        let gr = resource_of(object);
        cx.core.authorizer.check_escalation(cx.user, &gr, cx.namespace, object, Some(old))
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        if !object::kind(object).ends_with("Binding") {
            let cluster = object::kind(object) == "ClusterRole";
            for (index, rule) in object::list(object, &["rules"]).iter().enumerate() {
                check_rule(rule, &format!("rules[{index}]"), cluster, &mut wrong);
            }
            return wrong;
        }
        let group = object::text(object, &["roleRef", "apiGroup"]);
        if group != "rbac.authorization.k8s.io" {
            wrong.push(FieldError::not_supported("roleRef.apiGroup", group, &["rbac.authorization.k8s.io"]));
        }
        let kind = object::text(object, &["roleRef", "kind"]);
        let namespaced = object::kind(object) == "RoleBinding";
        let known: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
        if !known.contains(&kind) {
            wrong.push(FieldError::not_supported("roleRef.kind", kind, known));
        }
        if object::text(object, &["roleRef", "name"]).is_empty() {
            wrong.push(FieldError::required("roleRef.name", ""));
        }
        for (index, subject) in object::list(object, &["subjects"]).iter().enumerate() {
            let field = format!("subjects[{index}]");
            if object::text(subject, &["name"]).is_empty() {
                wrong.push(FieldError::required(format!("{field}.name"), ""));
            }
            let kind = object::kind(subject);
            match kind {
                "ServiceAccount" => {
                    if !namespaced && object::text(subject, &["namespace"]).is_empty() {
                        wrong.push(FieldError::required(format!("{field}.namespace"), ""));
                    }
                }
                "User" | "Group" => {}
                _ => {
                    let known = ["ServiceAccount", "User", "Group"];
                    wrong.push(FieldError::not_supported(format!("{field}.kind"), kind, &known));
                }
            }
        }
        wrong
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut wrong = self.validate(cx, object);
        if object.get("roleRef") != old.get("roleRef") {
            let role = object.get("roleRef").cloned().unwrap_or(Value::Null);
            let text = format!(
                "{{\"APIGroup\":{},\"Kind\":{},\"Name\":{}}}",
                json!(object::text(&role, &["apiGroup"])),
                json!(object::text(&role, &["kind"])),
                json!(object::text(&role, &["name"]))
            );
            wrong.push(FieldError::invalid("roleRef", printed(text), "cannot change roleRef"));
        }
        wrong
    }
}

fn resource_of(object: &Value) -> crate::resource::GroupResource {
    let resource = format!("{}s", object::kind(object).to_lowercase());
    crate::resource::GroupResource::new("rbac.authorization.k8s.io", resource)
}

fn check_rule(rule: &Value, field: &str, cluster: bool, wrong: &mut Vec<FieldError>) {
    let count = |key: &str| object::list(rule, &[key]).len();
    if count("verbs") == 0 {
        wrong.push(FieldError::required(format!("{field}.verbs"), "verbs must contain at least one value"));
    }
    if count("nonResourceURLs") > 0 {
        let urls = || object::at(rule, &["nonResourceURLs"]).cloned().unwrap_or(Value::Null);
        if !cluster {
            let detail = "namespaced rules cannot apply to non-resource URLs";
            wrong.push(FieldError::invalid(format!("{field}.nonResourceURLs"), urls(), detail));
        }
        if count("apiGroups") + count("resources") + count("resourceNames") > 0 {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            wrong.push(FieldError::invalid(format!("{field}.nonResourceURLs"), urls(), detail));
        }
        return;
    }
    if count("apiGroups") == 0 {
        let detail = "resource rules must supply at least one api group";
        wrong.push(FieldError::required(format!("{field}.apiGroups"), detail));
    }
    if count("resources") == 0 {
        let detail = "resource rules must supply at least one resource";
        wrong.push(FieldError::required(format!("{field}.resources"), detail));
    }
}

//! Nobody grants what they do not hold: checks on writes of roles and bindings.
//!
//! Facts: `pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/policybased/storage.go` and
//! `pkg/registry/rbac/validation/rule.go`.

use serde_json::Value;

use super::rule::go_list;
use super::{Authorizer, GROUP, RoleRef, Rule, full_authority, uncovered};
use crate::auth::{Attributes, MASTERS, UserInfo};
use crate::error::{ApiError, go_quote};
use crate::resource::GroupResource;

impl Authorizer {
    /// Whether `user` may write this role or binding; objects of other resources pass. `old` is what it replaces.
    ///
    /// # Errors
    /// 403 with the permissions that are missing, 404 when a binding refers to a role that is not there.
    pub fn check_escalation(
        &self,
        user: &UserInfo,
        gr: &GroupResource,
        namespace: &str,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<(), ApiError> {
        if gr.group != GROUP || user.is_in(MASTERS) {
            return Ok(());
        }
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        match gr.resource.as_str() {
            "roles" | "clusterroles" => self.check_role(user, gr, namespace, name, object, old),
            "rolebindings" | "clusterrolebindings" => self.check_binding(user, gr, namespace, name, object, old),
            _ => Ok(()),
        }
    }

    fn check_role(
        &self,
        user: &UserInfo,
        gr: &GroupResource,
        namespace: &str,
        name: &str,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<(), ApiError> {
        let escalate = Attributes { namespace, name, ..Attributes::resource(user, "escalate", GROUP, &gr.resource) };
        if self.authorize(&Attributes { version: "v1", ..escalate }).is_allowed() {
            return Ok(());
        }
        let part = |field: &str| (object.get(field), old.and_then(|old| old.get(field)));
        let (rules, old_rules) = part("rules");
        let (aggregation, old_aggregation) = part("aggregationRule");
        if old.is_some() && rules == old_rules && aggregation == old_aggregation {
            return Ok(());
        }
        self.confirm(user, namespace, &Rule::of_role(object)).map_err(|text| ApiError::forbidden(gr, name, text))?;
        let aggregates = |rule: Option<&Value>| {
            rule.and_then(|rule| rule.get("clusterRoleSelectors")).and_then(Value::as_array).is_some_and(|list| !list.is_empty())
        };
        if aggregates(aggregation) || aggregates(old_aggregation) {
            self.confirm(user, namespace, &full_authority()).map_err(|text| {
                ApiError::forbidden(gr, name, format!("must have cluster-admin privileges to use the aggregationRule: {text}"))
            })?;
        }
        Ok(())
    }

    fn check_binding(
        &self,
        user: &UserInfo,
        gr: &GroupResource,
        namespace: &str,
        name: &str,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<(), ApiError> {
        let same = |field: &str| object.get(field) == old.and_then(|old| old.get(field));
        if old.is_some() && same("subjects") && same("roleRef") {
            return Ok(());
        }
        let role = RoleRef::of(object);
        let resource = if role.kind == "Role" { "roles" } else { "clusterroles" };
        let bind = Attributes { namespace, name: &role.name, ..Attributes::resource(user, "bind", GROUP, resource) };
        if self.authorize(&Attributes { version: "v1", ..bind }).is_allowed() {
            return Ok(());
        }
        let rules = self.rules_of(&role, namespace).ok_or_else(|| ApiError::not_found(gr, &role.name))?;
        self.confirm(user, namespace, &rules).map_err(|text| ApiError::forbidden(gr, name, text))
    }

    fn confirm(&self, user: &UserInfo, namespace: &str, wanted: &[Rule]) -> Result<(), String> {
        let (held, errors) = self.rules_for(user, namespace);
        let missing = uncovered(&held, wanted);
        if missing.is_empty() {
            return Ok(());
        }
        let mut lines: Vec<String> = missing.iter().map(Rule::compact_string).collect();
        lines.sort();
        lines.dedup();
        let mut text = format!(
            "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            go_quote(&user.name),
            go_list(&user.groups),
            lines.join("\n")
        );
        if !errors.is_empty() {
            text = format!("{text}; resolution errors: [{}]", errors.join(", "));
        }
        Err(text)
    }
}

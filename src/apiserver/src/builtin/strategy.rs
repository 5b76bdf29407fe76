//! What a built-in kind adds to the generic request path.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{ApiError, FieldError};
use crate::http::Core;
use crate::registry::Call;
use crate::registry::delete_options::{DeleteOptions, Propagation};
use crate::registry::names::NameRule;
use crate::resource::{GroupResource, ScalePaths, api_version};

/// Where a rule runs.
pub struct Context<'a> {
    /// The server.
    pub core: &'a Core,
    /// Namespace of the object, empty for cluster scope.
    pub namespace: &'a str,
    /// Subresource that is written.
    pub subresource: &'a str,
    /// Version of the request.
    pub version: &'a str,
    /// Who writes.
    pub user: &'a crate::auth::UserInfo,
    /// Nothing will be stored.
    pub dry_run: bool,
    /// Verb of the request.
    pub verb: &'a str,
    /// The request's body.
    pub body: &'a [u8],
    /// The body's media type.
    pub content_type: &'a str,
}

impl<'a> Context<'a> {
    /// The context of a call.
    pub fn of(call: &'a Call) -> Self {
        Self {
            core: &call.core,
            namespace: &call.namespace,
            subresource: &call.subresource,
            version: &call.version,
            user: &call.user,
            verb: &call.verb,
            body: &call.body,
            content_type: &call.content_type,
            dry_run: call.query.all("dryRun").any(|value| value == "All"),
        }
    }
}

/// The rules of a built-in kind. What a kind does not say is as for most kinds.
pub trait Strategy: Send + Sync {
    /// Which names it allows.
    fn name_rule(&self) -> NameRule {
        NameRule::Subdomain
    }

    /// Checks values that the original decodes into more than a JSON type; the error is the decoder's text.
    fn check_decode(&self, _object: &Value) -> Result<(), String> {
        Ok(())
    }

    /// A member that is stored as it was sent, nulls included.
    fn raw_member(&self) -> Option<&'static str> {
        None
    }

    /// Fills in defaults of a decoded object.
    fn default(&self, _object: &mut Value, _version: &str) {}

    /// Brings an object into another version (or, for events, another group).
    fn convert(&self, object: &mut Value, to: &GroupResource, version: &str) {
        crate::object::set(object, &["apiVersion"], api_version(&to.group, version));
    }

    /// Adds members that Go writes although they are empty; nobody owns them.
    fn complete(&self, _object: &mut Value) {}

    /// Whether `metadata.generation` counts changes of the spec.
    fn has_generation(&self) -> bool {
        false
    }

    /// Whether there is a status that only `/status` writes.
    fn has_status(&self) -> bool {
        false
    }

    /// Where `/scale` finds its numbers, if there is one.
    fn scale(&self) -> Option<ScalePaths> {
        None
    }

    /// Prepares a new object: what clients may not set is reset.
    fn prepare_create(&self, _cx: &Context<'_>, _object: &mut Value) -> Result<(), ApiError> {
        Ok(())
    }

    /// Prepares an update; `cx.subresource` says through which endpoint.
    fn prepare_update(&self, _cx: &Context<'_>, _object: &mut Value, _old: &Value) -> Result<(), ApiError> {
        Ok(())
    }

    /// What is wrong with a new object besides its metadata.
    fn validate(&self, _cx: &Context<'_>, _object: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// What is wrong with an updated object besides its metadata.
    fn validate_update(&self, cx: &Context<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        self.validate(cx, object)
    }

    /// Warnings about an object that is fine.
    fn warnings(&self, _cx: &Context<'_>, _object: &Value, _old: Option<&Value>) -> Vec<String> {
        Vec::new()
    }

    /// Fields that selectors may use besides name and namespace.
    fn field_names(&self) -> &'static [&'static str] {
        &[]
    }

    /// Values of those fields.
    fn fields(&self, object: &Value) -> BTreeMap<String, String> {
        self.field_names()
            .iter()
            .map(|name| {
                let path: Vec<&str> = name.split('.').collect();
                let text = match crate::object::at(object, &path) {
                    Some(Value::String(text)) => text.clone(),
                    Some(Value::Null) | None => String::new(),
                    Some(other) => other.to_string(),
                };
                ((*name).to_owned(), text)
            })
            .collect()
    }

    /// What is said about a field that selectors may not use.
    fn unknown_field(&self, field: &str) -> String {
        if self.field_names().is_empty() {
            format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
        } else {
            format!("field label not supported: {field}")
        }
    }

    /// Whether an update may leave out the resource version.
    fn unconditional_update(&self) -> bool {
        true
    }

    /// Whether an update of an absent object creates it.
    fn create_on_update(&self) -> bool {
        false
    }

    /// Seconds between deletion and end; `None` for kinds that end at once.
    fn grace_period(&self, _cx: &Context<'_>, _object: &Value, _asked: Option<i64>) -> Option<i64> {
        None
    }

    /// Whether something besides finalizers in the metadata holds a deleted object.
    fn holds(&self, _object: &Value) -> bool {
        false
    }

    /// Whether an object whose last finalizer went may end; namespaces wait for their own finalizers.
    fn may_end(&self, object: &Value) -> bool {
        !self.holds(object)
    }

    /// Changes besides metadata when an object is marked for deletion.
    fn prepare_delete(&self, _object: &mut Value) {}

    /// What happens to dependents when nobody says.
    fn default_propagation(&self, _version: &str) -> Option<Propagation> {
        None
    }

    /// Whether a deletion answers with the object even when it is gone.
    fn delete_returns_object(&self) -> bool {
        false
    }

    /// A warning about how an object is deleted.
    fn delete_warning(&self, _options: &DeleteOptions) -> Option<String> {
        None
    }
}

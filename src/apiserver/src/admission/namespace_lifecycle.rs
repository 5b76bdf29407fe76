//! NamespaceLifecycle: nothing new where there is no namespace, or in one that is going; three namespaces stay for ever.
//!
//! Facts: `k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle/admission.go`.

use super::{Attributes, Chain, Operation};
use crate::error::{ApiError, StatusCause};
use crate::object;
use crate::resource::GroupResource;

const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

pub(super) fn admit(chain: &Chain, attributes: &Attributes) -> Result<(), ApiError> {
    if attributes.operation == Operation::Connect {
        return Ok(());
    }
    if attributes.gvr.group.is_empty() && attributes.gvr.resource == "namespaces" {
        if attributes.operation == Operation::Delete && IMMORTAL.contains(&attributes.name.as_str()) {
            return Err(attributes.forbidden("this namespace may not be deleted"));
        }
        return Ok(());
    }
    let review = attributes.gvr.group == "authorization.k8s.io" && attributes.gvr.resource == "localsubjectaccessreviews";
    if attributes.namespace.is_empty() || attributes.operation == Operation::Delete || review {
        return Ok(());
    }
    let name = attributes.namespace.as_str();
    let Some(namespace) = chain.get("", "namespaces", "", name) else {
        return Err(ApiError::not_found(&GroupResource::new("", "namespaces"), name));
    };
    let terminating = object::is_terminating(&namespace) || object::text(&namespace, &["status", "phase"]) == "Terminating";
    if attributes.operation != Operation::Create || !terminating {
        return Ok(());
    }
    let mut error = attributes.forbidden(format!("unable to create new content in namespace {name} because it is being terminated"));
    if let Some(details) = &mut error.details {
        details.causes.push(StatusCause {
            reason: "NamespaceTerminating".into(),
            message: format!("namespace {name} is being terminated"),
            field: "metadata.namespace".into(),
        });
    }
    Err(error)
}

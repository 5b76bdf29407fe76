//! AdmissionReview, decoded and encoded.

use admission::review::Request;
use admission::{Denial, Operation, Requester};
use base64::Engine as _;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a webhook is asked.
#[derive(Debug, Deserialize)]
pub struct Review {
    /// The question.
    pub request: Question,
}

/// The question of a review, as far as rules look at it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    uid: String,
    kind: Kind,
    #[serde(default)]
    sub_resource: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
    operation: String,
    #[serde(default)]
    object: Value,
    #[serde(default)]
    old_object: Value,
    #[serde(default)]
    user_info: UserInfo,
}

#[derive(Debug, Deserialize)]
struct Kind {
    kind: String,
}

#[derive(Debug, Default, Deserialize)]
struct UserInfo {
    #[serde(default)]
    username: String,
    #[serde(default)]
    extra: BTreeMap<String, Vec<String>>,
}

impl Question {
    /// Who asks.
    pub fn requester(&self) -> Requester {
        Requester { username: self.user_info.username.clone(), extra: self.user_info.extra.clone() }
    }

    /// The question in the rules' own form.
    pub fn question<'a>(&'a self, requester: &'a Requester) -> Request<'a> {
        let (operation, object) = match self.operation.as_str() {
            "UPDATE" => (Operation::Update, &self.object),
            // A deletion has no new object: the rules look at the one that goes.
            "DELETE" => (Operation::Delete, &self.old_object),
            _ => (Operation::Create, &self.object),
        };
        Request {
            kind: &self.kind.kind,
            subresource: &self.sub_resource,
            operation,
            namespace: &self.namespace,
            name: &self.name,
            object,
            old: Some(&self.old_object).filter(|old| !old.is_null()),
            requester,
        }
    }
}

/// What a webhook answers.
#[derive(Debug)]
pub enum Verdict {
    /// Yes, with warnings for the client.
    Allowed(Vec<String>),
    /// Yes, and the object becomes this one, if it changes; with warnings for the client.
    Mutated(Option<Value>, Vec<String>),
    /// No.
    Denied(Denial),
}

/// The answer to a review.
pub fn answer(request: &Question, verdict: Verdict) -> Value {
    let mut response = json!({"uid": request.uid, "allowed": true});
    match verdict {
        Verdict::Allowed(warnings) => warn(&mut response, &warnings),
        Verdict::Mutated(object, warnings) => {
            warn(&mut response, &warnings);
            let patch = object.map(|object| json_patch::diff(&request.object, &object)).unwrap_or_default();
            if !patch.0.is_empty() {
                response["patchType"] = json!("JSONPatch");
                response["patch"] = json!(base64::engine::general_purpose::STANDARD.encode(json!(patch).to_string()));
            }
        }
        Verdict::Denied(denial) => {
            response["allowed"] = json!(false);
            let causes: Vec<Value> = denial
                .causes
                .iter()
                .map(|cause| json!({"reason": cause.kind.map(admission::CauseKind::as_str).unwrap_or_default(), "message": cause.message, "field": cause.field}))
                .collect();
            let mut status = json!({"metadata": {}, "message": denial.message});
            if denial.code != 0 {
                status["code"] = json!(denial.code);
            }
            if let Some(reason) = denial.reason {
                status["reason"] = json!(reason);
            }
            if !causes.is_empty() {
                status["details"] = json!({"causes": causes});
            }
            response["status"] = status;
        }
    }
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
}

fn warn(response: &mut Value, warnings: &[String]) {
    if !warnings.is_empty() {
        response["warnings"] = json!(warnings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Question {
        let review = json!({"request": {
            "uid": "u", "kind": {"group": "kubevirt.io", "version": "v1", "kind": "VirtualMachine"},
            "operation": "CREATE", "object": {"spec": {"a": 1}}, "userInfo": {"username": "pat"},
        }});
        serde_json::from_value::<Review>(review).unwrap().request
    }

    #[test]
    fn a_mutation_is_a_patch_of_what_differs() {
        let answered = answer(&request(), Verdict::Mutated(Some(json!({"spec": {"a": 2}})), Vec::new()));
        let patch = base64::engine::general_purpose::STANDARD.decode(answered["response"]["patch"].as_str().unwrap()).unwrap();
        let patch: Value = serde_json::from_slice(&patch).unwrap();
        assert_eq!(patch, json!([{"op": "replace", "path": "/spec/a", "value": 2}]));
        let same = answer(&request(), Verdict::Mutated(Some(json!({"spec": {"a": 1}})), Vec::new()));
        assert_eq!(same["response"], json!({"uid": "u", "allowed": true}));
    }

    #[test]
    fn a_denial_carries_code_reason_and_causes() {
        let denial = Denial::cause(admission::CauseKind::Required, "spec.template", "missing");
        let answered = answer(&request(), Verdict::Denied(denial));
        let status = &answered["response"]["status"];
        assert_eq!((status["code"].as_u64(), status["reason"].as_str()), (Some(422), Some("Invalid")));
        assert_eq!(status["details"]["causes"][0], json!({"reason": "FieldValueRequired", "message": "missing", "field": "spec.template"}));
    }
}

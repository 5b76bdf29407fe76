//! Objects of custom resources in another version.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::admission::webhook::client::Endpoint;
use crate::error::ApiError;
use crate::http::Core;
use crate::object;
use crate::resource::{ResourceInfo, Source, api_version};
use crate::schema::{default, prune};

/// Seconds that a conversion webhook may take.
const TIMEOUT: u64 = 30;
/// Versions of the review that this server speaks, the preferred one first.
const REVIEWS: [&str; 2] = ["v1", "v1beta1"];

/// Reads a stored object through the schema of its version as it is now: what the schema does not know any more goes,
/// new defaults come. Nothing is written; an object has the revision that it was stored with.
pub fn refresh(info: &ResourceInfo, value: &mut Value) {
    let version = object::text(value, &["apiVersion"]).rsplit('/').next().unwrap_or_default().to_owned();
    if let Some(schema) = info.schema(&version) {
        prune(&schema, value);
        default(&schema, value);
    }
}

/// Brings an object into another version: by name only, or through the definition's webhook.
///
/// An object that comes into the storage version is pruned and defaulted by that version's schema, since that is how
/// it is read from storage.
///
/// # Errors
/// 500, in the words of kube-apiserver, when the webhook does not answer or answers with something else than the
/// object in that version.
pub async fn convert(core: &Core, info: &ResourceInfo, value: &mut Value, version: &str) -> Result<(), ApiError> {
    let wanted = api_version(&info.gr.group, version);
    if object::text(value, &["apiVersion"]) == wanted {
        return Ok(());
    }
    match &info.source {
        Source::Crd { conversion: Some(conversion), .. } => ask(core, conversion, value, &wanted).await?,
        _ => object::set(value, &["apiVersion"], wanted),
    }
    if let Some(schema) = info.schema(version).filter(|_| info.storage_version() == version) {
        prune(&schema, value);
        default(&schema, value);
    }
    Ok(())
}

async fn ask(core: &Core, conversion: &Value, value: &mut Value, wanted: &str) -> Result<(), ApiError> {
    let from = object::text(value, &["apiVersion"]).to_owned();
    let failed = |why: String| ApiError::internal(format!("conversion webhook for {from}, Kind={} failed: {why}", object::kind(value)));
    let config = conversion.get("webhook").and_then(|webhook| webhook.get("clientConfig")).unwrap_or(&Value::Null);
    let endpoint = Endpoint::of(config).map_err(failed)?;
    let spoken = object::strings(conversion, &["webhook", "conversionReviewVersions"]);
    let review = REVIEWS.iter().find(|review| spoken.contains(review)).copied().unwrap_or("v1");
    let uid = core.env.entropy.uuid();
    let request = json!({
        "kind": "ConversionReview",
        "apiVersion": format!("apiextensions.k8s.io/{review}"),
        "request": {"uid": uid, "desiredAPIVersion": wanted, "objects": [value.clone()]},
    });
    let (status, body) = core
        .admission
        .webhook_client()
        .post(&endpoint, Bytes::from(request.to_string()), TIMEOUT)
        .await
        .map_err(|error| failed(error.0))?;
    if !status.is_success() {
        return Err(failed(format!("the server responded with the status code {}", status.as_u16())));
    }
    let answer: Value = serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))?;
    let converted = accept(&answer, &uid, value, wanted).map_err(failed)?;
    *value = converted;
    Ok(())
}

/// The converted object of an answer: same identity, only labels and annotations of its metadata may differ.
fn accept(answer: &Value, uid: &str, sent: &Value, wanted: &str) -> Result<Value, String> {
    let response = answer.get("response").filter(|response| response.is_object()).ok_or("no response provided")?;
    let given = object::text(response, &["uid"]);
    if given != uid {
        return Err(format!("expected response.uid={uid:?}, got {given:?}"));
    }
    let status = object::text(response, &["result", "status"]);
    if status != "Success" {
        let message = object::text(response, &["result", "message"]);
        let message = if message.is_empty() { "response.result.status was not 'Success'" } else { message };
        return Err(message.to_owned());
    }
    let objects = object::list(response, &["convertedObjects"]);
    let [converted] = objects else {
        return Err(format!("response.convertedObjects contained {} items, expected 1", objects.len()));
    };
    if object::text(converted, &["apiVersion"]) != wanted {
        return Err(format!("response.convertedObjects[0] had apiVersion {}, expected {wanted}", object::text(converted, &["apiVersion"])));
    }
    for (what, same) in [
        ("kind", object::kind(converted) == object::kind(sent)),
        ("name", object::name(converted) == object::name(sent)),
        ("namespace", object::namespace(converted) == object::namespace(sent)),
        ("uid", object::uid(converted) == object::uid(sent)),
    ] {
        if !same {
            return Err(format!("response.convertedObjects[0] has another {what} than the request's object"));
        }
    }
    let mut result = converted.clone();
    let mut metadata = sent.get("metadata").cloned().unwrap_or_default();
    for key in ["labels", "annotations"] {
        match converted.get("metadata").and_then(|metadata| metadata.get(key)) {
            Some(new) => object::set(&mut metadata, &[key], new.clone()),
            None => {
                object::remove(&mut metadata, &[key]);
            }
        }
    }
    object::set(&mut result, &["metadata"], metadata);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn sent() -> Value {
        json!({"apiVersion": "example.dev/v1", "kind": "Gear", "spec": {"n": 1},
            "metadata": {"name": "g", "namespace": "ns", "uid": "u", "resourceVersion": "7", "labels": {"a": "b"}}})
    }

    fn answer(change: impl FnOnce(&mut Value)) -> Value {
        let mut answer = json!({"response": {"uid": "1", "result": {"status": "Success"}, "convertedObjects": [
            {"apiVersion": "example.dev/v2", "kind": "Gear", "spec": {"m": 1},
             "metadata": {"name": "g", "namespace": "ns", "uid": "u", "annotations": {"x": "y"}, "finalizers": ["f"]}}]}});
        change(&mut answer);
        answer
    }

    #[test]
    fn only_labels_and_annotations_of_the_metadata_are_taken() {
        let converted = accept(&answer(|_| {}), "1", &sent(), "example.dev/v2").unwrap();
        assert_eq!(
            converted,
            json!({"apiVersion": "example.dev/v2", "kind": "Gear", "spec": {"m": 1}, "metadata":
                {"name": "g", "namespace": "ns", "uid": "u", "resourceVersion": "7", "annotations": {"x": "y"}}})
        );
    }

    #[rstest]
    #[case("/response/uid", json!("2"), "expected response.uid=\"1\", got \"2\"")]
    #[case("/response/result", json!({"status": "Failure", "message": "no way"}), "no way")]
    #[case("/response/result", json!({"status": "Failure"}), "response.result.status was not 'Success'")]
    #[case("/response/convertedObjects", json!([]), "response.convertedObjects contained 0 items, expected 1")]
    #[case("/response/convertedObjects/0/apiVersion", json!("example.dev/v3"),
        "response.convertedObjects[0] had apiVersion example.dev/v3, expected example.dev/v2")]
    #[case("/response/convertedObjects/0/metadata/name", json!("h"),
        "response.convertedObjects[0] has another name than the request's object")]
    #[case("/response", json!(null), "no response provided")]
    fn answers_that_are_no_conversion_are_refused(#[case] at: &str, #[case] value: Value, #[case] expected: &str) {
        let answer = answer(|answer| *answer.pointer_mut(at).unwrap() = value);
        assert_eq!(accept(&answer, "1", &sent(), "example.dev/v2").unwrap_err(), expected);
    }
}

//! Commands and queries, each over a connection of its own launcher.

use api::v1::VirtualMachineInstance;
use axum::body::Bytes;
use axum::extract::{Path, State as Extract};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use launcher_rpc::{Launcher, RpcError, timeouts};
use planner::plan::{EventType, ObjectRef, kinds};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

use super::{Refused, State, owner};
use crate::launchers::{command, query, within};

type Name = Path<(String, String)>;

fn failed(error: &RpcError) -> Refused {
    Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

/// The VMI, its launcher, and the VMI as the launcher gets it.
async fn subject(
    state: &State,
    (namespace, name): &(String, String),
) -> Result<(Arc<VirtualMachineInstance>, Arc<dyn Launcher>, Vec<u8>), Refused> {
    let vmi = state.vmi(namespace, name)?;
    let launcher = state.served.launchers.connect(owner(&vmi), Some(&vmi)).await.map_err(|error| failed(&error))?;
    let request = serde_json::to_vec(&*vmi).map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok((vmi, launcher, request))
}

fn done(state: &State, vmi: &VirtualMachineInstance, reason: &str, message: &str) -> StatusCode {
    state.served.recorder.record(&ObjectRef::of(&kinds::VMI, &vmi.metadata), EventType::Normal, reason, message);
    StatusCode::ACCEPTED
}

pub(super) async fn pause(Extract(state): Extract<State>, Path(name): Name) -> Result<StatusCode, Refused> {
    let (vmi, launcher, request) = subject(&state, &name).await?;
    command(launcher.pause_virtual_machine(&request)).await.map_err(|error| failed(&error))?;
    Ok(done(&state, &vmi, "Paused", "VirtualMachineInstance paused"))
}

pub(super) async fn unpause(Extract(state): Extract<State>, Path(name): Name) -> Result<StatusCode, Refused> {
    let (vmi, launcher, request) = subject(&state, &name).await?;
    command(launcher.unpause_virtual_machine(&request)).await.map_err(|error| failed(&error))?;
    Ok(done(&state, &vmi, "Unpaused", "VirtualMachineInstance unpaused"))
}

pub(super) async fn reset(Extract(state): Extract<State>, Path(name): Name) -> Result<StatusCode, Refused> {
    let (vmi, launcher, request) = subject(&state, &name).await?;
    command(launcher.reset_virtual_machine(&request)).await.map_err(|error| failed(&error))?;
    Ok(done(&state, &vmi, "Reset", "VirtualMachineInstance reset"))
}

pub(super) async fn soft_reboot(Extract(state): Extract<State>, Path(name): Name) -> Result<StatusCode, Refused> {
    let (vmi, launcher, request) = subject(&state, &name).await?;
    command(launcher.soft_reboot_virtual_machine(&request)).await.map_err(|error| failed(&error))?;
    Ok(done(&state, &vmi, "SoftRebooted", "VirtualMachineInstance soft rebooted"))
}

#[derive(Default, Deserialize)]
struct Freeze {
    /// A Go duration on the wire: nanoseconds, or text such as `5m0s`.
    #[serde(rename = "unfreezeTimeout")]
    unfreeze_timeout: Option<Value>,
}

pub(super) async fn freeze(Extract(state): Extract<State>, Path(name): Name, body: Bytes) -> Result<StatusCode, Refused> {
    let bad = |message: &str| Refused(StatusCode::BAD_REQUEST, message.to_owned());
    let blank = body.iter().all(u8::is_ascii_whitespace);
    let freeze: Freeze =
        if blank { Freeze::default() } else { serde_json::from_slice(&body).map_err(|_| bad("failed to unmarshal unfreeze timeout"))? };
    let timeout = freeze.unfreeze_timeout.ok_or_else(|| bad("Unfreeze timeout in freeze request is not set"))?;
    let timeout = seconds(&timeout).ok_or_else(|| bad("failed to unmarshal unfreeze timeout"))?;
    let (vmi, launcher, request) = subject(&state, &name).await?;
    match within(timeouts::EXTENDED, launcher.freeze_virtual_machine(&request, timeout)).await {
        Ok(()) => Ok(StatusCode::ACCEPTED),
        Err(error) => {
            let regarding = ObjectRef::of(&kinds::VMI, &vmi.metadata);
            let message = format!("failed to freeze VMI: {error}");
            state.served.recorder.record(&regarding, EventType::Warning, "FreezeError", &message);
            Err(bad(&error.to_string()))
        }
    }
}

/// Whole seconds of a duration as `metav1.Duration` writes it.
fn seconds(value: &Value) -> Option<i32> {
    match value {
        Value::Number(nanoseconds) => i32::try_from(nanoseconds.as_i64()? / 1_000_000_000).ok(),
        Value::String(text) => i32::try_from(runtime::process::duration(text).ok()?.as_secs()).ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

pub(super) async fn unfreeze(Extract(state): Extract<State>, Path(name): Name) -> Result<StatusCode, Refused> {
    let (_, launcher, request) = subject(&state, &name).await?;
    let thawed = command(launcher.unfreeze_virtual_machine(&request)).await;
    thawed.map(|()| StatusCode::ACCEPTED).map_err(|error| Refused(StatusCode::BAD_REQUEST, error.to_string()))
}

fn json_answer(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A list as the API has it.
fn list(items: &str) -> Response {
    let items: Value = serde_json::from_str(items).unwrap_or_else(|_| json!([]));
    json_answer(json!({"metadata": {}, "items": items}).to_string())
}

pub(super) async fn guest_info(Extract(state): Extract<State>, Path(name): Name) -> Result<Response, Refused> {
    let (_, launcher, _) = subject(&state, &name).await?;
    query(launcher.get_guest_info()).await.map(json_answer).map_err(|error| failed(&error))
}

pub(super) async fn users(Extract(state): Extract<State>, Path(name): Name) -> Result<Response, Refused> {
    let (_, launcher, _) = subject(&state, &name).await?;
    query(launcher.get_users()).await.map(|users| list(&users)).map_err(|error| failed(&error))
}

pub(super) async fn filesystems(Extract(state): Extract<State>, Path(name): Name) -> Result<Response, Refused> {
    let (_, launcher, _) = subject(&state, &name).await?;
    query(launcher.get_filesystems()).await.map(|list_of| list(&list_of)).map_err(|error| failed(&error))
}

pub(super) async fn screenshot(Extract(state): Extract<State>, Path(name): Name) -> Result<Response, Refused> {
    let (_, launcher, request) = subject(&state, &name).await?;
    let picture = query(launcher.get_screenshot(&request)).await.map_err(|error| failed(&error))?;
    if picture.mime == "image/png" {
        return Ok(([(header::CONTENT_TYPE, picture.mime)], picture.data).into_response());
    }
    // Older hypervisors give a pixmap; clients were promised a PNG (spec/api.md §3.2).
    let png = png_of_pixmap(&picture.data);
    let png = png
        .ok_or_else(|| Refused(StatusCode::INTERNAL_SERVER_ERROR, format!("the hypervisor's picture ({}) cannot be read", picture.mime)))?;
    Ok(([(header::CONTENT_TYPE, "image/png")], png).into_response())
}

pub(super) async fn sev_cert_chain(Extract(state): Extract<State>, Path(name): Name) -> Result<Response, Refused> {
    let (_, launcher, _) = subject(&state, &name).await?;
    query(launcher.get_sev_info()).await.map(json_answer).map_err(|error| failed(&error))
}

pub(super) async fn sev_measurement(Extract(state): Extract<State>, Path(name): Name) -> Result<Response, Refused> {
    let (_, launcher, request) = subject(&state, &name).await?;
    query(launcher.get_launch_measurement(&request)).await.map(json_answer).map_err(|error| failed(&error))
}

pub(super) async fn sev_secret(Extract(state): Extract<State>, Path(name): Name, body: Bytes) -> Result<StatusCode, Refused> {
    let (_, launcher, request) = subject(&state, &name).await?;
    let options = if body.iter().all(u8::is_ascii_whitespace) { Bytes::from_static(b"{}") } else { body };
    let injected = command(launcher.inject_launch_secret(&request, &options)).await;
    injected.map(|()| StatusCode::ACCEPTED).map_err(|error| failed(&error))
}

/// What the launcher says of the domain now: its state and reason, in upstream's words; nothing where there is no domain.
pub(super) async fn domain_state(Extract(state): Extract<State>, Path(name): Name) -> Result<Response, Refused> {
    let (_, launcher, _) = subject(&state, &name).await?;
    let domain = query(launcher.get_domain()).await.map_err(|error| failed(&error))?;
    let seen = match domain {
        Some(domain) => {
            let mut seen = json!({"state": domain.status.status, "reason": domain.status.reason});
            if let Some(frozen) = domain.status.fs_freeze_status {
                seen["fileSystems"] = json!(frozen);
            }
            if domain.status.panic_count > 0 {
                seen["panics"] = json!(domain.status.panic_count);
            }
            seen
        }
        None => json!({}),
    };
    Ok(json_answer(seen.to_string()))
}

/// A portable pixmap (P6, 8 bits a sample) as PNG; nothing for what is none.
fn png_of_pixmap(pixmap: &[u8]) -> Option<Vec<u8>> {
    let mut rest = pixmap;
    let mut fields = Vec::new();
    while fields.len() < 4 {
        let start = rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let (_, tail) = rest.split_at(start);
        let end = tail.iter().position(u8::is_ascii_whitespace)?;
        let (field, tail) = tail.split_at(end);
        fields.push(std::str::from_utf8(field).ok()?);
        rest = tail;
    }
    let [kind, width, height, depth] = fields.as_slice() else { return None };
    let (width, height): (u32, u32) = (width.parse().ok()?, height.parse().ok()?);
    // One white space ends the header.
    let samples = rest.get(1..)?;
    if *kind != "P6" || *depth != "255" {
        return None;
    }
    let mut image = Vec::new();
    let mut encoder = png::Encoder::new(&mut image, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().ok()?.write_image_data(samples).ok()?;
    Some(image)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_pixmap_becomes_a_png() {
        let image = png_of_pixmap(b"P6\n2 1\n255\n\x01\x02\x03\x04\x05\x06").unwrap();
        assert!(image.starts_with(b"\x89PNG\r\n\x1a\n"));
        for bad in [b"P5\n1 1\n255\n\0".as_slice(), b"P6\n2 2\n255\n\0".as_slice(), b"GIF89a".as_slice(), b"".as_slice()] {
            assert_eq!(png_of_pixmap(bad), None);
        }
    }

    #[test]
    fn durations_of_go() {
        let cases = [(json!("5m0s"), Some(300)), (json!(5_000_000_000_i64), Some(5)), (json!("1h1m1s"), Some(3661))];
        for (value, expected) in cases {
            assert_eq!(seconds(&value), expected);
        }
        assert_eq!((seconds(&json!("soon")), seconds(&json!(null)), seconds(&json!("5"))), (None, None, None));
    }
}

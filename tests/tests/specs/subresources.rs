//! Steps about the aggregated API as it is: what each path answers, and to whom.

use crate::objects::rows;
use cucumber::gherkin::Step;
use cucumber::{then, when};
use ferrovirt_tests::wait::PATIENCE;
use ferrovirt_tests::world::SpecWorld;
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

type Done = anyhow::Result<()>;

type Stream = WebSocketStream<hyper_util::rt::TokioIo<hyper::upgrade::Upgraded>>;

const VERSIONS: [&str; 2] = ["v1", "v1alpha3"];

fn cell(row: &[String], index: usize) -> &str {
    row.get(index).map(String::as_str).unwrap_or_default()
}

/// The path of a row: `vm/NAME/VERB`, `vmi/NAME/VERB`, or a path below the namespace.
fn path(version: &str, short: &str) -> String {
    let rest = match short.split_once('/') {
        Some(("vm", rest)) => format!("virtualmachines/{rest}"),
        Some(("vmi", rest)) => format!("virtualmachineinstances/{rest}"),
        _ => short.to_owned(),
    };
    format!("/apis/subresources.kubevirt.io/{version}/namespaces/default/{rest}")
}

async fn ask(world: &SpecWorld, method: &str, path: &str, body: &str) -> anyhow::Result<(u16, String)> {
    let mut request = http::Request::builder().method(method).uri(path);
    if !body.is_empty() {
        request = request.header("Content-Type", "application/json");
    }
    let answer = world.client()?.send(request.body(body.as_bytes().to_vec().into())?).await?;
    let code = answer.status().as_u16();
    let body = answer.into_body().collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    // A Status is told by its message, which the JSON has escaped.
    let status: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let message = status.as_ref().and_then(|status| status["message"].as_str()).map(str::to_owned);
    Ok((code, message.unwrap_or(text)))
}

/// Rows of method, path, body, status and words; both versions have to answer so, unless the first changes what the second sees.
async fn answered(world: &mut SpecWorld, step: &Step, versions: &[&str]) -> Done {
    let mut wrong = Vec::new();
    for row in rows(step) {
        let [method, short, body, code, words] = [0, 1, 2, 3, 4].map(|index| cell(&row, index));
        for version in versions {
            let (seen, text) = ask(world, method, &path(version, short), body).await?;
            if seen.to_string() != code || !text.contains(words) {
                wrong.push(format!("{method} {short} ({version}): {seen} {text:?}, not {code} {words:?}"));
            }
        }
    }
    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[then("these requests are answered, by both versions:")]
async fn answered_by_both(world: &mut SpecWorld, step: &Step) -> Done {
    answered(world, step, &VERSIONS).await
}

#[when("these requests are answered, one after the other:")]
#[then("these requests are answered, one after the other:")]
async fn answered_once(world: &mut SpecWorld, step: &Step) -> Done {
    answered(world, step, &["v1"]).await
}

#[then("discovery of both versions lists:")]
async fn discovered(world: &mut SpecWorld, step: &Step) -> Done {
    let wanted: Vec<String> = rows(step).iter().map(|row| cell(row, 0).to_owned()).collect();
    for version in VERSIONS {
        let (_, text) = ask(world, "GET", &format!("/apis/subresources.kubevirt.io/{version}"), "").await?;
        let list: serde_json::Value = serde_json::from_str(&text)?;
        let mut seen: Vec<String> =
            list["resources"].as_array().into_iter().flatten().filter_map(|entry| entry["name"].as_str()).map(str::to_owned).collect();
        let mut wanted = wanted.clone();
        seen.sort();
        wanted.sort();
        anyhow::ensure!(seen == wanted, "{version} lists {seen:?}");
    }
    Ok(())
}

/// The header has the users; a cell is `yes` or `-`.
#[then("these users may ask for:")]
async fn users_may(world: &mut SpecWorld, step: &Step) -> Done {
    let mut table = rows(step).into_iter();
    let users: Vec<String> = table.next().unwrap_or_default().into_iter().skip(2).collect();
    let mut wrong = Vec::new();
    for row in table {
        let (verb, resource) = (cell(&row, 0), cell(&row, 1));
        for (index, user) in users.iter().enumerate() {
            let may = cell(&row, index + 2) == "yes";
            let allowed = world.may(user, verb, resource).await?;
            if allowed != may {
                wrong.push(format!("{user} {} {verb} {resource}", if allowed { "may" } else { "may not" }));
            }
        }
    }
    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

async fn open(world: &SpecWorld, short: &str) -> anyhow::Result<Result<Stream, (u16, String)>> {
    let request = http::Request::get(path("v1", short))
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Protocol", "plain.kubevirt.io")
        .body(kube::client::Body::empty())?;
    let answer = world.client()?.send(request).await?;
    let code = answer.status().as_u16();
    if code != 101 {
        let body = answer.into_body().collect().await?.to_bytes();
        return Ok(Err((code, String::from_utf8_lossy(&body).into_owned())));
    }
    anyhow::ensure!(answer.headers().get("sec-websocket-protocol").is_some_and(|name| name == "plain.kubevirt.io"), "no protocol");
    let upgraded = hyper_util::rt::TokioIo::new(hyper::upgrade::on(answer).await?);
    Ok(Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await))
}

#[then(regex = r#"^the stream "([^"]+)" of the guest echoes "([^"]+)"$"#)]
async fn echoes(world: &mut SpecWorld, short: String, text: String) -> Done {
    let mut stream = match open(world, &short).await? {
        Ok(stream) => stream,
        Err((code, why)) => anyhow::bail!("{code}: {why}"),
    };
    stream.send(Message::Binary(text.clone().into_bytes().into())).await?;
    let mut seen = Vec::new();
    while seen.len() < text.len() {
        match tokio::time::timeout(PATIENCE, stream.next()).await? {
            Some(Ok(Message::Binary(bytes))) => seen.extend_from_slice(&bytes),
            Some(Ok(_)) => {}
            other => anyhow::bail!("{other:?} after {seen:?}"),
        }
    }
    anyhow::ensure!(seen == text.as_bytes(), "{seen:?}");
    Ok(stream.close(None).await?)
}

#[then(regex = r#"^the stream "([^"]+)" is refused with (\d+) and "([^"]+)"$"#)]
async fn stream_refused(world: &mut SpecWorld, short: String, code: u16, words: String) -> Done {
    match open(world, &short).await? {
        Ok(_) => anyhow::bail!("it was opened"),
        Err((seen, why)) => anyhow::ensure!(seen == code && why.contains(&words), "{seen}: {why}"),
    }
    Ok(())
}

#[then(regex = r#"^(\d+) streams "([^"]+)" can be open at once, and no more$"#)]
async fn at_once(world: &mut SpecWorld, count: usize, short: String) -> Done {
    let mut all = Vec::new();
    for _ in 0..count {
        match open(world, &short).await? {
            Ok(stream) => all.push(stream),
            Err((code, why)) => anyhow::bail!("{code}: {why} after {}", all.len()),
        }
    }
    let one_more = open(world, &short).await?;
    anyhow::ensure!(one_more.is_err_and(|(_, why)| why.contains("All USB devices are in use.")), "one more was opened");
    Ok(())
}

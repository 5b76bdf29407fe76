//! `/version`, `/healthz`, `/livez`, `/readyz` and the list of paths.

use http::Response;
use serde_json::json;

use crate::http::{Body, Core, Encoding, answer};

/// The Kubernetes release whose behaviour this is.
pub const MINOR: &str = "36";
const PATCH: &str = "v1.36.2";
const CHECKS: [&str; 6] =
    ["ping", "log", "etcd", "poststarthook/start-apiextensions-controllers", "poststarthook/rbac/bootstrap-roles", "informer-sync"];

/// Answers a path of health or version; `None` for others.
pub fn serve(core: &Core, path: &str, read: bool, query: Option<&str>) -> Option<Response<Body>> {
    let path = if path.is_empty() { "/" } else { path };
    let found = matches!(path, "/" | "/version") || ["/healthz", "/livez", "/readyz"].iter().any(|root| path.starts_with(root));
    if !found {
        return None;
    }
    if !read {
        return Some(answer::bytes(405, "application/json", "405: Method Not Allowed"));
    }
    Some(match path {
        "/" => answer::value(200, Encoding::Json, &json!({"paths": paths(core)})),
        "/version" => answer::value(200, Encoding::Json, &version()),
        _ => health(path, query),
    })
}

fn version() -> serde_json::Value {
    json!({
        "major": "1",
        "minor": MINOR,
        "emulationMajor": "1",
        "emulationMinor": MINOR,
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": PATCH,
        "gitCommit": "ferrovirt",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }),
    })
}

fn health(path: &str, query: Option<&str>) -> Response<Body> {
    let rest = path.trim_start_matches('/');
    let (root, check) = rest.split_once('/').unwrap_or((rest, ""));
    if !matches!(root, "healthz" | "livez" | "readyz") {
        return answer::text(404, "404 page not found\n");
    }
    if !check.is_empty() {
        return if CHECKS.contains(&check) { answer::text(200, "ok") } else { answer::text(404, "404 page not found\n") };
    }
    if query.is_some_and(|query| query.split('&').any(|part| part == "verbose" || part.starts_with("verbose="))) {
        let mut lines: Vec<String> = CHECKS.iter().map(|check| format!("[+]{check} ok")).collect();
        lines.push(format!("{root} check passed\n"));
        return answer::text(200, lines.join("\n"));
    }
    answer::text(200, "ok")
}

fn paths(core: &Core) -> Vec<String> {
    let mut paths: Vec<String> =
        ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/"].into_iter().map(str::to_owned).collect();
    for info in core.resources.all().iter().filter(|info| !info.gr.group.is_empty()) {
        let group = format!("/apis/{}", info.gr.group);
        for version in info.versions.iter().filter(|version| version.served) {
            paths.push(format!("{group}/{}", version.name));
        }
        paths.push(group);
    }
    paths.extend(["/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/readyz", "/version"].map(str::to_owned));
    paths.sort();
    paths.dedup();
    paths
}

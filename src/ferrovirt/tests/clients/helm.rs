//! helm with a chart of its own: a definition and an object of it, a deployment, hooks.

use crate::server::{Program, Server};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/chart");

#[test]
fn a_release_lives_from_install_to_uninstall() {
    let Some(helm) = Program::find("HELM", "helm", &["version"]) else { return };
    let server = Server::cluster();
    let h = helm.with(&server);
    assert!(h.fails("status zoo", "").contains("release: not found"));

    let unknown = h.fails(&format!("install zoo {CHART} --dry-run=server"), "");
    assert!(unknown.contains("no matches for kind \"Animal\" in version \"zoo.example.dev/v1\""), "{unknown}");
    assert_eq!(h.ok("list --short"), "");
    h.ok(&format!("install zoo {CHART} --wait --timeout 90s"));
    let rendered = h.ok(&format!("upgrade zoo {CHART} --dry-run=server"));
    assert!(rendered.contains("cluster: ") && rendered.contains("policies: \"true\""), "it asks the server: {rendered}");
    assert!(h.ok("status zoo").contains("STATUS: deployed"));
    assert!(h.fails(&format!("install zoo {CHART}"), "").contains("cannot reuse a name that is still in use"));

    h.ok(&format!("upgrade zoo {CHART} --set animal=lion,replicas=2 --wait --timeout 90s"));
    assert!(h.ok("get values zoo").contains("animal: lion"));
    // The server refuses what a later revision asks for: the release says so and can go back.
    let refused = h.fails(&format!("upgrade zoo {CHART} --set port=http"), "");
    assert!(refused.contains("http"), "{refused}");
    h.ok("rollback zoo 1 --wait --timeout 90s");
    let history = h.ok("history zoo -o json");
    for status in ["superseded", "failed", "deployed"] {
        assert!(history.contains(status), "no {status} in {history}");
    }
    assert!(h.ok("get manifest zoo").contains("species: tiger"));
    assert!(h.ok("test zoo --timeout 60s").contains("Phase:          Succeeded"));

    assert!(h.ok("uninstall zoo --wait --timeout 90s").contains("release \"zoo\" uninstalled"));
    assert_eq!(h.ok("list --short"), "");
}

//! The Python and the JavaScript client, each with a script beside this file.

use crate::server::{Program, Server};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

#[test]
fn the_python_client_does_a_whole_job() {
    let Some(python) = Program::find("FERROVIRT_PYTHON", "python3", &["-c", "import kubernetes"]) else { return };
    let server = Server::cluster();
    assert!(python.with(&server).ok(&format!("{FOLDER}/job.py")).ends_with("all done"));
}

/// Modules are found where `$NODE_PATH` says; only `require` looks there.
#[test]
fn the_javascript_client_does_a_whole_job() {
    let Some(node) = Program::find("NODE", "node", &["-e", "require('@kubernetes/client-node')"]) else { return };
    let server = Server::cluster();
    assert!(node.with(&server).ok(&format!("{FOLDER}/job.cjs")).ends_with("all done"));
}

//! The kubeconfig of a cluster's administrator.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::pki::{Identity, Pki};

/// A kubeconfig with one cluster, one user and one context, all named `cluster`.
///
/// `server` is the URL of the API (`https://127.0.0.1:6443`). The text is complete: certificates are embedded.
pub fn kubeconfig(pki: &Pki, cluster: &str, server: &str) -> String {
    kubeconfig_for(&pki.ca.cert_pem, &pki.admin, cluster, server)
}

/// As [`kubeconfig`], for any client certificate.
pub fn kubeconfig_for(ca_pem: &str, user: &Identity, cluster: &str, server: &str) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let name = quoted(cluster);
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: {name}\n  cluster:\n    server: {server}\n    \
         certificate-authority-data: {ca}\nusers:\n- name: {name}\n  user:\n    client-certificate-data: {cert}\n    \
         client-key-data: {key}\ncontexts:\n- name: {name}\n  context:\n    cluster: {name}\n    user: {name}\n\
         current-context: {name}\n",
        server = quoted(server),
        ca = STANDARD.encode(ca_pem),
        cert = STANDARD.encode(&user.cert_pem),
        key = STANDARD.encode(&user.key_pem),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_parses_as_yaml_and_embeds_the_certificates() {
        let user = Identity { cert_pem: "CERT".into(), key_pem: "KEY".into() };
        let text = kubeconfig_for("CA", &user, "ferro: virt", "https://127.0.0.1:6443");
        let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(value["clusters"][0]["cluster"]["server"], "https://127.0.0.1:6443");
        assert_eq!(value["current-context"], "ferro: virt");
        assert_eq!(value["contexts"][0]["context"]["user"], value["users"][0]["name"]);
        assert_eq!(value["users"][0]["user"]["client-key-data"], STANDARD.encode("KEY"));
    }
}

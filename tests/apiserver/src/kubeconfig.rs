//! The file by which clients find the server.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A kubeconfig in YAML for a server at this address; `ca_pem` is absent where there is no TLS.
pub(crate) fn render(address: SocketAddr, ca_pem: Option<&str>, token: Option<&str>) -> String {
    let (scheme, authority) = match ca_pem {
        Some(pem) => ("https", format!("\n    certificate-authority-data: {}", STANDARD.encode(pem))),
        None => ("http", String::new()),
    };
    let token = token.map_or_else(|| "{}".to_owned(), |token| format!("\n    token: {token}"));
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: test
  cluster:
    server: {scheme}://{address}{authority}
users:
- name: test
  user: {token}
contexts:
- name: test
  context:
    cluster: test
    user: test
current-context: test
"
    )
}

//! Ending kube-proxy and starting it again, on the DaemonSet that kubeadm makes.

use std::fs;

use serde_json::{Value, json};

use crate::tools::{has_kubectl, run, yaml};

/// `kubectl patch` with a file of the overlay, on an object in a file.
fn patch(object: &Value, file: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("object.json");
    fs::write(&path, object.to_string()).unwrap();
    let file = format!("deploy/overlays/kubeadm/{file}");
    let arguments =
        ["patch", "--local", "--filename", path.to_str().unwrap(), "--patch-file", &file, "--output=yaml"];
    yaml(&run("kubectl", &arguments)).remove(0)
}

#[test]
fn what_ends_kube_proxy_is_taken_back() {
    if !has_kubectl() {
        return;
    }
    let container = json!({ "name": "kube-proxy", "image": "registry.k8s.io/kube-proxy:v1.36.0" });
    let labels = json!({ "k8s-app": "kube-proxy" });
    let running = json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": { "name": "kube-proxy", "namespace": "kube-system" },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [container], "nodeSelector": { "kubernetes.io/os": "linux" } },
            },
        },
    });
    let ended = patch(&running, "kube-proxy-off.yaml");
    let selector = &ended["spec"]["template"]["spec"]["nodeSelector"];
    assert_eq!(*selector, json!({ "kubernetes.io/os": "linux", "svcnat.dev/kube-proxy": "on" }));
    assert_eq!(patch(&ended, "kube-proxy-on.yaml"), running);
}

//! The program as scripts use it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::PathBuf;
use std::pin::pin;
use std::process::{Child, Command, Stdio};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use support::{SOON, until};

struct Program {
    child: Child,
    kubeconfig: PathBuf,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let kubeconfig =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("kubeconfig-{}", std::process::id()));
        let _ = std::fs::remove_file(&kubeconfig);
        let child = Command::new(env!("CARGO_BIN_EXE_svcnat-apiserver"))
            .args(["--port", "0", "--kubeconfig"])
            .arg(&kubeconfig)
            .args(arguments)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, kubeconfig }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.kubeconfig);
    }
}

#[tokio::test]
async fn it_serves_a_cluster_that_changes() {
    let program = Program::start(&["--services", "7", "--backends", "3", "--changes-per-second", "500"]);
    until(|| program.kubeconfig.exists()).await;
    let kubeconfig = Kubeconfig::read_from(&program.kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let client = Client::try_from(config).unwrap();
    let all = ListParams::default();
    assert_eq!(Api::<Node>::all(client.clone()).list(&all).await.unwrap().items.len(), 100);
    assert_eq!(Api::<Service>::all(client.clone()).list(&all).await.unwrap().items.len(), 7);

    let slices = Api::<EndpointSlice>::all(client);
    let before = slices.list(&all).await.unwrap();
    assert_eq!(before.items.len(), 7);
    let parameters = WatchParams::default();
    let watch =
        slices.watch(&parameters, before.metadata.resource_version.as_deref().unwrap()).await.unwrap();
    let mut watch = pin!(watch);
    // Once around, and each change is one.
    let mut known = before.items;
    for _ in 0..14 {
        let event = tokio::time::timeout(SOON, watch.next()).await.unwrap().unwrap().unwrap();
        let WatchEvent::Modified(slice) = event else { panic!("{event:?}") };
        let before = known.iter_mut().find(|known| known.metadata.name == slice.metadata.name).unwrap();
        assert_eq!(slice.endpoints.len(), 3);
        assert_ne!(slice.endpoints, before.endpoints);
        *before = slice;
    }
}

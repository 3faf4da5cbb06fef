//! The configuration that the ConfigMaps carry.

use std::collections::BTreeSet;

use kube::config::Kubeconfig;
use serde_json::{Value, json};

use crate::manifests::AGENTS;
use crate::tools::{read, yaml};

#[track_caller]
fn only_document(text: &str) -> Value {
    let [document] = <[Value; 1]>::try_from(yaml(text)).unwrap();
    document
}

#[test]
fn the_configuration_is_kube_proxys_for_its_nftables_mode() {
    for (name, objects) in AGENTS.iter() {
        let config = only_document(objects.text("svcnat", "config.yaml"));
        let head = (&config["apiVersion"], &config["kind"], &config["mode"]);
        let expected =
            (json!("kubeproxy.config.k8s.io/v1alpha1"), json!("KubeProxyConfiguration"), json!("nftables"));
        assert_eq!(head, (&expected.0, &expected.1, &expected.2), "{name}");
        assert_eq!(
            config["clientConnection"],
            json!({ "kubeconfig": "/etc/svcnat/kubeconfig.yaml" }),
            "{name}"
        );
        // Without privileges no sysctl can be set; with the component kube-proxy's defaults are.
        let untouched = json!({
            "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s",
        });
        let privileged = objects.pod().init_containers.is_some();
        assert_eq!(config.get("conntrack"), (!privileged).then_some(&untouched), "{name}");
    }
}

#[test]
fn the_component_changes_the_settings_of_conntrack_only() {
    let mut base = only_document(&read("deploy/base/config.yaml"));
    base.as_object_mut().unwrap().remove("conntrack");
    assert_eq!(only_document(&read("deploy/components/conntrack/config.yaml")), base);
}

/// The library that the agent uses must understand the file, and find the account's token in it.
#[test]
fn the_kubeconfig_leads_to_an_api_server_without_services() {
    #[track_caller]
    fn check(overlay: &str, server: &str) {
        let (_, objects) = AGENTS.iter().find(|(name, _)| name == overlay).unwrap();
        // What follows the name is made of the content, so that a change of it makes new pods.
        let mut names = objects.config_maps.iter().filter_map(|found| found.metadata.name.as_deref());
        let name = names.find(|name| name.starts_with("svcnat-kubeconfig-")).unwrap();
        let config = Kubeconfig::from_yaml(objects.text(name, "kubeconfig.yaml")).unwrap();
        let context = config.contexts[0].context.as_ref().unwrap();
        assert_eq!(config.current_context.as_ref(), Some(&config.contexts[0].name), "{overlay}");
        assert_eq!(context.cluster, config.clusters[0].name, "{overlay}");
        assert_eq!(context.user.as_ref(), Some(&config.auth_infos[0].name), "{overlay}");
        let cluster = config.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.server.as_deref(), Some(server), "{overlay}");
        let account = "/var/run/secrets/kubernetes.io/serviceaccount";
        assert_eq!(cluster.certificate_authority, Some(format!("{account}/ca.crt")), "{overlay}");
        let user = config.auth_infos[0].auth_info.as_ref().unwrap();
        assert_eq!(user.token_file, Some(format!("{account}/token")), "{overlay}");
    }
    check("deploy/overlays/kind", "https://kind-control-plane:6443");
    check("deploy/overlays/k3s", "https://127.0.0.1:6444");
}

#[test]
fn the_kind_cluster_has_no_kube_proxy() {
    let cluster = only_document(&read("deploy/overlays/kind/cluster.yaml"));
    assert_eq!(
        (&cluster["kind"], &cluster["apiVersion"]),
        (&json!("Cluster"), &json!("kind.x-k8s.io/v1alpha4"))
    );
    assert_eq!(cluster["networking"], json!({ "kubeProxyMode": "none" }));
    let roles: BTreeSet<_> =
        cluster["nodes"].as_array().unwrap().iter().map(|node| node["role"].as_str().unwrap()).collect();
    assert_eq!(roles, BTreeSet::from(["control-plane", "worker"]));
}

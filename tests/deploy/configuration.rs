//! The configuration that the ConfigMaps carry.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::config::Kubeconfig;
use serde_json::{Value, json};
use svcnat::settings::{Conntrack, Flags, Settings, Source};

use crate::manifests::AGENTS;
use crate::tools::{has_kubectl, read, run, yaml};

#[track_caller]
fn only_document(text: &str) -> Value {
    let [document] = <[Value; 1]>::try_from(yaml(text)).unwrap();
    document
}

#[test]
fn the_configuration_is_kube_proxys_for_the_mode() {
    for (name, objects) in AGENTS.iter() {
        let config = only_document(objects.text("svcnat", "config.yaml"));
        let head = (&config["apiVersion"], &config["kind"], &config["mode"]);
        let mode = if name.contains("iptables") { "iptables" } else { "nftables" };
        let expected =
            (json!("kubeproxy.config.k8s.io/v1alpha1"), json!("KubeProxyConfiguration"), json!(mode));
        assert_eq!(head, (&expected.0, &expected.1, &expected.2), "{name}");
        assert_eq!(
            config["clientConnection"],
            json!({ "kubeconfig": "/etc/svcnat/kubeconfig.yaml" }),
            "{name}"
        );
        // Without privileges no sysctl can be set.
        let untouched = json!({
            "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s",
        });
        assert_eq!(config["conntrack"], untouched, "{name}");
    }
}

#[test]
fn the_agent_takes_every_key_of_the_configuration() {
    for file in ["deploy/base/config.yaml", "deploy/components/iptables/config.yaml"] {
        assert_eq!(settings(file).oom_score_adj, -997, "{file}");
    }
}

/// What a file of the repository says, about which the agent has no remark.
#[track_caller]
fn settings(file: &str) -> Settings {
    let source = Source { config: None, flags: Flags::default() };
    let loaded = source.load_text(file, &read(file)).unwrap_or_else(|errors| panic!("{errors}"));
    let notes: Vec<String> = loaded.notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes, [""; 0], "{file}");
    loaded.settings
}

#[test]
fn the_component_for_connection_tracking_sets_what_kube_proxy_sets_by_default() {
    let found = settings("deploy/components/conntrack/conntrack.yaml").conntrack;
    let hour = Duration::from_secs(3600);
    let expected = Conntrack {
        max_per_core: 32_768,
        min: 131_072,
        tcp_established_timeout: Some(24 * hour),
        tcp_close_wait_timeout: Some(hour),
        tcp_be_liberal: false,
        udp_timeout: None,
        udp_stream_timeout: None,
    };
    assert_eq!(found, expected);
}

/// Every flag that is given to the agent anywhere.
#[test]
fn the_agent_knows_every_flag_that_it_is_given() {
    let help = run(env!("CARGO_BIN_EXE_svcnat"), &["agent", "--help"]);
    let mut found = 0;
    for file in [
        "deploy/base/daemonset.yaml",
        "deploy/systemd/svcnat.service",
        "deploy/components/conntrack/kustomization.yaml",
    ] {
        let text = read(file);
        let words = text.split(|letter: char| letter.is_whitespace() || "\"'=,[]".contains(letter));
        for flag in words.filter(|word| word.starts_with("--") && word.len() > 2) {
            found += 1;
            assert!(
                help.contains(&format!("{flag} "))
                    || help.contains(&format!("{flag}\n"))
                    || help.contains(&format!("{flag}[")),
                "{file}: {flag}"
            );
        }
    }
    assert!(found > 5, "hardly any flag was found");
}

#[test]
fn the_component_for_mode_iptables_changes_nothing_else_in_the_configuration() {
    let mut iptables = only_document(&read("deploy/base/config.yaml"));
    iptables["mode"] = json!("iptables");
    assert_eq!(only_document(&read("deploy/components/iptables/config.yaml")), iptables);
}

/// The library that the agent uses must understand the file, and find the account's token in it.
#[test]
fn the_kubeconfig_leads_to_an_api_server_without_services() {
    #[track_caller]
    fn check(overlay: &str, server: &str) {
        if !has_kubectl() {
            return;
        }
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

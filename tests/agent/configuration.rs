//! The configuration file and signals.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use svcnat_rules::config::{Config, Layout, NodePortAddresses};
use tempfile::TempDir;

use crate::agent_support::agent::{Agent, SVCNAT};
use crate::agent_support::cluster::Cluster;
use crate::agent_support::http::{metric, page, status};
use crate::agent_support::objects::{config, shop, slice};
use crate::agent_support::{holds, must, on_node_a, tables};

/// A configuration file that can be changed.
struct File {
    folder: TempDir,
    kubeconfig: PathBuf,
}

impl File {
    fn of(cluster: &Cluster) -> Self {
        let file = Self { folder: tempfile::tempdir().unwrap(), kubeconfig: cluster.kubeconfig() };
        file.write(&json!({}), &json!({}));
        file
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("config.yaml")
    }

    /// Writes it over itself, with keys of the section `nftables` and others.
    fn write(&self, nftables: &Value, others: &Value) {
        let mut document = json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": { "kubeconfig": self.kubeconfig },
            "clusterCIDR": "10.244.0.0/16,fd00:10:244::/48",
            "hostnameOverride": "node-a",
            "oomScoreAdj": 0,
            "nftables": nftables,
        });
        document.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
        fs::write(self.path(), document.to_string()).unwrap();
    }
}

fn start(file: &File) -> Agent {
    let agent = Agent::start(&["--config", file.path().to_str().unwrap()]);
    agent.until_ready();
    agent
}

#[test]
fn what_the_file_says_takes_effect_while_the_agent_runs() {
    on_node_a(|| {
        let cluster = Cluster::of(shop());
        let file = File::of(&cluster);
        let agent = start(&file);
        agent.until_equal(&cluster.objects);
        // At once by the signal.
        file.write(&json!({ "masqueradeAll": true }), &json!({}));
        agent.signal(Signal::SIGHUP);
        let masquerading = Config { masquerade_all: true, ..config() };
        agent.until_equal_with(&cluster.objects, &masquerading);
        assert!(cluster.objects.compare(&config()).is_err());
        // By itself after a while.
        let networks = NodePortAddresses::Cidrs(vec!["192.168.1.0/24".parse().unwrap()]);
        file.write(&json!({ "masqueradeAll": true }), &json!({ "nodePortAddresses": ["192.168.1.0/24"] }));
        agent.until_equal_with(&cluster.objects, &Config { node_port_addresses: networks, ..masquerading });
        // What is replaced by another file is found as well, as a ConfigMap is.
        let bit = json!({ "masqueradeBit": 17 });
        file.write(&bit, &json!({}));
        let other = file.folder.path().join("other.yaml");
        fs::rename(file.path(), &other).unwrap();
        agent.signal(Signal::SIGHUP);
        fs::rename(&other, file.path()).unwrap();
        agent.until_equal_with(&cluster.objects, &Config { masquerade_bit: 17, ..config() });
        let own = "\n---\n{apiVersion: svcnat.dev/v1alpha1, kind: SvcnatConfiguration, layout: maps}\n";
        fs::write(file.path(), fs::read_to_string(file.path()).unwrap() + own).unwrap();
        agent.signal(Signal::SIGHUP);
        let maps = Config { layout: Layout::Maps, masquerade_bit: 17, ..config() };
        agent.until_equal_with(&cluster.objects, &maps);
    });
}

#[test]
fn the_page_with_the_configuration_shows_what_is_in_force() {
    on_node_a(|| {
        let cluster = Cluster::of(shop());
        let file = File::of(&cluster);
        let agent = start(&file);
        let all = |page: &str| {
            let page: Value = serde_json::from_str(page).unwrap();
            page.pointer("/kubeproxy.config.k8s.io/nftables/masqueradeAll").cloned()
        };
        assert_eq!(all(&page("/configz")), Some(json!(false)), "{}", page("/configz"));
        file.write(&json!({ "masqueradeAll": true }), &json!({}));
        agent.signal(Signal::SIGHUP);
        agent.until("it follows", || {
            let page = page("/configz");
            holds(all(&page) == Some(json!(true)), page)
        });
    });
}

#[test]
fn a_broken_file_changes_nothing() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        let file = File::of(&cluster);
        let agent = start(&file);
        let before = tables();
        let check = |text: &str, message: &str| {
            fs::write(file.path(), text).unwrap();
            agent.signal(Signal::SIGHUP);
            agent.until_logged(message);
        };
        check("nftables: [", "the configuration stays as it was");
        let head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";
        check(&format!("{head}nftables:\n  masqueradeAl: true\n"), "config.yaml:4: nftables.masqueradeAl");
        assert_eq!(tables(), before);
        cluster.apply(slice("idle", &["10.244.0.9"]));
        agent.until_equal(&cluster.objects);
        // A whole one counts again, as far as it can without a restart.
        file.write(
            &json!({ "masqueradeAll": true }),
            &json!({ "hostnameOverride": "node-b", "healthzBindAddress": "127.0.0.1:10300" }),
        );
        agent.signal(Signal::SIGHUP);
        agent.until_equal_with(&cluster.objects, &Config { masquerade_all: true, ..config() });
        let later = "hostnameOverride, healthzBindAddress take effect when the agent is started again";
        agent.until_logged(later);
    });
}

#[test]
fn the_least_time_between_transactions_can_be_changed() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        let file = File::of(&cluster);
        file.write(&json!({ "minSyncPeriod": "1h", "syncPeriod": "1h" }), &json!({}));
        let agent = start(&file);
        let before = cluster.objects.clone();
        cluster.apply(slice("idle", &["10.244.0.9"]));
        let pending = "kubeproxy_sync_proxy_rules_endpoint_changes_pending";
        agent.until("the change waits", || holds(metric(pending) == 1.0, "it does not"));
        before.compare(&config()).unwrap();
        file.write(&json!({ "minSyncPeriod": "0s", "syncPeriod": "1h" }), &json!({}));
        agent.signal(Signal::SIGHUP);
        agent.until_equal(&cluster.objects);
    });
}

#[test]
fn the_rules_stay_when_the_agent_ends_until_they_are_cleaned_up() {
    for (signal, flags) in
        [(Signal::SIGTERM, &[][..]), (Signal::SIGINT, &[]), (Signal::SIGTERM, &["--own-tables", "never"])]
    {
        on_node_a(|| {
            let cluster = Cluster::of(shop());
            let agent = Agent::settled(&cluster, flags);
            let before = tables();
            agent.signal(signal);
            assert_eq!(agent.ended(), Some(0), "{}", agent.log());
            assert_eq!(tables(), before, "{signal}");
            assert_eq!(status("/healthz"), None);
            must("nft", &["add", "table", "ip", "other"]);
            must(SVCNAT, &["cleanup"]);
            assert_eq!(must("nft", &["list", "tables"]), "table ip other\n");
        });
    }
}

#[test]
fn a_hang_up_does_not_end_an_agent_without_a_file() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        let agent = Agent::settled(&cluster, &[]);
        agent.signal(Signal::SIGHUP);
        cluster.apply(slice("idle", &["10.244.0.9"]));
        agent.until_equal(&cluster.objects);
    });
}

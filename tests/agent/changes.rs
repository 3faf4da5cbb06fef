//! Changes of the cluster while the agent runs.

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use svcnat_apiserver::{Failure, Fault, Resource};
use svcnat_rules::layout::Slots;

use crate::agent_support::agent::Agent;
use crate::agent_support::cluster::Cluster;
use crate::agent_support::http::{metric, repairs};
use crate::agent_support::objects::{
    NODE_A, config, config_of, node, node_port, service, service_cidr, shop, slice,
};
use crate::agent_support::{holds, on_node_a};

/// A change, in words, and how it is made.
pub type Step = (&'static str, fn(&mut Cluster));

pub const STEPS: [Step; 20] = [
    ("a new Service", |c| c.apply(service("new", 20, json!({})))),
    ("its first slice", |c| c.apply(slice("new", &["10.244.0.20"]))),
    ("a backend more", |c| c.apply(slice("new", &["10.244.0.20", "10.244.1.20"]))),
    ("another backend", |c| c.apply(slice("new", &["10.244.0.20", "10.244.1.21"]))),
    ("a backend less", |c| c.apply(slice("new", &["10.244.1.21"]))),
    ("scaled to zero", |c| c.apply(slice("new", &[]))),
    ("scaled up again", |c| c.apply(slice("new", &["10.244.1.22"]))),
    ("the slice is gone", |c| c.delete_one(Resource::EndpointSlices, "new-1")),
    ("the Service is gone", |c| c.delete_one(Resource::Services, "new")),
    ("a slice of another Service", |c| {
        let mut moved = slice("idle", &["10.244.0.30"]);
        moved["metadata"]["name"] = json!("web-1");
        c.apply(moved);
    }),
    ("and back", |c| c.apply(slice("web", &["10.244.0.2", "10.244.1.2"]))),
    ("affinity", |c| c.apply(service("web", 10, json!({ "sessionAffinity": "ClientIP" })))),
    ("a node port", |c| c.apply(service("web", 10, node_port(30_090)))),
    ("another address", |c| c.apply(service("web", 13, json!({})))),
    ("source ranges", |c| {
        let spec = json!({ "type": "LoadBalancer", "loadBalancerSourceRanges": ["198.51.100.0/24"] });
        let mut balanced = service("web", 10, spec);
        balanced["status"] = json!({ "loadBalancer": { "ingress": [{ "ip": "203.0.113.7" }] } });
        c.apply(balanced);
    }),
    ("policy Local", |c| c.apply(service("api", 11, json!({ "internalTrafficPolicy": "Local" })))),
    ("another network of ClusterIPs", |c| c.apply(service_cidr("more", "10.97.0.0/16"))),
    ("one network less", |c| c.delete_one(Resource::ServiceCidrs, "kubernetes")),
    ("the node's other address", |c| c.apply(node(&["192.168.1.77", "2001:db8:1::77"]))),
    ("no Node", |c| c.delete_one(Resource::Nodes, "node-a")),
];

#[test]
fn every_change_reaches_the_kernel() {
    for layout in ["chains", "maps"] {
        on_node_a(|| {
            let (flags, slots) = (["--layout", layout], Slots::default());
            let config = config_of(&flags);
            // A node port, so that it matters which addresses the node has.
            let mut cluster = Cluster::of(shop());
            cluster.apply(service("node-port", 40, node_port(30_040)));
            let agent = Agent::settled(&cluster, &flags);
            for (what, change) in STEPS {
                let before = cluster.objects.ruleset(&config, &slots);
                change(&mut cluster);
                let after = cluster.objects.ruleset(&config, &slots);
                assert!(before != after, "{layout}: {what} would change nothing");
                agent.until_equal(&cluster.objects);
            }
            assert_eq!(repairs(), 0.0, "{layout}: {}", agent.log());
            assert_eq!(metric("svcnat_transaction_failures_total"), 0.0, "{layout}: {}", agent.log());
        });
    }
}

/// A Service that says something that cannot be, as another program or a newer API may write it.
fn malformed() -> Value {
    service("web", 10, json!({ "clusterIP": "10.96.0", "clusterIPs": ["10.96.0"] }))
}

#[test]
fn an_object_that_cannot_be_understood_costs_only_itself() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        let agent = Agent::settled(&cluster, &[]);
        cluster.apply(malformed());
        cluster.apply(service("after", 21, json!({})));
        cluster.apply(slice("after", &["10.244.0.21"]));
        agent.until_equal(&cluster.objects);
        // A relist brings the same again.
        cluster.server.disturb(Resource::Services, Fault::ErrorEvent(Failure::Expired));
        cluster.apply(service("after", 22, json!({})));
        agent.until_equal(&cluster.objects);
        let lists = |path: &str| cluster.server.requests().iter().filter(|asked| asked.path == path).count();
        assert!(lists("/api/v1/services") > 1);
        let log = agent.log();
        let told: Vec<&str> = log.lines().filter(|line| line.contains("shop/web")).collect();
        assert_eq!(told.len(), 1, "it is told once: {log}");
        assert!(told[0].contains("clusterIP"), "{told:?}");
        agent.stop();
        // It is the same where it is there from the start.
        let agent = Agent::settled(&cluster, &[]);
        cluster.apply(service("web", 10, json!({})));
        agent.until_equal(&cluster.objects);
    });
}

/// How many changes come at once.
const BURST: u8 = 200;

#[test]
fn changes_that_come_together_are_taken_together() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        let agent = Agent::settled(&cluster, &[]);
        let before = metric("svcnat_transactions_total");
        // They wait in the socket while the agent does not run.
        agent.signal(Signal::SIGSTOP);
        for number in 0..BURST {
            cluster.apply(service(&format!("burst-{number}"), 20 + number, json!({})));
            cluster.apply(slice(&format!("burst-{number}"), &[&format!("10.244.0.{number}")]));
        }
        agent.signal(Signal::SIGCONT);
        agent.until_equal(&cluster.objects);
        let transactions = metric("svcnat_transactions_total") - before;
        // How many news wait when the loop comes to them is the scheduler's, but there are two for each number.
        assert!(transactions < f64::from(BURST), "{transactions} transactions for twice {BURST} changes");
    });
}

#[test]
fn the_least_time_between_transactions_is_kept() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        let agent =
            Agent::settled(&cluster, &["--iptables-min-sync-period", "1h", "--iptables-sync-period", "1h"]);
        let before = cluster.objects.clone();
        cluster.apply(slice("idle", &["10.244.0.9"]));
        let pending = "kubeproxy_sync_proxy_rules_endpoint_changes_pending";
        agent.until("the change waits", || holds(metric(pending) == 1.0, "it does not"));
        before.compare(&config()).unwrap();
        assert_eq!(metric("kubeproxy_sync_proxy_rules_endpoint_changes_total"), 3.0, "two at the start");
    });
}

#[test]
fn metrics_tell_of_what_happened() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        let agent = Agent::settled(&cluster, &[]);
        let check = |name: &str, value: f64| assert_eq!(metric(name), value, "{name}: {}", agent.log());
        check("svcnat_services", 3.0);
        check("svcnat_backends", 5.0);
        check("svcnat_conflicts", 0.0);
        check("kubeproxy_sync_full_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"}", 1.0);
        check("kubeproxy_sync_partial_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"}", 0.0);
        let transactions = metric("svcnat_transactions_total");
        let trigger = jiff::Timestamp::now().to_string();
        let mut triggered = slice("idle", &["10.244.0.9", "10.244.1.9"]);
        triggered["metadata"]["annotations"] =
            json!({ "endpoints.kubernetes.io/last-change-trigger-time": trigger });
        cluster.apply(triggered);
        agent.until_equal(&cluster.objects);
        // The kernel has it before the counters have.
        agent.until("it is counted", || {
            holds(metric("svcnat_transactions_total") == transactions + 1.0, "it is not")
        });
        check("svcnat_backends", 7.0);
        check("kubeproxy_sync_partial_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"}", 1.0);
        check("kubeproxy_sync_proxy_rules_endpoint_changes_pending", 0.0);
        check("kubeproxy_network_programming_duration_seconds_count{ip_family=\"IPv4\"}", 1.0);
        check("kubeproxy_sync_proxy_rules_nftables_sync_failures_total{ip_family=\"IPv4\"}", 0.0);
        let local = "kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family=\"IPv4\",traffic_policy=\"internal\"}";
        check(local, 0.0);
        cluster.apply(service("remote", 30, json!({ "internalTrafficPolicy": "Local" })));
        let mut remote = slice("remote", &["10.244.1.30"]);
        remote["endpoints"][0]["nodeName"] = json!("node-b");
        cluster.apply(remote);
        agent.until("it is counted", || holds(metric(local) == 1.0, "it is not"));
    });
}

#[test]
fn a_conflict_is_told_to_the_younger_service_once() {
    on_node_a(|| {
        let shared =
            |name: &str, number: u8| service(name, number, json!({ "externalIPs": ["203.0.113.9"] }));
        let mut cluster = Cluster::of(shop());
        cluster.apply(shared("older", 20));
        let agent = Agent::settled(&cluster, &[]);
        cluster.apply(shared("younger", 21));
        agent.until_equal(&cluster.objects);
        agent.until("the Event is posted", || holds(!cluster.server.events_posted().is_empty(), "it is not"));
        // A change of something else does not tell of it again.
        cluster.apply(slice("younger", &["10.244.0.21"]));
        agent.until_equal(&cluster.objects);
        cluster.apply(node(&[NODE_A, "2001:db8:1::2"]));
        agent.until_equal(&cluster.objects);
        let posted = cluster.server.events_posted();
        assert_eq!(posted.len(), 1, "{posted:#?}");
        let (event, namespace) = (&posted[0].event, &posted[0].namespace);
        assert_eq!((namespace.as_str(), &event["reason"]), ("shop", &json!("FrontendConflict")));
        assert_eq!((&event["regarding"]["name"], &event["type"]), (&json!("younger"), &json!("Warning")));
        assert!(event["note"].as_str().unwrap().contains("203.0.113.9"), "{event}");
        assert_eq!(metric("svcnat_conflicts"), 1.0);
        cluster.delete("older");
        agent.until_equal(&cluster.objects);
        agent.until("it is over", || holds(metric("svcnat_conflicts") == 0.0, "it is not"));
    });
}

#[test]
fn what_cannot_be_understood_is_logged_once_and_costs_only_itself() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        let agent = Agent::settled(&cluster, &[]);
        let broken = |labels: Value, ip: &str| {
            let mut broken = service("broken", 50, json!({ "clusterIP": ip, "clusterIPs": [ip] }));
            broken["metadata"]["labels"] = labels;
            broken
        };
        let (other, another) = ("10.96.0.x", "10.96.0.y");
        // Three versions with one mistake, one with another, and the first mistake again.
        for (version, ip) in [other, other, other, another, other].into_iter().enumerate() {
            cluster.server.apply(broken(json!({ "version": version.to_string() }), ip)).unwrap();
        }
        cluster.apply(service("sound", 51, json!({})));
        cluster.apply(slice("sound", &["10.244.0.51"]));
        agent.until_equal(&cluster.objects);
        let log = agent.log();
        let lines =
            |ip: &str| log.lines().filter(|line| line.contains("shop/broken") && line.contains(ip)).count();
        assert_eq!((lines(other), lines(another)), (2, 1), "{log}");
    });
}

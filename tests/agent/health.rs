//! What load balancers ask.

use std::net::SocketAddr;

use serde_json::{Value, json};
use svcnat_apiserver::Resource;

use crate::agent_support::agent::Agent;
use crate::agent_support::cluster::Cluster;
use crate::agent_support::http::{get, metric, page, status};
use crate::agent_support::objects::{NODE_A, node, service, shop, slice};
use crate::agent_support::{holds, on_node_a};

#[test]
fn load_balancers_are_told_whether_the_node_stays() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        let agent = Agent::settled(&cluster, &[]);
        let tainted = |key: &str| {
            let mut node = node(&[NODE_A]);
            node["spec"]["taints"] = json!([{ "key": key, "effect": "NoSchedule" }]);
            node
        };
        let deleted = || {
            let mut node = node(&[NODE_A]);
            node["metadata"]["deletionTimestamp"] = json!("2026-11-22T21:40:26Z");
            node
        };
        let check = |what: &str, expected: u16| {
            agent.until(what, || holds(status("/healthz") == Some(expected), "not yet"));
            let others = ["/livez", "/readyz"].map(status);
            assert_eq!(others, [Some(200); 2], "{what}");
        };
        check("a node", 200);
        cluster.apply(tainted("ToBeDeletedByClusterAutoscaler"));
        check("about to be removed", 503);
        cluster.apply(tainted("example.com/other"));
        check("another taint", 200);
        cluster.apply(deleted());
        check("being deleted", 503);
        cluster.apply(node(&[NODE_A]));
        check("as it was", 200);
        cluster.delete_one(Resource::Nodes, "node-a");
        check("gone", 503);
        assert!(metric("kubeproxy_proxy_healthz_total{code=\"503\"}") >= 3.0);
        let (_, body) = get(SocketAddr::from(([127, 0, 0, 1], 10_256)), "/healthz").unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&body["nodeEligible"], &body["healthy"]), (&json!(false), &json!(true)), "{body}");
        assert_eq!(page("/proxyMode"), "nftables");
    });
}

/// A Service whose load balancer asks at a port.
fn balanced(port: u16) -> Value {
    let spec = json!({
        "type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": port,
    });
    service("balanced", 30, spec)
}

/// The answer at a port of the node: the status and how many endpoints are here; nothing where nobody listens.
fn endpoints_at(port: u16) -> Option<(u16, u64)> {
    let (status, body) = get(format!("{NODE_A}:{port}").parse().unwrap(), "/").ok()?;
    let body: Value = serde_json::from_str(&body).ok()?;
    assert_eq!(body["service"], json!({ "namespace": "shop", "name": "balanced" }));
    Some((status, body["localEndpoints"].as_u64()?))
}

#[test]
fn health_check_ports_follow_their_services() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        cluster.apply(balanced(31_000));
        let agent = Agent::settled(&cluster, &[]);
        let check = |what: &str, port: u16, expected: Option<(u16, u64)>| {
            agent.until(what, || {
                let found = endpoints_at(port);
                holds(found == expected, format!("{found:?} instead of {expected:?}"))
            });
        };
        check("no endpoints", 31_000, Some((503, 0)));
        cluster.apply(slice("balanced", &["10.244.0.30", "10.244.1.30"]));
        check("one here", 31_000, Some((200, 1)));
        let mut elsewhere = slice("balanced", &["10.244.1.31"]);
        elsewhere["endpoints"][0]["nodeName"] = json!("node-b");
        cluster.apply(elsewhere);
        check("none here", 31_000, Some((503, 0)));
        cluster.apply(slice("balanced", &["10.244.0.30"]));
        cluster.apply(balanced(31_001));
        check("another port", 31_001, Some((200, 1)));
        check("the former one", 31_000, None);
        cluster.delete("balanced");
        check("the Service is gone", 31_001, None);
        agent.until_equal(&cluster.objects);
    });
}

#[test]
fn a_health_check_port_that_is_taken_is_reported() {
    on_node_a(|| {
        let taken = std::net::TcpListener::bind((NODE_A, 31_000)).unwrap();
        let mut cluster = Cluster::of(shop());
        cluster.apply(balanced(31_000));
        let agent = Agent::settled(&cluster, &[]);
        agent.until("the Event is posted", || holds(!cluster.server.events_posted().is_empty(), "it is not"));
        let event = cluster.server.events_posted().remove(0).event;
        assert_eq!(event["reason"], json!("FailedToStartServiceHealthcheck"), "{event}");
        assert_eq!(event["regarding"]["name"], json!("balanced"), "{event}");
        drop(taken);
        agent.until("it is tried again", || holds(endpoints_at(31_000).is_some(), "it is not"));
    });
}

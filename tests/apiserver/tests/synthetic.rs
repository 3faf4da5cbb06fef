//! The synthetic cluster is the one that the benchmarks of the compiler measure with.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../../../benches/cluster/mod.rs"]
mod benches;

use benches::{Maker, Size};
use serde_json::{Value, json};
use svcnat_apiserver::synthetic::Cluster;
use svcnat_rules::net::Protocol;

#[test]
fn names_and_addresses_are_those_of_the_benchmarks() {
    let maker = Maker::new(Size { services: 300, backends: 7 }, Protocol::Tcp);
    let cluster = Cluster { services: 300, backends: 7 };
    for number in 0..300 {
        let (theirs, ours) = (maker.service(number), cluster.service(number));
        assert_eq!(ours["metadata"]["namespace"], json!(theirs.name.namespace()));
        assert_eq!(ours["metadata"]["name"], json!(theirs.name.name()));
        assert_eq!(ours["spec"]["clusterIP"], json!(theirs.cluster_ips[0].to_string()));
        assert_eq!(ours["spec"]["ports"][0]["port"], json!(theirs.ports[0].port));

        let slice = cluster.slice(number);
        let endpoints: Vec<Value> = maker
            .slice(number)
            .endpoints
            .iter()
            .map(|endpoint| {
                json!([
                    endpoint.address.to_string(),
                    endpoint.node.as_ref().unwrap().to_string(),
                    endpoint.zone.as_ref().unwrap().to_string(),
                    endpoint.pod.as_ref().unwrap().name(),
                ])
            })
            .collect();
        let ours: Vec<Value> = slice["endpoints"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| json!([e["addresses"][0], e["nodeName"], e["zone"], e["targetRef"]["name"]]))
            .collect();
        assert_eq!(ours, endpoints);
    }
}

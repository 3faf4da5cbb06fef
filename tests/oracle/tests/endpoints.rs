//! The rows about EndpointSlices and topology: which endpoints serve.

mod common;

use common::check;
use svcnat_oracle::build::{
    EndpointBuilder, OTHER_NODE, OTHER_ZONE, RESET, SliceBuilder, THIS_NODE, THIS_ZONE, elsewhere, endpoint,
    here, kept, outside, pod, service, slice, tcp_slice, world,
};
use svcnat_oracle::{Verdict, World};
use svcnat_rules::net::{Family, Protocol};

const A: &str = "10.244.0.2:8080";
const B: &str = "10.244.0.3:8080";
const C: &str = "10.244.1.2:8080";
const D: &str = "10.244.1.3:8080";

fn a() -> EndpointBuilder {
    here("10.244.0.2")
}

fn b() -> EndpointBuilder {
    here("10.244.0.3")
}

fn c() -> EndpointBuilder {
    elsewhere("10.244.1.2")
}

fn d() -> EndpointBuilder {
    elsewhere("10.244.1.3")
}

/// A Service with policy Cluster inside and Local outside.
fn with_slices(slices: impl IntoIterator<Item = SliceBuilder>) -> World {
    let web =
        service("default/web").cluster_ip("10.96.0.1").external_ip("203.0.113.1").tcp(80).external_local();
    slices.into_iter().fold(world().service(web), World::slice)
}

fn with(endpoints: impl IntoIterator<Item = EndpointBuilder>) -> World {
    with_slices([tcp_slice("default/web", endpoints)])
}

/// What a pod sees at the ClusterIP (policy Cluster) and a client outside at the external IP (policy Local).
fn expect(world: &World, cluster: Verdict, local: Verdict) {
    check(
        world,
        &[
            (pod("10.244.0.9").tcp("10.96.0.1:80"), cluster),
            (outside("198.51.100.7").tcp("203.0.113.1:80"), local),
        ],
    );
}

#[test]
fn terminating_endpoints_serve_where_none_is_ready_for_each_policy_on_its_own() {
    let table = [
        (vec![a(), b().terminating(), c().terminating()], kept(&[A]), kept(&[A])),
        (vec![a().terminating(), c()], kept(&[C]), kept(&[A])),
        (vec![a().terminating(), c().terminating()], kept(&[A, C]), kept(&[A])),
        (vec![a().terminating(), b().finished(), c().not_ready()], kept(&[A]), kept(&[A])),
        (vec![a().not_ready(), c().terminating()], kept(&[C]), Verdict::Drop),
        (vec![a().finished(), c()], kept(&[C]), Verdict::Drop),
        (vec![a().finished(), c().not_ready()], RESET, RESET),
        (vec![a().only_serving(), c().only_serving()], RESET, RESET),
        (vec![a().only_serving(), c().terminating()], kept(&[C]), Verdict::Drop),
        (vec![a().ready_and_terminating(), b().terminating()], kept(&[A]), kept(&[A])),
    ];
    for (endpoints, cluster, local) in table {
        expect(&with(endpoints), cluster, local);
    }
}

#[test]
fn slices_merge_and_the_not_terminating_duplicate_wins() {
    let one = |endpoints: Vec<EndpointBuilder>| tcp_slice("default/web", endpoints);
    let table = [
        (vec![one(vec![a()]), one(vec![a(), c()])], kept(&[A, C]), kept(&[A])),
        (vec![one(vec![a().terminating()]), one(vec![a()])], kept(&[A]), kept(&[A])),
        (vec![one(vec![a(), c()]), one(vec![a().terminating()])], kept(&[A, C]), kept(&[A])),
        (vec![one(vec![a().terminating(), a()])], kept(&[A]), kept(&[A])),
        // Even one that is not ready.
        (vec![one(vec![a().terminating()]), one(vec![a().not_ready(), c()])], kept(&[C]), Verdict::Drop),
        // The better condition, whichever comes first.
        (vec![one(vec![a().terminating()]), one(vec![a().finished()])], kept(&[A]), kept(&[A])),
        (vec![one(vec![a().finished()]), one(vec![a().terminating(), c()])], kept(&[C]), kept(&[A])),
        (vec![one(vec![a(), c()]), one(vec![a().not_ready()])], kept(&[A, C]), kept(&[A])),
        (vec![one(vec![a().not_ready(), c()]), one(vec![a()])], kept(&[A, C]), kept(&[A])),
    ];
    for (slices, cluster, local) in table {
        expect(&with_slices(slices), cluster, local);
    }
    // Another port is another backend.
    let other_port =
        slice("default/web", Family::Ipv4).port("", Protocol::Tcp, 8081).endpoints([a().terminating()]);
    expect(&with_slices([one(vec![a()]), other_port]), kept(&[A]), kept(&[A]));
}

#[test]
fn slices_count_by_service_family_port_name_and_protocol() {
    let odd = [
        slice("default/web", Family::Ipv4).port("http", Protocol::Tcp, 8080).endpoints([c()]),
        slice("default/web", Family::Ipv4).port("", Protocol::Udp, 8080).endpoints([c()]),
        slice("default/web", Family::Ipv4).endpoints([c()]),
        tcp_slice("default/other", [c()]),
        tcp_slice("shop/web", [c()]),
        tcp_slice("default/web", [elsewhere("fd00:10:244:1::2")]),
    ];
    for slice in odd {
        expect(&with_slices([slice.clone()]), RESET, RESET);
        expect(&with_slices([slice, tcp_slice("default/web", [a()])]), kept(&[A]), kept(&[A]));
    }
}

#[test]
fn local_means_that_the_node_name_is_this_nodes() {
    let unknown = endpoint("10.244.0.4", None, None);
    expect(&with([unknown]), kept(&["10.244.0.4:8080"]), Verdict::Drop);
    let far_zone = endpoint("10.244.0.4", Some(THIS_NODE), Some(OTHER_ZONE));
    expect(&with([far_zone]), kept(&["10.244.0.4:8080"]), kept(&["10.244.0.4:8080"]));
    // The name comes from the options, also where no Node is known.
    expect(&with([a(), c()]).node(|node| *node = None), kept(&[A, C]), kept(&[A]));
}

#[test]
fn hints_choose_nodes_before_zones_where_every_ready_endpoint_has_them() {
    let zones = |endpoint: EndpointBuilder, zones: &[&str]| endpoint.for_zones(zones);
    let (z, o) = (&[THIS_ZONE][..], &[OTHER_ZONE][..]);
    let (n, m) = (&[THIS_NODE][..], &[OTHER_NODE][..]);
    let table = [
        // By zone.
        (vec![zones(a(), z), zones(c(), o)], kept(&[A])),
        (vec![zones(a(), o), zones(c(), z), zones(d(), &[OTHER_ZONE, THIS_ZONE])], kept(&[C, D])),
        (vec![zones(a(), o), zones(c(), o)], kept(&[A, C])),
        (vec![zones(a(), z), c()], kept(&[A, C])),
        // By node.
        (vec![a().for_nodes(n), b().for_nodes(n), c().for_nodes(m)], kept(&[A, B])),
        (vec![a().for_nodes(n), c()], kept(&[A, C])),
        (vec![a().for_nodes(m), c().for_nodes(m)], kept(&[A, C])),
        // Both.
        (vec![a().for_nodes(m).for_zones(z), c().for_nodes(n).for_zones(o)], kept(&[C])),
        (vec![a().for_nodes(m).for_zones(z), c().for_nodes(m).for_zones(o)], kept(&[A])),
        (vec![a().for_nodes(n).for_zones(o), c().for_zones(z)], kept(&[C])),
        // Only ready ones have a say, and without a ready one nobody has.
        (vec![zones(a(), z), zones(c(), o), b().not_ready()], kept(&[A])),
        (vec![zones(a(), o), zones(c(), o), zones(b(), z).not_ready()], kept(&[A, C])),
        (vec![zones(a(), z).terminating(), zones(c(), o).terminating()], kept(&[A, C])),
    ];
    for (endpoints, cluster) in table {
        let hinted: Vec<_> = endpoints.iter().map(|endpoint| endpoint.0.clone()).collect();
        let verdict = svcnat_oracle::verdict(&with(endpoints), &pod("10.244.0.9").tcp("10.96.0.1:80"));
        assert_eq!(verdict, cluster, "{hinted:?}");
    }
}

#[test]
fn hints_do_not_matter_for_policy_local_but_for_its_short_circuits() {
    let hinted =
        with([a().for_zones(&[OTHER_ZONE]), b().for_zones(&[THIS_ZONE]), c().for_zones(&[THIS_ZONE])]);
    check(
        &hinted,
        &[
            (outside("198.51.100.7").tcp("203.0.113.1:80"), kept(&[A, B])),
            (pod("10.244.0.9").tcp("203.0.113.1:80"), kept(&[B, C])),
        ],
    );
}

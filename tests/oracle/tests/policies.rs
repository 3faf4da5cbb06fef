//! The rows about policies: traffic policies, no backends, affinity, hairpin.

mod common;

use common::{FAR, HERE, check, served, to_external_frontends, web, with_endpoints};
use svcnat_oracle::Verdict;
use svcnat_oracle::build::{
    RESET, ServiceBuilder, UNREACHABLE, elsewhere, hairpin, here, kept, masqueraded, outside, pod, process,
    service, world,
};
use svcnat_rules::net::Protocol;

#[test]
fn external_policy_cluster_uses_all_backends_masqueraded() {
    let all = masqueraded(&[HERE, FAR]);
    let world = served(web());
    check(&world, &to_external_frontends("198.51.100.7", &all));
    check(
        &world,
        &[
            (pod("10.244.0.9").tcp("203.0.113.1:80"), all.clone()),
            (process("192.168.1.2").tcp("192.168.1.2:30008"), all),
        ],
    );
}

#[test]
fn external_policy_local_keeps_the_source_and_stays_here() {
    check(&served(web().external_local()), &to_external_frontends("198.51.100.7", &kept(&[HERE])));
    check(&served(web().external_local()), &[(pod("10.244.0.9").tcp("10.96.0.1:80"), kept(&[HERE, FAR]))]);
    let none_here = with_endpoints(web().external_local(), [elsewhere("10.244.1.2")]);
    check(&none_here, &to_external_frontends("198.51.100.7", &Verdict::Drop));
    check(&none_here, &[(pod("10.244.0.9").tcp("203.0.113.1:80"), kept(&[FAR]))]);
    check(&none_here, &[(process("192.168.1.2").tcp("192.168.1.2:30008"), masqueraded(&[FAR]))]);
}

#[test]
fn external_policy_local_lets_pods_and_the_node_use_all_backends() {
    let world = served(web().external_local()).local_address("203.0.113.2");
    for to in ["203.0.113.1:80", "203.0.113.2:80", "192.168.1.2:30008"] {
        check(
            &world,
            &[
                (pod("10.244.0.9").tcp(to), kept(&[HERE, FAR])),
                // Detection by ClusterCIDR counts pods of other nodes as well.
                (outside("10.244.1.9").tcp(to), kept(&[HERE, FAR])),
                (process("192.168.1.2").tcp(to), masqueraded(&[HERE, FAR])),
                (process("203.0.113.2").tcp(to), masqueraded(&[HERE, FAR])),
                // The bridge's address is the node's and in the pod network: as a pod.
                (process("10.244.0.1").tcp(to), kept(&[HERE, FAR])),
            ],
        );
    }
}

#[test]
fn internal_policy_local_uses_backends_here_or_drops() {
    check(
        &served(web().internal_local()),
        &[
            (pod("10.244.0.9").tcp("10.96.0.1:80"), kept(&[HERE])),
            (process("192.168.1.2").tcp("10.96.0.1:80"), masqueraded(&[HERE])),
            (outside("198.51.100.7").tcp("203.0.113.1:80"), masqueraded(&[HERE, FAR])),
        ],
    );
    check(
        &with_endpoints(web().internal_local(), [elsewhere("10.244.1.2")]),
        &[
            (pod("10.244.0.9").tcp("10.96.0.1:80"), Verdict::Drop),
            (process("192.168.1.2").tcp("10.96.0.1:80"), Verdict::Drop),
            (outside("198.51.100.7").tcp("203.0.113.1:80"), masqueraded(&[FAR])),
        ],
    );
}

#[test]
fn without_backends_every_frontend_rejects() {
    let policies: [fn(ServiceBuilder) -> ServiceBuilder; 3] =
        [|service| service, ServiceBuilder::internal_local, ServiceBuilder::external_local];
    for policy in policies {
        for endpoints in
            [vec![], vec![here("10.244.0.2").not_ready()], vec![elsewhere("10.244.1.2").finished()]]
        {
            let world = with_endpoints(policy(web()), endpoints);
            check(&world, &to_external_frontends("198.51.100.7", &RESET));
            check(&world, &[(pod("10.244.0.9").tcp("10.96.0.1:80"), RESET)]);
            check(&world, &[(process("192.168.1.2").tcp("192.168.1.2:30008"), RESET)]);
        }
    }
    let udp = service("default/web").cluster_ip("10.96.0.1").port("u", Protocol::Udp, 80).port(
        "s",
        Protocol::Sctp,
        80,
    );
    check(
        &world().service(udp),
        &[
            (pod("10.244.0.9").to(Protocol::Udp, "10.96.0.1:80"), UNREACHABLE),
            (pod("10.244.0.9").to(Protocol::Sctp, "10.96.0.1:80"), UNREACHABLE),
        ],
    );
}

#[test]
fn affinity_sends_a_client_to_its_backend_while_its_path_allows_it() {
    let world = served(web().external_local().affinity(60));
    check(
        &world,
        &[
            (pod("10.244.0.9").tcp("10.96.0.1:80"), kept(&[HERE, FAR])),
            (pod("10.244.0.9").tcp("10.96.0.1:80").remembered(FAR), kept(&[FAR])),
            (process("192.168.1.2").tcp("192.168.1.2:30008").remembered(HERE), masqueraded(&[HERE])),
            // Gone: the address, or only the port.
            (pod("10.244.0.9").tcp("10.96.0.1:80").remembered("10.244.1.99:8080"), kept(&[HERE, FAR])),
            (pod("10.244.0.9").tcp("10.96.0.1:80").remembered("10.244.1.2:9999"), kept(&[HERE, FAR])),
            // Still there, but not for clients from outside.
            (outside("198.51.100.7").tcp("203.0.113.1:80").remembered(FAR), kept(&[HERE])),
        ],
    );
    check(&served(web()), &[(pod("10.244.0.9").tcp("10.96.0.1:80").remembered(FAR), kept(&[HERE, FAR]))]);
}

#[test]
fn hairpin_is_masqueraded_where_the_backend_is_on_this_node() {
    let world = served(web());
    check(
        &world,
        &[
            (pod("10.244.0.2").tcp("10.96.0.1:80"), hairpin(HERE, &[FAR])),
            (outside("10.244.1.2").tcp("10.96.0.1:80"), kept(&[HERE, FAR])),
        ],
    );
    let external_local = served(web().external_local());
    check(&external_local, &[(pod("10.244.0.2").tcp("203.0.113.1:80"), hairpin(HERE, &[FAR]))]);
    let on_the_node = with_endpoints(web(), [here("192.168.1.2"), elsewhere("10.244.1.2")])
        .config(|config| config.detect_local = svcnat_rules::config::DetectLocal::Off);
    check(&on_the_node, &[(process("192.168.1.2").tcp("10.96.0.1:80"), hairpin("192.168.1.2:8080", &[FAR]))]);
}

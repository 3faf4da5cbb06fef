//! The row about `loadBalancerSourceRanges`.

mod common;

use common::{FAR, HERE, check, served, web, with_endpoints};
use svcnat_oracle::Verdict;
use svcnat_oracle::build::{RESET, ServiceBuilder, kept, masqueraded, outside, pod, process, read, service};
use svcnat_rules::config::NodePortAddresses;

#[test]
fn external_ips_are_served_without_source_ranges() {
    check(
        &served(web().source_range("198.51.100.0/25")),
        &[
            (outside("198.51.100.200").tcp("203.0.113.1:80"), masqueraded(&[HERE, FAR])),
            (outside("198.51.100.200").tcp("192.168.1.2:30008"), masqueraded(&[HERE, FAR])),
            (outside("198.51.100.200").tcp("203.0.113.2:80"), Verdict::Drop),
            (outside("198.51.100.7").tcp("203.0.113.2:80"), masqueraded(&[HERE, FAR])),
        ],
    );
}

#[test]
fn source_ranges_hold_for_every_sender_to_a_load_balancer_address() {
    check(
        &served(web().source_range("198.51.100.0/25")),
        &[
            (pod("10.244.0.9").tcp("203.0.113.2:80"), Verdict::Drop),
            (process("192.168.1.2").tcp("203.0.113.2:80"), Verdict::Drop),
            (pod("10.244.0.9").tcp("10.96.0.1:80"), kept(&[HERE, FAR])),
            // Other ports of the address are not the Service's to close.
            (outside("198.51.100.200").tcp("203.0.113.2:81"), Verdict::Untouched),
        ],
    );
    // Before the reject.
    check(
        &with_endpoints(web().source_range("198.51.100.0/25"), []),
        &[
            (outside("198.51.100.200").tcp("203.0.113.2:80"), Verdict::Drop),
            (outside("198.51.100.7").tcp("203.0.113.2:80"), RESET),
        ],
    );
}

#[test]
fn source_ranges_of_one_family_close_the_other() {
    let v6 = &["[fd00:10:244::2]:8080", "[fd00:10:244:1::2]:8080"];
    let table = [
        (&[][..], true, true),
        (&["198.51.100.0/24"][..], true, false),
        (&["2001:db8:198::/64"], false, true),
        (&["198.51.100.0/24", "2001:db8:198::/64"], true, true),
        (&["0.0.0.0/0"], true, false),
        (&["::/0"], false, true),
        (&["0.0.0.0/0", "2001:db8:199::/64"], true, false),
    ];
    for (ranges, v4_open, v6_open) in table {
        let dual = web().cluster_ip("fd00:10:96::1").load_balancer_ip("2001:db8:203::2");
        let world = served(dual.source_ranges(ranges.iter().map(|range| read(range))));
        let expected = |open, verdict| if open { verdict } else { Verdict::Drop };
        check(
            &world,
            &[
                (outside("198.51.100.7").tcp("203.0.113.2:80"), expected(v4_open, masqueraded(&[HERE, FAR]))),
                (outside("2001:db8:198::7").tcp("[2001:db8:203::2]:80"), expected(v6_open, masqueraded(v6))),
            ],
        );
    }
}

#[test]
fn load_balancer_addresses_may_connect_where_a_range_holds_the_node() {
    let looped = |range| {
        served(web().load_balancer_ip("203.0.113.3").source_range(range)).local_address("203.0.113.3")
    };
    let from = |source| process(source).tcp("203.0.113.2:80");
    let open = masqueraded(&[HERE, FAR]);
    check(
        &looped("192.168.1.0/24"),
        &[
            (from("203.0.113.3"), open.clone()),
            (outside("203.0.113.2").tcp("203.0.113.2:80"), open.clone()),
            (from("192.168.1.2"), open),
            (outside("203.0.113.1").tcp("203.0.113.2:80"), Verdict::Drop),
        ],
    );
    // 192.168.1.3 is the node's too, but not its primary address.
    check(&looped("192.168.1.3/32"), &[(from("203.0.113.3"), Verdict::Drop)]);
    check(&looped("192.168.1.0/24").node(|node| *node = None), &[(from("203.0.113.3"), Verdict::Drop)]);
}

#[test]
fn an_address_with_several_uses_has_its_source_ranges() {
    let twice = |service: ServiceBuilder| {
        served(service.load_balancer_ip("203.0.113.1").source_range("198.51.100.0/25"))
    };
    check(
        &twice(web()),
        &[
            (outside("198.51.100.200").tcp("203.0.113.1:80"), Verdict::Drop),
            (outside("198.51.100.7").tcp("203.0.113.1:80"), masqueraded(&[HERE, FAR])),
        ],
    );
    // Its own ClusterIP as load-balancer address: internal policy, and closed.
    let own = service("default/web").cluster_ip("203.0.113.1").tcp(80).internal_local();
    check(
        &twice(own),
        &[
            (outside("198.51.100.7").tcp("203.0.113.1:80"), masqueraded(&[HERE])),
            (pod("10.244.0.9").tcp("203.0.113.1:80"), Verdict::Drop),
        ],
    );
}

#[test]
fn a_load_balancer_address_of_the_node_serves_node_ports_without_source_ranges() {
    let bound = served(web().source_range("198.51.100.0/25"))
        .local_address("203.0.113.2")
        .config(|config| config.node_port_addresses = NodePortAddresses::All);
    check(
        &bound,
        &[
            (outside("198.51.100.200").tcp("203.0.113.2:30008"), masqueraded(&[HERE, FAR])),
            (outside("198.51.100.200").tcp("203.0.113.2:80"), Verdict::Drop),
        ],
    );
}

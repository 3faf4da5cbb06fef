//! Clusters that have broken such programs before, each with packets that tell whether they broke this one.

use svcnat_rules::config::DetectLocal;
use svcnat_rules::net::{Cidr, Family, Protocol};

use crate::build::{
    OTHER_ZONE, RESET, THIS_ZONE, UNREACHABLE, elsewhere, here, kept, masqueraded, outside, pod, process,
    read, service, slice, tcp_slice, world,
};
use crate::packet::{Packet, Verdict, World};

/// A world and what must become of some packets in it.
#[derive(Debug, Clone)]
pub struct Case {
    /// What is tried.
    pub name: &'static str,
    /// The world.
    pub world: World,
    /// Packets and their verdicts.
    pub packets: Vec<(Packet, Verdict)>,
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Case> {
    vec![
        overlapping_source_ranges(),
        everyone_may_connect(),
        ipv4_range_on_ipv6_service(),
        five_thousand_source_ranges(),
        shortest_and_longest_timeout(),
        hundred_ports(),
        thousand_endpoints_in_twelve_slices(),
        hints_on_some_endpoints(),
        node_without_zone(),
        same_frontends_twice(),
        three_hundred_services_on_one_node_port(),
        external_ip_of_the_node(),
        external_ip_of_another_cluster_ip(),
    ]
}

const POD: &str = "10.244.1.2";
const POD_V6: &str = "fd00:10:244:1::2";

/// A load balancer on 203.0.113.1:443 and 2001:db8:203::1:443 with these source ranges and one backend per family.
fn restricted(ranges: impl IntoIterator<Item = Cidr>) -> World {
    let balanced = service("shop/api").cluster_ip("10.96.0.1").cluster_ip("fd00:10:96::1").tcp(443);
    let balanced = balanced.load_balancer_ip("203.0.113.1").load_balancer_ip("2001:db8:203::1");
    world()
        .service(balanced.source_ranges(ranges))
        .slice(tcp_slice("shop/api", [elsewhere(POD)]))
        .slice(tcp_slice("shop/api", [elsewhere(POD_V6)]))
}

fn from(client: &str, expected: Verdict) -> (Packet, Verdict) {
    let destination = if client.contains(':') { "[2001:db8:203::1]:443" } else { "203.0.113.1:443" };
    (outside(client).tcp(destination), expected)
}

fn v4() -> Verdict {
    masqueraded(&["10.244.1.2:8080"])
}

fn v6() -> Verdict {
    masqueraded(&["[fd00:10:244:1::2]:8080"])
}

fn overlapping_source_ranges() -> Case {
    let ranges =
        ["198.51.100.0/25", "198.51.100.0/24", "198.51.100.7/32", "198.51.100.64/26", "2001:db8:198::/64"];
    Case {
        name: "overlapping source ranges",
        world: restricted(ranges.map(read)),
        packets: vec![
            from("198.51.100.7", v4()),
            from("198.51.100.70", v4()),
            from("198.51.100.200", v4()),
            from("198.51.101.7", Verdict::Drop),
            from("2001:db8:198::7", v6()),
            from("2001:db8:199::7", Verdict::Drop),
        ],
    }
}

fn everyone_may_connect() -> Case {
    Case {
        name: "a source range of /0 among others",
        world: restricted(["0.0.0.0/0", "198.51.100.0/24"].map(read)),
        packets: vec![
            from("198.51.100.7", v4()),
            from("255.255.255.254", v4()),
            from("2001:db8:198::7", Verdict::Drop),
        ],
    }
}

fn ipv4_range_on_ipv6_service() -> Case {
    let balanced =
        service("shop/api").cluster_ip("fd00:10:96::1").tcp(443).load_balancer_ip("2001:db8:203::1");
    Case {
        name: "an IPv4 range on an IPv6 Service",
        world: world()
            .service(balanced.source_range("198.51.100.0/24"))
            .slice(tcp_slice("shop/api", [elsewhere(POD_V6)])),
        packets: vec![
            from("2001:db8:198::7", Verdict::Drop),
            // Only the load balancer's address is closed.
            (pod("fd00:10:244::9").tcp("[fd00:10:96::1]:443"), kept(&["[fd00:10:244:1::2]:8080"])),
        ],
    }
}

/// Every other address, so that no two ranges can be joined.
fn five_thousand_source_ranges() -> Case {
    let odd_v4 = (0..125_u32).map(|n| read(&format!("198.51.100.{}/32", 2 * n + 1)));
    let more_v4 = (0..2_375_u32).map(|n| read(&format!("198.18.{}.{}/32", n / 100, 2 * (n % 100) + 1)));
    let odd_v6 = (0..2_500_u32).map(|n| read(&format!("2001:db8:198::{:x}/128", 2 * n + 1)));
    Case {
        name: "5,000 source ranges",
        world: restricted(odd_v4.chain(more_v4).chain(odd_v6)),
        packets: vec![
            from("198.51.100.1", v4()),
            from("198.51.100.2", Verdict::Drop),
            from("198.51.100.249", v4()),
            from("198.51.100.251", Verdict::Drop),
            from("2001:db8:198::1387", v6()),
            from("2001:db8:198::1386", Verdict::Drop),
            from("2001:db8:198::1389", Verdict::Drop),
        ],
    }
}

fn shortest_and_longest_timeout() -> Case {
    let sticky = |name, address, seconds| service(name).cluster_ip(address).tcp(80).affinity(seconds);
    let both = ["10.244.1.2:8080", "10.244.1.3:8080"];
    let mut world = world();
    for (name, address, seconds) in [("shop/short", "10.96.0.1", 1), ("shop/long", "10.96.0.2", 86_400)] {
        world = world
            .service(sticky(name, address, seconds))
            .slice(tcp_slice(name, [elsewhere("10.244.1.2"), elsewhere("10.244.1.3")]));
    }
    let packets = ["10.96.0.1:80", "10.96.0.2:80"].into_iter().flat_map(|to| {
        [
            (pod("10.244.0.9").tcp(to), kept(&both)),
            (pod("10.244.0.9").tcp(to).remembered(both[1]), kept(&both[1..])),
        ]
    });
    Case { name: "affinity timeouts of 1 s and 86,400 s", world, packets: packets.collect() }
}

fn hundred_ports() -> Case {
    let mut many = service("shop/many").cluster_ip("10.96.0.1").external_ip("203.0.113.1");
    let mut targets = slice("shop/many", Family::Ipv4);
    for n in 0..100 {
        let (name, protocol) = (format!("port-{n}"), Protocol::ALL[usize::from(n % 3)]);
        many = many.port(&name, protocol, 1_000 + n).node_port(30_000 + n);
        targets = targets.port(&name, protocol, 2_000 + n);
    }
    Case {
        name: "a Service with 100 ports",
        world: world().service(many).slice(targets.endpoints([elsewhere(POD)])),
        packets: vec![
            (pod("10.244.0.9").tcp("10.96.0.1:1000"), kept(&["10.244.1.2:2000"])),
            (pod("10.244.0.9").tcp("10.96.0.1:1099"), kept(&["10.244.1.2:2099"])),
            (pod("10.244.0.9").to(Protocol::Udp, "10.96.0.1:1001"), kept(&["10.244.1.2:2001"])),
            (pod("10.244.0.9").tcp("10.96.0.1:1001"), RESET),
            (pod("10.244.0.9").tcp("10.96.0.1:1100"), RESET),
            (
                outside("198.51.100.7").to(Protocol::Sctp, "203.0.113.1:1098"),
                masqueraded(&["10.244.1.2:2098"]),
            ),
            (outside("198.51.100.7").tcp("192.168.1.2:30099"), masqueraded(&["10.244.1.2:2099"])),
        ],
    }
}

/// 12 slices of about 100: each begins with 16 endpoints of the next one, which terminate here and do not there.
fn thousand_endpoints_in_twelve_slices() -> Case {
    let address = |n: u16| format!("10.244.{}.{}", n / 250, n % 250 + 2);
    let at = |n: u16| if n < 250 { here(&address(n)) } else { elsewhere(&address(n)) };
    let mut crowded = world().service(
        service("shop/big").cluster_ip("10.96.0.1").external_ip("203.0.113.1").tcp(80).external_local(),
    );
    for index in 0..12_u16 {
        let own = (84 * index..(84 * index + 84).min(1_000)).map(at);
        let repeated = (0..16_u16).map(|n| at((84 * index + 84 + n) % 1_000).terminating());
        let endpoints: Vec<_> = repeated.chain(own).collect();
        crowded = crowded.slice(tcp_slice("shop/big", endpoints));
    }
    let all: Vec<_> = (0..1_000).map(|n| format!("{}:8080", address(n))).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    Case {
        name: "1,000 endpoints in 12 slices with duplicates",
        world: crowded,
        packets: vec![
            (pod("10.244.0.254").tcp("10.96.0.1:80"), kept(&all)),
            (outside("198.51.100.7").tcp("203.0.113.1:80"), kept(&all[..250])),
        ],
    }
}

fn hints_on_some_endpoints() -> Case {
    let some = [
        here("10.244.0.2").for_zones(&[THIS_ZONE]),
        elsewhere("10.244.1.2").for_zones(&[OTHER_ZONE]),
        elsewhere("10.244.1.3"),
    ];
    Case {
        name: "hints on some endpoints only",
        world: world()
            .service(service("shop/api").cluster_ip("10.96.0.1").tcp(80))
            .slice(tcp_slice("shop/api", some)),
        packets: vec![(
            pod("10.244.0.9").tcp("10.96.0.1:80"),
            kept(&["10.244.0.2:8080", "10.244.1.2:8080", "10.244.1.3:8080"]),
        )],
    }
}

fn node_without_zone() -> Case {
    let hinted =
        [here("10.244.0.2").for_zones(&[THIS_ZONE]), elsewhere("10.244.1.2").for_zones(&[OTHER_ZONE])];
    Case {
        name: "hints by zone and a node without a zone",
        world: world()
            .node(|node| node.iter_mut().for_each(|node| node.zone = None))
            .service(service("shop/api").cluster_ip("10.96.0.1").tcp(80))
            .slice(tcp_slice("shop/api", hinted)),
        packets: vec![(pod("10.244.0.9").tcp("10.96.0.1:80"), kept(&["10.244.0.2:8080", "10.244.1.2:8080"]))],
    }
}

/// The older one has no backends: even then the younger gets nothing.
fn same_frontends_twice() -> Case {
    let same = |name| {
        let with_cluster_ip =
            service(name).cluster_ip("10.96.0.1").port("http", Protocol::Tcp, 80).node_port(30008);
        with_cluster_ip.external_ip("203.0.113.1").load_balancer_ip("203.0.113.2")
    };
    let more = |name| same(name).port("dns", Protocol::Udp, 53);
    let targets =
        slice("a/younger", Family::Ipv4).port("http", Protocol::Tcp, 8080).port("dns", Protocol::Udp, 8080);
    Case {
        name: "two Services with all the same frontends",
        world: world()
            .service(more("a/younger").created(200).source_range("198.51.100.200/32"))
            .service(same("b/older").created(100))
            .slice(targets.endpoints([elsewhere(POD)])),
        packets: vec![
            (pod("10.244.0.9").tcp("10.96.0.1:80"), RESET),
            (outside("198.51.100.7").tcp("203.0.113.1:80"), RESET),
            (outside("198.51.100.7").tcp("203.0.113.2:80"), RESET),
            (outside("198.51.100.7").tcp("192.168.1.2:30008"), RESET),
            // What the older one does not want is the younger's, ranges included.
            (pod("10.244.0.9").to(Protocol::Udp, "10.96.0.1:53"), kept(&["10.244.1.2:8080"])),
            (outside("198.51.100.7").to(Protocol::Udp, "203.0.113.2:53"), Verdict::Drop),
            (
                outside("198.51.100.200").to(Protocol::Udp, "203.0.113.2:53"),
                masqueraded(&["10.244.1.2:8080"]),
            ),
        ],
    }
}

fn three_hundred_services_on_one_node_port() -> Case {
    let mut contested = world();
    for n in 0..300_i64 {
        let name = format!("shop/s{n:03}");
        let address = format!("10.96.{}.{}", n / 100, n % 100 + 1);
        // The 200th is the oldest; the names alone would say the first.
        let created = if n == 200 { 50 } else { 100 };
        let pod = format!("10.244.1.{}", n % 250 + 2);
        contested = contested
            .service(service(&name).created(created).cluster_ip(&address).tcp(80).node_port(30008))
            .slice(tcp_slice(&name, [elsewhere(&pod)]));
    }
    Case {
        name: "300 Services on one node port",
        world: contested,
        packets: vec![
            (outside("198.51.100.7").tcp("192.168.1.2:30008"), masqueraded(&["10.244.1.202:8080"])),
            (pod("10.244.0.9").tcp("10.96.2.100:80"), kept(&["10.244.1.51:8080"])),
        ],
    }
}

/// One port of the external IP is also a node port, of the older Service even: the address comes first.
fn external_ip_of_the_node() -> Case {
    let on_node = service("shop/api").created(200).cluster_ip("10.96.0.1").external_ip("192.168.1.2");
    let on_node = on_node.port("http", Protocol::Tcp, 80).port("alt", Protocol::Tcp, 30008);
    let targets = slice("shop/api", Family::Ipv4).port("http", Protocol::Tcp, 8080);
    let node_port = service("shop/web").created(100).cluster_ip("10.96.0.2").tcp(80).node_port(30008);
    Case {
        name: "an external IP that is a node's address",
        world: world()
            .service(on_node)
            .slice(targets.endpoints([elsewhere(POD)]))
            .service(node_port)
            .slice(tcp_slice("shop/web", [elsewhere("10.244.1.3")])),
        packets: vec![
            (outside("198.51.100.7").tcp("192.168.1.2:80"), masqueraded(&["10.244.1.2:8080"])),
            (process("192.168.1.2").tcp("192.168.1.2:80"), masqueraded(&["10.244.1.2:8080"])),
            // `shop/api` has no backends at this port and still has the frontend.
            (outside("198.51.100.7").tcp("192.168.1.2:30008"), RESET),
            // The node's other services are not touched.
            (outside("198.51.100.7").tcp("192.168.1.2:22"), Verdict::Untouched),
            (outside("198.51.100.7").to(Protocol::Udp, "192.168.1.2:80"), Verdict::Untouched),
        ],
    }
}

fn external_ip_of_another_cluster_ip() -> Case {
    let owner = service("shop/db").created(200).cluster_ip("10.96.0.1").port("sql", Protocol::Tcp, 5432);
    let owner = owner.port("admin", Protocol::Tcp, 443).port("udp", Protocol::Udp, 443);
    let owned =
        slice("shop/db", Family::Ipv4).port("sql", Protocol::Tcp, 8432).port("admin", Protocol::Tcp, 8443);
    let guest =
        |name, created| service(name).created(created).cluster_ip("10.96.0.9").external_ip("10.96.0.1");
    let older = guest("shop/older", 100).tcp(443).external_local();
    let younger = guest("shop/younger", 300).port("", Protocol::Tcp, 5432).port("own", Protocol::Tcp, 8080);
    Case {
        name: "an external IP that is another Service's ClusterIP",
        world: world()
            .config(|config| config.detect_local = DetectLocal::ClusterCidr(vec![read("10.244.0.0/16")]))
            .service(owner)
            .slice(owned.endpoints([elsewhere(POD)]))
            .service(older)
            .slice(tcp_slice("shop/older", [here("10.244.0.2"), elsewhere("10.244.1.3")]))
            .service(younger)
            .slice(tcp_slice("shop/younger", [elsewhere("10.244.1.4")]).port("own", Protocol::Tcp, 8081)),
        packets: vec![
            // The younger guest does not get what the owner has, but what it has not.
            (pod("10.244.0.9").tcp("10.96.0.1:5432"), kept(&["10.244.1.2:8432"])),
            (pod("10.244.0.9").tcp("10.96.0.1:8080"), masqueraded(&["10.244.1.4:8081"])),
            // The older one has 443, as an external address: local backends for the world. It is masqueraded all the
            // same, because it goes to a ClusterIP and does not come from a pod.
            (outside("198.51.100.7").tcp("10.96.0.1:443"), masqueraded(&["10.244.0.2:8080"])),
            (pod("10.244.0.9").tcp("10.96.0.1:443"), kept(&["10.244.0.2:8080", "10.244.1.3:8080"])),
            (pod("10.244.0.9").to(Protocol::Udp, "10.96.0.1:443"), UNREACHABLE),
            (pod("10.244.0.9").tcp("10.96.0.1:444"), RESET),
        ],
    }
}

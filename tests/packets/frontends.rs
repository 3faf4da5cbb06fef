//! Where clients connect to: ClusterIPs, node ports, external and load-balancer addresses, and which source backends see.

use serde_json::{Value, json};
use svcnat_lab::{Family, Host, Result};

use crate::manifests::{
    Addresses, PORT, cluster_ip, created_at, external, load_balanced, node_port, service, slices,
};
use crate::stage::{Expected, Sees, Stage, addresses, backend, lead_to_services};
use Expected::{Answers, Silence};
use Sees::{Client, Node};

#[test]
fn a_cluster_ip_is_reached_from_everywhere_in_the_cluster() -> Result<()> {
    let stage = Stage::new()?;
    let mut objects = slices("web", &stage.webs());
    objects.push(service("web", 10, &json!({})));
    stage.with_layouts(&objects, |layout| {
        let check = |from: &Host, sees| {
            let both = [("web-a", sees), ("web-b", sees)];
            stage.check(layout, from, (cluster_ip(10), PORT), Answers(&both));
        };
        check(&stage.client_a, Client);
        check(&stage.client_b, Client);
        check(&stage.node_a, Node(&stage.node_a));
        check(&stage.node_b, Node(&stage.node_b));
        // No pod of the cluster: the answers must come back by the node that translated.
        check(&stage.laptop, Node(&stage.node_a));
    })
}

#[test]
fn a_node_port_is_reached_through_every_node() -> Result<()> {
    let stage = Stage::new()?;
    let mut objects = slices("web", &stage.webs());
    objects.push(service("web", 10, &node_port(30008)));
    stage.with_layouts(&objects, |layout| {
        let check = |from: &Host, through: &svcnat_lab::Node| {
            let both = [("web-a", Node(through)), ("web-b", Node(through))];
            stage.check(layout, from, (addresses(through), 30008), Answers(&both));
        };
        for from in [&stage.laptop, &stage.client_a, &stage.client_b, &stage.node_a, &stage.node_b] {
            check(from, &stage.node_a);
            check(from, &stage.node_b);
        }
        // Loopback addresses serve no node ports, and nobody else listens there.
        let loopback = Addresses::new("127.0.0.1", "::1");
        for family in Family::ALL {
            let probe = svcnat_lab::Probe::tcp((loopback.of(family), 30008).into());
            assert_eq!(stage.node_a.probe(&probe), svcnat_lab::Outcome::Reset, "{layout}, {family}");
        }
    })
}

#[test]
fn a_pod_reaches_itself_through_its_service() -> Result<()> {
    let stage = Stage::new()?;
    let mut objects = slices("web", &stage.webs());
    objects.push(load_balanced(service("web", 10, &node_port(30008)), external(7)));
    stage.with_layouts(&objects, |layout| {
        let here = Node(&stage.node_a);
        let to = (cluster_ip(10), PORT);
        stage.check(layout, &stage.web_a, to, Answers(&[("web-a", here), ("web-b", Client)]));
        let there = Node(&stage.node_b);
        stage.check(layout, &stage.web_b, to, Answers(&[("web-a", Client), ("web-b", there)]));
        for to in [(addresses(&stage.node_a), 30008), (external(7), PORT)] {
            stage.check(layout, &stage.web_a, to, Answers(&[("web-a", here), ("web-b", here)]));
        }
    })
}

#[test]
fn external_and_load_balancer_addresses_are_served() -> Result<()> {
    let stage = Stage::new()?;
    let mut objects = slices("web", &stage.webs());
    let spec = json!({"externalIPs": external(8).json()});
    objects.push(load_balanced(service("web", 10, &spec), external(7)));
    stage.with_layouts(&objects, |layout| {
        let check = |from: &Host, node| {
            let both = [("web-a", Node(node)), ("web-b", Node(node))];
            stage.check(layout, from, (external(7), PORT), Answers(&both));
            stage.check(layout, from, (external(8), PORT), Answers(&both));
        };
        check(&stage.laptop, &stage.node_a);
        check(&stage.client_b, &stage.node_b);
        check(&stage.node_a, &stage.node_a);
    })
}

#[test]
fn load_balancer_addresses_are_closed_to_other_sources() -> Result<()> {
    let stage = Stage::new()?;
    let stranger = stage.lab.host("stranger")?;
    lead_to_services(&stranger, &stage.node_a)?;
    let balanced = |name: &str, number, ranges: &[&str], spec: Value| -> Vec<Value> {
        let mut service = load_balanced(service(name, number, &spec), external(number));
        service["spec"]["loadBalancerSourceRanges"] = json!(ranges);
        let mut objects = slices(name, &stage.webs());
        objects.push(service);
        objects
    };
    let laptop = ["192.168.1.10/32", "2001:db8:1::10/128"];
    let mut objects = balanced("both", 11, &laptop, node_port(30011));
    objects.extend(balanced("ipv4", 12, &["192.168.1.0/24"], json!({})));
    objects.extend(balanced("all", 13, &["0.0.0.0/0", "::/0"], json!({})));
    objects.extend(balanced("pods", 14, &["10.244.0.0/24", "fd00:10:244::/64"], json!({})));
    stage.with_layouts(&objects, |layout| {
        let masqueraded = [("web-a", Node(&stage.node_a)), ("web-b", Node(&stage.node_a))];
        let answers = Answers(&masqueraded);
        let check = |from: &Host, number, expected| {
            stage.check(layout, from, (external(number), PORT), expected);
        };
        check(&stage.laptop, 11, answers);
        check(&stranger, 11, Silence);
        check(&stage.client_a, 11, Silence);
        check(&stage.node_a, 11, Silence);
        check(&stage.laptop, 13, answers);
        check(&stranger, 13, answers);
        check(&stage.laptop, 14, Silence);
        check(&stage.client_a, 14, answers);
        // Ranges of one family leave no way around by the other.
        stage.check_in(&[Family::Ipv4], layout, &stranger, (external(12), PORT), answers);
        stage.check_in(&[Family::Ipv6], layout, &stranger, (external(12), PORT), Silence);
        // They hold for the load-balancer address alone.
        stage.check(layout, &stranger, (cluster_ip(11), PORT), answers);
        stage.check(layout, &stranger, (addresses(&stage.node_a), 30011), answers);
    })
}

#[test]
fn of_two_services_with_one_node_port_the_older_one_answers() -> Result<()> {
    let stage = Stage::new()?;
    let (a, b) = (backend(&stage.web_a, "node-a"), backend(&stage.web_b, "node-b"));
    let claimants = |hours: [u8; 2]| {
        let mut objects = [slices("alpha", &[a]), slices("beta", &[b])].concat();
        objects.push(created_at(service("alpha", 10, &node_port(30008)), hours[0]));
        objects.push(created_at(service("beta", 11, &node_port(30008)), hours[1]));
        objects
    };
    for (hours, winner) in [([1, 2], "web-a"), ([2, 1], "web-b")] {
        stage.with_layouts(&claimants(hours), |layout| {
            let answer = [(winner, Node(&stage.node_b))];
            stage.check(layout, &stage.laptop, (addresses(&stage.node_b), 30008), Answers(&answer));
            // The loser keeps what is its own.
            stage.check(layout, &stage.client_a, (cluster_ip(10), PORT), Answers(&[("web-a", Client)]));
            stage.check(layout, &stage.client_a, (cluster_ip(11), PORT), Answers(&[("web-b", Client)]));
        })?;
    }
    Ok(())
}

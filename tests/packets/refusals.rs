//! What nobody serves: refused at once where a Service says that nobody does, silent where no Service is.

use serde_json::json;
use svcnat_lab::{Host, Result};

use crate::manifests::{PORT, cluster_ip, external, load_balanced, node_port, ports, service, slices};
use crate::stage::{Expected, Sees, Stage, addresses};
use Expected::{Answers, Refused, Silence};

#[test]
fn a_service_without_endpoints_refuses_at_once() -> Result<()> {
    let stage = Stage::new()?;
    let spec = json!({"type": "NodePort", "ports": ports(Some(30008)), "externalIPs": external(8).json()});
    let mut objects = slices("idle", &[]);
    objects.push(load_balanced(service("idle", 10, &spec), external(7)));
    stage.with_layouts(&objects, |layout| {
        for from in [&stage.client_a, &stage.laptop, &stage.node_a] {
            let frontends = [
                (cluster_ip(10), PORT),
                (addresses(&stage.node_a), 30008),
                (external(7), PORT),
                (external(8), PORT),
            ];
            for to in frontends {
                stage.check(layout, from, to, Refused);
            }
        }
        stage.check(layout, &stage.client_a, (addresses(&stage.node_b), 30008), Refused);
    })
}

#[test]
fn a_service_is_refused_as_soon_as_its_last_endpoint_goes() -> Result<()> {
    let stage = Stage::new()?;
    let objects = |backends: &[_]| {
        let mut objects = slices("web", backends);
        objects.push(service("web", 10, &node_port(30008)));
        objects
    };
    let frontends = [(cluster_ip(10), PORT), (addresses(&stage.node_a), 30008)];
    for layout in crate::stage::WAYS {
        stage.apply(layout, &objects(&stage.webs()[..1]))?;
        let masqueraded = [("web-a", Sees::Node(&stage.node_a))];
        frontends.into_iter().for_each(|to| stage.check(layout, &stage.laptop, to, Answers(&masqueraded)));
        stage.apply(layout, &objects(&[]))?;
        frontends.into_iter().for_each(|to| stage.check(layout, &stage.laptop, to, Refused));
    }
    Ok(())
}

#[test]
fn other_ports_of_a_cluster_ip_are_refused_and_unknown_addresses_silent() -> Result<()> {
    let stage = Stage::new()?;
    let mut objects = slices("web", &stage.webs());
    objects.push(load_balanced(service("web", 10, &json!({})), external(7)));
    stage.with_layouts(&objects, |layout| {
        let check = |from: &Host, to, expected: Expected<'_>| stage.check(layout, from, to, expected);
        for from in [&stage.client_a, &stage.client_b, &stage.laptop, &stage.node_a] {
            check(from, (cluster_ip(10), PORT + 1), Refused);
            check(from, (cluster_ip(99), PORT), Silence);
        }
    })
}

#[test]
fn cleaning_up_ends_all_of_it() -> Result<()> {
    let stage = Stage::new()?;
    let mut objects = slices("web", &stage.webs());
    objects.push(service("web", 10, &node_port(30008)));
    for layout in crate::stage::WAYS {
        stage.node_a.nft("table ip others { chain c { type filter hook forward priority 0; }; }")?;
        stage.apply(layout, &objects)?;
        let node = (addresses(&stage.node_a), 30008);
        let masqueraded = [("web-a", Sees::Node(&stage.node_a)), ("web-b", Sees::Node(&stage.node_a))];
        stage.check(layout, &stage.laptop, node, Answers(&masqueraded));
        let mut cleanup = std::process::Command::new(env!("CARGO_BIN_EXE_svcnat"));
        stage.node_a.succeed(cleanup.arg("cleanup"), "")?;
        let left = stage.node_a.ruleset()?;
        assert!(left.contains("table ip others"), "{layout}: {left}");
        let mut legacy = std::process::Command::new("iptables-legacy-save");
        let left = left.to_lowercase() + &stage.node_a.succeed(&mut legacy, "")?.to_lowercase();
        assert!(!left.contains("svcnat"), "{layout}: {left}");
        let probe = svcnat_lab::Probe::tcp(stage.node_a.at(svcnat_lab::Family::Ipv4, 30008));
        assert_eq!(stage.laptop.probe(&probe), svcnat_lab::Outcome::Reset, "{layout}");
    }
    Ok(())
}

//! Counted connections: each once, on its frontend and on its backend, for as long as these are there.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use serde_json::{Value, json};
use svcnat_lab::{Family, Host, Protocol, Result};

use crate::manifests::{
    Addresses, Backend, PORT, cluster_ip, external, load_balanced, node_port, service, slices,
};
use crate::stage::{LAYOUTS, Stage, TARGET_PORT, addresses, apply_with, backend, every_kind, probe, serve};

/// How often each client asks at each frontend by each protocol.
const TIMES: usize = 4;

/// The sets that count frontends, and frontends with backends.
const FRONTENDS: [&str; 2] = ["frontend-connections", "node-port-frontend-connections"];
const BACKENDS: [&str; 2] = ["backend-connections", "node-port-backend-connections"];

/// Connections by what they went to, in the words of nft: `10.96.0.10 tcp 80`, `tcp 30008 10.244.0.2 8080`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    frontends: BTreeMap<String, u64>,
    backends: BTreeMap<String, u64>,
}

impl Counts {
    /// What the kernel has counted on a host, as nft reads it; without those that have counted nothing.
    fn of(host: &Host) -> Result<Self> {
        Ok(Self { frontends: counted(host, FRONTENDS)?, backends: counted(host, BACKENDS)? })
    }

    fn add(&mut self, frontend: &str, backend: SocketAddr) {
        *self.frontends.entry(frontend.to_owned()).or_default() += 1;
        let pair = format!("{frontend} {} {}", backend.ip(), backend.port());
        *self.backends.entry(pair).or_default() += 1;
    }

    /// Leaves out what was counted for a backend that is gone.
    fn forget(&mut self, gone: Addresses) {
        let names = |pair: &str, address: IpAddr| pair.split(' ').any(|word| word == address.to_string());
        self.backends.retain(|pair, _| !Family::ALL.into_iter().any(|family| names(pair, gone.of(family))));
    }
}

fn counted(host: &Host, sets: [&str; 2]) -> Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    for family in Family::ALL {
        for set in sets {
            let mut nft = Command::new("nft");
            let listing =
                host.succeed(nft.args(["-j", "list", "set", family.keyword(), "svcnat", set]), "")?;
            let listing: Value = serde_json::from_str(&listing).expect("JSON");
            let elements = listing.pointer("/nftables/1/set/elem").and_then(Value::as_array);
            for element in elements.into_iter().flatten().map(|element| &element["elem"]) {
                let words = element["val"]["concat"].as_array().expect("a concatenation").iter();
                let words: Vec<String> =
                    words.map(|word| word.as_str().map_or(word.to_string(), str::to_owned)).collect();
                let packets = element["counter"]["packets"].as_u64().expect("a counter");
                if packets > 0 {
                    // Node ports have the same keys in both families.
                    *counts.entry(words.join(" ")).or_default() += packets;
                }
            }
        }
    }
    Ok(counts)
}

/// A stage whose `node-a` counts, and may serve as a backend by itself.
struct Counting {
    stage: Stage,
    expected: Counts,
}

impl Counting {
    fn new() -> Result<Self> {
        let stage = Stage::new()?;
        serve(&stage.node_a)?;
        serve(&stage.client_b)?;
        Ok(Self { stage, expected: Counts::default() })
    }

    /// Brings Services with these backends into force on `node-a`.
    fn apply(&self, layout: &str, backends: &[Backend<'_>]) -> Result<()> {
        let names = ["web", "sticky", "near"];
        let mut objects: Vec<Value> = names.into_iter().flat_map(|name| slices(name, backends)).collect();
        objects.push(load_balanced(service("web", 10, &node_port(30008)), external(10)));
        let mut sticky = node_port(30009);
        sticky["sessionAffinity"] = json!("ClientIP");
        objects.push(service("sticky", 11, &sticky));
        let mut near = node_port(30010);
        near["externalTrafficPolicy"] = json!("Local");
        objects.push(load_balanced(service("near", 12, &near), external(12)));
        apply_with(&self.stage.node_a, "node-a", layout, &objects, &["--counters"])
    }

    /// Where a host serves.
    fn address_of(&self, name: &str, family: Family) -> SocketAddr {
        let Stage { node_a, web_a, web_b, client_b, .. } = &self.stage;
        let hosts: [&Host; 4] = [node_a, web_a, web_b, client_b];
        let host = hosts.into_iter().find(|host| host.name() == name).expect("a host that serves");
        host.at(family, TARGET_PORT)
    }

    /// Asks by every protocol of both families, which `node-a` must count.
    fn ask(&mut self, from: &str, (to, port): (Addresses, u16)) {
        for (family, protocol) in every_kind() {
            for _ in 0..TIMES {
                let target = SocketAddr::new(to.of(family), port);
                let outcome = self.host(from).probe(&probe(protocol, target));
                let by = outcome.answered_by().unwrap_or_else(|| panic!("{from} to {target}: {outcome}"));
                let backend = self.address_of(by, family);
                self.expected.add(&frontend(protocol, target), backend);
            }
        }
    }

    fn host(&self, name: &str) -> &Host {
        let Stage { laptop, node_a, web_a, client_a, .. } = &self.stage;
        let hosts: [&Host; 4] = [laptop, node_a, web_a, client_a];
        hosts.into_iter().find(|host| host.name() == name).expect("a host that asks")
    }

    #[track_caller]
    fn check(&self, what: &str) {
        assert_eq!(Counts::of(&self.stage.node_a).expect("nft lists"), self.expected, "{what}");
    }
}

/// A frontend as nft has its key.
fn frontend(protocol: Protocol, target: SocketAddr) -> String {
    match target.port() {
        node_port @ 30_000.. => format!("{} {node_port}", protocol.keyword()),
        port => format!("{} {} {port}", target.ip(), protocol.keyword()),
    }
}

#[test]
fn each_connection_is_counted_once_where_it_went() -> Result<()> {
    for layout in LAYOUTS {
        let mut counting = Counting::new()?;
        let Stage { node_a, web_a, web_b, .. } = &counting.stage;
        let at_node = addresses(node_a);
        let backends = [backend(web_a, "node-a"), backend(web_b, "node-b"), backend(node_a, "node-a")];
        counting.apply(layout, &backends)?;
        // A pod, a pod that is its own backend, and the node itself, which is a backend too.
        for from in ["client-a", "web-a", "node-a"] {
            for to in [cluster_ip(10), cluster_ip(11), external(10), external(12)] {
                counting.ask(from, (to, PORT));
            }
            counting.check(&format!("{layout}: {from} to addresses"));
            for port in [30008, 30009, 30010] {
                counting.ask(from, (at_node, port));
            }
            counting.check(&format!("{layout}: {from} to node ports"));
        }
        for to in [external(10), external(12), cluster_ip(10)] {
            counting.ask("laptop", (to, PORT));
        }
        for port in [30008, 30009, 30010] {
            counting.ask("laptop", (at_node, port));
        }
        counting.check(&format!("{layout}: from outside"));
    }
    Ok(())
}

#[test]
fn what_is_refused_or_no_services_is_not_counted() -> Result<()> {
    let counting = Counting::new()?;
    let Stage { node_a, client_a, .. } = &counting.stage;
    for layout in LAYOUTS {
        counting.apply(layout, &[])?;
        for (family, protocol) in every_kind() {
            let refused = SocketAddr::new(cluster_ip(10).of(family), PORT);
            assert!(client_a.probe(&probe(protocol, refused)).is_refused(), "{protocol} to {refused}");
            let direct = client_a.probe(&probe(protocol, node_a.at(family, TARGET_PORT)));
            assert_eq!(direct.answered_by(), Some("node-a"));
        }
        counting.check(layout);
    }
    Ok(())
}

#[test]
fn counts_stay_while_their_frontend_and_backend_do() -> Result<()> {
    let mut counting = Counting::new()?;
    let at = |host: &Host| addresses(host);
    let Stage { node_a, web_a, web_b, client_b, .. } = &counting.stage;
    let (at_node, a, b, c) = (at(node_a), at(web_a), at(web_b), at(client_b));
    let of = |pod, addresses, node| Backend { pod, addresses, node };
    let (web_a, web_b) = (of("web-a", a, "node-a"), of("web-b", b, "node-b"));
    let other = of("client-b", c, "node-b");
    let ask = |counting: &mut Counting| {
        for to in [(cluster_ip(10), PORT), (external(12), PORT), (at_node, 30008)] {
            counting.ask("client-a", to);
        }
    };
    counting.apply("chains", &[web_a, web_b])?;
    ask(&mut counting);
    for (what, layout, backends, gone) in [
        ("another layout", "maps", &[web_a, web_b][..], None),
        ("one more, drawn among four", "maps", &[web_a, web_b, other], None),
        ("one less", "maps", &[web_a, other], Some(b)),
        ("one replaced", "maps", &[web_a, web_b], Some(c)),
        ("the first layout again", "chains", &[web_a, web_b], None),
        ("one replaced in chains", "chains", &[web_a, other], Some(b)),
    ] {
        counting.apply(layout, backends)?;
        gone.into_iter().for_each(|gone| counting.expected.forget(gone));
        counting.check(what);
        ask(&mut counting);
        counting.check(&format!("{what}, and then"));
    }
    // A frontend that refuses its clients keeps its count.
    counting.apply("chains", &[])?;
    [a, c].into_iter().for_each(|gone| counting.expected.forget(gone));
    counting.check("no backend");
    assert!(!counting.expected.frontends.is_empty() && counting.expected.backends.is_empty());
    Ok(())
}

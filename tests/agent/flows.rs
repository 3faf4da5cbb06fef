//! Real packets: what connections meet while the agent comes, changes the rules, and goes.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use serde_json::{Value, json};
use svcnat_lab::{Family, Host, Lab, Node, Probe, Protocol, Result};

use crate::agent_support::agent::Agent;
use crate::agent_support::cluster::Cluster;
use crate::agent_support::http::{metric, status};
use crate::agent_support::iptables::{MODE, VARIANTS, hint, save, until_equal};
use crate::agent_support::objects::{NODE_A, RULE_FLAGS, node, node_port, service, slice};
use crate::agent_support::{holds, must, wait_for};

/// `node-a` with two pods that serve and one that asks, and a laptop.
struct Scene {
    one: Host,
    two: Host,
    client: Host,
    laptop: Host,
    node: Node,
    _lab: Lab,
}

/// Where the Service of most scenes is.
const WEB: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 96, 0, 10)), 80);

impl Scene {
    fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let laptop = lab.laptop()?;
        let node = lab.node("node-a")?;
        // A way out, as nodes have, to a router that is not there.
        node.ip_batch("route add default via 192.168.1.1 dev eth0\n")?;
        let (one, two, client) = (node.pod("one")?, node.pod("two")?, node.pod("client")?);
        for pod in [&one, &two] {
            pod.serve(Protocol::Tcp, 8080)?;
            pod.serve(Protocol::Udp, 8080)?;
        }
        assert_eq!(node.ip(Family::Ipv4).to_string(), NODE_A);
        Ok(Self { one, two, client, laptop, node, _lab: lab })
    }

    /// A slice of pods, which are all on the node.
    fn slice(&self, service: &str, pods: &[&Host]) -> Value {
        let addresses: Vec<String> = pods.iter().map(|pod| pod.ip(Family::Ipv4).to_string()).collect();
        let mut slice = slice(service, &addresses.iter().map(String::as_str).collect::<Vec<_>>());
        for endpoint in slice["endpoints"].as_array_mut().unwrap() {
            endpoint["nodeName"] = json!("node-a");
        }
        slice
    }

    /// The Node and a Service `web` with a node port.
    fn objects(&self, pods: &[&Host]) -> [Value; 3] {
        [node(&[NODE_A]), service("web", 10, node_port(30_080)), self.slice("web", pods)]
    }
}

/// A Service and slice of TCP made one of UDP.
fn udp(mut object: Value) -> Value {
    for field in ["/spec/ports/0/protocol", "/ports/0/protocol"] {
        if let Some(protocol) = object.pointer_mut(field) {
            *protocol = json!("UDP");
        }
    }
    object
}

#[test]
fn clients_of_a_backend_that_is_gone_reach_another() -> Result<()> {
    let scene = Scene::new()?;
    let tracked = || -> Result<usize> {
        let flows = scene.node.conntrack(Family::Ipv4)?;
        Ok(flows.iter().filter(|flow| flow.starts_with("udp") && flow.contains("dst=10.96.0.20")).count())
    };
    scene.node.run(|| {
        let mut cluster = Cluster::of(scene.objects(&[&scene.one]));
        cluster.apply(udp(service("dns", 20, json!({ "sessionAffinity": "ClientIP" }))));
        cluster.apply(udp(scene.slice("dns", &[&scene.one])));
        cluster.apply(service("other", 30, json!({ "sessionAffinity": "ClientIP" })));
        cluster.apply(scene.slice("other", &[&scene.one]));
        let agent = Agent::settled(&cluster, &[]);
        let mut flow = scene.client.open(&Probe::udp(([10, 96, 0, 20], 80).into())).unwrap();
        assert_eq!(flow.ask().answered_by(), Some("one"));
        assert_eq!(tracked()?, 1);
        let all_remembered = || must("nft", &["list", "map", "ip", "svcnat", "affinity"]);
        let remembered_of = |address: &str| -> String {
            let all = all_remembered().replace(" },", "\n").replace(", ", "\n");
            all.lines().filter(|line| line.contains(address)).collect()
        };
        let remembered = || remembered_of("10.96.0.20");
        assert!(remembered().contains("10.244.0.2"), "{}", remembered());
        let probe = Probe::tcp(([10, 96, 0, 30], 80).into());
        assert_eq!(scene.client.probe(&probe).answered_by(), Some("one"));
        assert!(remembered_of("10.96.0.30").contains("10.244.0.2"), "{}", all_remembered());
        // The backend serves on, so whoever still reaches it is not told.
        cluster.apply(udp(scene.slice("dns", &[&scene.two])));
        agent.until_equal(&cluster.objects);
        agent.until("the flow is gone", || holds(tracked().unwrap() == 0, "it is there"));
        agent.until("the client is forgotten", || holds(!remembered().contains("10.244.0.2"), remembered()));
        assert_eq!(flow.ask().answered_by(), Some("two"));
        assert!(remembered().contains("10.244.0.3"), "{}", remembered());
        let deleted = "kubeproxy_conntrack_reconciler_deleted_entries_total{ip_family=\"IPv4\"}";
        agent.until("both are counted", || {
            let counts = (metric(deleted), metric("svcnat_stale_affinity_removed_total"));
            holds(counts == (1.0, 1.0), format!("{counts:?}"))
        });
        // The clients of other Services are remembered on.
        assert!(remembered_of("10.96.0.30").contains("10.244.0.2"), "{}", all_remembered());
        // A change of something else leaves it alone.
        cluster.apply(scene.slice("web", &[&scene.one, &scene.two]));
        agent.until_equal(&cluster.objects);
        // What went while no agent ran is found at the start.
        agent.kill();
        cluster.apply(udp(scene.slice("dns", &[&scene.one])));
        let agent = Agent::settled(&cluster, &[]);
        agent.until("the client is forgotten", || holds(!remembered().contains("10.244.0.3"), remembered()));
        agent.until("the flow is gone", || holds(tracked().unwrap() == 0, "it is there"));
        assert_eq!(flow.ask().answered_by(), Some("one"));
        // So is what an agent left undone that ended right behind its transaction, though the rules are as they should be.
        agent.kill();
        let tuple = "-I -p udp -s 10.244.0.200 -d 10.96.0.20 --sport 5555 --dport 80 -t 600";
        let left: Vec<&str> = tuple.split(' ').chain(["--dst-nat", "10.244.0.9:8080"]).collect();
        must("conntrack", &left);
        let is_left = || -> Result<bool> {
            Ok(scene.node.conntrack(Family::Ipv4)?.iter().any(|flow| flow.contains("sport=5555")))
        };
        assert!(is_left()?);
        let agent = Agent::settled(&cluster, &[]);
        agent.until("the flow is gone", || holds(!is_left().unwrap(), "it is there"));
        Ok(())
    })
}

#[test]
fn a_connection_outlives_its_service_while_its_pod_serves_another() -> Result<()> {
    let scene = Scene::new()?;
    scene.node.run(|| {
        let mut cluster = Cluster::of(scene.objects(&[&scene.one]));
        cluster.apply(service("other", 30, json!({})));
        cluster.apply(scene.slice("other", &[&scene.one]));
        let agent = Agent::settled(&cluster, &["--reset-dead-connections"]);
        let mut connection = scene.client.open(&Probe::tcp(WEB)).unwrap();
        let looked =
            || metric("kubeproxy_conntrack_reconciler_sync_duration_seconds_count{ip_family=\"IPv4\"}");
        agent.until("the start has looked", || holds(looked() > 0.0, "it has not"));
        cluster.delete("web");
        agent.until_equal(&cluster.objects);
        agent.until("flows are looked at", || holds(looked() > 1.0, "they are not"));
        let flows = scene.node.conntrack(Family::Ipv4)?;
        assert!(flows.iter().any(|flow| flow.contains("dst=10.96.0.10")), "{flows:#?}\n{}", agent.log());
        assert_eq!(connection.ask().answered_by(), Some("one"));
        Ok(())
    })
}

#[test]
fn connections_survive_the_agents_coming_and_going() -> Result<()> {
    let scene = Scene::new()?;
    let objects = scene.objects(&[&scene.one]);
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string();
    let mut apply = std::process::Command::new(crate::agent_support::agent::SVCNAT);
    scene.node.succeed(apply.args(["apply", "-f", "-"]).args(RULE_FLAGS), &list)?;
    let from_outside = Probe::tcp(scene.node.at(Family::Ipv4, 30_080));
    let mut connections = [
        scene.client.open(&Probe::tcp(WEB)).expect("a connection"),
        scene.laptop.open(&from_outside).expect("a connection"),
    ];
    let mut check = |what: &str, by: &str| {
        for connection in &mut connections {
            assert_eq!(connection.ask().answered_by(), Some("one"), "{what}");
        }
        assert_eq!(scene.client.probe(&Probe::tcp(WEB)).answered_by(), Some(by), "{what}");
        assert_eq!(scene.laptop.probe(&from_outside).answered_by(), Some(by), "{what}");
    };
    scene.node.run(|| {
        check("by apply", "one");
        let mut cluster = Cluster::of(objects);
        let agent = Agent::settled(&cluster, &[]);
        check("the agent made the tables anew", "one");
        agent.kill();
        check("without the agent", "one");
        let agent = Agent::settled(&cluster, &["--layout", "maps"]);
        check("another layout", "one");
        cluster.apply(scene.slice("web", &[&scene.two]));
        agent.until("the backend changes", || {
            let outcome = scene.client.probe(&Probe::tcp(WEB));
            holds(outcome.answered_by() == Some("two"), outcome.to_string())
        });
        check("another backend", "two");
        agent.stop();
        check("it was stopped", "two");
        Ok(())
    })
}

#[test]
fn services_of_a_folder_are_served_and_followed() -> Result<()> {
    let scene = Scene::new()?;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, object: &Value| {
        // As programs do that want nobody to see half a file.
        let (new, old) = (folder.path().join(format!("{name}.new")), folder.path().join(name));
        std::fs::write(&new, object.to_string()).unwrap();
        std::fs::rename(new, old).unwrap();
    };
    let [node, web, backends] = scene.objects(&[&scene.one]);
    write("node.json", &node);
    write("web.yaml", &web);
    write("backends.json", &backends);
    scene.node.run(|| {
        let flags = ["--manifests", folder.path().to_str().unwrap(), "--oom-score-adj", "0"];
        let agent = Agent::start(&[&RULE_FLAGS[..], &flags].concat());
        agent.until_ready();
        let ask = |from: &Host, to: SocketAddr| from.probe(&Probe::tcp(to));
        let outside = scene.node.at(Family::Ipv4, 30_080);
        assert_eq!(ask(&scene.client, WEB).answered_by(), Some("one"));
        assert_eq!(ask(&scene.laptop, outside).answered_by(), Some("one"));
        write("backends.json", &scene.slice("web", &[&scene.two]));
        wait_for("the backend changes", || {
            let outcome = ask(&scene.laptop, outside);
            holds(outcome.answered_by() == Some("two"), outcome.to_string())
        });
        write("backends.json", &json!("what is that?"));
        agent.until_logged("backends.json");
        sleep(Duration::from_millis(100));
        assert_eq!(
            ask(&scene.client, WEB).answered_by(),
            Some("two"),
            "what was there stays: {}",
            agent.log()
        );
        std::fs::remove_file(folder.path().join("backends.json")).unwrap();
        wait_for("nobody serves", || {
            let outcome = ask(&scene.client, WEB);
            holds(outcome.is_refused(), outcome.to_string())
        });
        assert_eq!(["/livez", "/readyz"].map(status), [Some(200); 2]);
        Ok(())
    })
}

/// Clients that connect all the while that something is done. None of them may fail.
fn under_load(scene: &Scene, work: impl FnOnce()) {
    let from_outside = Probe::tcp(scene.node.at(Family::Ipv4, 30_080));
    let clients = [(&scene.client, Probe::tcp(WEB)), (&scene.laptop, from_outside)];
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let ask = |(from, probe): (&Host, Probe)| {
            let mut asked = 0;
            while !done.load(Ordering::Relaxed) {
                let outcome = from.probe(&probe);
                assert_eq!(outcome.answered_by(), Some("one"), "{outcome}, after {asked} that went well");
                asked += 1;
            }
            assert!(asked > 10, "{asked} connections say nothing");
        };
        let asking = clients.map(|client| scope.spawn(move || ask(client)));
        // The clients end also where this fails.
        let result = catch_unwind(AssertUnwindSafe(work));
        done.store(true, Ordering::Relaxed);
        asking.into_iter().for_each(|client| client.join().unwrap());
        result.unwrap();
    });
}

#[test]
fn no_connection_fails_while_one_mode_follows_another() -> Result<()> {
    for variant in VARIANTS {
        let scene = Scene::new()?;
        scene.node.run(|| {
            hint(variant);
            let cluster = Cluster::of(scene.objects(&[&scene.one]));
            Agent::settled(&cluster, &[]).stop();
            under_load(&scene, || {
                for _ in 0..2 {
                    let agent = Agent::of(&cluster, &MODE);
                    until_equal(&agent, variant, &cluster.objects);
                    agent.until("our tables are gone", || {
                        let tables = must("nft", &["list", "tables"]);
                        holds(!tables.contains("svcnat"), tables)
                    });
                    agent.stop();
                    let agent = Agent::settled(&cluster, &[]);
                    agent.until("our chains are gone", || {
                        let saved = save(variant);
                        holds(!saved.contains("SVCNAT-"), saved)
                    });
                    agent.stop();
                }
            });
        });
    }
    Ok(())
}

#[test]
fn udp_clients_of_a_backend_that_is_gone_reach_another_in_mode_iptables() -> Result<()> {
    for variant in VARIANTS {
        let scene = Scene::new()?;
        scene.node.run(|| {
            hint(variant);
            let mut cluster = Cluster::of(scene.objects(&[&scene.one]));
            cluster.apply(udp(service("dns", 20, json!({ "sessionAffinity": "ClientIP" }))));
            cluster.apply(udp(scene.slice("dns", &[&scene.one])));
            let agent = Agent::of(&cluster, &MODE);
            until_equal(&agent, variant, &cluster.objects);
            let mut flow = scene.client.open(&Probe::udp(([10, 96, 0, 20], 80).into())).unwrap();
            assert_eq!(flow.ask().answered_by(), Some("one"));
            let mut until_answered = |agent: &Agent, pod: &str| {
                agent.until("the backend changes", || {
                    let outcome = flow.ask();
                    holds(outcome.answered_by() == Some(pod), outcome.to_string())
                });
            };
            cluster.apply(udp(scene.slice("dns", &[&scene.two])));
            until_answered(&agent, "two");
            // What went while no agent ran is found at the start.
            agent.kill();
            cluster.apply(udp(scene.slice("dns", &[&scene.one])));
            let agent = Agent::of(&cluster, &MODE);
            until_equal(&agent, variant, &cluster.objects);
            until_answered(&agent, "one");
            assert!(!agent.log().contains("WARN"), "{}", agent.log());
        });
    }
    Ok(())
}

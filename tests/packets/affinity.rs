//! Session affinity: who stays with a backend, for how long, and who need not.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use svcnat_lab::{Family, Host, Probe, Protocol, Result};

use crate::manifests::{Addresses, Backend, PORT, cluster_ip, node_port, service, slices};
use crate::stage::{Stage, WAYS, addresses, apply, backend, every_kind, lead_to_services, probe, serve};

/// How many clients there are. That all of them get the same one of two backends happens once in 2^39 cases.
const CLIENTS: u8 = 40;

/// The port of a crowd's first question.
const FIRST_PORT: u16 = 20_000;

/// A Service with affinity, as ClusterIP and with the node port 30008.
fn sticky(backends: &[Backend<'_>], seconds: u32) -> Vec<Value> {
    let mut spec = node_port(30008);
    spec["sessionAffinity"] = json!("ClientIP");
    spec["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": seconds}});
    let mut objects = slices("web", backends);
    objects.push(service("web", 10, &spec));
    objects
}

/// A host with many addresses, each of which is a client. Each question comes from a port of its own: with one that the
/// kernel chooses, connection tracking may still know a flow that went to another backend.
struct Crowd {
    host: Host,
    asked: AtomicU16,
}

impl Crowd {
    fn new(stage: &Stage) -> Result<Self> {
        let host = stage.lab.host("crowd")?;
        lead_to_services(&host, &stage.node_a)?;
        let mut lines = String::new();
        for client in 0..CLIENTS {
            let addresses = Self::client(client);
            let (ipv4, ipv6) = (addresses.of(Family::Ipv4), addresses.of(Family::Ipv6));
            let _ = write!(lines, "addr add {ipv4}/24 dev eth0\naddr add {ipv6}/64 dev eth0 nodad\n");
        }
        host.ip_batch(&lines)?;
        Ok(Self { host, asked: AtomicU16::new(0) })
    }

    fn client(number: u8) -> Addresses {
        let last = 200 + number;
        Addresses::new(&format!("192.168.1.{last}"), &format!("2001:db8:1::{last}"))
    }

    /// Who answers each of the clients.
    fn ask(&self, protocol: Protocol, to: SocketAddr) -> Vec<String> {
        let ask = |client| {
            let port = FIRST_PORT + self.asked.fetch_add(1, Ordering::Relaxed);
            let source = SocketAddr::new(Self::client(client).of(Family::of(to.ip())), port);
            let outcome = self.host.probe(&Probe::new(protocol, to).from(source));
            outcome
                .answered_by()
                .unwrap_or_else(|| panic!("{source} to {to} by {protocol}: {outcome}"))
                .to_owned()
        };
        (0..CLIENTS).map(ask).collect()
    }

    /// The same by every protocol of both families.
    fn ask_all(&self, (to, port): (Addresses, u16)) -> Vec<Vec<String>> {
        thread::scope(|scope| {
            let asking: Vec<_> = every_kind()
                .map(|(family, protocol)| {
                    scope.spawn(move || self.ask(protocol, SocketAddr::new(to.of(family), port)))
                })
                .collect();
            asking.into_iter().map(|asking| asking.join().expect("only answers")).collect()
        })
    }
}

fn distinct(answers: &[String]) -> BTreeSet<&str> {
    answers.iter().map(String::as_str).collect()
}

#[test]
fn a_client_stays_with_its_backend() -> Result<()> {
    let stage = Stage::new()?;
    let crowd = Crowd::new(&stage)?;
    let web_c = stage.node_a.pod("web-c")?;
    serve(&web_c)?;
    let more = [&stage.webs()[..], &[backend(&web_c, "node-a")]].concat();
    let elsewhere = |backends: &[Backend<'_>]| {
        let other = [slices("other", &stage.webs()), vec![service("other", 11, &node_port(30009))]];
        [sticky(backends, 10_800), other.concat()].concat()
    };
    let frontends = [(cluster_ip(10), PORT), (addresses(&stage.node_a), 30008)];
    let layouts = ["chains", "maps"];
    let ways = [layouts, ["iptables-nft"; 2], ["iptables-legacy"; 2]];
    for (to, [way, other_way]) in frontends.into_iter().flat_map(|to| ways.map(|ways| (to, ways))) {
        apply(&stage.node_a, "node-a", way, &sticky(&stage.webs(), 10_800))?;
        let first = crowd.ask_all(to);
        for answers in &first {
            assert_eq!(distinct(answers), BTreeSet::from(["web-a", "web-b"]), "{CLIENTS} clients of {to:?}");
        }
        for (family, protocol) in every_kind() {
            let target = SocketAddr::new(to.0.of(family), to.1);
            let answers: Vec<String> = (0..50)
                .map(|_| {
                    stage.laptop.probe(&probe(protocol, target)).answered_by().expect("an answer").to_owned()
                })
                .collect();
            assert_eq!(distinct(&answers).len(), 1, "{protocol} to {target}");
        }
        for (change, layout, objects) in [
            ("another Service", way, elsewhere(&stage.webs())),
            ("another backend", way, elsewhere(&more)),
            ("another layout", other_way, elsewhere(&more)),
            ("another Service's end", other_way, sticky(&more, 10_800)),
            ("another backend's end", other_way, sticky(&stage.webs(), 10_800)),
        ] {
            apply(&stage.node_a, "node-a", layout, &objects)?;
            assert_eq!(crowd.ask_all(to), first, "{layout}, after {change}, {to:?}");
        }
        // All of it is forgotten with the tables.
        stage.node_a.succeed(Command::new(env!("CARGO_BIN_EXE_svcnat")).arg("cleanup"), "")?;
    }
    Ok(())
}

/// Waits until the kernel remembers no client of a family.
fn wait_until_forgotten(host: &Host, family: Family) -> Result<()> {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        let mut list = Command::new("nft");
        let listing = host.succeed(list.args(["list", "map", family.keyword(), "svcnat", "affinity"]), "")?;
        if !listing.contains("elements") {
            return Ok(());
        }
        assert!(Instant::now() < patience, "still remembered: {listing}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_client_that_was_idle_for_too_long_is_forgotten() -> Result<()> {
    let stage = Stage::new()?;
    let crowd = Crowd::new(&stage)?;
    let to = (cluster_ip(10), PORT);
    for layout in WAYS {
        apply(&stage.node_a, "node-a", layout, &sticky(&stage.webs(), 1))?;
        let first = crowd.ask_all(to);
        if layout.starts_with("iptables") {
            // A list keeps clients that were idle for too long until the next one of its Service comes.
            thread::sleep(Duration::from_millis(1_500));
        } else {
            Family::ALL.into_iter().try_for_each(|family| wait_until_forgotten(&stage.node_a, family))?;
        }
        // Every client draws again; that all get what they had happens once in 2^40 cases.
        for (before, after) in first.iter().zip(crowd.ask_all(to)) {
            assert_ne!(*before, after, "{layout}");
        }
    }
    Ok(())
}

#[test]
fn each_new_connection_keeps_a_client_for_longer() -> Result<()> {
    let stage = Stage::new()?;
    let crowd = Crowd::new(&stage)?;
    for layout in WAYS {
        apply(&stage.node_a, "node-a", layout, &sticky(&stage.webs(), 2))?;
        // Where the machine is so busy that a client was idle for too long, nothing is proven.
        let proven = (0..5).any(|_| stay_longer_than_the_timeout(&crowd, Duration::from_secs(2)));
        assert!(proven, "{layout}: this machine is too busy");
    }
    Ok(())
}

/// Asks more often than the timeout, for longer than it: without a refresh, every client would draw again on the way.
/// Gives whether the questions followed each other in time.
fn stay_longer_than_the_timeout(crowd: &Crowd, timeout: Duration) -> bool {
    let to = (cluster_ip(10), PORT);
    let begin = Instant::now();
    let mut last = begin;
    let first = crowd.ask_all(to);
    while begin.elapsed() < timeout + timeout / 2 {
        // Time is the matter here.
        thread::sleep(timeout / 5);
        let now = Instant::now();
        let answers = crowd.ask_all(to);
        if last.elapsed() >= timeout {
            return false;
        }
        assert_eq!(answers, first);
        last = now;
    }
    true
}

#[test]
fn a_backend_that_is_gone_is_left_at_once() -> Result<()> {
    let stage = Stage::new()?;
    let crowd = Crowd::new(&stage)?;
    for layout in WAYS {
        for to in [(cluster_ip(10), PORT), (addresses(&stage.node_a), 30008)] {
            apply(&stage.node_a, "node-a", layout, &sticky(&stage.webs(), 10_800))?;
            let before = crowd.ask_all(to);
            apply(&stage.node_a, "node-a", layout, &sticky(&stage.webs()[..1], 10_800))?;
            for (before, after) in before.iter().zip(crowd.ask_all(to)) {
                assert_eq!(distinct(before), BTreeSet::from(["web-a", "web-b"]), "{layout}, {to:?}");
                assert_eq!(distinct(&after), BTreeSet::from(["web-a"]), "{layout}, {to:?}");
            }
            stage.node_a.succeed(Command::new(env!("CARGO_BIN_EXE_svcnat")).arg("cleanup"), "")?;
        }
    }
    Ok(())
}

//! Changes under way: what is connected stays so, what is new goes where the manifests say by now.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};
use svcnat_lab::{Connection, Family, Host, Probe, Protocol, Result};

use crate::manifests::{PORT, cluster_ip, node_port, service, slices};
use crate::stage::{Expected, LAYOUTS, Sees, Stage, WAYS, addresses, backend, every_kind, probe, serve};
use Expected::Answers;
use Sees::{Client, Node};

/// Connects until this backend has answered, and keeps that connection.
fn connection_to(pod: &str, from: &Host, to: SocketAddr) -> Connection {
    let connect = || {
        let mut connection = from.open(&probe(Protocol::Tcp, to)).expect("a connection");
        (connection.ask().answered_by() == Some(pod)).then_some(connection)
    };
    // One of two backends is missed once in 2^64 cases.
    (0..64).find_map(|_| connect()).unwrap_or_else(|| panic!("{pod} never answers"))
}

#[test]
fn a_pod_that_goes_keeps_its_connections_and_gets_no_new_ones() -> Result<()> {
    let stage = Stage::new()?;
    let web_c = stage.node_b.pod("web-c-on-b")?;
    serve(&web_c)?;
    let (a, b) = (backend(&stage.web_a, "node-a"), backend(&stage.web_b, "node-b"));
    let c = backend(&web_c, "node-b");
    let objects = |backends: &[_]| {
        let mut objects = slices("web", backends);
        objects.push(service("web", 10, &node_port(30008)));
        objects
    };
    for layout in WAYS {
        stage.apply(layout, &objects(&[a, b]))?;
        let targets = Family::ALL.map(|family| {
            let cluster_ip = SocketAddr::new(cluster_ip(10).of(family), PORT);
            [(&stage.client_a, cluster_ip), (&stage.laptop, stage.node_a.at(family, 30008))]
        });
        let connect = |(from, to)| connection_to("web-b", from, to);
        let mut connections: Vec<Connection> = targets.into_iter().flatten().map(connect).collect();
        stage.apply(layout, &objects(&[a, c]))?;
        for connection in &mut connections {
            assert_eq!(connection.ask().answered_by(), Some("web-b"), "{layout}");
        }
        let to = (cluster_ip(10), PORT);
        stage.check(layout, &stage.client_a, to, Answers(&[("web-a", Client), ("web-c-on-b", Client)]));
        let masqueraded = [("web-a", Node(&stage.node_a)), ("web-c-on-b", Node(&stage.node_a))];
        stage.check(layout, &stage.laptop, (addresses(&stage.node_a), 30008), Answers(&masqueraded));
    }
    Ok(())
}

/// How often the layout or the mode changes while clients connect.
const SWITCHES: usize = 6;

#[test]
fn a_change_of_layout_is_not_noticed() -> Result<()> {
    check_switches(&LAYOUTS, true)
}

#[test]
fn a_change_of_mode_is_not_noticed() -> Result<()> {
    // Each mode remembers clients by itself.
    check_switches(&WAYS, false)
}

fn check_switches(ways: &[&str], sticky: bool) -> Result<()> {
    let stage = Stage::new()?;
    let mut objects = [slices("web", &stage.webs()), slices("sticky", &stage.webs())].concat();
    objects.push(service("web", 10, &node_port(30008)));
    let mut spec = node_port(30009);
    if sticky {
        spec["sessionAffinity"] = json!("ClientIP");
    }
    objects.push(service("sticky", 11, &spec));
    stage.apply("chains", &objects)?;
    let mut connections: Vec<(Connection, String)> = every_kind()
        .map(|(family, protocol)| {
            let to = SocketAddr::new(cluster_ip(10).of(family), PORT);
            let mut connection = stage.client_a.open(&probe(protocol, to)).expect("a connection");
            let by = connection.ask().answered_by().expect("an answer").to_owned();
            (connection, by)
        })
        .collect();
    let done = AtomicBool::new(false);
    let asked: usize = thread::scope(|scope| {
        let clients: Vec<_> = [Protocol::Tcp, Protocol::Udp]
            .into_iter()
            .flat_map(|protocol| Family::ALL.map(|family| (protocol, family)))
            .map(|(protocol, family)| {
                let (stage, done) = (&stage, &done);
                scope.spawn(move || ask_until(done, stage, sticky, protocol, family))
            })
            .collect();
        let mut switches = ways.iter().cycle().skip(1).take(SWITCHES);
        let switched = switches.try_for_each(|way| {
            stage.apply(way, &objects)?;
            for (connection, by) in &mut connections {
                assert_eq!(connection.ask().answered_by(), Some(by.as_str()), "{way}");
            }
            Ok(())
        });
        done.store(true, Ordering::Relaxed);
        let asked = clients.into_iter().map(|client| client.join().expect("only answers")).sum();
        switched.map(|()| asked)
    })?;
    assert!(asked > 4 * SWITCHES, "{asked} questions only");
    Ok(())
}

/// Asks both Services until told to stop; gives how often. All questions must be answered, and those to the Service with
/// affinity by the same backend.
fn ask_until(done: &AtomicBool, stage: &Stage, sticky: bool, protocol: Protocol, family: Family) -> usize {
    let web = stage.node_a.at(family, 30008);
    let other = SocketAddr::new(cluster_ip(11).of(family), PORT);
    let mut asked = 0;
    let mut ask = |from: &Host, to| {
        asked += 1;
        let outcome = from.probe(&probe(protocol, to));
        let by = outcome.answered_by().map(str::to_owned);
        assert!(by.is_some(), "{protocol} to {to}: {outcome}");
        by
    };
    let mut favourite = None;
    while !done.load(Ordering::Relaxed) {
        ask(&stage.laptop, web);
        if let Some(by) = ask(&stage.client_a, other).filter(|_| sticky) {
            assert_eq!(favourite.get_or_insert_with(|| by.clone()), &by, "{protocol} to {other}");
        }
    }
    asked
}

#[test]
fn a_service_that_changes_does_not_disturb_another() -> Result<()> {
    let stage = Stage::new()?;
    let other =
        |spec: &Value, backends: &[_]| [vec![service("other", 11, spec)], slices("other", backends)].concat();
    let mut web = slices("web", &stage.webs());
    web.push(service("web", 10, &node_port(30008)));
    let steps = [
        vec![],
        other(&json!({}), &[]),
        other(&json!({}), &stage.webs()[..1]),
        other(&node_port(30009), &stage.webs()),
        other(&json!({"sessionAffinity": "ClientIP"}), &stage.webs()[1..]),
        vec![],
    ];
    for layout in WAYS {
        stage.apply(layout, &web)?;
        let connection = |family| Probe::tcp(SocketAddr::new(cluster_ip(10).of(family), PORT));
        let connect = |family| stage.client_b.open(&connection(family)).expect("a connection");
        let mut connections = Family::ALL.map(connect);
        for step in &steps {
            stage.apply(layout, &[web.clone(), step.clone()].concat())?;
            for connection in &mut connections {
                assert!(connection.ask().answer().is_some(), "{layout}, {step:?}");
            }
            let to = (cluster_ip(10), PORT);
            stage.check(layout, &stage.client_b, to, Answers(&[("web-a", Client), ("web-b", Client)]));
        }
    }
    Ok(())
}

//! `svcnat top` on a terminal, beside a real agent that counts real connections.

use std::net::SocketAddr;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use svcnat_lab::{Family, Host, Lab, Node, Probe, Protocol, Result};

use crate::agent_support::agent::{Agent, SVCNAT};
use crate::agent_support::cluster::Cluster;
use crate::agent_support::objects::{NODE_A, node, node_port, service, shop, slice};
use crate::agent_support::{must, on_node_a, run};
use crate::pty_support::Terminal;

const COUNTERS: &[&str] = &["--counters"];

/// `node-a` with two pods that serve and one that asks.
struct Scene {
    one: Host,
    two: Host,
    client: Host,
    node: Node,
    _lab: Lab,
}

impl Scene {
    fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let node = lab.node("node-a")?;
        let (one, two, client) = (node.pod("one")?, node.pod("two")?, node.pod("client")?);
        for pod in [&one, &two] {
            pod.serve(Protocol::Tcp, 8080)?;
        }
        Ok(Self { one, two, client, node, _lab: lab })
    }

    /// Services `api`, `idle` and `web`, the latter of both pods and with a node port.
    fn objects(&self) -> Vec<Value> {
        let address = |pod: &Host| pod.ip(Family::Ipv4).to_string();
        let (one, two) = (address(&self.one), address(&self.two));
        vec![
            node(&[NODE_A]),
            service("web", 10, node_port(30_080)),
            slice("web", &[&one, &two]),
            service("api", 11, json!({})),
            slice("api", &[&two]),
            service("idle", 12, json!({})),
            slice("idle", &[&one]),
        ]
    }

    /// Connects so many times from a pod to the Service with this number.
    fn connect(&self, number: u8, count: usize) {
        let target = SocketAddr::from(([10, 96, 0, number], 80));
        for outcome in self.client.probe_repeatedly(&Probe::tcp(target), count) {
            assert!(outcome.answered_by().is_some(), "{outcome:?}");
        }
    }
}

fn top(agent: &Agent, arguments: &[&str], size: (u16, u16)) -> Terminal {
    let socket = agent.socket();
    let own = ["top", "--socket", socket.to_str().unwrap(), "--delay", "0.2"];
    Terminal::start(SVCNAT, &[&own[..], arguments].concat(), size)
}

/// The row that begins with a name, its cells apart.
fn row<'a>(screen: &'a str, name: &str) -> Option<Vec<&'a str>> {
    screen
        .lines()
        .map(|line| line.split_whitespace().collect())
        .find(|row: &Vec<&str>| row.first() == Some(&name))
}

/// The names of all rows of the first table, from top to bottom.
fn names(screen: &str) -> Vec<String> {
    let rows = screen.lines().skip(2).map_while(|line| line.split_whitespace().next());
    rows.take_while(|name| name.starts_with("shop/") || name.contains(':')).map(str::to_owned).collect()
}

#[test]
fn connections_are_seen_at_their_service_and_at_their_backends() -> Result<()> {
    let scene = Scene::new()?;
    scene.node.run(|| {
        let cluster = Cluster::of(scene.objects());
        let agent = Agent::settled(&cluster, COUNTERS);
        let mut top = top(&agent, &[], (80, 24));
        top.until_shown("3 ports");
        scene.connect(10, 40);
        scene.connect(11, 5);
        // CONN/S, SHARE with its sign, TOTAL.
        let total = |name: &'static str, total: &'static str| {
            move |screen: &str| row(screen, name).filter(|row| row.contains(&total)).map(drop)
        };
        top.until("40 connections", total("shop/web:http", "40"));
        top.until("5 connections", total("shop/api:http", "5"));
        top.until("none", total("shop/idle:http", "0"));
        // The rate has gone by, and its picture is still there.
        top.until("a sparkline", |screen| {
            screen.contains(['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']).then_some(())
        });
        top.until("nobody connects any more", |screen| {
            (names(screen) == ["shop/web:http", "shop/api:http", "shop/idle:http"]).then_some(())
        });
        // What the kernel says, by the program that is not ours.
        let kernel = must("nft", &["-j", "list", "ruleset"]);
        assert!(kernel.contains("\"packets\": 40"), "{kernel}");

        // Sorted by name, and backwards.
        top.type_keys("ss");
        top.until("sorted by name", |screen| {
            (names(screen) == ["shop/api:http", "shop/idle:http", "shop/web:http"]).then_some(())
        });
        top.type_keys("r");
        top.until("backwards", |screen| {
            (names(screen) == ["shop/web:http", "shop/idle:http", "shop/api:http"]).then_some(())
        });
        top.type_keys("/API\r");
        top.until("filtered", |screen| (names(screen) == ["shop/api:http"]).then_some(()));
        top.type_keys("\u{1b}");
        top.until("not filtered", |screen| (names(screen).len() == 3).then_some(()));

        // Into shop/web, whose backends have the 40 connections among them.
        top.type_keys("\r");
        let backends = top.until("backends", |screen| {
            let totals = ["10.244.0.2:8080", "10.244.0.3:8080"].map(|name| {
                let row = row(screen, name)?;
                Some((row.get(1)?.to_owned().to_owned(), row.get(4).or(row.get(3))?.parse::<usize>().ok()?))
            });
            let [Some(one), Some(two)] = totals else { return None };
            Some([one, two])
        });
        assert_eq!(backends[0].1 + backends[1].1, 40, "{}", top.screen());
        assert_eq!([&backends[0].0, &backends[1].0], ["node-a", "node-b"], "{}", top.screen());
        let frontend =
            top.until("its frontends", |screen| row(screen, "10.96.0.10:80").map(|row| row.join(" ")));
        assert!(frontend.contains("40"), "{frontend}");
        top.until_shown("node port 30080");
        scene.connect(10, 10);
        top.until("50 connections", |screen| {
            row(screen, "10.96.0.10:80").filter(|row| row.contains(&"50")).map(drop)
        });

        // A terminal may be of any size.
        for (columns, rows) in [(40, 10), (20, 4), (3, 2), (1, 1), (200, 60), (80, 24)] {
            top.resize(columns, rows);
            if columns >= 20 {
                top.until("drawn anew", |screen| screen.starts_with("svcnat: shop/web").then_some(()));
            }
        }
        top.type_keys("q");
        top.until_shown("3 ports");
        top.type_keys("q");
        top.ended_as_it_began(0);
        Ok(())
    })
}

#[test]
fn a_terminal_is_given_back_however_it_ends() {
    on_node_a(|| {
        let agent = Agent::settled(&Cluster::of(shop()), COUNTERS);
        let check = |end: &dyn Fn(&mut Terminal)| {
            let mut top = top(&agent, &["shop/web"], (80, 24));
            top.until_shown("node port 30080");
            assert_eq!(top.state(), (true, false));
            end(&mut top);
            top.ended_as_it_began(0);
        };
        check(&|top| top.type_keys("qq"));
        check(&|top| top.type_keys("\u{3}"));
        check(&|top| top.signal(Signal::SIGTERM));
        check(&|top| top.signal(Signal::SIGHUP));
        check(&|top| top.signal(Signal::SIGINT));
    });
}

#[test]
fn a_shell_stops_it_and_lets_it_go_on() {
    on_node_a(|| {
        let agent = Agent::settled(&Cluster::of(shop()), COUNTERS);
        let mut terminal = Terminal::start("bash", &["--norc", "--noprofile", "-i"], (80, 24));
        terminal.type_keys(&format!("{SVCNAT} top --socket {}\r", agent.socket().display()));
        terminal.until_shown("3 ports");
        terminal.type_keys("\u{1a}");
        terminal.until("the shell's screen", |screen| screen.contains("Stopped").then_some(()));
        assert_eq!(terminal.state(), (false, true));
        terminal.type_keys("fg\r");
        terminal.until_shown("3 ports");
        assert_eq!(terminal.state(), (true, false));
        terminal.type_keys("q");
        terminal.until("the shell's screen", |_| (terminal.state() == (false, true)).then_some(()));
        terminal.type_keys("exit\r");
        terminal.ended_as_it_began(0);
    });
}

#[test]
fn an_agent_may_go_and_come_back() {
    on_node_a(|| {
        let cluster = Cluster::of(shop());
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        let flags = ["--counters", "--socket", socket.to_str().unwrap()];
        let agent = Agent::settled(&cluster, &flags);
        let arguments = ["top", "--delay", "0.1", "--socket", socket.to_str().unwrap()];
        let mut top = Terminal::start(SVCNAT, &arguments, (80, 24));
        top.until_shown("3 ports");
        agent.kill();
        top.until_shown("no svcnat agent answers");
        // What was known is still shown.
        assert_eq!(names(&top.screen()).len(), 3, "{}", top.screen());
        let agent = Agent::settled(&cluster, &flags);
        top.until("it goes on", |screen| (!screen.contains("no svcnat agent")).then_some(()));
        // While it is stopped, nobody is asked.
        top.type_keys("p");
        top.until_shown("stopped");
        drop(agent);
        top.type_keys("?");
        top.until_shown("sort backwards");
        assert!(!top.screen().contains("no svcnat agent"));
        top.type_keys("?p");
        top.until_shown("no svcnat agent answers");
        top.type_keys("q");
        top.ended_as_it_began(0);
    });
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    on_node_a(|| {
        let agent = Agent::settled(&Cluster::of(shop()), COUNTERS);
        let socket = agent.socket();
        let arguments = ["top", "--socket", socket.to_str().unwrap()];
        let check = |name: &str, value: &str, coloured: bool| {
            let mut top =
                Terminal::start_with(SVCNAT, &arguments, (80, 24), |command| command.env(name, value));
            top.until_shown("3 ports");
            // The sparkline of the second look is the first that has a colour: cyan, the sixth of the 256.
            top.until_shown("3 ports, 0 conn/s");
            top.type_keys("q");
            top.ended_as_it_began(0);
            assert_eq!(top.told().contains("38;5;6"), coloured, "{:?}", top.told());
        };
        check("NO_COLOR", "1", false);
        check("COLORTERM", "truecolor", true);
    });
}

#[test]
fn without_a_terminal_there_are_tables() -> Result<()> {
    let scene = Scene::new()?;
    scene.node.run(|| {
        let cluster = Cluster::of(scene.objects());
        let agent = Agent::settled(&cluster, COUNTERS);
        scene.connect(10, 7);
        let socket = agent.socket();
        let own = ["top", "--socket", socket.to_str().unwrap(), "--delay", "0.1"];
        let no_terminal = run(SVCNAT, &own);
        assert_eq!(no_terminal.status.code(), Some(2));
        let said = String::from_utf8(no_terminal.stderr).unwrap();
        assert!(said.contains("no terminal") && said.contains("--batch"), "{said}");
        let batch = |more: &[&str]| must(SVCNAT, &[&own[..], &["--batch", "--count", "2"], more].concat());
        let tables = batch(&[]);
        assert_eq!(tables.matches("SERVICE ").count(), 2, "{tables}");
        let web = row(&tables, "shop/web:http").unwrap().join(" ");
        assert_eq!(web, "shop/web:http 10.96.0.10:80 +1 0 - 7", "{tables}");
        assert_eq!(tables.matches("shop/").count(), 6, "{tables}");
        assert_eq!(batch(&["-n", "other"]).matches("shop/").count(), 0);
        let backends = batch(&["web", "-n", "shop"]);
        let of = |name: &str| row(&backends, name).unwrap().last().unwrap().parse::<u64>().unwrap();
        assert_eq!(of("10.244.0.2:8080") + of("10.244.0.3:8080"), 7, "{backends}");
        assert_eq!(of("10.96.0.10:80"), 7, "{backends}");
        // The kernel says the same, but for where the backends are.
        let kernel = |more: &[&str]| {
            must(SVCNAT, &[&["top", "--kernel", "--delay", "0.1", "--batch", "--count", "1"], more].concat())
        };
        assert_eq!(row(&kernel(&["-n", "shop"]), "shop/web:http").unwrap().join(" "), web);
        let of_kernel = kernel(&["shop/web"]);
        for backend in ["10.244.0.2:8080", "10.244.0.3:8080"] {
            assert_eq!(row(&of_kernel, backend).unwrap().last(), row(&backends, backend).unwrap().last());
        }
        // A reader that has seen enough ends it.
        let head = format!("{} | head -n 1", [&[SVCNAT], &own[..], &["-b"]].concat().join(" "));
        let mut shell = Command::new("timeout");
        let head = shell.args(["60", "bash", "-o", "pipefail", "-c", &head]).output().unwrap();
        assert_eq!(head.status.code(), Some(0), "{head:?}");
        Ok(())
    })
}

#[test]
fn what_cannot_be_asked_is_told_before_anything_is_drawn() {
    on_node_a(|| {
        let check = |arguments: &[&str], code: i32, complaint: &str| {
            let mut top = Terminal::start(SVCNAT, arguments, (80, 24));
            top.until_shown(complaint);
            top.ended_as_it_began(code);
            assert!(!top.told().contains("\u{1b}[?1049h"), "{}", top.told());
            let batch = run(SVCNAT, &[arguments, &["--batch"]].concat());
            assert_eq!(batch.status.code(), Some(code));
            assert!(String::from_utf8_lossy(&batch.stderr).contains(complaint), "{batch:?}");
        };
        check(&["top", "--socket", "/nonexistent/socket"], 4, "no svcnat agent answers");
        check(&["top", "--delay", "0"], 2, "must be a number of seconds");
        let counting = Agent::settled(&Cluster::of(shop()), COUNTERS);
        let socket = counting.socket();
        check(&["top", "shop/nothing", "--socket", socket.to_str().unwrap()], 1, "no Service shop/nothing");
        drop(counting);
        let agent = Agent::settled(&Cluster::of(shop()), &[]);
        let socket = agent.socket();
        check(&["top", "--socket", socket.to_str().unwrap()], 4, "--counters");
        check(&["top", "--kernel"], 4, "do not count connections");
        assert!(agent.is_running(), "{}", agent.log());
    });
}

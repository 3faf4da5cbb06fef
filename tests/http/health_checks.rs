//! Health checks of load balancers.

use std::collections::BTreeSet;
use std::net::{IpAddr, TcpListener};
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use svcnat::addresses;
use svcnat::http::health_checks::Problem;
use svcnat::http::{Health, HealthCheck, HealthChecks};
use svcnat_rules::cluster::Node;
use svcnat_rules::config::{Config, NodePortAddresses};
use svcnat_rules::name::{Name, ObjectName};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::support::{Answer, PATIENCE, ask, at, eventually, get, in_network, ip, is_refused};

const PORT: u16 = 30686;

struct Checks {
    checks: HealthChecks,
    problems: mpsc::UnboundedReceiver<Problem>,
    health: Health,
}

/// Health checks on these addresses; the rules are in force.
async fn start(node_port_addresses: NodePortAddresses, node: Option<&Node>) -> Checks {
    let health = Health::new(Duration::from_secs(60));
    health.synced(Instant::now());
    let config = Config { node_port_addresses, ..Config::default() };
    let addresses = addresses::follow().await.unwrap();
    let (checks, problems) = HealthChecks::start(&config, node, addresses, health.clone());
    Checks { checks, problems, health }
}

impl Checks {
    fn set(&self, service: &str, port: u16, local_endpoints: usize) {
        let check = HealthCheck { port: NonZeroU16::new(port).unwrap(), local_endpoints };
        self.checks.set(&service_name(service), Some(check));
    }

    fn remove(&self, service: &str) {
        self.checks.set(&service_name(service), None);
    }

    async fn problem(&mut self) -> String {
        timeout(PATIENCE, self.problems.recv()).await.expect("a problem in time").unwrap().to_string()
    }
}

fn service_name(name: &str) -> ObjectName {
    ObjectName::new("default", name)
}

fn node(addresses: &[&str]) -> Node {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Node { name: Name::from("node-a"), addresses, zone: None, pod_cidrs: Vec::new() }
}

/// The answer at an address, as soon as something listens there.
async fn answer(address: &str, port: u16) -> Answer {
    let address = at(address, port);
    eventually("a health check is served", async || get(address, "/").await.is_ok()).await;
    get(address, "/").await.unwrap()
}

#[test]
fn the_answer_is_kube_proxys_to_the_byte() {
    in_network(async || {
        let checks = start(NodePortAddresses::All, None).await;
        checks.set("wp-nginx-service", PORT, 1);
        answer("127.0.0.1", PORT).await;
        // What a scanner got from a kube-proxy, but for the date.
        let request = "GET / HTTP/1.0\r\n\r\n";
        let answer = ask(at("127.0.0.1", PORT), request).await.unwrap();
        assert_eq!(answer.status, "HTTP/1.0 200 OK");
        let mut headers = answer.headers;
        headers.sort();
        assert_eq!(
            headers,
            [
                "Content-Length: 127",
                "Content-Type: application/json",
                "X-Content-Type-Options: nosniff",
                "X-Load-Balancing-Endpoint-Weight: 1",
            ]
        );
        assert_eq!(
            answer.body,
            "{\n\t\"service\": {\n\t\t\"namespace\": \"default\",\n\t\t\"name\": \"wp-nginx-service\"\n\t},\n\
             \t\"localEndpoints\": 1,\n\t\"serviceProxyHealthy\": true\n}"
        );
    });
}

#[test]
fn the_answer_follows_the_endpoints_and_our_own_health() {
    in_network(async || {
        let checks = start(NodePortAddresses::All, None).await;
        checks.set("web", PORT, 0);
        let check = async |code: u16, endpoints: usize, healthy: bool| {
            for request in ["GET / HTTP/1.1", "GET /healthz?probe=1 HTTP/1.1", "POST /x HTTP/1.1"] {
                let request = format!("{request}\r\nHost: svcnat\r\n\r\n");
                let answer = ask(at("127.0.0.1", PORT), &request).await.unwrap();
                assert_eq!(answer.code(), code, "{answer:?}");
                let weight = format!("X-Load-Balancing-Endpoint-Weight: {endpoints}");
                assert!(answer.headers.contains(&weight), "{answer:?}");
                let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
                assert_eq!(body["localEndpoints"], endpoints);
                assert_eq!(body["serviceProxyHealthy"], healthy);
            }
        };
        answer("127.0.0.1", PORT).await;
        check(503, 0, true).await;
        checks.set("web", PORT, 3);
        check(200, 3, true).await;
        // kube-proxy does not look at the Node here either.
        checks.health.set_eligible(false);
        check(200, 3, true).await;
        checks.set("web", PORT, 0);
        check(503, 0, true).await;

        let unready = HealthChecks::start(
            &Config { node_port_addresses: NodePortAddresses::All, ..Config::default() },
            None,
            watch::channel(BTreeSet::new()).1,
            Health::new(Duration::from_secs(60)),
        );
        let port = NonZeroU16::new(PORT + 1).unwrap();
        unready.0.set(&service_name("web"), Some(HealthCheck { port, local_endpoints: 3 }));
        let before_any_rule = answer("::1", PORT + 1).await;
        assert_eq!(before_any_rule.code(), 503);
        assert!(before_any_rule.body.contains("\"serviceProxyHealthy\": false"), "{}", before_any_rule.body);
    });
}

#[test]
fn servers_come_and_go_with_the_services() {
    in_network(async || {
        let checks = start(NodePortAddresses::All, None).await;
        for number in 0..50 {
            checks.set(&format!("service-{number}"), 31_000 + number, 1);
        }
        for number in 0..50 {
            let answer = answer("127.0.0.1", 31_000 + number).await;
            assert!(answer.body.contains(&format!("\"service-{number}\"")), "{}", answer.body);
        }
        checks.remove("service-0");
        checks.set("service-1", 32_000, 1);
        answer("127.0.0.1", 32_000).await;
        for port in [31_000, 31_001] {
            eventually("its port is closed", async || is_refused(at("127.0.0.1", port)).await).await;
        }
        assert_eq!(answer("::1", 31_002).await.code(), 200);
        drop(checks);
        for port in [31_002, 32_000] {
            eventually("all ports are closed", async || is_refused(at("127.0.0.1", port)).await).await;
        }
    });
}

#[test]
fn a_port_that_cannot_be_had_is_told_once_and_tried_again() {
    in_network(async || {
        let mut checks = start(NodePortAddresses::All, None).await;
        let other = TcpListener::bind(at("127.0.0.1", PORT)).unwrap();
        checks.set("web", PORT, 1);
        assert_eq!(
            checks.problem().await,
            "failed to start healthcheck \"default/web\" on [::]:30686: Address already in use (os error 98); load \
             balancers will send no traffic for it to this node until it can be started, which is tried again and again"
        );
        // It is tried in vain after one second.
        sleep(Duration::from_millis(1500)).await;
        checks.set("web", PORT, 2);
        drop(other);
        let answer = answer("::1", PORT).await;
        assert!(answer.body.contains("\"localEndpoints\": 2"), "{}", answer.body);
        assert!(checks.problems.try_recv().is_err(), "it was told again");
    });
}

#[test]
fn of_two_services_with_one_port_the_first_has_it_while_it_exists() {
    in_network(async || {
        let mut checks = start(NodePortAddresses::All, None).await;
        checks.set("first", PORT, 1);
        checks.set("second", PORT, 2);
        assert_eq!(
            checks.problem().await,
            "failed to start healthcheck \"default/second\" on port 30686: Service default/first has the same \
             healthCheckNodePort; the port answers for that one as long as it exists"
        );
        assert!(answer("127.0.0.1", PORT).await.body.contains("\"first\""));
        checks.remove("first");
        assert!(answer("127.0.0.1", PORT).await.body.contains("\"second\""));
        assert!(checks.problems.try_recv().is_err());
    });
}

#[test]
fn listeners_follow_the_addresses_of_node_ports() {
    in_network(async || {
        let node = node(&["192.0.2.1", "2001:db8::1"]);
        let mut checks = start(NodePortAddresses::Primary, Some(&node)).await;
        ip("address add 192.0.2.9/32 dev lo");
        checks.set("web", PORT, 1);
        // None of the Node's addresses is there yet.
        for address in ["127.0.0.1", "::1", "192.0.2.9"] {
            assert!(is_refused(at(address, PORT)).await);
        }
        for _ in 0..2 {
            for (family, address) in [("-4", "192.0.2.1"), ("-6", "2001:db8::1")] {
                ip(&format!("{family} address add {address} dev lo"));
                assert_eq!(answer(address, PORT).await.code(), 200);
                assert!(is_refused(at("127.0.0.1", PORT)).await, "another address");
            }
            for (family, prefix) in [("-4", "192.0.2.1/32"), ("-6", "2001:db8::1/128")] {
                ip(&format!("{family} address delete {prefix} dev lo"));
            }
            eventually("the sockets are closed", async || listening(PORT).is_empty()).await;
        }
        let config = |addresses| Config { node_port_addresses: addresses, ..Config::default() };
        let network = NodePortAddresses::Cidrs(vec!["192.0.2.8/29".parse().unwrap()]);
        checks.checks.select(&config(network), Some(&node));
        assert_eq!(answer("192.0.2.9", PORT).await.code(), 200);
        assert!(is_refused(at("127.0.0.1", PORT)).await);
        // All addresses overlap with the one before.
        checks.checks.select(&config(NodePortAddresses::All), Some(&node));
        assert_eq!(answer("127.0.0.1", PORT).await.code(), 200);
        assert_eq!(answer("192.0.2.9", PORT).await.code(), 200);
        // No socket was in another's way.
        assert!(checks.problems.try_recv().is_err());
    });
}

/// On which local addresses something listens, says the kernel.
fn listening(port: u16) -> Vec<String> {
    let filter = format!("sport = :{port}");
    let output = std::process::Command::new("ss").args(["-Hltn", &filter]).output().expect("ss runs");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn link_local_addresses_are_left_out() {
    in_network(async || {
        let networks = ["0.0.0.0/0", "::/0"].map(|network| network.parse().unwrap());
        ip("address add 192.0.2.1/32 dev lo");
        ip("link add one type veth peer name two");
        ip("link set one up");
        ip("link set two up");
        ip("address add fe80::1/64 dev one nodad");
        let mut checks = start(NodePortAddresses::Cidrs(networks.to_vec()), None).await;
        let mut local = addresses::follow().await.unwrap();
        let link_local: IpAddr = "fe80::1".parse().unwrap();
        drop(local.wait_for(|local| local.contains(&link_local)).await.unwrap());
        checks.set("web", PORT, 1);
        assert_eq!(answer("192.0.2.1", PORT).await.code(), 200);
        assert!(checks.problems.try_recv().is_err(), "it was tried to listen on a link-local address");
    });
}

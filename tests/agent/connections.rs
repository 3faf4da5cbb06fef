//! Connections that the kernel counts for the agent: on its socket, in its metrics, and over its end.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::json;
use svcnat::agent_api::{BackendConnections, Client, Error, FrontendConnections};
use svcnat::connections::{frontends, with_backends};
use svcnat::netlink::Netlink;
use svcnat_rules::describe::counted;
use svcnat_rules::explain::understand;
use svcnat_rules::name::ObjectName;

use crate::agent_support::agent::Agent;
use crate::agent_support::cluster::Cluster;
use crate::agent_support::http::{metric, page};
use crate::agent_support::objects::{NODE_A, node_port, service, shop, slice};
use crate::agent_support::{must, on_node_a};

/// The ClusterIP and the node port of the Service `web`.
const WEB: &str = "10.96.0.10:80";
const WEB_NODE_PORT: &str = "192.168.1.2:30080";

/// The shop, whose Service `web` has the node itself as its only backend, and what serves there.
fn shop_that_serves() -> (Cluster, TcpListener) {
    // The way to ClusterIPs, which a node has by its default route.
    must("ip", &["route", "add", "10.96.0.0/16", "dev", "lo"]);
    let mut cluster = Cluster::of(shop());
    cluster.apply(slice("web", &[NODE_A]));
    // The kernel answers for a server that is slow to accept.
    (cluster, TcpListener::bind((NODE_A, 8080)).unwrap())
}

/// Connects so often.
#[track_caller]
fn connect(to: &str, times: usize) {
    let to: SocketAddr = to.parse().unwrap();
    for _ in 0..times {
        TcpStream::connect_timeout(&to, Duration::from_secs(10)).unwrap();
    }
}

/// The counts of the Service `web`: of its ClusterIP, of its node port, and of the node as a backend of each.
#[track_caller]
fn of_web(agent: &Agent) -> [u64; 4] {
    let client = Client::new(&agent.socket()).unwrap();
    let frontends = client.service_connections(&ObjectName::new("shop", "web")).unwrap().items;
    let [cluster_ip, node_port] = frontends.as_slice() else { panic!("{frontends:#?}") };
    assert_eq!((cluster_ip.address, cluster_ip.port), (Some([10, 96, 0, 10].into()), 80));
    assert_eq!((node_port.address, node_port.port), (None, 30_080));
    let by_node = |frontend: &FrontendConnections| {
        let address: SocketAddr = format!("{NODE_A}:8080").parse().unwrap();
        let is_node = |of: &&BackendConnections| (of.address, of.port) == (address.ip(), address.port());
        frontend.backends.iter().find(is_node).unwrap().connections
    };
    let [a, b] = [cluster_ip, node_port].map(|frontend| frontend.connections);
    [a, b, by_node(cluster_ip), by_node(node_port)]
}

/// The same in the metrics.
#[track_caller]
fn of_web_in_metrics() -> [f64; 4] {
    let of = |frontend: &str| {
        format!("namespace=\"shop\",service=\"web\",port=\"http\",protocol=\"TCP\",frontend=\"{frontend}\"")
    };
    let frontend = |of: &str| metric(&format!("svcnat_frontend_connections_total{{{of}}}"));
    let backend =
        |of: &str| metric(&format!("svcnat_backend_connections_total{{{of},backend=\"{NODE_A}:8080\"}}"));
    let (cluster_ip, node_port) = (of(WEB), of("node port 30080"));
    [frontend(&cluster_ip), frontend(&node_port), backend(&cluster_ip), backend(&node_port)]
}

#[test]
fn counts_are_told_and_outlive_changes_and_agents() {
    on_node_a(|| {
        let (mut cluster, _server) = shop_that_serves();
        let agent = Agent::settled(&cluster, &["--counters", "--layout", "chains"]);
        assert_eq!(of_web(&agent), [0; 4]);
        connect(WEB, 5);
        connect(WEB_NODE_PORT, 3);
        assert_eq!(of_web(&agent), [5, 3, 5, 3]);
        assert_eq!(of_web_in_metrics(), [5.0, 3.0, 5.0, 3.0]);
        // Another backend comes, is replaced and goes, and another Service too.
        for backends in [&[NODE_A, "10.244.1.2"][..], &[NODE_A, "10.244.1.3"], &[NODE_A]] {
            cluster.apply(slice("web", backends));
            cluster.apply(service("other", 50 + u8::try_from(backends.len()).unwrap(), json!({})));
            agent.until_equal(&cluster.objects);
            assert_eq!(of_web(&agent), [5, 3, 5, 3], "{backends:?}");
        }
        agent.kill();
        // In the other layout.
        connect(WEB, 1);
        let agent = Agent::settled(&cluster, &["--counters", "--layout", "maps"]);
        connect(WEB, 1);
        assert_eq!(of_web(&agent), [7, 3, 7, 3]);
        assert_eq!(of_web_in_metrics(), [7.0, 3.0, 7.0, 3.0]);
        agent.stop();
        // Without counting, nothing is left of it.
        let agent = Agent::settled(&cluster, &[]);
        assert!(!must("nft", &["list", "sets"]).contains("connections"), "{}", agent.log());
    });
}

#[test]
fn all_frontends_are_listed_or_those_of_a_namespace() {
    on_node_a(|| {
        let (cluster, _server) = shop_that_serves();
        let agent = Agent::settled(&cluster, &["--counters"]);
        connect(WEB, 2);
        let client = Client::new(&agent.socket()).unwrap();
        let list = client.connections(None).unwrap();
        assert_eq!((list.kind.as_str(), list.api_version.as_str()), ("ConnectionList", "svcnat/v1"));
        let shown: Vec<String> = list
            .items
            .iter()
            .map(|of| {
                let FrontendConnections {
                    namespace, service, port_name, protocol, port, connections, ..
                } = of;
                assert!(of.backends.is_empty(), "{of:?}");
                format!("{namespace}/{service}:{port_name} {port}/{protocol} {connections}")
            })
            .collect();
        let expected = [
            "shop/api:http 80/tcp 0",
            "shop/idle:http 80/tcp 0",
            "shop/web:http 80/tcp 2",
            "shop/web:http 30080/tcp 0",
        ];
        assert_eq!(shown, expected);
        assert_eq!(client.connections(Some("shop")).unwrap(), list);
        assert_eq!(client.connections(Some("other")).unwrap().items, []);
        // The kernel alone tells the same.
        let mut kernel = Netlink::open().unwrap();
        assert_eq!(frontends(&mut kernel, None).unwrap(), Some(list.items));
        let ruleset = understand(&kernel.read().unwrap()).ruleset;
        let web = ObjectName::new("shop", "web");
        let of_kernel = with_backends(&mut kernel, &[(web.clone(), counted(&ruleset, &web))]).unwrap();
        assert_eq!(of_kernel, client.service_connections(&web).unwrap().items);
        let error = client.service_connections(&ObjectName::new("shop", "other")).unwrap_err();
        assert!(matches!(error, Error::NotFound(_)), "{error}");
    });
}

#[test]
fn an_agent_that_does_not_count_says_so() {
    on_node_a(|| {
        let cluster = Cluster::of(shop());
        let agent = Agent::settled(&cluster, &[]);
        let client = Client::new(&agent.socket()).unwrap();
        let web = ObjectName::new("shop", "web");
        for error in [client.connections(None).unwrap_err(), client.service_connections(&web).unwrap_err()] {
            assert!(matches!(&error, Error::Refused(why) if why.contains("--counters")), "{error}");
        }
        assert_eq!(frontends(&mut Netlink::open().unwrap(), None).unwrap(), None);
        assert!(!page("/metrics").contains("_connections_total"));
    });
}

#[test]
fn as_many_series_as_are_asked_for() {
    on_node_a(|| {
        let (mut cluster, _server) = shop_that_serves();
        cluster.apply(service("also", 13, node_port(30_081)));
        cluster.apply(slice("also", &[NODE_A]));
        let series = || {
            let page = page("/metrics");
            let lines = page.lines().filter(|line| line.contains("_connections_total{"));
            let mut lines: Vec<String> = lines.map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        let agent = Agent::settled(&cluster, &["--counters", "--counters-series", "1"]);
        connect(WEB, 3);
        connect("10.96.0.13:80", 2);
        let web =
            format!("namespace=\"shop\",service=\"web\",port=\"http\",protocol=\"TCP\",frontend=\"{WEB}\"");
        let expected = [
            "svcnat_backend_connections_total{frontend=\"other\"} 2".to_owned(),
            format!("svcnat_backend_connections_total{{{web},backend=\"{NODE_A}:8080\"}} 3"),
            "svcnat_frontend_connections_total{frontend=\"other\"} 2".to_owned(),
            format!("svcnat_frontend_connections_total{{{web}}} 3"),
        ];
        assert_eq!(series(), expected);
        agent.stop();
        let _agent = Agent::settled(&cluster, &["--counters", "--counters-series", "0"]);
        assert_eq!(series(), [] as [String; 0]);
    });
}

//! New connections per second, by answers of the shape that `src/agent_api` says.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use axum::body::Body;
use axum::routing::get;
use axum::{Json, Router};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use svcnat::http::{Bind, Server};
use svcnat::page;

use crate::agent_support::{holds, must, on_node_a};
use crate::browser::Browser;
use crate::scene::{PAGE, Scene, look, market};

const SHOWN: &str = "
    return [...document.querySelectorAll('#services-table .counted')].filter((cell) => cell.checkVisibility())
        .map((cell) => cell.textContent);";

/// A Service as the agent tells of it.
fn service(name: &str) -> Value {
    json!({ "type": "ADDED", "object": {
        "namespace": "shop", "name": name, "type": "ClusterIP", "created": null, "clusterIPs": [], "externalIPs": [],
        "loadBalancerIPs": [], "ports": [], "backends": { "ready": 1, "local": 0, "total": 1 },
        "internalTrafficPolicy": "Cluster", "externalTrafficPolicy": null, "affinitySeconds": null,
        "loadBalancerSourceRanges": [], "healthCheckNodePort": null, "conflicts": [],
    } })
}

/// Answers in the place of an agent's: `web` has two frontends with connections all the time, `api` one without.
fn answers() -> Router {
    let counted = Arc::new(AtomicU64::new(100));
    let connections = async move || {
        let more = counted.fetch_add(50, Ordering::Relaxed);
        let frontend = |service: &str, address: Option<&str>, connections: u64| {
            json!({ "namespace": "shop", "service": service, "portName": "http", "protocol": "TCP", "address": address,
                "port": 80, "connections": connections })
        };
        Json(json!({ "apiVersion": "svcnat/v1", "kind": "ConnectionList", "items": [
            frontend("web", Some("10.96.0.10"), more), frontend("web", None, 2 * more), frontend("api", Some("10.96.0.11"), 7),
        ] }))
    };
    let services = async || {
        let synced = json!({ "type": "SYNCED", "object": null });
        let lines = [service("api"), service("web"), synced].map(|event| format!("{event}\n")).concat();
        Body::from_stream(stream::once(async { Ok::<_, std::io::Error>(lines) }).chain(stream::pending()))
    };
    Router::new().route("/v1/connections", get(connections)).route("/v1/services", get(services))
}

#[test]
fn connections_are_counted_for_whoever_wants_to_know() {
    on_node_a(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let bind = Bind { address: PAGE.parse().unwrap(), hard_fail: true };
        let server = runtime.block_on(async { Server::page(bind, page::router(answers())).unwrap() });
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(move || runtime.block_on(stopped));
            let browser = Browser::start(1200, 800);
            browser.open(&format!("http://{PAGE}/"));
            browser.until_true("document.querySelectorAll('#services-table tbody tr').length === 2");
            assert_eq!(browser.run(SHOWN), json!([]));
            browser.click("#connections");
            browser.until("rates", SHOWN, |shown| {
                let rate = |index: usize| shown[index].as_str().and_then(|text| text.parse::<f64>().ok());
                // 150 more each time, of both frontends together, and there are two seconds or a little more between.
                let is_right = rate(1) == Some(0.0) && rate(2).is_some_and(|rate| rate > 0.0 && rate <= 80.0);
                holds(is_right, shown.to_string())
            });
            browser.click("#connections");
            browser
                .until("nobody wants to know", SHOWN, |shown| holds(*shown == json!([]), shown.to_string()));
            drop(stop);
        });
        drop(server);
    });
}

#[test]
fn what_the_kernel_counts_is_shown() {
    on_node_a(|| {
        // Backends are behind it: what is sent to them is counted on its way out.
        for command in [
            "link add out type veth peer name far",
            "address add 192.168.99.1/24 dev out",
            "link set far up",
            "link set out up",
            "route add default dev out",
        ] {
            must("ip", &command.split(' ').collect::<Vec<_>>());
        }
        let _scene = Scene::of(&market(), &["--counters"]);
        let browser = Browser::start(1200, 800);
        browser.open(&format!("http://{PAGE}/"));
        browser.until_true("document.querySelectorAll('#services-table tbody tr').length === 5");
        browser.click("#connections");
        browser.until("rates", SHOWN, |shown| {
            // In the order of names, behind the heading: the API of `market` is the first one.
            let api = SocketAddr::from(([10, 96, 0, 11], 80));
            drop(TcpStream::connect_timeout(&api, Duration::from_millis(1)));
            let rate = |index: usize| shown[index].as_str().and_then(|text| text.parse::<f64>().ok());
            holds(rate(1).is_some_and(|rate| rate > 0.0) && rate(3) == Some(0.0), shown.to_string())
        });
    });
}

#[test]
fn an_agent_that_counts_nothing_says_so() {
    look(&market(), 1200, &["the server responded with a status of"], |_scene, browser| {
        browser.click("#connections");
        browser.until_true("document.getElementById('connections-message').textContent !== ''");
        assert_eq!(browser.run("return document.getElementById('connections').checked"), json!(false));
        browser.until("no column", SHOWN, |shown| holds(*shown == json!([]), shown.to_string()));
    });
}

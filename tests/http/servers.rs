//! The servers for health and metrics.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use svcnat::http::{Bind, Health, Server};
use svcnat::metrics::Metrics;
use tokio::sync::watch;

use super::support::{Answer, ask, at, eventually, get, in_network, is_refused};

const HEALTH: u16 = 10256;
const METRICS: u16 = 10249;

fn bind(address: &str, port: u16) -> Bind {
    Bind { address: at(address, port), hard_fail: true }
}

fn start_health() -> (Server, Health, Metrics) {
    let (health, metrics) = (Health::new(Duration::from_secs(60)), Metrics::new());
    let server = Server::health(bind("0.0.0.0", HEALTH), health.clone(), metrics.clone()).unwrap();
    (server, health, metrics)
}

async fn codes() -> [u16; 3] {
    let mut codes = [0; 3];
    for (code, path) in codes.iter_mut().zip(["/healthz", "/livez", "/readyz"]) {
        *code = get(at("127.0.0.1", HEALTH), path).await.unwrap().code();
    }
    codes
}

#[test]
fn health_liveness_and_readiness_follow_what_is_in_force() {
    in_network(async || {
        let (_server, health, metrics) = start_health();
        assert_eq!(codes().await, [503, 200, 503]);
        let waiting = get(at("127.0.0.1", HEALTH), "/readyz").await.unwrap();
        assert_eq!(waiting.body, "no complete ruleset is in force yet");
        health.synced(Instant::now());
        assert_eq!(codes().await, [200, 200, 200]);
        health.set_eligible(false);
        assert_eq!(codes().await, [503, 200, 200]);
        let text = metrics.text();
        for (series, value) in [
            (r#"kubeproxy_proxy_healthz_total{code="200"}"#, 1),
            (r#"kubeproxy_proxy_healthz_total{code="503"}"#, 2),
            (r#"kubeproxy_proxy_livez_total{code="200"}"#, 3),
            (r#"kubeproxy_proxy_livez_total{code="503"}"#, 0),
        ] {
            assert!(text.contains(&format!("{series} {value}\n")), "{series} is not {value} in\n{text}");
        }
        assert_eq!(get(at("127.0.0.1", HEALTH), "/").await.unwrap().code(), 404);
    });
}

#[test]
fn health_is_json_as_kube_proxy_has_it() {
    in_network(async || {
        let (_server, health, _) = start_health();
        health.synced(Instant::now());
        let answer = get(at("127.0.0.1", HEALTH), "/healthz").await.unwrap();
        for header in ["Content-Type: application/json", "X-Content-Type-Options: nosniff"] {
            assert!(answer.headers.iter().any(|found| found == header), "{:?}", answer.headers);
        }
        let mut body: Value = serde_json::from_str(&answer.body).unwrap();
        let now = body["currentTime"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let age = jiff::Timestamp::now().duration_since(now);
        assert!(age < jiff::SignedDuration::from_mins(1) && age >= jiff::SignedDuration::ZERO, "{age}");
        assert_eq!(body["lastUpdated"], body["currentTime"]);
        let synced = body["status"]["IPv4"]["lastUpdated"].take();
        assert!(synced.as_str().unwrap().parse::<jiff::Timestamp>().unwrap() <= now);
        assert_eq!(body["status"]["IPv6"]["lastUpdated"].take(), synced);
        let family = json!({ "lastUpdated": null, "healthy": true });
        assert_eq!(body["status"], json!({ "IPv4": family, "IPv6": family }));
        assert_eq!((&body["nodeEligible"], &body["healthy"]), (&json!(true), &json!(true)));
    });
}

#[test]
fn all_addresses_are_those_of_both_families() {
    for all in ["0.0.0.0", "::"] {
        in_network(async || {
            let health = Health::new(Duration::from_secs(60));
            let _server = Server::health(bind(all, HEALTH), health, Metrics::new()).unwrap();
            for address in ["127.0.0.1", "::1"] {
                let answer = get(at(address, HEALTH), "/livez").await.unwrap();
                assert_eq!(answer.code(), 200, "{all} by {address}");
            }
        });
    }
}

#[test]
fn the_metrics_server_answers_what_kube_proxys_does() {
    in_network(async || {
        let (sender, configuration) = watch::channel(json!({ "mode": "nftables" }));
        let bind = bind("127.0.0.1", METRICS);
        let _server = Server::metrics(bind, Metrics::new(), configuration).unwrap();
        let answer = async |path| -> Answer { get(bind.address, path).await.unwrap() };
        assert_eq!(answer("/healthz").await.body, "ok");
        assert_eq!(answer("/proxyMode").await.body, "nftables");
        let configz = answer("/configz").await;
        assert_eq!(configz.body, r#"{"kubeproxy.config.k8s.io":{"mode":"nftables"}}"#);
        sender.send_replace(json!({ "mode": "nftables", "clusterCIDR": "10.0.0.0/8" }));
        assert!(answer("/configz").await.body.contains("10.0.0.0/8"), "the configuration is followed");
        let metrics = answer("/metrics").await;
        let text = "Content-Type: text/plain; version=0.0.4; charset=utf-8".to_owned();
        assert!(metrics.headers.contains(&text), "{:?}", metrics.headers);
        assert!(metrics.body.starts_with("# HELP kubeproxy_"), "{}", metrics.body);
        assert!(metrics.body.ends_with('\n') && metrics.body.contains("\nprocess_open_fds "));
        assert_eq!(answer("/debug").await.code(), 404);
    });
}

#[test]
fn a_port_that_is_taken_is_an_error_only_where_it_was_asked_for() {
    in_network(async || {
        let other = TcpListener::bind(at("127.0.0.1", METRICS)).unwrap();
        let (_sender, configuration) = watch::channel(Value::Null);
        let start = |hard_fail| {
            let bind = Bind { address: at("127.0.0.1", METRICS), hard_fail };
            Server::metrics(bind, Metrics::new(), configuration.clone())
        };
        assert_eq!(
            start(true).unwrap_err().to_string(),
            "cannot listen on 127.0.0.1:10249 for metrics: Address already in use (os error 98); stop what listens \
             there (`ss -ltnp`), or choose another address by metricsBindAddress or --metrics-bind-address"
        );
        let server = start(false).unwrap();
        drop(other);
        let address = at("127.0.0.1", METRICS);
        eventually("the port is tried again", async || get(address, "/healthz").await.is_ok()).await;
        drop(server);
        eventually("a server ends when it is dropped", async || is_refused(address).await).await;
    });
}

#[test]
fn a_request_that_is_too_large_is_refused() {
    in_network(async || {
        let (_server, ..) = start_health();
        let address = at("127.0.0.1", HEALTH);
        for (headers, code) in [
            (format!("Large: {}\r\n", "x".repeat(7000)), 200),
            (format!("Large: {}\r\n", "x".repeat(9000)), 431),
            ("Many: x\r\n".repeat(50), 200),
            ("Many: x\r\n".repeat(70), 431),
        ] {
            let request = format!("GET /livez HTTP/1.1\r\nHost: svcnat\r\n{headers}\r\n");
            let answer = ask(address, &request).await.unwrap();
            assert_eq!(answer.code(), code, "{}", &headers[..20]);
        }
    });
}

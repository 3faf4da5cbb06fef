//! What the page asks, without a browser.

use std::fs;
use std::net::TcpStream;

use serde_json::{Value, json};
use svcnat::iptables::Variant;

use crate::agent_support::agent::{Agent, SVCNAT};
use crate::agent_support::iptables::{MODE, hint};
use crate::agent_support::objects::{NODE_A, service};
use crate::agent_support::{must, on_node_a, run};
use crate::scene::{PAGE, Scene, answer, market};

/// The answer to `svcnat trace ARGUMENTS -o json`, with the picture of `-o svg`.
fn told(arguments: &[&str]) -> Value {
    let ask = |format: &str| must(SVCNAT, &[&["trace"], arguments, &["-o", format]].concat());
    let mut told: Value = serde_json::from_str(&ask("json")).unwrap();
    told["apiVersion"] = "svcnat/v1".into();
    told["kind"] = "Trace".into();
    told["picture"] = ask("svg").into();
    told
}

/// A question to the page, and the same to the command.
const QUESTIONS: [(&str, &[&str]); 4] = [
    ("protocol=tcp&source=10.244.0.3&destination=10.96.0.10:80", &["tcp", "10.244.0.3", "10.96.0.10:80"]),
    (
        "protocol=tcp&source=198.51.100.9&destination=192.168.1.2:30080&interface=eth0",
        &["tcp", "198.51.100.9", "192.168.1.2:30080", "--interface", "eth0"],
    ),
    (
        "protocol=udp&source=10.244.0.3:5353&destination=10.96.0.40:53&fromHost=true",
        &["udp", "10.244.0.3:5353", "10.96.0.40:53", "--from-host"],
    ),
    ("protocol=tcp&source=192.168.1.2&destination=10.96.0.12:80", &["tcp", "192.168.1.2", "10.96.0.12:80"]),
];

#[track_caller]
fn check(more: &[&str]) {
    for (question, arguments) in QUESTIONS {
        let (status, text) = answer(&format!("/v1/trace?{question}"));
        assert_eq!(status, 200, "{question}: {text}");
        let found: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found, told(&[arguments, more].concat()), "{question}");
    }
}

#[test]
fn packets_are_traced_as_the_command_does() {
    on_node_a(|| {
        // While the tables are the agent's own, where the kernel knows that.
        let _scene = Scene::of(&market(), &[]);
        check(&[]);
        let (status, text) = answer("/v1/trace?protocol=tcp&source=10.244.0.3&destination=10.96.0.10");
        assert_eq!(status, 400, "{text}");
        assert_eq!(text, r#"{"message":"destination: the port is missing"}"#);
    });
}

#[test]
fn packets_are_traced_through_iptables_where_that_is_the_mode() {
    on_node_a(|| {
        hint(Variant::Nft);
        let _scene = Scene::of(&market(), &MODE);
        check(&MODE);
    });
}

#[test]
fn the_socket_and_the_page_give_the_same_answers() {
    on_node_a(|| {
        let scene = Scene::of(&market(), &[]);
        let socket = scene.agent.socket();
        for path in [
            "/v1/services",
            "/v1/services?namespace=shop",
            "/v1/services/shop/web/backends",
            "/v1/services/shop/other/backends",
            "/v1/trace?protocol=tcp&source=10.244.0.3&destination=10.96.0.10:80",
            "/v1/other",
        ] {
            let url = format!("http://svcnat{path}");
            let of_socket = must("curl", &["--silent", "--unix-socket", socket.to_str().unwrap(), &url]);
            assert_eq!(answer(path).1, of_socket, "{path}");
        }
    });
}

#[test]
fn there_is_no_page_unless_asked_for_and_then_on_loopback_alone() {
    on_node_a(|| {
        let scene = Scene::of(&market(), &[]);
        assert_eq!(answer("/").0, 200);
        let [_, port] = PAGE.split(':').collect::<Vec<_>>()[..] else { panic!("{PAGE}") };
        let elsewhere = TcpStream::connect(format!("{NODE_A}:{port}"));
        assert!(elsewhere.is_err(), "{elsewhere:?}");
        drop(scene);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("web.json"), service("web", 10, json!({})).to_string()).unwrap();
        let folder = folder.path().to_str().unwrap();
        let agent =
            Agent::start(&["--manifests", folder, "--hostname-override", "node-a", "--oom-score-adj", "0"]);
        agent.until_ready();
        assert!(TcpStream::connect(PAGE).is_err());
        drop(agent);
        for refused in [
            "0.0.0.0:10247",
            "192.168.1.2:10247",
            "[::]:10247",
            "localhost:10247",
            "127.0.0.1",
            "127.0.0.1:0",
        ] {
            let output = run(SVCNAT, &["agent", "--manifests", folder, "--page-bind-address", refused]);
            let complaint = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{refused}: {complaint}");
            assert!(
                complaint.contains("--page-bind-address: must be a loopback address with a port"),
                "{complaint}"
            );
            assert!(complaint.contains("`ssh -L 10247:127.0.0.1:10247 NODE`"), "{complaint}");
        }
    });
}

//! The API server is away: while the agent runs, and when it starts.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use serde_json::json;
use svcnat_apiserver::Resource;
use tempfile::TempDir;

use crate::agent_support::agent::{Agent, SVCNAT};
use crate::agent_support::cluster::Cluster;
use crate::agent_support::http::{metric, status};
use crate::agent_support::objects::{NODE_A, config, node, service, shop, slice};
use crate::agent_support::{holds, installed, must, on_node_a, tables};

/// What happens while nobody can tell the agent.
fn change(cluster: &mut Cluster) {
    cluster.delete("web");
    cluster.delete_one(Resource::ServiceCidrs, "kubernetes");
    cluster.apply(slice("api", &["10.244.1.3"]));
    cluster.apply(service("new", 20, json!({})));
    cluster.apply(node(&[NODE_A, "2001:db8:1::2"]));
}

#[test]
fn the_rules_stay_while_the_server_is_away_and_follow_when_it_is_back() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        let agent = Agent::settled(&cluster, &[]);
        let before = installed();
        cluster.server.leave();
        change(&mut cluster);
        let connected = "svcnat_watch_connected{kind=\"Service\"}";
        agent.until("the metric says so", || holds(metric(connected) == 0.0, "it does not"));
        assert_eq!(installed(), before);
        assert_eq!(["/livez", "/readyz", "/healthz"].map(status), [Some(200); 3]);
        cluster.server.come_back().unwrap();
        agent.until_equal(&cluster.objects);
        agent.until("the metric says so", || holds(metric(connected) == 1.0, "it does not"));
    });
}

/// A server that lost its memory tells of no object, and none is gone without its word.
#[test]
fn what_is_not_in_a_new_list_is_gone_however_that_came() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        let agent = Agent::settled(&cluster, &[]);
        cluster.server.leave();
        cluster.delete("web");
        // Nobody who watches on is told of the deletion.
        cluster.server.compact();
        cluster.server.come_back().unwrap();
        agent.until_equal(&cluster.objects);
    });
}

struct StateFile(TempDir);

impl StateFile {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("state")
    }
}

/// An agent of a cluster with a state file.
fn agent_with(file: &StateFile, cluster: &Cluster) -> Agent {
    Agent::of(cluster, &["--state-file", file.path().to_str().unwrap()])
}

/// Takes the rules away, as when the node boots.
fn boot() {
    must(SVCNAT, &["cleanup"]);
}

#[test]
fn a_node_that_boots_without_the_server_has_its_services() {
    on_node_a(|| {
        let file = StateFile::new();
        let mut cluster = Cluster::of(shop());
        let agent = agent_with(&file, &cluster);
        agent.until_ready();
        cluster.apply(slice("idle", &["10.244.0.9"]));
        agent.until_equal(&cluster.objects);
        agent.stop();
        boot();
        cluster.server.leave();
        let agent = agent_with(&file, &cluster);
        agent.until_ready();
        let known = cluster.objects.clone();
        known.compare(&config()).unwrap_or_else(|rest| panic!("{rest}\n{}", agent.log()));
        // What failed is said once and with its reason, and no attempt is an error of the agent's.
        agent.until_logged("cannot follow services: ");
        assert!(!agent.log().contains("ERROR"), "{}", agent.log());
        // What is not told yet is no deletion.
        change(&mut cluster);
        sleep(Duration::from_millis(300));
        known.compare(&config()).unwrap_or_else(|rest| panic!("{rest}\n{}", agent.log()));
        let before = fs::read(file.path()).unwrap();
        cluster.server.set_tokens(["another"]);
        cluster.server.come_back().unwrap();
        // Another reason is said as well.
        agent.until_logged("(code 401)");
        cluster.server.set_tokens(["let-me-in"]);
        agent.until_equal(&cluster.objects);
        agent.until("the file follows", || holds(fs::read(file.path()).unwrap() != before, "it does not"));
    });
}

#[test]
fn the_state_file_is_written_while_the_agent_runs() {
    on_node_a(|| {
        let file = StateFile::new();
        let cluster = Cluster::of(shop());
        let agent = agent_with(&file, &cluster);
        agent.until_ready();
        agent.until("it is written", || holds(file.path().exists(), "it is not"));
        agent.until("it is counted", || holds(metric("svcnat_state_file_writes_total") == 1.0, "it is not"));
        agent.kill();
        boot();
        cluster.server.leave();
        let agent = agent_with(&file, &cluster);
        agent.until_ready();
        cluster.objects.compare(&config()).unwrap_or_else(|rest| panic!("{rest}\n{}", agent.log()));
    });
}

/// With a spoilt file and without the server, the agent says what is wrong with the file and waits.
#[track_caller]
fn check_passed_over(node: &str, message: &str, spoil: fn(Vec<u8>) -> Vec<u8>) {
    on_node_a(|| {
        let file = StateFile::new();
        let cluster = Cluster::of(shop());
        let agent = agent_with(&file, &cluster);
        agent.until_ready();
        agent.stop();
        boot();
        fs::write(file.path(), spoil(fs::read(file.path()).unwrap())).unwrap();
        cluster.server.leave();
        let (path, kubeconfig) = (file.path(), cluster.kubeconfig());
        let agent = Agent::start(&[
            "--state-file",
            path.to_str().unwrap(),
            "--kubeconfig",
            kubeconfig.to_str().unwrap(),
            "--hostname-override",
            node,
            "--oom-score-adj",
            "0",
        ]);
        agent.until_logged(message);
        agent.until("it serves", || holds(status("/livez") == Some(200), "it does not"));
        assert_eq!(status("/readyz"), Some(503), "{message}");
        assert!(tables().tables.is_empty(), "{message}");
        cluster.server.come_back().unwrap();
        agent.until_ready();
    });
}

#[test]
fn a_state_file_that_is_no_use_is_told_of_and_passed_over() {
    check_passed_over("node-a", "bytes of state where", |bytes| bytes[..bytes.len() / 2].to_vec());
    check_passed_over("node-a", "damaged", |mut bytes| {
        let digit = bytes.iter().rposition(u8::is_ascii_digit).unwrap();
        bytes[digit] ^= 1;
        bytes
    });
    check_passed_over("node-a", "not a state file of svcnat", |_| b"something else altogether".to_vec());
    check_passed_over("node-b", "another node's", |bytes| bytes);
}

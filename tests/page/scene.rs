//! An agent with a folder of manifests and a page, and a browser that looks at it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent_support::agent::{Agent, SVCNAT};
use crate::agent_support::objects::{RULE_FLAGS, node_port, service, shop};
use crate::agent_support::{must, on_node_a};
use crate::browser::Browser;

/// Where the page is.
pub const PAGE: &str = "127.0.0.1:10247";

/// What is looked at.
pub struct Scene {
    pub agent: Agent,
    folder: TempDir,
}

impl Scene {
    /// An agent of these objects, ready, with more flags.
    pub fn of(objects: &[Value], flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        objects.iter().for_each(|object| write(folder.path(), object));
        let agent = start(folder.path(), flags);
        agent.until_ready();
        Self { agent, folder }
    }

    /// Creates or replaces an object.
    pub fn apply(&self, object: &Value) {
        write(self.folder.path(), object);
    }

    pub fn delete(&self, kind: &str, name: &str) {
        fs::remove_file(self.folder.path().join(format!("{kind}-{name}.json"))).unwrap();
    }

    /// Ends the agent, and starts another.
    pub fn restart(&mut self, meanwhile: impl FnOnce()) {
        self.agent.signal(Signal::SIGTERM);
        assert_eq!(self.agent.ended(), Some(0), "{}", self.agent.log());
        meanwhile();
        self.agent = start(self.folder.path(), &[]);
        self.agent.until_ready();
    }

    /// What `svcnat COMMAND` prints, of this agent where it asks one.
    pub fn svcnat(&self, command: &str) -> String {
        let socket = self.agent.socket();
        let mut words: Vec<&str> = command.split_whitespace().collect();
        if words[0] != "trace" {
            words.extend(["--socket", socket.to_str().unwrap()]);
        }
        must(SVCNAT, &words)
    }
}

fn start(folder: &Path, flags: &[&str]) -> Agent {
    let own = ["--manifests", folder.to_str().unwrap(), "--oom-score-adj", "0", "--page-bind-address", PAGE];
    Agent::start(&[&RULE_FLAGS[..], &own, flags].concat())
}

fn write(folder: &Path, object: &Value) {
    let text = |field: &str| object.pointer(field).and_then(Value::as_str).unwrap_or("all").to_owned();
    let name = format!("{}-{}.json", text("/kind"), text("/metadata/name"));
    let new = folder.join(format!("{name}.new"));
    fs::write(&new, object.to_string()).unwrap();
    fs::rename(new, folder.join(name)).unwrap();
}

/// An answer of the page's server: the status and the body.
pub fn answer(path: &str) -> (u16, String) {
    let answer =
        must("curl", &["--silent", "--write-out", "\n%{http_code}", &format!("http://{PAGE}{path}")]);
    let (body, status) = answer.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// The shop with a Service that loses its node port to an older one, and one with everything.
pub fn market() -> Vec<Value> {
    let everything = json!({
        "type": "LoadBalancer",
        "clusterIPs": ["10.96.0.40"],
        "externalIPs": ["203.0.113.7", "203.0.113.8"],
        "externalTrafficPolicy": "Local",
        "healthCheckNodePort": 30_900,
        "loadBalancerSourceRanges": ["198.51.100.0/24", "192.0.2.0/24"],
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": { "clientIP": { "timeoutSeconds": 600 } },
        "ports": [
            { "name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": 30_081 },
            { "name": "dns", "port": 53, "targetPort": 5353, "protocol": "UDP", "nodePort": 30_053 },
        ],
    });
    let mut everything = service("everything", 40, everything);
    everything["status"] = json!({ "loadBalancer": { "ingress": [{ "ip": "203.0.113.100" }] } });
    [shop(), vec![service("rival", 50, node_port(30_080)), everything]].concat()
}

/// Looks at the page of an agent of these objects, in a window as wide as this. No request may leave for elsewhere, and nobody may
/// complain but in these words.
pub fn look(
    objects: &[Value],
    width: u32,
    expected: &[&str],
    work: impl FnOnce(&mut Scene, &Browser) + Send,
) {
    on_node_a(|| {
        let mut scene = Scene::of(objects, &[]);
        let browser = Browser::start(width, 1000);
        browser.open(&format!("http://{PAGE}/"));
        browser.until_true("document.getElementById('live').textContent === 'live'");
        work(&mut scene, &browser);
        assert_eq!(browser.origins(), BTreeSet::from([format!("http://{PAGE}")]));
        let complaints = browser.complaints();
        let unexpected = complaints.iter().find(|found| !expected.iter().any(|words| found.contains(words)));
        assert_eq!(unexpected, None);
    });
}

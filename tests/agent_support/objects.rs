//! Objects of the API, and all that there are at a time.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use svcnat::manifests::{Object, assemble, parse};
use svcnat::netlink::Netlink;
use svcnat_rules::compile::compile;
use svcnat_rules::config::{Config, DetectLocal, Layout};
use svcnat_rules::diff::diff;
use svcnat_rules::installed::Installed;
use svcnat_rules::iptables;
use svcnat_rules::layout::{Slots, slots_in};
use svcnat_rules::name::Name;
use svcnat_rules::nft;
use svcnat_rules::ruleset::Ruleset;

/// The address of `node-a`, as the lab gives it to its first node.
pub const NODE_A: &str = "192.168.1.2";

/// How agents and other commands are told about the node.
pub const RULE_FLAGS: [&str; 4] =
    ["--hostname-override", "node-a", "--cluster-cidr", "10.244.0.0/16,fd00:10:244::/48"];

/// What [`RULE_FLAGS`] and other flags of an agent say.
pub fn config_of(flags: &[&str]) -> Config {
    let layout = match flags.iter().position(|flag| *flag == "--layout").and_then(|at| flags.get(at + 1)) {
        Some(&"chains") => Layout::Chains,
        Some(&"maps") => Layout::Maps,
        _ => Layout::Auto,
    };
    Config { layout, counters: flags.contains(&"--counters"), ..config() }
}

/// What [`RULE_FLAGS`] say.
pub fn config() -> Config {
    let networks = ["10.244.0.0/16", "fd00:10:244::/48"];
    Config {
        node_name: Name::from("node-a"),
        detect_local: DetectLocal::ClusterCidr(networks.map(|text| text.parse().unwrap()).to_vec()),
        ..Config::default()
    }
}

/// An object by its kind, namespace and name.
type Key = [String; 3];

/// All objects that there are, as they were given and as svcnat reads them: nothing where it cannot.
#[derive(Debug, Default, Clone)]
pub struct Objects(BTreeMap<Key, (Value, Option<Object>)>);

impl Objects {
    pub fn put(&mut self, object: Value) {
        let parsed = parse(&Name::from("test"), object.to_string().as_bytes());
        self.0.insert(key(&object), (object, parsed.objects.into_iter().next()));
    }

    pub fn remove(&mut self, kind: &str, namespace: &str, name: &str) {
        self.0.remove(&[kind, namespace, name].map(str::to_owned));
    }

    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.values().map(|(value, _)| value)
    }

    /// The full compile of all objects, with backends in these slots.
    pub fn ruleset(&self, config: &Config, slots: &Slots) -> Ruleset {
        let objects = self.0.values().filter_map(|(_, object)| object.as_ref());
        let (cluster, _) = assemble(objects, &config.node_name);
        compile(&cluster, config, slots).ruleset
    }

    /// The same as iptables rules.
    pub fn iptables(&self, config: &Config) -> iptables::Ruleset {
        let objects = self.0.values().filter_map(|(_, object)| object.as_ref());
        let (cluster, _) = assemble(objects, &config.node_name);
        iptables::compile(&cluster, config).ruleset
    }

    /// `Ok` where the kernel holds exactly what the full compile makes of the objects, with backends in the slots that they
    /// have; else what would have to be done.
    pub fn compare(&self, config: &Config) -> Result<(), String> {
        let read = Netlink::open().and_then(|mut kernel| kernel.read());
        let installed = read.map_err(|error| error.to_string())?;
        self.compare_with(&installed, config, &slots_in(&installed))
    }

    /// The same with what a kernel held at a time, and backends in these slots.
    pub fn compare_with(&self, installed: &Installed, config: &Config, slots: &Slots) -> Result<(), String> {
        let ruleset = self.ruleset(config, slots);
        let rest = diff(&ruleset, installed);
        if rest.is_empty() { Ok(()) } else { Err(nft::transaction(&rest).to_string()) }
    }
}

fn key(object: &Value) -> Key {
    ["/kind", "/metadata/namespace", "/metadata/name"]
        .map(|field| object.pointer(field).and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// A Service `shop/NAME` at 10.96.0.NUMBER with TCP port 80, and with fields of its `spec` besides or instead.
pub fn service(name: &str, number: u8, spec: Value) -> Value {
    let mut service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "creationTimestamp": format!("2026-01-01T00:{:02}:00Z", number % 60),
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": format!("10.96.0.{number}"),
            "clusterIPs": [format!("10.96.0.{number}")],
            "ipFamilies": ["IPv4"],
            "ports": [{ "name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP" }],
        },
    });
    let Value::Object(spec) = spec else { panic!("a spec is an object") };
    service["spec"].as_object_mut().unwrap().extend(spec);
    service
}

/// The slice `shop/SERVICE-1` with these addresses, all ready; those after the first are on another node.
pub fn slice(service: &str, addresses: &[&str]) -> Value {
    let endpoint = |(index, address): (usize, &&str)| {
        let node = if index == 0 { "node-a" } else { "node-b" };
        json!({ "addresses": [address], "conditions": { "ready": true }, "nodeName": node })
    };
    let endpoints: Vec<Value> = addresses.iter().enumerate().map(endpoint).collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{service}-1"),
            "namespace": "shop",
            "labels": { "kubernetes.io/service-name": service },
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
    })
}

/// The Node `node-a` with these addresses.
pub fn node(addresses: &[&str]) -> Value {
    let addresses: Vec<Value> =
        addresses.iter().map(|address| json!({ "type": "InternalIP", "address": address })).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": "node-a" },
        "spec": { "podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24"] },
        "status": { "addresses": addresses },
    })
}

/// The ServiceCIDR `NAME`.
pub fn service_cidr(name: &str, network: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": { "name": name },
        "spec": { "cidrs": [network] },
    })
}

/// The spec of a Service with a node port.
pub fn node_port(port: u16) -> Value {
    json!({
        "type": "NodePort",
        "ports": [{ "name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": port }],
    })
}

/// A small cluster: the Node, a ServiceCIDR, and Services `web` (two backends, a node port), `api` (three) and `idle`
/// (none).
pub fn shop() -> Vec<Value> {
    vec![
        node(&[NODE_A]),
        service_cidr("kubernetes", "10.96.0.0/16"),
        service("web", 10, node_port(30_080)),
        slice("web", &["10.244.0.2", "10.244.1.2"]),
        service("api", 11, json!({})),
        slice("api", &["10.244.0.3", "10.244.1.3", "10.244.1.4"]),
        service("idle", 12, json!({})),
    ]
}

//! Traffic policies: which backends a client may get, and whether its source is kept.

use serde_json::{Value, json};
use svcnat_lab::{Host, Result};

use crate::manifests::{PORT, cluster_ip, external, load_balanced, node_port, service, slices};
use crate::stage::{Expected, Sees, Stage, addresses, backend};
use Expected::{Answers, Silence};
use Sees::{Client, Node};

fn with(mut spec: Value, field: &str, value: &str) -> Value {
    spec[field] = json!(value);
    spec
}

/// Two Services: `web`, with a backend on either node, and `solo`, with one on node-a only.
fn services(stage: &Stage, service: impl Fn(&str, u8) -> Value) -> Vec<Value> {
    let solo = [backend(&stage.web_a, "node-a")];
    let mut objects = [slices("web", &stage.webs()), slices("solo", &solo)].concat();
    objects.push(service("web", 10));
    objects.push(service("solo", 11));
    objects
}

#[test]
fn policy_local_keeps_the_source_of_clients_outside() -> Result<()> {
    let stage = Stage::new()?;
    let objects = services(&stage, |name, number| {
        let spec = with(node_port(30000 + u16::from(number)), "externalTrafficPolicy", "Local");
        load_balanced(service(name, number, &spec), external(number))
    });
    stage.with_layouts(&objects, |layout| {
        let check = |from: &Host, to, expected: Expected<'_>| stage.check(layout, from, to, expected);
        let (a, b) = (addresses(&stage.node_a), addresses(&stage.node_b));
        let laptop = &stage.laptop;
        check(laptop, (a, 30010), Answers(&[("web-a", Client)]));
        check(laptop, (b, 30010), Answers(&[("web-b", Client)]));
        check(laptop, (external(10), PORT), Answers(&[("web-a", Client)]));
        // No backend here, but one elsewhere: a load balancer is to look for another node.
        check(laptop, (a, 30011), Answers(&[("web-a", Client)]));
        check(laptop, (b, 30011), Silence);
        // Pods keep their source and the node is masqueraded, and both may use every backend.
        let all = [("web-a", Client), ("web-b", Client)];
        check(&stage.client_a, (external(10), PORT), Answers(&all));
        check(&stage.client_b, (external(11), PORT), Answers(&[("web-a", Client)]));
        check(&stage.client_b, (b, 30010), Answers(&all));
        let all = [("web-a", Node(&stage.node_b)), ("web-b", Node(&stage.node_b))];
        check(&stage.node_b, (external(10), PORT), Answers(&all));
        check(&stage.node_b, (b, 30011), Answers(&[("web-a", Node(&stage.node_b))]));
        // It is no policy for ClusterIPs.
        check(&stage.client_b, (cluster_ip(11), PORT), Answers(&[("web-a", Client)]));
    })
}

#[test]
fn internal_policy_local_stays_on_the_node() -> Result<()> {
    let stage = Stage::new()?;
    let objects = services(&stage, |name, number| {
        let spec = with(node_port(30000 + u16::from(number)), "internalTrafficPolicy", "Local");
        service(name, number, &spec)
    });
    stage.with_layouts(&objects, |layout| {
        let check = |from: &Host, to, expected: Expected<'_>| stage.check(layout, from, to, expected);
        let (web, solo) = ((cluster_ip(10), PORT), (cluster_ip(11), PORT));
        check(&stage.client_a, web, Answers(&[("web-a", Client)]));
        check(&stage.client_b, web, Answers(&[("web-b", Client)]));
        check(&stage.node_b, web, Answers(&[("web-b", Node(&stage.node_b))]));
        check(&stage.client_a, solo, Answers(&[("web-a", Client)]));
        check(&stage.client_b, solo, Silence);
        check(&stage.node_b, solo, Silence);
        // It is no policy for node ports.
        let masqueraded = [("web-a", Node(&stage.node_b))];
        check(&stage.laptop, (addresses(&stage.node_b), 30011), Answers(&masqueraded));
    })
}

//! Random changes of a cluster.

use serde_json::{Value, json};
use svcnat_apiserver::Resource;

use crate::agent_support::cluster::Cluster;
use crate::agent_support::objects::{
    NODE_A, node, node_port as with_node_port, service, service_cidr, slice,
};
use crate::random::Random;
use crate::scene::{STEADY, Scene, node_port};

pub struct Churn {
    /// How many Services come and go.
    services: usize,
    /// The pods behind the steady Services.
    pods: Vec<String>,
}

impl Churn {
    pub fn new(services: usize, scene: &Scene) -> Self {
        Self { services, pods: scene.addresses() }
    }

    /// All objects at the start.
    pub fn objects(&self, random: &mut Random) -> Vec<Value> {
        let mut objects = vec![node(&[NODE_A]), service_cidr("kubernetes", "10.96.0.0/12")];
        for steady in 0..STEADY {
            objects.push(steady_service(steady));
            objects.push(self.steady_slice(steady, random));
        }
        // Somebody always has so many backends, so that what all Services of a size share is never made anew while
        // somebody comes to it, which a packet may notice.
        for (index, count) in [1, 2, 4, 8].into_iter().enumerate() {
            let (name, number) = (format!("size-{count}"), 200 + u8::try_from(index).unwrap());
            objects.push(service(&name, number, with_node_port(30_050 + u16::from(number))));
            let addresses: Vec<String> = (0..count).map(|pod| format!("10.129.0.{pod}")).collect();
            let mut slice = slice(&name, &addresses.iter().map(String::as_str).collect::<Vec<_>>());
            slice["endpoints"][0]["nodeName"] = json!("node-b");
            objects.push(slice);
        }
        for number in 0..self.services {
            objects.push(some_service(number, random));
            objects.push(some_slice(number, random));
        }
        objects
    }

    /// Makes one change.
    pub fn change(&self, cluster: &mut Cluster, random: &mut Random) {
        let number = random.index(self.services);
        match random.below(200) {
            0 => {
                let more: &[&str] = if random.once_in(2) { &[NODE_A, "2001:db8:1::2"] } else { &[NODE_A] };
                cluster.apply(node(more));
            }
            1 => {
                let network = if random.once_in(2) { "10.112.0.0/16" } else { "10.113.0.0/16" };
                cluster.apply(service_cidr("more", network));
            }
            2..14 => cluster.delete_one(Resource::Services, &name(number)),
            14..26 => cluster.delete_one(Resource::EndpointSlices, &format!("{}-1", name(number))),
            26..80 => cluster.apply(some_service(number, random)),
            80..100 => {
                let steady = u8::try_from(random.below(STEADY.into())).unwrap();
                cluster.apply(self.steady_slice(steady, random));
            }
            _ => cluster.apply(some_slice(number, random)),
        }
    }

    /// Some of the pods that serve, at least one of them ready.
    fn steady_slice(&self, steady: u8, random: &mut Random) -> Value {
        let ready = random.index(self.pods.len());
        let mut addresses: Vec<&str> = vec![&self.pods[ready]];
        for (index, pod) in self.pods.iter().enumerate() {
            if index != ready && random.once_in(2) {
                addresses.insert(random.index(addresses.len() + 1), pod);
            }
        }
        let mut slice = slice(&steady_name(steady), &addresses);
        for endpoint in slice["endpoints"].as_array_mut().unwrap() {
            let other = endpoint["addresses"][0] != json!(self.pods[ready]);
            endpoint["nodeName"] = json!("node-a");
            endpoint["conditions"]["ready"] = json!(!(other && random.once_in(4)));
        }
        slice
    }
}

fn steady_name(steady: u8) -> String {
    format!("steady-{steady}")
}

fn steady_service(steady: u8) -> Value {
    let mut object = service(&steady_name(steady), steady, with_node_port(node_port(steady)));
    let address = Scene::inside(steady).ip().to_string();
    object["spec"]["clusterIPs"] = json!([address]);
    object["spec"]["clusterIP"] = json!(address);
    object
}

fn name(number: usize) -> String {
    format!("s-{number}")
}

/// A Service of any kind.
fn some_service(number: usize, random: &mut Random) -> Value {
    let address = format!("10.97.{}.{}", number / 250, 1 + number % 250);
    let mut spec = json!({ "clusterIP": address, "clusterIPs": [address] });
    if random.once_in(4) {
        spec["sessionAffinity"] = json!("ClientIP");
    }
    if random.once_in(6) {
        spec["internalTrafficPolicy"] = json!("Local");
    }
    if random.once_in(6) {
        // A few addresses that many want.
        spec["externalIPs"] = json!([format!("203.0.113.{}", random.below(20))]);
    }
    let fields = if random.once_in(3) { spec.as_object_mut() } else { None };
    if let Some(fields) = fields {
        let port = 30_500 + u16::try_from(number % 2_000).unwrap();
        fields.extend(with_node_port(port).as_object().unwrap().clone());
        if random.once_in(2) {
            fields.insert("externalTrafficPolicy".to_owned(), json!("Local"));
        }
    }
    let mut object = service(&name(number), u8::try_from(number % 60).unwrap(), spec);
    if object["spec"]["type"] == "NodePort" && random.once_in(2) {
        object["spec"]["type"] = json!("LoadBalancer");
        object["status"] =
            json!({ "loadBalancer": { "ingress": [{ "ip": format!("198.51.100.{}", number % 200) }] } });
        if random.once_in(2) {
            object["spec"]["loadBalancerSourceRanges"] = json!(["192.0.2.0/24", "10.0.0.0/8"]);
        }
        if object["spec"]["externalTrafficPolicy"] == "Local" && number < 20 {
            object["spec"]["healthCheckNodePort"] = json!(32_600 + number);
        }
    }
    object
}

/// Up to six endpoints, most of them ready; none where the Service is scaled to zero.
fn some_slice(number: usize, random: &mut Random) -> Value {
    let count = if random.once_in(5) { 0 } else { 1 + random.below(6) };
    let pod = |_| format!("10.{}.{}.{}", 128 + random.below(4), number % 250, 1 + random.below(250));
    let addresses: Vec<String> = (0..count).map(pod).collect();
    let mut slice = slice(&name(number), &addresses.iter().map(String::as_str).collect::<Vec<_>>());
    for endpoint in slice["endpoints"].as_array_mut().unwrap() {
        if random.once_in(5) {
            endpoint["conditions"] =
                json!({ "ready": false, "serving": true, "terminating": random.once_in(2) });
        }
    }
    slice
}

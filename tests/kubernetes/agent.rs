//! What the agent's loop would know: the news of a server, put together.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use svcnat::kubernetes::{ClientSettings, Connection, Handle, Known, Options, Resource, ResourceStatus, run};
use svcnat::source::News;
use svcnat_apiserver::ApiServer;
use svcnat_rules::engine::Event;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How long anything may take. Back-off makes for most of what it takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection may stay without a byte.
pub const IDLE: Duration = Duration::from_secs(2);

/// What the news amounts to.
#[derive(Debug, Default, PartialEq)]
pub struct World {
    /// The ClusterIP of each Service.
    pub services: BTreeMap<String, String>,
    /// The addresses of the endpoints of each slice.
    pub slices: BTreeMap<String, String>,
    /// The Node's addresses.
    pub node: Option<String>,
    /// Networks of ClusterIPs.
    pub cidrs: String,
    /// Whether load balancers should send traffic.
    pub eligible: Option<bool>,
    /// How often completeness was told.
    pub complete: usize,
}

/// Watches a server for a node named `n1`.
pub struct Agent {
    pub world: World,
    /// Every change, in words.
    pub log: Vec<String>,
    pub connection: Connection,
    pub kubeconfig: std::path::PathBuf,
    handle: Handle,
    receiver: mpsc::Receiver<News>,
    task: JoinHandle<()>,
    _folder: TempDir,
}

impl Agent {
    pub async fn start(server: &ApiServer) -> Self {
        Self::start_knowing(server, Known::default()).await
    }

    pub async fn start_knowing(server: &ApiServer, known: Known) -> Self {
        Self::start_with(server, known, IDLE).await
    }

    /// One whose connections may stay without a byte for so long.
    pub async fn start_with(server: &ApiServer, known: Known, idle: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, server.kubeconfig()).unwrap();
        let settings = ClientSettings {
            kubeconfig: Some(kubeconfig.clone()),
            qps: -1.0,
            idle,
            ..ClientSettings::default()
        };
        let connection = Connection::new(settings).await.unwrap();
        let handle = Handle::default();
        let (sender, receiver) = mpsc::channel(16);
        let options = Options { node: "n1".to_owned(), rediscover: Duration::from_millis(300) };
        let task = {
            let (connection, handle) = (connection.clone(), handle.clone());
            tokio::spawn(async move { run(&connection, options, known, sender, &handle).await })
        };
        Self {
            world: World::default(),
            log: Vec::new(),
            connection,
            kubeconfig,
            handle,
            receiver,
            task,
            _folder: folder,
        }
    }

    /// Takes news until something is true of the world.
    pub async fn until(&mut self, what: &str, is_true: impl Fn(&World) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !is_true(&self.world) {
                let news = self.receiver.recv().await.unwrap();
                self.take(news);
            }
        });
        if waited.await.is_err() {
            panic!("{what}: {:#?}\n{:#?}", self.world, self.log);
        }
    }

    /// Takes what has been told by now.
    pub fn take_what_is_there(&mut self) {
        while let Ok(news) = self.receiver.try_recv() {
            self.take(news);
        }
    }

    /// Takes what is told until all that existed is, and asserts that it is as it should be.
    pub async fn until_complete(&mut self, what: &str) {
        self.until(what, |world| world.complete > 0).await;
    }

    /// Waits until something is true of a watch.
    pub async fn until_status(&mut self, resource: Resource, is_true: impl Fn(ResourceStatus) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !is_true(self.handle.status(resource)) {
                // News is taken meanwhile, or the watch could not go on.
                match tokio::time::timeout(Duration::from_millis(5), self.receiver.recv()).await {
                    Ok(news) => self.take(news.unwrap()),
                    Err(_) => continue,
                }
            }
        });
        if waited.await.is_err() {
            panic!("{:?}\n{:#?}", self.status(resource), self.log);
        }
    }

    pub fn status(&self, resource: Resource) -> ResourceStatus {
        self.handle.status(resource)
    }

    /// How often the log has a line.
    pub fn count(&self, line: &str) -> usize {
        self.log.iter().filter(|other| *other == line).count()
    }

    /// Ends the watches by dropping them.
    pub fn stop(self) {
        self.task.abort();
    }

    fn take(&mut self, news: News) {
        let world = &mut self.world;
        let line = match news {
            News::Complete => {
                world.complete += 1;
                "complete".to_owned()
            }
            News::Eligible(eligible) => {
                world.eligible = Some(eligible);
                format!("eligible {eligible}")
            }
            News::Change(change) => match change.event {
                Event::Service(service) => {
                    let addresses = joined(&service.cluster_ips);
                    let line = format!("{} {addresses}", service.name);
                    world.services.insert(service.name.to_string(), addresses);
                    line
                }
                Event::ServiceGone(name) => {
                    world.services.remove(name.as_str());
                    format!("{name} gone")
                }
                Event::Slice(name, slice) => {
                    let addresses: Vec<_> = slice.endpoints.iter().map(|endpoint| endpoint.address).collect();
                    let addresses = joined(&addresses);
                    let line = format!("{name} {addresses}");
                    world.slices.insert(name.to_string(), addresses);
                    line
                }
                Event::SliceGone(name) => {
                    world.slices.remove(name.as_str());
                    format!("{name} gone")
                }
                Event::Node(node) => {
                    world.node = node.map(|node| joined(&node.addresses));
                    format!("node {:?}", world.node)
                }
                Event::ServiceCidrs(networks) => {
                    world.cidrs = joined(&networks);
                    format!("cidrs {}", world.cidrs)
                }
                Event::Config(_) => panic!("a source of state told a configuration"),
            },
        };
        self.log.push(line);
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn joined<T: ToString>(parts: &[T]) -> String {
    parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// A Service of the namespace `shop`.
pub fn service(name: &str, address: &str) -> Value {
    json!({
        "kind": "Service",
        "metadata": { "name": name, "namespace": "shop" },
        "spec": { "clusterIP": address, "ports": [{ "port": 80 }] },
    })
}

/// A slice of a Service of the namespace `shop`.
pub fn slice(name: &str, service: &str, addresses: &[&str]) -> Value {
    let endpoints: Vec<_> = addresses.iter().map(|address| json!({ "addresses": [address] })).collect();
    json!({
        "kind": "EndpointSlice",
        "metadata": {
            "name": name, "namespace": "shop", "labels": { "kubernetes.io/service-name": service },
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{ "port": 8080 }],
    })
}

/// The Node `n1`.
pub fn node(spec: &Value) -> Value {
    json!({
        "kind": "Node",
        "metadata": { "name": "n1" },
        "spec": spec,
        "status": { "addresses": [{ "type": "InternalIP", "address": "192.0.2.1" }] },
    })
}

/// A cluster with Services `a`, `b`, `c` with one slice each, a Node and a ServiceCIDR.
pub fn populate(server: &ApiServer) {
    let cidr = json!({
        "kind": "ServiceCIDR", "metadata": { "name": "kubernetes" }, "spec": { "cidrs": ["10.96.0.0/12"] },
    });
    let mut objects = vec![node(&json!({})), cidr];
    for (name, address) in [("a", "10.96.0.1"), ("b", "10.96.0.2"), ("c", "10.96.0.3")] {
        objects.push(service(name, address));
        objects.push(slice(&format!("{name}-1"), name, &["10.244.0.1"]));
    }
    server.load(objects).unwrap();
}

/// What [`populate`] makes.
pub fn populated() -> World {
    let map = |pairs: [(&str, &str); 3]| {
        pairs.into_iter().map(|(name, address)| (format!("shop/{name}"), address.to_owned())).collect()
    };
    World {
        services: map([("a", "10.96.0.1"), ("b", "10.96.0.2"), ("c", "10.96.0.3")]),
        slices: map([("a-1", "10.244.0.1"), ("b-1", "10.244.0.1"), ("c-1", "10.244.0.1")]),
        node: Some("192.0.2.1".to_owned()),
        cidrs: "10.96.0.0/12".to_owned(),
        eligible: Some(true),
        complete: 1,
    }
}

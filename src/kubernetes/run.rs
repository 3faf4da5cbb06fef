//! All resources together.

use std::collections::HashSet;
use std::panic;
use std::time::Duration;

use kube::core::Request;
use svcnat_rules::name::ObjectName;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::client::Connection;
use super::handle::Handle;
use super::kinds::{Endpoints, Kind, ServiceCidrs, Services, Slices, ThisNode};
use super::outlet::{Outlet, Share};
use super::watch::{End, Watch};
use crate::source::News;

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The name of this node's Node.
    pub node: String,
    /// How often the server is asked again for a resource that it does not serve or that RBAC refuses.
    pub rediscover: Duration,
}

impl Options {
    /// The usual options for a node.
    #[must_use]
    pub fn new(node: String) -> Self {
        Self { node, rediscover: Duration::from_secs(600) }
    }
}

/// What the receiver knows by other means, such as a state file. The first complete list removes what of it is gone.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Services.
    pub services: HashSet<ObjectName>,
    /// EndpointSlices.
    pub slices: HashSet<ObjectName>,
}

/// The resources that [`News::Complete`] waits for: Services, their endpoints, the Node, ServiceCIDRs.
const RESOURCES: usize = 4;

/// Watches and tells until the receiver is gone. Dropping the future ends everything.
///
/// Nothing that the API server does ends it; `handle` tells how it is doing.
pub async fn run(
    connection: &Connection,
    options: Options,
    known: Known,
    sender: mpsc::Sender<News>,
    handle: &Handle,
) {
    let outlet = Outlet::new(sender, RESOURCES);
    let site =
        Site { connection: connection.clone(), handle: handle.clone(), rediscover: options.rediscover };
    let mut tasks = JoinSet::new();
    let share = || Share::new(outlet.clone());
    tasks.spawn(required(site.watch(Services { known: known.services }, share())));
    tasks.spawn(required(site.watch(ThisNode::new(options.node), share())));
    tasks.spawn(service_cidrs(site.clone(), share()));
    tasks.spawn(endpoints(site, known.slices, share()));
    let ended = async {
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended
                && let Ok(panicked) = error.try_into_panic()
            {
                panic::resume_unwind(panicked);
            }
        }
    };
    tokio::select! {
        () = ended => {}
        // A watch without events would not notice.
        () = outlet.closed() => {}
    }
}

/// What all watches share.
#[derive(Clone)]
struct Site {
    connection: Connection,
    handle: Handle,
    rediscover: Duration,
}

impl Site {
    fn watch<K: Kind>(&self, kind: K, share: Share) -> Watch<K> {
        Watch::new(kind, self.connection.clone(), share, self.handle.clone())
    }
}

async fn required<K: Kind>(mut watch: Watch<K>) {
    watch.run(&[]).await;
}

/// ServiceCIDRs, which elder servers do not serve and elder roles do not permit to read.
async fn service_cidrs(site: Site, share: Share) {
    let mut watch = site.watch(ServiceCidrs::default(), share);
    let mut warned = false;
    while let End::Refused(code) = watch.run(&[403, 404]).await {
        if watch.share.complete().await.is_err() {
            return;
        }
        if code == 403 && !std::mem::replace(&mut warned, true) {
            tracing::warn!(
                "the API server refuses to list servicecidrs; grant `get, list, watch` on them \
                 (networking.k8s.io), or unallocated ClusterIPs are refused only as far as networks are configured"
            );
        }
        tokio::time::sleep(site.rediscover).await;
    }
}

/// EndpointSlices or, for as long as they are not served, Endpoints.
async fn endpoints(site: Site, known: HashSet<ObjectName>, share: Share) {
    let mut slices = site.watch(Slices { known }, share);
    if let End::Closed = slices.run(&[404]).await {
        return;
    }
    tracing::info!("the API server does not serve endpointslices (discovery.k8s.io/v1): watching endpoints");
    let mut endpoints = site.watch(Endpoints { known: slices.kind.known }, slices.share);
    tokio::select! {
        _ = endpoints.run(&[]) => return,
        () = served(&site, Slices::PATH) => {}
    }
    tracing::info!("the API server serves endpointslices by now: watching them instead of endpoints");
    site.handle.connected(Endpoints::RESOURCE, false);
    let told = endpoints.ledger.iter().flat_map(|(name, told)| told.slices(name));
    let known = told.chain(endpoints.kind.known.iter().cloned()).collect();
    required(site.watch(Slices { known }, endpoints.share)).await;
}

/// Waits until the server serves a resource.
async fn served(site: &Site, path: &str) {
    loop {
        tokio::time::sleep(site.rediscover).await;
        let params = kube::api::ListParams::default().limit(1);
        let Ok(request) = Request::new(path).list(&params) else { continue };
        let current = site.connection.current();
        match current.patiently(current.client.request_text(request)).await {
            Ok(_) => return,
            Err(failure) => tracing::debug!(%failure, "asked whether {path} is served"),
        }
    }
}

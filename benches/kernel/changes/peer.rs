//! Changes in the peer's shape: the script that kube-proxy would write for the Service, loaded by nft.

use std::time::Duration;

use svcnat_rules::cluster::Cluster;

use super::{Change, Cost, Subject};
use crate::{Result, kernel, peer};

/// The peer, which nothing is known of but its scripts: making them is not in the times.
pub struct Peer {
    patience: Duration,
}

impl Peer {
    /// Loads the whole cluster; `None` where that takes too long.
    pub fn new(cluster: &Cluster, patience: Duration) -> Result<Option<Self>> {
        Ok(peer::load_in_pieces(cluster, patience)?.then_some(Self { patience }))
    }
}

impl Subject for Peer {
    fn name(&self) -> String {
        "peer's shape".to_owned()
    }

    fn apply(&mut self, change: &Change) -> Result<Option<Cost>> {
        let script = match &change.before {
            None => peer::service_added(&change.service, &change.after),
            Some(before) => peer::endpoints_changed(&change.service, before, &change.after),
        };
        let time = kernel::nft(&script, self.patience)?;
        Ok(time.map(|time| Cost { total: time.total, bytes: script.len(), chains: None }))
    }
}

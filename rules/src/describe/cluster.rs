//! All Services of a cluster, or of a part of it.

use std::collections::HashMap;

use super::{BackendSummary, ServiceSummary, backends, service};
use crate::cluster::{Cluster, EndpointSlice};
use crate::compile::{Conflict, slices_by_service};
use crate::config::Config;
use crate::name::ObjectName;
use crate::resolve::View;

/// Describes every Service, in the order of their names. `conflicts` are what they do not get.
#[must_use]
pub fn services(cluster: &Cluster, config: &Config, conflicts: &[Conflict]) -> Vec<ServiceSummary> {
    let view = View { config, node: cluster.node.as_ref() };
    let slices = slices_by_service(cluster);
    let mut lost: HashMap<&ObjectName, Vec<Conflict>> = HashMap::new();
    for conflict in conflicts {
        lost.entry(&conflict.loser.service).or_default().push(conflict.clone());
    }
    let describe = |(name, object)| {
        let own = slices.get(name).map_or(&[][..], Vec::as_slice);
        service(view, object, own, lost.get(name).map_or(&[][..], Vec::as_slice))
    };
    cluster.services.iter().map(describe).collect()
}

/// Describes the backends of a Service; `None` where the cluster has no such Service.
#[must_use]
pub fn backends_of(cluster: &Cluster, config: &Config, name: &ObjectName) -> Option<Vec<BackendSummary>> {
    let service = cluster.services.get(name)?;
    let slices: Vec<&EndpointSlice> =
        cluster.slices.values().filter(|slice| slice.service == *name).collect();
    Some(backends(View { config, node: cluster.node.as_ref() }, service, &slices))
}

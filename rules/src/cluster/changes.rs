//! The difference between two states of the cluster, as the events that lead from one to the other.

use super::Cluster;
use crate::engine::Event;

/// The events that lead from one state to another; none where they are the same.
///
/// What is new comes before what is gone. So where only names have changed (a slice of a Service, a Service at its
/// ClusterIP), whoever acts on the first events and not yet on the last takes nothing down.
#[must_use]
pub fn changes(before: &Cluster, after: &Cluster) -> Vec<Event> {
    let mut events = Vec::new();
    if before.service_cidrs != after.service_cidrs {
        events.push(Event::ServiceCidrs(after.service_cidrs.clone()));
    }
    if before.node != after.node {
        events.push(Event::Node(after.node.clone()));
    }
    // Slices before their Service, which would be refused to clients for want of endpoints.
    let slices = after.slices.iter().filter(|(name, slice)| before.slices.get(*name) != Some(*slice));
    events.extend(slices.map(|(name, slice)| Event::Slice(name.clone(), slice.clone())));
    let services =
        after.services.iter().filter(|(name, service)| before.services.get(*name) != Some(*service));
    events.extend(services.map(|(_, service)| Event::Service(service.clone())));
    let gone = before.services.keys().filter(|name| !after.services.contains_key(*name));
    events.extend(gone.cloned().map(Event::ServiceGone));
    let gone = before.slices.keys().filter(|name| !after.slices.contains_key(*name));
    events.extend(gone.cloned().map(Event::SliceGone));
    events
}

impl Cluster {
    /// Takes an event in. The operator's options are no part of the cluster, so other ones change nothing here.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Service(service) => drop(self.services.insert(service.name.clone(), service)),
            Event::ServiceGone(name) => drop(self.services.remove(&name)),
            Event::Slice(name, slice) => drop(self.slices.insert(name, slice)),
            Event::SliceGone(name) => drop(self.slices.remove(&name)),
            Event::Node(node) => self.node = node,
            Event::ServiceCidrs(cidrs) => self.service_cidrs = cidrs,
            Event::Config(_) => {}
        }
    }
}

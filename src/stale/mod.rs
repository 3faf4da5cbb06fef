//! After a change of the rules: away with what remains of earlier connections and would lead clients astray.
//!
//! Remembered clients go first, since a new connection would otherwise be led to the old backend by them; then tracked
//! flows. All of it happens behind the transaction, which never waits for it, and a failure leaves the rules in force.

mod affinity;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use svcnat_rules::cluster::Cluster;
use svcnat_rules::config::Config;
use svcnat_rules::flows::{Endpoints, Frontends, Judge, Looked, is_stale, node_port_addresses};
use svcnat_rules::installed::Installed;
use svcnat_rules::layout::set;
use svcnat_rules::net::{Family, Protocol};
use svcnat_rules::ruleset::Ruleset;

pub use affinity::Maps;

use crate::conntrack::{self, Conntrack, Query};
use crate::netlink::{self, EncodeError};

/// A change that is in force.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// What the kernel held before.
    pub before: &'a Installed,
    /// What it holds now.
    pub after: &'a Ruleset,
    /// What that was compiled from.
    pub cluster: &'a Cluster,
    /// The options that it was compiled with.
    pub config: &'a Config,
    /// Whether TCP connections to endpoints that are gone are ended (`--reset-dead-connections`).
    pub dead_connections: bool,
    /// Whether all frontends are looked at, since nobody knows what an earlier process left undone.
    pub everywhere: bool,
}

/// What was removed.
#[derive(Debug, Default)]
pub struct Removed {
    /// How many tracked flows.
    pub flows: usize,
    /// The same for each family where flows were looked at.
    pub flows_by_family: BTreeMap<Family, usize>,
    /// How many elements of the affinity maps.
    pub affinity: usize,
    /// What could not be done; everything else was.
    pub problems: Vec<Error>,
}

/// Why something that is stale may still be there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine's addresses cannot be read, which tell its own flows and node ports from others'.
    #[error("cannot read this machine's addresses, so tracked flows were left as they are: {0}")]
    Addresses(nix::Error),
    /// Tracked flows.
    #[error("flows of earlier connections may still go to backends that are gone: {0}")]
    Conntrack(#[from] conntrack::Error),
    /// Elements of an affinity map.
    #[error("clients may still be led to backends that are gone, until their affinity times out: {0}")]
    Affinity(#[from] netlink::Error),
    /// A defect of svcnat.
    #[error("svcnat made an invalid transaction to forget clients; please report it: {0}")]
    Encode(#[from] EncodeError),
}

/// Removes what changes that are in force have made stale; they were made one after the other, the first one first. `kernel` must
/// belong to the namespace of the calling thread.
pub fn remove_stale(changes: &[Change<'_>], kernel: &mut impl Maps) -> Removed {
    let mut removed = Removed::default();
    let local_addresses = match local_addresses() {
        Ok(addresses) => addresses,
        Err(error) => {
            removed.problems.push(Error::Addresses(error));
            return removed;
        }
    };
    let tables: Vec<Tables> = changes.iter().map(|change| Tables::of(change, &local_addresses)).collect();
    let judges: Vec<Judge<'_>> = tables.iter().map(|tables| tables.judge(&local_addresses)).collect();
    let mut looked = Looked::default();
    for (change, tables) in changes.iter().zip(&tables) {
        looked.extend(tables.looked());
        if change.everywhere {
            looked.extend(Looked::everywhere(&tables.after));
        }
    }
    let rulesets: Vec<&Ruleset> = changes.iter().map(|change| change.after).collect();
    for family in &looked.affinity {
        match affinity::forget(kernel, &rulesets, *family, &judges) {
            Ok(count) => removed.affinity += count,
            Err(problem) => removed.problems.push(problem),
        }
    }
    if let Err(problem) = delete_flows(&looked, &judges, &mut removed.flows_by_family) {
        removed.problems.push(problem.into());
    }
    removed.flows = removed.flows_by_family.values().sum();
    removed
}

/// The frontends before a change and after it.
struct Tables {
    before: Frontends,
    after: Frontends,
    /// Where TCP connections to endpoints that are gone are ended.
    endpoints: Option<Endpoints>,
}

impl Tables {
    fn of(change: &Change<'_>, local_addresses: &BTreeSet<IpAddr>) -> Self {
        let node_ports = node_port_addresses(change.config, change.cluster.node.as_ref(), local_addresses);
        let protocols = change.protocols();
        Self {
            before: Frontends::installed(change.before, protocols, &node_ports),
            after: Frontends::of(change.after, protocols, &node_ports),
            endpoints: change.dead_connections.then(|| Endpoints::of(change.cluster, change.config)),
        }
    }

    fn looked(&self) -> Looked {
        Looked::between(&self.before, &self.after, self.endpoints.is_some())
    }

    fn judge<'a>(&'a self, local_addresses: &'a BTreeSet<IpAddr>) -> Judge<'a> {
        let endpoints = self.endpoints.as_ref();
        Judge { before: &self.before, after: &self.after, local_addresses, endpoints }
    }
}

impl Change<'_> {
    /// The protocols of frontends that matter. Most have TCP, which matters only where clients are remembered or dead
    /// connections are ended.
    fn protocols(&self) -> &'static [Protocol] {
        let remembers = self.after.tables.values().any(|table| table.sets.contains_key(set::AFFINITY));
        if self.dead_connections || remembers { &Protocol::ALL } else { &[Protocol::Udp, Protocol::Sctp] }
    }
}

fn delete_flows(
    looked: &Looked,
    judges: &[Judge<'_>],
    deleted: &mut BTreeMap<Family, usize>,
) -> Result<(), conntrack::Error> {
    if looked.flows.is_empty() {
        return Ok(());
    }
    let mut conntrack = Conntrack::open()?;
    for (&(family, protocol), &untranslated) in &looked.flows {
        let query = Query { family, protocol, translated: !untranslated };
        *deleted.entry(family).or_default() += conntrack.delete(query, |flow| is_stale(judges, flow))?;
    }
    Ok(())
}

/// All addresses of this machine's interfaces, in the network namespace of the calling thread.
fn local_addresses() -> nix::Result<BTreeSet<IpAddr>> {
    let addresses = getifaddrs()?.filter_map(|interface| interface.address).filter_map(|address| {
        let ipv4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
        ipv4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip())))
    });
    Ok(addresses.collect())
}

//! What an update leaves behind in connection tracking and in the affinity maps: noted before it is made and after, for the
//! Services alone that it touches.

use std::collections::BTreeSet;

use svcnat_rules::cluster::{Cluster, Service};
use svcnat_rules::config::Config;
use svcnat_rules::engine::{Engine, Event};
use svcnat_rules::installed::Installed;
use svcnat_rules::layout::set;
use svcnat_rules::name::ObjectName;
use svcnat_rules::net::{Family, Protocol};
use svcnat_rules::ruleset::{Elements, Ruleset};

use crate::settings::Settings;
use crate::stale::{Change, Maps, Removed, remove_stale};

/// So many elements take some megabytes.
const MANY: usize = 5_000;

/// An update, as far as the Services go that it touched.
#[derive(Debug)]
pub(super) struct Leftovers {
    before: Installed,
    after: Ruleset,
    cluster: Cluster,
    config: Config,
    dead_connections: bool,
    of_start: bool,
}

/// The same before the update is made.
pub(super) struct Before {
    services: BTreeSet<ObjectName>,
    ruleset: Ruleset,
}

impl Leftovers {
    /// What the start leaves behind.
    pub(super) fn of_start(before: Installed, after: Ruleset, engine: &Engine, settings: &Settings) -> Self {
        // Only dead connections are a matter of what the cluster is like, beside the Node.
        let of_all = settings.reset_dead_connections;
        Self {
            before,
            after,
            cluster: if of_all { engine.cluster() } else { engine.cluster_of(&[]) },
            config: settings.rules.clone(),
            dead_connections: settings.reset_dead_connections,
            of_start: true,
        }
    }

    /// Notes what is in force of the Services that the events concern; `None` where nothing can be left behind: NAT looks
    /// at first packets only, which TCP without affinity survives.
    pub(super) fn before(engine: &Engine, events: &[Event], settings: &Settings) -> Option<Before> {
        let services = engine.concerned(events);
        let known = services.iter().filter_map(|name| engine.service(name)).map(|(service, _)| service);
        let told = events.iter().filter_map(|event| match event {
            Event::Service(service) => Some(service),
            _ => None,
        });
        let matters = settings.reset_dead_connections || known.chain(told).any(leaves_something);
        matters.then(|| Before { ruleset: engine.ruleset_of(&services), services })
    }

    /// Whether it takes so much memory that it should be given back afterwards.
    pub(super) fn are_many(&self) -> bool {
        let before = self.before.tables.values().flat_map(|table| table.sets.values());
        let after = self.after.tables.values().flat_map(|table| table.sets.values());
        let elements = before.map(|set| set.elements.len()).chain(after.map(|set| set.elements.len()));
        elements.sum::<usize>() > MANY
    }

    /// Removes what updates left behind, the first one first.
    pub(super) fn remove(all: &[Self], kernel: &mut impl Maps) -> Removed {
        let changes: Vec<Change<'_>> = all.iter().map(Self::change).collect();
        remove_stale(&changes, kernel)
    }

    fn change(&self) -> Change<'_> {
        Change {
            before: &self.before,
            after: &self.after,
            cluster: &self.cluster,
            config: &self.config,
            dead_connections: self.dead_connections,
            // An agent may have ended between its last transaction and what that left behind.
            everywhere: self.of_start,
        }
    }
}

impl Before {
    /// Notes what is in force after the update.
    pub(super) fn after(self, engine: &Engine, settings: &Settings) -> Leftovers {
        let after = engine.ruleset_of(&self.services);
        // A connection whose frontend is gone goes on while its endpoint serves anybody, whoever that is.
        let of_all = settings.reset_dead_connections && loses_frontend(&self.ruleset, &after);
        Leftovers {
            before: Installed::from(&self.ruleset),
            after,
            cluster: if of_all { engine.cluster() } else { engine.cluster_of(&self.services) },
            config: settings.rules.clone(),
            dead_connections: settings.reset_dead_connections,
            of_start: false,
        }
    }
}

/// Whether something that was a frontend before is none after.
fn loses_frontend(before: &Ruleset, after: &Ruleset) -> bool {
    fn elements<'a>(ruleset: &'a Ruleset, family: Family, name: &str) -> Option<&'a Elements> {
        Some(&ruleset.tables.get(&family)?.sets.get(name)?.elements)
    }
    let mut maps = Family::ALL
        .into_iter()
        .flat_map(|family| [set::FRONTENDS, set::NODE_PORT_FRONTENDS].map(|name| (family, name)));
    maps.any(|(family, name)| {
        let after = elements(after, family, name);
        let is_there = |key| after.is_some_and(|after| after.contains_key(key));
        elements(before, family, name).is_some_and(|before| before.keys().any(|key| !is_there(key)))
    })
}

fn leaves_something(service: &Service) -> bool {
    service.affinity_seconds.is_some() || service.ports.iter().any(|port| port.protocol != Protocol::Tcp)
}

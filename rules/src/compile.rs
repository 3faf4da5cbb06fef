//! The full compile: the fold of all Services' fragments into the ruleset, the oldest Service first.

use std::collections::btree_map::Entry;
use std::collections::{BTreeSet, HashMap};

use crate::cluster::{Cluster, EndpointSlice, Service};
use crate::config::Config;
use crate::layout::{self, Claim, ElementAt, Fragment, FrontendKey, Picking, ProgramNeeds, Slots, program};
use crate::name::ObjectName;
use crate::net::{Family, Protocol};
use crate::resolve::{View, resolve};
use crate::route::{Route, ServicePortName, by_age};
use crate::ruleset::{Chain, Ruleset};

/// What a compile yields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compiled {
    /// All that should be in our tables.
    pub ruleset: Ruleset,
    /// The frontends that service ports want and do not get, in the order of the frontends.
    pub conflicts: Vec<Conflict>,
}

/// A frontend that two service ports want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The frontend.
    pub frontend: FrontendKey,
    /// Who has it: the older Service.
    pub winner: ServicePortName,
    /// Who does not get it.
    pub loser: ServicePortName,
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { frontend, winner, loser } = self;
        write!(
            f,
            "{}/{} of {loser} belongs to the older Service port {winner}",
            frontend.at, frontend.protocol
        )
    }
}

/// Compiles the whole cluster for one node.
///
/// A pure function: the same cluster, options and slots give the same ruleset. `slots` says where backends are in
/// the kernel by now; with no slots they are in the order of their addresses.
#[must_use]
pub fn compile(cluster: &Cluster, config: &Config, slots: &Slots) -> Compiled {
    let view = View { config, node: cluster.node.as_ref() };
    let slices = slices_by_service(cluster);
    let mut services: Vec<&Service> = cluster.services.values().collect();
    services.sort_unstable_by(|a, b| by_age(a, b));
    let resolved: Vec<Vec<Route>> = services
        .into_iter()
        .map(|service| {
            let own = slices.get(&service.name).map_or(&[][..], Vec::as_slice);
            resolve(view, service, own)
        })
        .collect();
    let backend_rules = resolved.iter().flatten().map(Route::backend_rules).sum();
    let picking = Picking::choose(config.layout, backend_rules, slots.picking());
    let fragments = resolved.iter().map(|routes| layout::lower(view, picking, routes, slots)).collect();
    fold(cluster, view, picking, fragments)
}

pub(crate) fn slices_by_service(cluster: &Cluster) -> HashMap<&ObjectName, Vec<&EndpointSlice>> {
    let mut by_service: HashMap<&ObjectName, Vec<&EndpointSlice>> = HashMap::new();
    for slice in cluster.slices.values() {
        by_service.entry(&slice.service).or_default().push(slice);
    }
    by_service
}

fn fold(cluster: &Cluster, view: View<'_>, picking: Picking, fragments: Vec<Fragment>) -> Compiled {
    let mut compiled = Compiled::default();
    for family in Family::ALL {
        let service_cidrs = cluster.service_cidrs.iter().copied().filter(|cidr| cidr.family() == family);
        let needs = ProgramNeeds {
            picking,
            service_cidrs: service_cidrs.collect(),
            affinity: affinity(&fragments, family),
        };
        let used = fragments.iter().any(|fragment| fragment.families.contains(&family));
        if used || !needs.service_cidrs.is_empty() {
            compiled.ruleset.tables.insert(family, program(view, family, &needs));
        }
    }
    let mut winners = HashMap::new();
    for fragment in fragments {
        for (family, name, chain) in fragment.chains {
            if let Some(table) = compiled.ruleset.tables.get_mut(&family) {
                table.chains.insert(name, chain);
            }
        }
        let shared_chains: BTreeSet<_> = fragment.shared_chains.into_iter().collect();
        for (family, shared) in shared_chains {
            if let Some(table) = compiled.ruleset.tables.get_mut(&family) {
                let chain = || Chain { hook: None, rules: shared.rules(view, family) };
                table.chains.entry(shared.name()).or_insert_with(chain);
            }
        }
        for claim in fragment.claims {
            settle(&mut compiled, &mut winners, claim);
        }
        for element in fragment.shared {
            insert(&mut compiled.ruleset, element);
        }
    }
    compiled.conflicts.sort_by(|a, b| (a.frontend, &a.loser).cmp(&(b.frontend, &b.loser)));
    compiled
}

fn affinity(fragments: &[Fragment], family: Family) -> BTreeSet<(u32, Protocol)> {
    let all = fragments.iter().flat_map(|fragment| &fragment.affinity);
    all.filter(|(of, ..)| *of == family).map(|(_, seconds, protocol)| (*seconds, *protocol)).collect()
}

/// Fragments come oldest Service first, so who claims first wins.
fn settle(compiled: &mut Compiled, winners: &mut HashMap<FrontendKey, ServicePortName>, claim: Claim) {
    if let Some(winner) = winners.get(&claim.frontend) {
        let conflict = Conflict { frontend: claim.frontend, winner: winner.clone(), loser: claim.port };
        compiled.conflicts.push(conflict);
        return;
    }
    winners.insert(claim.frontend, claim.port);
    for element in claim.elements {
        insert(&mut compiled.ruleset, element);
    }
}

fn insert(ruleset: &mut Ruleset, element: ElementAt) {
    let Some(table) = ruleset.tables.get_mut(&element.family) else { return };
    let Some(set) = table.sets.get_mut(&element.set) else { return };
    if let Entry::Vacant(vacant) = set.elements.entry(element.key) {
        vacant.insert(element.element);
    }
}

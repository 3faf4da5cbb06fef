//! The full compile: the fold of all Services' fragments into the ruleset, the oldest Service first.

use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map};

use crate::cluster::{Cluster, EndpointSlice, Service};
use crate::config::{Config, Layout};
use crate::layout::{
    self, Claim, ElementAt, Fragment, FrontendKey, Picking, ProgramNeeds, SetName, Slots, program,
};
use crate::name::{Name, ObjectName};
use crate::net::{Cidr, Family, Protocol};
use crate::parallel;
use crate::resolve::{View, resolve};
use crate::route::{ServicePortName, by_age};
use crate::ruleset::{Chain, Element, Ruleset, Value};

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
    let endpoints = cluster.slices.values().map(|slice| slice.endpoints.len() * slice.ports.len()).sum();
    let (picking, fragments) = lower_all(config.layout, endpoints, slots.picking(), |picking| {
        let lower = |service: &&Service| {
            let own = slices.get(&service.name).map_or(&[][..], Vec::as_slice);
            ((), layout::lower(view, picking, &resolve(view, service, own), slots))
        };
        parallel::map(&services, lower)
    });
    let fragments = fragments.into_iter().map(|((), fragment)| fragment).collect();
    fold(view, picking, &cluster.service_cidrs, fragments)
}

/// Lowers everything in the layout that is right for the whole. `before` is the layout in force.
///
/// Which layout `auto` takes shows when all is lowered. A guess by the number of endpoints is nearly always right, and
/// costs less than to keep all routes until then.
pub(crate) fn lower_all<T>(
    layout: Layout,
    endpoints: usize,
    before: Option<Picking>,
    lower: impl Fn(Picking) -> Vec<(T, Fragment)>,
) -> (Picking, Vec<(T, Fragment)>) {
    let guess = Picking::choose(layout, endpoints, before);
    let lowered = lower(guess);
    let backend_rules = lowered.iter().map(|(_, fragment)| fragment.backend_rules).sum();
    let right = Picking::choose(layout, backend_rules, before);
    if right == guess { (guess, lowered) } else { (right, lower(right)) }
}

pub(crate) fn slices_by_service(cluster: &Cluster) -> HashMap<&ObjectName, Vec<&EndpointSlice>> {
    let mut by_service: HashMap<&ObjectName, Vec<&EndpointSlice>> = HashMap::new();
    for slice in cluster.slices.values() {
        by_service.entry(&slice.service).or_default().push(slice);
    }
    by_service
}

/// Folds fragments, the oldest Service's first, into the ruleset.
///
/// Everything is gathered in vectors and sorted once for each set: inserting a million elements one by one costs
/// several times as much.
pub(crate) fn fold(
    view: View<'_>,
    picking: Picking,
    service_cidrs: &[Cidr],
    fragments: Vec<Fragment>,
) -> Compiled {
    let mut compiled = Compiled::default();
    for family in Family::ALL {
        let service_cidrs = service_cidrs.iter().copied().filter(|cidr| cidr.family() == family);
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
    let mut shared_chains = BTreeSet::new();
    let mut chains: BTreeMap<Family, Vec<(Name, Chain)>> = BTreeMap::new();
    let mut claims = Vec::new();
    let mut elements = Gathered::default();
    for fragment in fragments {
        for (family, name, chain) in fragment.chains {
            chains.entry(family).or_default().push((name, chain));
        }
        shared_chains.extend(fragment.shared_chains);
        claims.extend(fragment.claims);
        elements.extend(fragment.shared);
    }
    for (family, shared) in shared_chains {
        let chain = Chain { hook: None, rules: shared.rules(view, family) };
        chains.entry(family).or_default().push((shared.name(), chain));
    }
    let (mut winning, conflicts) = settle(claims);
    // In about the order that the sets have, which makes sorting them cheap.
    winning.sort_unstable_by_key(|claim| claim.frontend);
    winning.into_iter().for_each(|claim| elements.extend(claim.elements));
    compiled.conflicts = conflicts;
    put_chains(&mut compiled.ruleset, chains);
    elements.put(&mut compiled.ruleset);
    compiled
}

fn affinity(fragments: &[Fragment], family: Family) -> BTreeSet<(u32, Protocol)> {
    let all = fragments.iter().flat_map(|fragment| &fragment.affinity);
    all.filter(|(of, ..)| *of == family).map(|(_, seconds, protocol)| (*seconds, *protocol)).collect()
}

/// Parts claims into those that get their frontend and what became of the others. They come oldest Service first, so who
/// claims first wins.
fn settle(claims: Vec<Claim>) -> (Vec<Claim>, Vec<Conflict>) {
    let mut winning: Vec<Claim> = Vec::with_capacity(claims.len());
    let mut places = HashMap::with_capacity(claims.len());
    let mut conflicts = Vec::new();
    for claim in claims {
        match places.entry(claim.frontend) {
            hash_map::Entry::Vacant(vacant) => {
                vacant.insert(winning.len());
                winning.push(claim);
            }
            hash_map::Entry::Occupied(place) => {
                if let Some(winner) = winning.get(*place.get()).map(|winner| winner.port.clone()) {
                    conflicts.push(Conflict { frontend: claim.frontend, winner, loser: claim.port });
                }
            }
        }
    }
    conflicts.sort_by(|a, b| (a.frontend, &a.loser).cmp(&(b.frontend, &b.loser)));
    (winning, conflicts)
}

fn put_chains(ruleset: &mut Ruleset, chains: BTreeMap<Family, Vec<(Name, Chain)>>) {
    for (family, chains) in chains {
        if let Some(table) = ruleset.tables.get_mut(&family) {
            // Collecting a map sorts once; extending one inserts one by one.
            table.chains = std::mem::take(&mut table.chains).into_iter().chain(chains).collect();
        }
    }
}

/// The elements of each set, in the order in which they came.
#[derive(Default)]
struct Gathered {
    sets: Vec<(Family, SetName)>,
    elements: Vec<Vec<(Value, Element)>>,
    /// Which set the latest element went to; most follow one of the same set.
    latest: usize,
}

impl Gathered {
    fn extend(&mut self, elements: Vec<ElementAt>) {
        for ElementAt { family, set, key, element } in elements {
            self.set((family, set)).push((key, element));
        }
    }

    fn set(&mut self, set: (Family, SetName)) -> &mut Vec<(Value, Element)> {
        if self.sets.get(self.latest) != Some(&set) {
            self.latest = self.sets.iter().position(|other| *other == set).unwrap_or(self.sets.len());
        }
        if self.latest == self.sets.len() {
            self.sets.push(set);
            self.elements.push(Vec::new());
        }
        &mut self.elements[self.latest]
    }

    fn put(self, ruleset: &mut Ruleset) {
        for ((family, name), elements) in self.sets.into_iter().zip(self.elements) {
            let Some(table) = ruleset.tables.get_mut(&family) else { continue };
            let Some(set) = table.sets.get_mut(&*name.text()) else { continue };
            // Several Services may contribute the same, so it does not matter which of them is taken.
            set.elements = elements.into_iter().collect();
        }
    }
}

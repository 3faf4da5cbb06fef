//! The layout `chains`: each service port has a chain with one random-statistic rule per backend.
//!
//! Slot 0 is the last rule and always fires; the rule of slot k fires with the probability 1/(k+1). Read from the top, the
//! k-th of n rules fires with 1/(n-k+1), so each backend is equally likely; and a rule's probability depends on its slot
//! alone, so a backend that comes or goes changes its own rule and at most one other.

use std::net::SocketAddr;

use super::external::{external_local_rules, external_rules};
use super::lowering::Lowering;
use super::names::{comment, external_chain, pool_chain, set};
use super::picking::Picking;
use super::slots::{Previous, assign};
use super::statement::{Field, Statements};
use crate::name::Name;
use crate::net::Family;
use crate::route::{Backend, Frontend, Handling, Pool, Route, ServicePortName};
use crate::ruleset::{Chain, Rule};

/// Adds the chains of a route.
pub(super) fn add(lowering: &mut Lowering<'_>, previous: &(impl Previous + ?Sized)) {
    let route = lowering.route;
    for pool in Picking::Chains.pools(route) {
        add_pool(lowering, pool, previous.in_chain(route, pool));
    }
    let every = pool_chain(&route.port, Pool::Cluster);
    if route.has(&[Handling::External]) {
        add_chain(lowering, external_chain(&route.port), external_rules(route.family, &every));
    } else if route.has(&[Handling::ExternalLocal]) {
        let local = route.uses(Pool::Local).then(|| pool_chain(&route.port, Pool::Local));
        let rules = external_local_rules(lowering.view, route.family, &every, local.as_ref());
        add_chain(lowering, external_chain(&route.port), rules);
    }
}

/// The chain that serves a frontend.
pub(super) fn serve(route: &Route<'_>, frontend: &Frontend) -> Name {
    match frontend.handling {
        Handling::Internal(pool) => pool_chain(&route.port, pool),
        _ => external_chain(&route.port),
    }
}

fn add_chain(lowering: &mut Lowering<'_>, name: Name, rules: Vec<Rule>) {
    lowering.fragment.chains.push((lowering.route.family, name, Chain { hook: None, rules }));
}

fn add_pool(lowering: &mut Lowering<'_>, pool: Pool, before: &[SocketAddr]) {
    let route = lowering.route;
    let name = pool_chain(&route.port, pool);
    let by_slot = assign(before, Picking::Chains.usual_order(route.backends(pool)));
    lowering.note_slots(pool, &by_slot);
    let mut rules = Vec::with_capacity(by_slot.len() + 1);
    if route.affinity_seconds.is_some() {
        let client = [Field::Source, Field::Destination, Field::L4Proto, Field::DestinationPort];
        rules.push(Statements::new(route.family).dnat_to_map(&client, set::AFFINITY));
    }
    let picks = by_slot.into_iter().enumerate().rev();
    rules.extend(picks.map(|(slot, backend)| pick(route.family, &route.port, slot, backend)));
    add_chain(lowering, name, rules);
}

fn pick(family: Family, port: &ServicePortName, slot: usize, backend: &Backend<'_>) -> Rule {
    let comment = backend.pod.as_ref().map(|pod| comment(pod.text()));
    let rule = Statements::new(family).comment(comment).protocol(port.protocol);
    match u32::try_from(slot + 1).unwrap_or(u32::MAX) {
        1 => rule.dnat(backend.address),
        n => rule.one_in(n).dnat(backend.address),
    }
}

//! The way through the chains of one base chain (`nft_do_chain`).

use std::collections::BTreeMap;

use super::flow::{Flows, Transit, Way, Ways};
use super::machine::{self, Context, End};
use super::trace::Trail;
use super::{Budget, Environment, Fate, Fault, MAX_CHAINS, Outcome, Packet, SimulateError, Step};
use crate::name::Name;
use crate::net::Family;
use crate::ruleset::{BaseHook, Chain, Rule, Table};

/// A packet's walk through a table.
///
/// All ways that the packet may have taken to a rule pass it together, and equal ones are one. So a chain of draws
/// costs as much as it has rules, not as much as there are sequences of draws.
pub(super) struct Walk<'a, T> {
    pub(super) family: Family,
    pub(super) table: &'a Table,
    pub(super) packet: &'a Packet,
    pub(super) environment: &'a Environment,
    pub(super) budget: Budget,
    /// The outcomes so far.
    pub(super) outcomes: Ways<Outcome, T>,
}

/// Where in the program a rule stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    base: BaseHook,
    chain: &'a Name,
    /// How many chains lead here, this one included.
    depth: usize,
}

/// The ways out of one rule or, added up, out of one chain.
struct Exits<'a, T> {
    /// To the next rule.
    next: Flows<T>,
    /// Back to the chain that jumped here.
    back: Flows<T>,
    /// Out of the base chain, accepted.
    accepted: Flows<T>,
    jumps: BTreeMap<&'a Name, Flows<T>>,
    gotos: BTreeMap<&'a Name, Flows<T>>,
}

impl<'a, T: Trail> Walk<'a, T> {
    /// Sends packets through a base chain and gives those that pass it: by a verdict, or by its policy, accept.
    pub(super) fn base_chain(
        &mut self,
        name: &'a Name,
        chain: &'a Chain,
        base: BaseHook,
        flows: Flows<T>,
    ) -> Result<Flows<T>, SimulateError> {
        let flows = flows.map(|transit, trail| {
            trail.push(|| Step::BaseChain { chain: name.clone(), hook: base });
            transit
        });
        let mut passed = Flows::default();
        let returned = self.chain(Place { base, chain: name, depth: 1 }, chain, flows, &mut passed)?;
        passed.add_all(returned);
        Ok(passed)
    }

    /// Sends packets through a chain and gives those that come out at its end or return.
    fn chain(
        &mut self,
        place: Place<'a>,
        chain: &'a Chain,
        flows: Flows<T>,
        accepted: &mut Flows<T>,
    ) -> Result<Flows<T>, SimulateError> {
        let mut current = flows;
        let mut back = Flows::default();
        for (index, rule) in chain.rules.iter().enumerate() {
            if current.is_empty() {
                break;
            }
            let at_rule = |fault| SimulateError::Rule { chain: place.chain.clone(), rule: index, fault };
            let mut exits = Exits::new();
            for (transit, way) in current {
                self.rule(place, (index, rule), (transit, way), &mut exits).map_err(at_rule)?;
            }
            accepted.add_all(exits.accepted);
            back.add_all(exits.back);
            current = exits.next;
            for (target, flows) in exits.jumps {
                let (place, chain) = self.enter(place, target).map_err(at_rule)?;
                current.add_all(self.chain(place, chain, flows, accepted)?);
            }
            for (target, flows) in exits.gotos {
                let (place, chain) = self.enter(place, target).map_err(at_rule)?;
                back.add_all(self.chain(place, chain, flows, accepted)?);
            }
        }
        back.add_all(current);
        Ok(back.map(|transit, trail| {
            trail.push(|| Step::ChainEnd { chain: place.chain.clone() });
            transit
        }))
    }

    /// The chain that a jump or a goto leads to.
    fn enter(&self, from: Place<'a>, name: &'a Name) -> Result<(Place<'a>, &'a Chain), Fault> {
        let chain = self.table.chains.get(name).ok_or_else(|| Fault::MissingChain(name.clone()))?;
        if chain.hook.is_some() {
            return Err(Fault::JumpToBaseChain(name.clone()));
        }
        if from.depth == MAX_CHAINS {
            return Err(Fault::TooDeep(name.clone()));
        }
        Ok((Place { chain: name, depth: from.depth + 1, ..from }, chain))
    }

    /// Evaluates a rule for one packet.
    fn rule(
        &mut self,
        place: Place<'a>,
        (index, rule): (usize, &'a Rule),
        (transit, mut way): (Transit, Way<T>),
        exits: &mut Exits<'a, T>,
    ) -> Result<(), Fault> {
        let Self { family, table, packet, environment, .. } = *self;
        let context = Context { family, table, packet, environment, base: place.base };
        let before = way.trail.clone();
        way.trail.push(|| Step::Rule { chain: place.chain.clone(), index, comment: rule.comment.clone() });
        for (end, transit, way) in machine::run(&context, rule, (transit, way), &before, &mut self.budget)? {
            let hook = place.base.hook;
            let exit = match end {
                End::Continue => &mut exits.next,
                End::Return => &mut exits.back,
                End::Accept => &mut exits.accepted,
                End::Jump(chain) => exits.jumps.entry(chain).or_default(),
                End::Goto(chain) => exits.gotos.entry(chain).or_default(),
                End::Drop => {
                    self.lose(Fate::Dropped { hook }, transit, way);
                    continue;
                }
                End::Reject(how) => {
                    self.lose(Fate::Rejected { hook, how }, transit, way);
                    continue;
                }
            };
            exit.add(transit, way);
        }
        Ok(())
    }

    /// Notes an end short of delivery.
    fn lose(&mut self, fate: Fate, transit: Transit, way: Way<T>) {
        self.outcomes.add(Outcome { fate, effects: transit.effects }, way);
    }
}

impl<T> Exits<'_, T> {
    fn new() -> Self {
        Self {
            next: Flows::default(),
            back: Flows::default(),
            accepted: Flows::default(),
            jumps: BTreeMap::new(),
            gotos: BTreeMap::new(),
        }
    }
}

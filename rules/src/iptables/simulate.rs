//! The simulator for iptables rules: [`crate::simulate`]'s passage through the hooks, with these rules at them.
//!
//! Modelled is what rules of ours can say. `-m statistic` draws among 2^31 numbers; lists of `-m recent` are dynamic maps of
//! clients to nothing, in which no client has been idle for too long, and which are never full.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use super::chain::{Ruleset, Table, TableName, built_in};
use super::rule::{AddressType, Interface, Match, Odds, Recent, Rule, State, Target};
use crate::name::Name;
use crate::net::Family;
use crate::ruleset::{Hook, Value};
use crate::simulate::flow::{Flows, Manip, Mapping, Transit, Way, Ways};
use crate::simulate::hooks::Passage;
use crate::simulate::{
    Budget, Connection, Effect, Environment, Fate, Fault, MAX_CHAINS, Outcome, Outcomes, Packet,
    SimulateError,
};

/// Gives every possible outcome of a packet.
///
/// # Errors
///
/// Where a rule on the packet's way leads to a chain that does not exist, or to too many.
pub fn simulate(
    ruleset: &Ruleset,
    environment: &Environment,
    packet: &Packet,
) -> Result<Outcomes, SimulateError> {
    let family = packet.family()?;
    let none = BTreeMap::new();
    let tables = ruleset.families.get(&family).unwrap_or(&none);
    let (budget, outcomes) = (Budget::new(), Ways::default());
    let mut walk = Walk { family, tables, packet, environment, budget, outcomes };
    walk.run()?;
    Ok(walk.outcomes.into_iter().map(|(outcome, way)| (outcome, way.probability)).collect())
}

/// The order of the tables at a hook (`NF_IP_PRI_MANGLE` and so on).
fn tables_at(hook: Hook) -> [TableName; 3] {
    match hook {
        Hook::Prerouting | Hook::Output | Hook::Forward => {
            [TableName::Mangle, TableName::Nat, TableName::Filter]
        }
        Hook::Input | Hook::Postrouting => [TableName::Mangle, TableName::Filter, TableName::Nat],
    }
}

struct Walk<'a> {
    family: Family,
    tables: &'a BTreeMap<TableName, Table>,
    packet: &'a Packet,
    environment: &'a Environment,
    budget: Budget,
    outcomes: Ways<Outcome, ()>,
}

/// Where in the tables a rule stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    hook: Hook,
    table: &'a Table,
    chain: &'a str,
    /// How many chains lead here, this one included.
    depth: usize,
}

impl Passage<()> for Walk<'_> {
    fn packet(&self) -> &Packet {
        self.packet
    }

    fn environment(&self) -> &Environment {
        self.environment
    }

    fn outcomes(&mut self) -> &mut Ways<Outcome, ()> {
        &mut self.outcomes
    }

    fn hook(&mut self, hook: Hook, mut flows: Flows<()>) -> Result<Flows<()>, SimulateError> {
        for name in tables_at(hook) {
            let table = self.tables.get(&name);
            flows = match (name, Manip::of(hook)) {
                (TableName::Nat, Some(manip)) => {
                    let undecided = |transit: &Transit| transit.mapping(manip) == Mapping::Undecided;
                    let (asking, mut decided) = flows.partition(undecided);
                    decided.add_all(self.table(hook, table, asking)?);
                    self.translated(manip, decided)
                }
                (TableName::Nat, None) => flows,
                (TableName::Mangle | TableName::Filter, _) => self.table(hook, table, flows)?,
            };
        }
        Ok(flows)
    }
}

/// The ways out of a chain.
#[derive(Default)]
struct Exits {
    /// Back to the chain that jumped here.
    back: Flows<()>,
    /// Out of the table.
    done: Flows<()>,
}

impl<'a> Walk<'a> {
    /// Sends packets through a built-in chain, as far as it is ours.
    fn table(
        &mut self,
        hook: Hook,
        table: Option<&'a Table>,
        flows: Flows<()>,
    ) -> Result<Flows<()>, SimulateError> {
        let Some(table) = table else { return Ok(flows) };
        let Some(rules) = table.jumps.get(&hook) else { return Ok(flows) };
        let place = Place { hook, table, chain: built_in(hook), depth: 1 };
        let mut exits = Exits::default();
        self.chain(place, rules, flows, &mut exits)?;
        exits.done.add_all(exits.back);
        Ok(exits.done)
    }

    fn chain(
        &mut self,
        place: Place<'a>,
        rules: &'a [Rule],
        flows: Flows<()>,
        exits: &mut Exits,
    ) -> Result<(), SimulateError> {
        let mut current = flows;
        for (index, rule) in rules.iter().enumerate() {
            if current.is_empty() {
                break;
            }
            let at_rule = |fault| SimulateError::Rule { chain: Name::from(place.chain), rule: index, fault };
            self.budget.spend(1).map_err(at_rule)?;
            let (asked, mut next) = current.partition(|transit| self.header_matches(rule, transit));
            let mut matched = Flows::default();
            for (transit, way) in asked {
                self.conditions(rule, (transit, way), &mut matched, &mut next);
            }
            if !matched.is_empty() {
                match &rule.target {
                    Target::Jump(target) => {
                        let (place, rules) = Self::enter(place, target).map_err(at_rule)?;
                        let mut inner = Exits::default();
                        self.chain(place, rules, matched, &mut inner)?;
                        next.add_all(inner.back);
                        exits.done.add_all(inner.done);
                    }
                    Target::Goto(target) => {
                        let (place, rules) = Self::enter(place, target).map_err(at_rule)?;
                        self.chain(place, rules, matched, exits)?;
                    }
                    target => self.act(place.hook, target, matched, &mut next, exits),
                }
            }
            current = next;
        }
        exits.back.add_all(current);
        Ok(())
    }

    fn enter(from: Place<'a>, name: &'a Name) -> Result<(Place<'a>, &'a [Rule]), Fault> {
        let chain = from.table.chains.get(name).ok_or_else(|| Fault::MissingChain(name.clone()))?;
        if from.depth == MAX_CHAINS {
            return Err(Fault::TooDeep(name.clone()));
        }
        Ok((Place { chain: name, depth: from.depth + 1, ..from }, &chain.rules))
    }

    /// What targets other than chains do.
    fn act(
        &mut self,
        hook: Hook,
        target: &Target,
        flows: Flows<()>,
        next: &mut Flows<()>,
        exits: &mut Exits,
    ) {
        for (mut transit, way) in flows {
            match target {
                // Chains are entered elsewhere.
                Target::Jump(_) | Target::Goto(_) => next.add(transit, way),
                Target::Return => exits.back.add(transit, way),
                Target::Mark { clear, flip } => {
                    transit.mark = (transit.mark & !clear) ^ flip;
                    next.add(transit, way);
                }
                Target::Dnat(to) => {
                    transit.redirect(*to);
                    exits.done.add(transit, way);
                }
                Target::Masquerade => {
                    transit.masquerade(self.environment);
                    exits.done.add(transit, way);
                }
                Target::Drop => self.lose(Fate::Dropped { hook }, transit, way),
                Target::Reject(how) => self.lose(Fate::Rejected { hook, how: *how }, transit, way),
            }
        }
    }

    fn lose(&mut self, fate: Fate, transit: Transit, way: Way<()>) {
        self.outcomes.add(Outcome { fate, effects: transit.effects }, way);
    }

    fn header_matches(&self, rule: &Rule, transit: &Transit) -> bool {
        rule.source.is_none_or(|network| network.contains(transit.source))
            && rule.destination.is_none_or(|network| network.contains(transit.destination.ip()))
            && rule.protocol.is_none_or(|protocol| protocol == self.packet.protocol)
            && rule.port.is_none_or(|port| port == transit.destination.port())
            && rule.interface.as_ref().is_none_or(|interface| {
                let name = transit.interface.as_deref().unwrap_or_default();
                match interface {
                    Interface::Named(wanted) => *wanted == *name,
                    Interface::Prefix(prefix) => name.starts_with(prefix.as_str()),
                }
            })
    }

    /// Asks the matches one after the other. Only a draw divides a way.
    fn conditions(
        &self,
        rule: &Rule,
        (mut transit, mut way): (Transit, Way<()>),
        matched: &mut Flows<()>,
        missed: &mut Flows<()>,
    ) {
        for condition in &rule.matches {
            let matches = match condition {
                Match::Local(AddressType::Source) => self.environment.is_local(transit.source),
                Match::Local(AddressType::Destination) => self.environment.is_local(transit.destination.ip()),
                Match::State(State::New) => self.packet.connection == Connection::New,
                Match::State(State::Dnat) => transit.dnat == Mapping::Changed,
                Match::Mark(bits) => transit.mark & bits == *bits,
                Match::Random(odds) => {
                    let others = Odds::CERTAIN.saturating_sub(odds.steps());
                    if others > 0 {
                        missed.add(transit.clone(), share(&way, others));
                    }
                    way = share(&way, odds.steps());
                    odds.steps() > 0
                }
                Match::Recent { list, action } => self.recent(list, *action, &mut transit),
            };
            if !matches {
                missed.add(transit, way);
                return;
            }
        }
        matched.add(transit, way);
    }

    /// Looks the client up in a list, and notes it.
    fn recent(&self, list: &Name, action: Recent, transit: &mut Transit) -> bool {
        let key = Value::new().addr(transit.source);
        let noted = transit.effects.iter().any(|effect| effect.set == *list && effect.key == key);
        let there = self.environment.dynamic.get(&(self.family, list.clone()));
        let known = noted || there.is_some_and(|clients| clients.contains_key(&key));
        if !known && action != Recent::Set {
            return false;
        }
        let effect = Effect { set: list.clone(), key, data: Value::new(), timeout: 0, refreshed: known };
        transit.effects.push(effect);
        true
    }
}

/// So many steps' part of a way.
fn share(way: &Way<()>, steps: u32) -> Way<()> {
    let all = NonZeroU64::new(u64::from(Odds::CERTAIN)).unwrap_or(NonZeroU64::MIN);
    Way { probability: way.probability.share(u64::from(steps), all), trail: () }
}

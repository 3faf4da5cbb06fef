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
use crate::ruleset::{BaseHook, Hook, Value, Verdict};
use crate::simulate::flow::{Flows, Manip, Mapping, Transit, Way, Ways};
use crate::simulate::hooks::Passage;
use crate::simulate::trace::{Path, Trail};
use crate::simulate::{
    Budget, Connection, Effect, Environment, Fate, Fault, MAX_CHAINS, Outcome, Outcomes, Packet,
    SimulateError, Step, TracedOutcome, traced,
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
    let ways = walk::<()>(ruleset, environment, packet)?;
    Ok(ways.into_iter().map(|(outcome, way)| (outcome, way.probability)).collect())
}

/// Gives every possible outcome of a packet and a way that leads to it, the most likely outcome first. A built-in chain is a base
/// chain of its table's type and priority, a list of clients a set.
///
/// # Errors
///
/// As [`simulate`].
pub fn trace(
    ruleset: &Ruleset,
    environment: &Environment,
    packet: &Packet,
) -> Result<Vec<TracedOutcome>, SimulateError> {
    Ok(traced(walk::<Path>(ruleset, environment, packet)?))
}

fn walk<T: Trail>(
    ruleset: &Ruleset,
    environment: &Environment,
    packet: &Packet,
) -> Result<Ways<Outcome, T>, SimulateError> {
    let family = packet.family()?;
    let none = BTreeMap::new();
    let tables = ruleset.families.get(&family).unwrap_or(&none);
    let (budget, outcomes) = (Budget::new(), Ways::default());
    let mut walk = Walk { family, tables, packet, environment, budget, outcomes };
    walk.run()?;
    Ok(walk.outcomes)
}

/// The order of the tables at a hook.
fn tables_at(hook: Hook) -> [TableName; 3] {
    let mut tables = TableName::ALL;
    tables.sort_by_key(|table| table.priority(hook));
    tables
}

struct Walk<'a, T> {
    family: Family,
    tables: &'a BTreeMap<TableName, Table>,
    packet: &'a Packet,
    environment: &'a Environment,
    budget: Budget,
    outcomes: Ways<Outcome, T>,
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

impl<T: Trail> Passage<T> for Walk<'_, T> {
    fn packet(&self) -> &Packet {
        self.packet
    }

    fn environment(&self) -> &Environment {
        self.environment
    }

    fn outcomes(&mut self) -> &mut Ways<Outcome, T> {
        &mut self.outcomes
    }

    fn hook(&mut self, hook: Hook, mut flows: Flows<T>) -> Result<Flows<T>, SimulateError> {
        for name in tables_at(hook) {
            flows = match (name, Manip::of(hook)) {
                (TableName::Nat, Some(manip)) => {
                    let undecided = |transit: &Transit| transit.mapping(manip) == Mapping::Undecided;
                    let (asking, mut decided) = flows.partition(undecided);
                    decided.add_all(self.table(hook, name, asking)?);
                    self.translated(manip, decided)
                }
                (TableName::Nat, None) => flows,
                (TableName::Mangle | TableName::Filter, _) => self.table(hook, name, flows)?,
            };
        }
        Ok(flows)
    }
}

/// The ways out of a rule other than to the next one.
struct Exits<T> {
    /// Back to the chain that jumped here.
    back: Flows<T>,
    /// Out of the table.
    done: Flows<T>,
}

impl<'a, T: Trail> Walk<'a, T> {
    /// Sends packets through a built-in chain, as far as it is ours.
    fn table(&mut self, hook: Hook, name: TableName, flows: Flows<T>) -> Result<Flows<T>, SimulateError> {
        let Some(table) = self.tables.get(&name) else { return Ok(flows) };
        let Some(rules) = table.jumps.get(&hook) else { return Ok(flows) };
        let chain = built_in(hook);
        let base = BaseHook { kind: name.kind(), hook, priority: name.priority(hook) };
        let flows = flows.map(|transit, trail| {
            trail.push(|| Step::BaseChain { chain: Name::from(chain), hook: base });
            transit
        });
        let mut passed = Flows::default();
        let returned = self.chain(Place { hook, table, chain, depth: 1 }, rules, flows, &mut passed)?;
        passed.add_all(returned);
        Ok(passed)
    }

    /// Sends packets through a chain and gives those that come out at its end or return.
    fn chain(
        &mut self,
        place: Place<'a>,
        rules: &'a [Rule],
        flows: Flows<T>,
        done: &mut Flows<T>,
    ) -> Result<Flows<T>, SimulateError> {
        let mut current = flows;
        let mut exits = Exits { back: Flows::default(), done: std::mem::take(done) };
        for (index, rule) in rules.iter().enumerate() {
            if current.is_empty() {
                break;
            }
            let at_rule = |fault| SimulateError::Rule { chain: Name::from(place.chain), rule: index, fault };
            self.budget.spend(1).map_err(at_rule)?;
            let (asked, mut next) = current.partition(|transit| self.header_matches(rule, transit));
            let mut matched = Flows::default();
            for (transit, way) in asked {
                self.conditions(place, (index, rule), (transit, way), &mut matched, &mut next);
            }
            if !matched.is_empty() {
                match &rule.target {
                    Target::Jump(target) | Target::Goto(target) => {
                        let (place, rules) = Self::enter(place, target).map_err(at_rule)?;
                        let back = self.chain(place, rules, matched, &mut exits.done)?;
                        let goes_on = matches!(rule.target, Target::Jump(_));
                        if goes_on { &mut next } else { &mut exits.back }.add_all(back);
                    }
                    target => self.act(place.hook, target, matched, &mut next, &mut exits),
                }
            }
            current = next;
        }
        *done = exits.done;
        exits.back.add_all(current);
        Ok(exits.back.map(|transit, trail| {
            trail.push(|| Step::ChainEnd { chain: Name::from(place.chain) });
            transit
        }))
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
        flows: Flows<T>,
        next: &mut Flows<T>,
        exits: &mut Exits<T>,
    ) {
        for (mut transit, way) in flows {
            match target {
                // Chains are entered elsewhere.
                Target::Jump(_) | Target::Goto(_) => next.add(transit, way),
                Target::Return => exits.back.add(transit, way),
                Target::Mark { clear, flip } => {
                    transit.mark = marked(transit.mark, *clear, *flip);
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

    fn lose(&mut self, fate: Fate, transit: Transit, way: Way<T>) {
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
        place: Place<'_>,
        (index, rule): (usize, &Rule),
        (mut transit, mut way): (Transit, Way<T>),
        matched: &mut Flows<T>,
        missed: &mut Flows<T>,
    ) {
        let before = way.trail.clone();
        let past = |way: Way<T>| Way { trail: before.clone(), ..way };
        way.trail.push(|| Step::Rule {
            chain: Name::from(place.chain),
            index,
            comment: rule.comment.clone(),
        });
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
                        missed.add(transit.clone(), past(share(way.clone(), others)));
                    }
                    way = share(way, odds.steps());
                    odds.steps() > 0
                }
                Match::Recent { list, action } => self.recent(list, *action, &mut transit, &mut way.trail),
            };
            if !matches {
                if !matches!(condition, Match::Random(_)) {
                    missed.add(transit, past(way));
                }
                return;
            }
        }
        self.target_step(&rule.target, &transit, &mut way.trail);
        matched.add(transit, way);
    }

    /// Looks the client up in a list, and notes it.
    fn recent(&self, list: &Name, action: Recent, transit: &mut Transit, trail: &mut T) -> bool {
        let key = Value::new().addr(transit.source);
        let noted = transit.effects.iter().any(|effect| effect.set == *list && effect.key == key);
        let there = self.environment.dynamic.get(&(self.family, list.clone()));
        let known = noted || there.is_some_and(|clients| clients.contains_key(&key));
        trail.push(|| match action {
            Recent::Set => Step::Update { set: list.clone(), key: key.clone(), data: Value::new() },
            Recent::Update { .. } => Step::Element { set: list.clone(), key: key.clone(), comment: None },
        });
        if !known && action != Recent::Set {
            return false;
        }
        let effect = Effect { set: list.clone(), key, data: Value::new(), timeout: 0, refreshed: known };
        transit.effects.push(effect);
        true
    }

    /// Notes what a rule that matches does with the packet.
    fn target_step(&self, target: &Target, transit: &Transit, trail: &mut T) {
        trail.push(|| match target {
            Target::Jump(chain) => Step::Verdict(Verdict::Jump(chain.clone())),
            Target::Goto(chain) => Step::Verdict(Verdict::Goto(chain.clone())),
            Target::Return => Step::Verdict(Verdict::Return),
            Target::Drop => Step::Verdict(Verdict::Drop),
            Target::Reject(how) => Step::Reject(*how),
            Target::Dnat(to) => Step::Dnat(*to),
            Target::Masquerade => Step::Masquerade,
            Target::Mark { clear, flip } => Step::Mark(marked(transit.mark, *clear, *flip)),
        });
    }
}

/// What the target MARK makes of a mark.
fn marked(mark: u32, clear: u32, flip: u32) -> u32 {
    (mark & !clear) ^ flip
}

/// So many steps' part of a way.
fn share<T>(way: Way<T>, steps: u32) -> Way<T> {
    let all = NonZeroU64::new(u64::from(Odds::CERTAIN)).unwrap_or(NonZeroU64::MIN);
    Way { probability: way.probability.share(u64::from(steps), all), trail: way.trail }
}

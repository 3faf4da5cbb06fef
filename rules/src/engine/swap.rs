//! Swapping fragments: what one update changes, Service by Service.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::claims::{Claimant, Claims, claimants};
use super::delta::{Delta, Log, Programs};
use super::order::Order;
use crate::cluster::Node;
use crate::config::Config;
use crate::hash::HashMap;
use crate::layout::{Claim, ElementAt, Fragment, FrontendKey, ProgramNeeds, SharedChain, program};
use crate::name::ObjectName;
use crate::net::{Cidr, Family};
use crate::resolve::View;
use crate::ruleset::Chain;

/// An update on its way.
#[derive(Default)]
pub(super) struct Update {
    log: Log,
    /// The fragments, as they were, of Services that are not swapped yet.
    pub(super) old: HashMap<ObjectName, Fragment>,
    /// Services whose labels are different.
    pub(super) relabelled: Vec<ObjectName>,
    /// For shared chains that were touched, whether they were there before.
    shared_chains: HashMap<(Family, SharedChain), bool>,
    /// The Node and options before, where they are different.
    old_view: Option<(Config, Option<Node>)>,
    /// Whether the program may be another one.
    pub(super) other_program: bool,
}

/// The elements of a list whose places are not in another one; both are in the order of the places.
fn only_in<'a>(list: &'a [ElementAt], other: &'a [ElementAt]) -> impl Iterator<Item = &'a ElementAt> {
    let is_there =
        |element: &ElementAt| other.binary_search_by(|other| other.place().cmp(&element.place())).is_ok();
    list.iter().filter(move |element| !is_there(element))
}

impl Engine {
    pub(super) fn keep(&self, update: &mut Update, service: &ObjectName) {
        if !update.old.contains_key(service) {
            update.old.insert(service.clone(), self.fragment(service));
        }
    }

    pub(super) fn keep_all(&self, update: &mut Update) {
        for name in self.entries.keys() {
            self.keep(update, name);
        }
    }

    pub(super) fn keep_view(&self, update: &mut Update) {
        if update.old_view.is_none() {
            self.keep_all(update);
            update.shared_chains.extend(self.shared_chains.iter().map(|chain| (*chain, true)));
            update.old_view = Some((self.config.clone(), self.node.clone()));
            update.other_program = true;
        }
    }

    /// Puts the new fragment of a Service into the place of the old one, and forgets a Service of which nothing is known
    /// any more.
    pub(super) fn swap(&mut self, update: &mut Update, name: &ObjectName, new: &Fragment, order: Order) {
        let old = update.old.remove(name).unwrap_or_default();
        self.swap_claims(update, name, &old, new);
        self.swap_usage(update, &old, new);
        for (family, chain, content) in old.chains {
            update.log.chain_goes(family, chain, content);
        }
        for (family, chain, content) in &new.chains {
            update.log.chain_comes(*family, chain.clone(), content.clone());
        }
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.order = order;
        if entry.is_empty() {
            self.entries.remove(name);
        }
    }

    /// Takes down everything that a fragment uses, when all are new.
    pub(super) fn use_all(&mut self, fragment: &Fragment) {
        for (claimant, claim) in claimants(fragment) {
            self.claims.insert(claimant, claim.frontend);
        }
        self.swap_usage(&mut Update::default(), &Fragment::default(), fragment);
    }

    fn swap_claims(&mut self, update: &mut Update, name: &ObjectName, old: &Fragment, new: &Fragment) {
        let frontends: BTreeSet<FrontendKey> =
            old.claims.iter().chain(&new.claims).map(|claim| claim.frontend).collect();
        let winners = |claims: &Claims| -> Vec<Option<Claimant>> {
            frontends.iter().map(|frontend| claims.winner(frontend).cloned()).collect()
        };
        let before = winners(&self.claims);
        for (claimant, claim) in claimants(old) {
            self.claims.remove(&claimant, &claim.frontend);
        }
        for (claimant, claim) in claimants(new) {
            self.claims.insert(claimant, claim.frontend);
        }
        let after = winners(&self.claims);
        for ((frontend, before), after) in frontends.iter().zip(before).zip(after) {
            // A frontend that stays another Service's is not touched.
            if before == after && before.as_ref().is_some_and(|winner| winner.service != *name) {
                continue;
            }
            let goes = self.claimed(&update.old, name, old, frontend, before.as_ref());
            let comes = self.claimed(&update.old, name, new, frontend, after.as_ref());
            // Most elements of a frontend stay as they are, and where they are among the others.
            for (place, element) in goes.iter().enumerate() {
                if comes.get(place) != Some(element) {
                    update.log.element_goes(element.clone());
                }
            }
            for (place, element) in comes.iter().enumerate() {
                if goes.get(place) != Some(element) {
                    update.log.element_comes(element.clone());
                }
            }
        }
    }

    /// The elements of the winner of a frontend: the Service that is being swapped, or another one as it is.
    fn claimed<'a>(
        &self,
        not_swapped_yet: &'a HashMap<ObjectName, Fragment>,
        swapped: &ObjectName,
        fragment: &'a Fragment,
        frontend: &FrontendKey,
        winner: Option<&Claimant>,
    ) -> Cow<'a, [ElementAt]> {
        let Some(winner) = winner else { return Cow::default() };
        let place = usize::try_from(winner.index).unwrap_or(usize::MAX);
        let is_it = |claim: &Claim| claim.frontend == *frontend;
        let other =
            if winner.service == *swapped { Some(fragment) } else { not_swapped_yet.get(&winner.service) };
        match other {
            Some(fragment) => {
                let claim = fragment.claims.get(place).filter(|claim| is_it(claim));
                claim.map_or(Cow::default(), |claim| Cow::Borrowed(claim.elements.as_slice()))
            }
            None => {
                let mut claims = self.fragment(&winner.service).claims.into_iter();
                let claim = claims.nth(place).filter(is_it);
                claim.map_or(Cow::default(), |claim| Cow::Owned(claim.elements))
            }
        }
    }

    fn swap_usage(&mut self, update: &mut Update, old: &Fragment, new: &Fragment) {
        for element in only_in(&new.shared, &old.shared) {
            let (family, set, key) = element.place();
            if self.shared.add((family, set, key.clone())) {
                update.log.element_comes(element.clone());
            }
        }
        for element in only_in(&old.shared, &new.shared) {
            let (family, set, key) = element.place();
            if self.shared.remove(&(family, set, key.clone())) {
                update.log.element_goes(element.clone());
            }
        }
        for chain in &new.shared_chains {
            let there = self.shared_chains.contains(chain);
            update.shared_chains.entry(*chain).or_insert(there);
            self.shared_chains.add(*chain);
        }
        for chain in &old.shared_chains {
            update.shared_chains.entry(*chain).or_insert(true);
            self.shared_chains.remove(chain);
        }
        let mut other_program = false;
        for affinity in &new.affinity {
            other_program |= self.affinity.add(*affinity);
        }
        for affinity in &old.affinity {
            other_program |= self.affinity.remove(affinity);
        }
        for family in &new.families {
            other_program |= self.families.add(*family);
        }
        for family in &old.families {
            other_program |= self.families.remove(family);
        }
        update.other_program |= other_program;
    }

    pub(super) fn finish(&mut self, mut update: Update) -> Delta {
        let (old_config, old_node) = update.old_view.take().unzip();
        let old_view = View {
            config: old_config.as_ref().unwrap_or(&self.config),
            node: old_node.as_ref().unwrap_or(&self.node).as_ref(),
        };
        for ((family, chain), was_there) in std::mem::take(&mut update.shared_chains) {
            let content = |view| Chain { hook: None, rules: chain.rules(view, family) };
            let is_there = self.shared_chains.contains(&(family, chain));
            if was_there && is_there && old_config.is_none() {
                continue;
            }
            if was_there {
                update.log.chain_goes(family, chain.name(), content(old_view));
            }
            if is_there {
                update.log.chain_comes(family, chain.name(), content(self.view()));
            }
        }
        if !update.other_program {
            return update.log.finish(&self.programs, None);
        }
        let needs = self.needs_now();
        let programs = self.programs_for(&needs);
        let delta = update.log.finish(&self.programs, Some(&programs));
        self.needs = needs;
        self.programs = programs;
        Delta { program: true, ..delta }
    }

    /// What the program of each family that has a table must have.
    pub(super) fn needs_now(&self) -> BTreeMap<Family, ProgramNeeds> {
        let mut needs = BTreeMap::new();
        for family in Family::ALL {
            let service_cidrs: Vec<Cidr> =
                self.service_cidrs.iter().copied().filter(|cidr| cidr.family() == family).collect();
            if self.families.contains(&family) || !service_cidrs.is_empty() {
                let used = self.affinity.iter().filter(|(of, ..)| *of == family);
                let affinity = used.map(|(_, seconds, protocol)| (*seconds, *protocol)).collect();
                needs.insert(family, ProgramNeeds { picking: self.picking, service_cidrs, affinity });
            }
        }
        needs
    }

    pub(super) fn programs_for(&self, needs: &BTreeMap<Family, ProgramNeeds>) -> Programs {
        let tables = needs.iter().map(|(family, needs)| (*family, program(self.view(), *family, needs)));
        Programs { tables: tables.collect() }
    }
}

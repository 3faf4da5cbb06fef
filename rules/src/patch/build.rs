//! Putting a patch together: both sides are walked by name, and each difference goes to its owner.

use std::collections::{BTreeMap, BTreeSet};

use super::line::{Line, Mark, Place, Text};
use super::owner::{Owner, Owners, ProgramChains, Side};
use super::rules::{Edit, edits};
use super::{Patch, Section};
use crate::installed::{Installed, InstalledChain, InstalledHook, InstalledRule, InstalledSet};
use crate::name::Name;
use crate::net::Family;
use crate::ruleset::{Chain, Elements, Ruleset, Set, SetDefinition, Value};

pub(super) fn patch<'a>(desired: &'a Ruleset, installed: &'a Installed) -> Patch<'a> {
    let program = ProgramChains::new();
    let mut sections = BTreeMap::new();
    for family in Family::ALL {
        let (desired, installed) = (desired.tables.get(&family), installed.tables.get(&family));
        let owners = Owners { family, desired, installed, program: &program };
        TablePatch { owners, sections: &mut sections }.table();
    }
    let section = |(owner, lines): (_, Lines<'a>)| Section { owner, lines: lines.lines };
    Patch { sections: sections.into_iter().map(section).collect() }
}

/// The lines of a section as they come.
#[derive(Default)]
struct Lines<'a> {
    lines: Vec<Line<'a>>,
    /// The chain or set that the last line is about.
    place: Option<(Family, Place<'a>)>,
}

/// A set as it is on one side.
#[derive(Clone, Copy)]
struct Found<'a> {
    side: Side,
    declared: Option<&'a SetDefinition>,
    elements: &'a Elements,
}

/// What differs in the table of one family.
struct TablePatch<'s, 'a, 'p> {
    owners: Owners<'a, 'p>,
    sections: &'s mut BTreeMap<Owner<'a>, Lines<'a>>,
}

impl<'a> TablePatch<'_, 'a, '_> {
    fn table(&mut self) {
        let (desired, installed) = (self.owners.desired, self.owners.installed);
        match (desired, installed) {
            (Some(_), None) => self.line(Owner::Program, Mark::New, Text::Table),
            (None, Some(_)) => self.line(Owner::Program, Mark::Gone, Text::Table),
            _ => {}
        }
        for name in keys(desired.map(|table| &table.sets), installed.map(|table| &table.sets)) {
            let new = desired.and_then(|table| table.sets.get(name));
            let old = installed.and_then(|table| table.sets.get(name));
            self.set(name, new, old);
        }
        for name in keys(desired.map(|table| &table.chains), installed.map(|table| &table.chains)) {
            let new = desired.and_then(|table| table.chains.get(name));
            let old = installed.and_then(|table| table.chains.get(name));
            self.chain(name, new, old);
        }
    }

    fn set(&mut self, name: &'a Name, new: Option<&'a Set>, old: Option<&'a InstalledSet>) {
        let declared = new.map(|set| &set.definition);
        let found = old.map(|set| set.definition.as_ref());
        // Elements of sets that are declared differently cannot be compared.
        let same = declared.is_some() && found == Some(declared);
        if !same {
            let owner = Owners::of_set(name);
            if let Some(found) = found {
                self.declaration(owner, Mark::Gone, Text::Set(name, found), Place::Set(name, found));
            }
            if declared.is_some() {
                self.declaration(owner, Mark::New, Text::Set(name, declared), Place::Set(name, declared));
            }
        }
        let new = new.map(|set| Found { side: Side::Desired, declared, elements: &set.elements });
        let old = old.map(|set| Found {
            side: Side::Installed,
            declared: found.flatten(),
            elements: &set.elements,
        });
        if !same {
            for set in old.into_iter().chain(new) {
                set.elements.keys().for_each(|key| self.element(name, set, key));
            }
        } else if let (Some(new), Some(old)) = (new, old) {
            for (key, ..) in new.elements.beside(old.elements).filter(|(_, new, old)| new != old) {
                self.element(name, old, key);
                self.element(name, new, key);
            }
        }
    }

    fn element(&mut self, set: &'a Name, found: Found<'a>, key: &'a Value) {
        let (Some(element), Some(definition)) = (found.elements.get(key), found.declared) else { return };
        let owner = self.owners.of_element(found.side, set, key);
        let mark = if found.side == Side::Desired { Mark::New } else { Mark::Gone };
        self.inside(owner, Place::Set(set, Some(definition)), mark, Text::Element(definition, key, element));
    }

    fn chain(&mut self, name: &'a Name, new: Option<&'a Chain>, old: Option<&'a InstalledChain>) {
        let owner = self.owners.of_chain(name);
        let wanted = new.map(|chain| Some(InstalledHook::from(chain.hook)));
        let found = old.map(|chain| chain.hook);
        if wanted != found {
            if let Some(hook) = found {
                self.declaration(owner, Mark::Gone, Text::Chain(name, hook), Place::Chain(name));
            }
            if let Some(hook) = wanted {
                self.declaration(owner, Mark::New, Text::Chain(name, hook), Place::Chain(name));
            }
        }
        let new = new.map_or(&[][..], |chain| &chain.rules);
        let old = old.map_or(&[][..], |chain| &chain.rules);
        for edit in edits(new, old) {
            let (owner, mark, text) = match edit {
                Edit::New(rule) => (owner, Mark::New, Text::Rule(rule)),
                Edit::Gone(InstalledRule { rule: Some(rule), .. }) => (owner, Mark::Gone, Text::Rule(rule)),
                Edit::Gone(foreign) => (Owner::NotOurs, Mark::Gone, Text::ForeignRule(foreign)),
            };
            self.inside(owner, Place::Chain(name), mark, text);
        }
    }

    /// Adds a line about a whole chain or set.
    fn declaration(&mut self, owner: Owner<'a>, mark: Mark, text: Text<'a>, place: Place<'a>) {
        self.line(owner, mark, text);
        self.sections.entry(owner).or_default().place = Some((self.owners.family, place));
    }

    /// Adds a line about a rule or an element, behind one that says where it is.
    fn inside(&mut self, owner: Owner<'a>, place: Place<'a>, mark: Mark, text: Text<'a>) {
        let here = Some((self.owners.family, place));
        if self.sections.get(&owner).is_none_or(|section| section.place != here) {
            self.line(owner, Mark::Same, Text::Place(place));
            self.sections.entry(owner).or_default().place = here;
        }
        self.line(owner, mark, text);
    }

    fn line(&mut self, owner: Owner<'a>, mark: Mark, text: Text<'a>) {
        let line = Line { mark, family: self.owners.family, text };
        self.sections.entry(owner).or_default().lines.push(line);
    }
}

/// The keys of both maps.
fn keys<'a, K: Ord, N, O>(
    new: Option<&'a BTreeMap<K, N>>,
    old: Option<&'a BTreeMap<K, O>>,
) -> BTreeSet<&'a K> {
    let new = new.into_iter().flat_map(BTreeMap::keys);
    new.chain(old.into_iter().flat_map(BTreeMap::keys)).collect()
}

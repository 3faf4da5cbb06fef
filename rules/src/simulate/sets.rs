//! Lookups in sets and maps.

use std::collections::BTreeMap;
use std::ops::Range;

use super::flow::Transit;
use super::{Budget, Environment, Fault};
use crate::name::Name;
use crate::net::Family;
use crate::ruleset::{DataType, Element, ElementData, Set, SetData, Table, Value, Verdict, concat_len};

/// A set of the table, together with what the packet path has put into it.
pub(super) struct SetView<'a> {
    pub(super) name: &'a Name,
    pub(super) set: &'a Set,
    entries: Option<&'a BTreeMap<Value, Value>>,
}

/// The element that a lookup found.
pub(super) struct Found<'a> {
    pub(super) key: Value,
    pub(super) data: FoundData<'a>,
    pub(super) comment: Option<&'a Name>,
}

/// What the element maps to.
pub(super) enum FoundData<'a> {
    None,
    Verdict(&'a Verdict),
    Value(Value),
}

impl<'a> SetView<'a> {
    pub(super) fn new(
        table: &'a Table,
        environment: &'a Environment,
        family: Family,
        name: &Name,
    ) -> Result<Self, Fault> {
        let (name, set) = table.sets.get_key_value(name).ok_or_else(|| Fault::MissingSet(name.clone()))?;
        let dynamic = set.definition.dynamic;
        let entries = dynamic.then(|| environment.dynamic.get(&(family, name.clone()))).flatten();
        Ok(Self { name, set, entries })
    }

    /// How many bytes a key has in registers.
    pub(super) fn key_len(&self) -> usize {
        concat_len(&self.set.definition.key)
    }

    /// How many bytes the data of an element has in registers; 0 for a set and for a verdict map.
    pub(super) fn data_len(&self) -> usize {
        match &self.set.definition.data {
            SetData::None | SetData::Verdict => 0,
            SetData::Value(fields) => concat_len(fields),
        }
    }

    /// The element for a key, as the packet finds the set.
    pub(super) fn find(&self, transit: &Transit, key: &[u8]) -> Result<Option<Found<'a>>, Fault> {
        if self.set.definition.interval {
            return self.find_interval(key);
        }
        let key = Value::from_bytes(key);
        if let Some(data) = self.find_entry(transit, &key) {
            return Ok(Some(Found { data: FoundData::Value(data.clone()), key, comment: None }));
        }
        Ok(self.set.elements.get(&key).map(|element| found(key, element)))
    }

    /// What the packet path has put there for a key: this packet itself, or others before it.
    pub(super) fn find_entry<'t>(&'t self, transit: &'t Transit, key: &Value) -> Option<&'t Value> {
        let own = transit.effects.iter().rev().find(|effect| effect.set == *self.name && effect.key == *key);
        own.map(|effect| &effect.data).or_else(|| self.entries?.get(key))
    }

    /// Whether a new element finds no room (`set->size`).
    pub(super) fn is_full(&self, transit: &Transit) -> bool {
        let own =
            transit.effects.iter().filter(|effect| effect.set == *self.name && !effect.refreshed).count();
        let all = own + self.entries.map_or(0, |entries| entries.len()) + self.set.elements.len();
        self.set.definition.size.is_some_and(|size| all as u64 >= u64::from(size))
    }

    /// As `nft_set_pipapo` does it: each field by itself between its first and its last value, padding left out.
    fn find_interval(&self, key: &[u8]) -> Result<Option<Found<'a>>, Fault> {
        for (first, element) in &self.set.elements {
            let last = element.end.as_deref().unwrap_or(first);
            for value in [first, last] {
                check_len("a range's end", value.len(), self.key_len())?;
            }
            let (first_bytes, last_bytes) = (first.as_bytes(), last.as_bytes());
            if fields(&self.set.definition.key).all(|field| {
                let (low, high) = (first_bytes.get(field.clone()), last_bytes.get(field.clone()));
                (low..=high).contains(&key.get(field))
            }) {
                return Ok(Some(found(first.clone(), element)));
            }
        }
        Ok(None)
    }

    /// What the first undecided word of a key must be so that the set may have an element for it; perhaps more than
    /// once. The set must not be one of intervals.
    pub(super) fn first_undecided_words(
        &self,
        transit: &Transit,
        key: &PartialKey<'_>,
        budget: &mut Budget,
    ) -> Result<Vec<[u8; 4]>, Fault> {
        let first = key.undecided.iter().map(|range| range.start).min().unwrap_or_default();
        let prefix = Value::from_bytes(key.bytes.get(..first).unwrap_or_default());
        let starts = |element: &&Value| element.as_bytes().starts_with(prefix.as_bytes());
        let own = transit.effects.iter().filter(|effect| effect.set == *self.name).map(|effect| &effect.key);
        let entries =
            self.entries.into_iter().flat_map(|entries| entries.range(&prefix..)).map(|(key, _)| key);
        let elements = self.set.elements.range(&prefix..).map(|(key, _)| key);
        let mut words = Vec::new();
        for element in own.chain(entries.take_while(starts)).chain(elements.take_while(starts)) {
            budget.spend(1)?;
            let word = element.as_bytes().get(first..first + 4).filter(|_| key.may_be(element));
            words.extend(word.and_then(|word| <[u8; 4]>::try_from(word).ok()));
        }
        Ok(words)
    }
}

/// A key some of whose words are numbers that are not decided yet.
pub(super) struct PartialKey<'a> {
    /// All bytes; the undecided ones mean nothing.
    pub(super) bytes: &'a [u8],
    /// Where the undecided words are.
    pub(super) undecided: Vec<Range<usize>>,
}

impl PartialKey<'_> {
    fn may_be(&self, value: &Value) -> bool {
        let undecided = |at: usize| self.undecided.iter().any(|range| range.contains(&at));
        let mut pairs = value.as_bytes().iter().zip(self.bytes).enumerate();
        value.len() == self.bytes.len() && pairs.all(|(at, (is, should))| is == should || undecided(at))
    }
}

fn found(key: Value, element: &Element) -> Found<'_> {
    let data = match &element.data {
        ElementData::None => FoundData::None,
        ElementData::Verdict(verdict) => FoundData::Verdict(verdict),
        ElementData::Value(value) => FoundData::Value(value.clone()),
    };
    Found { key, data, comment: element.comment.as_ref() }
}

/// Where in a key its fields lie, without their padding.
fn fields(types: &[DataType]) -> impl Iterator<Item = Range<usize>> {
    types.iter().scan(0, |at, field| {
        let start = *at;
        *at += field.padded_len();
        Some(start..start + field.byte_len())
    })
}

/// Values that belong together must have the same length.
pub(super) fn check_len(what: &'static str, found: usize, expected: usize) -> Result<(), Fault> {
    if found == expected { Ok(()) } else { Err(Fault::WrongLength { what, found, expected }) }
}

//! Parts: a transaction that does not fit into the socket, as pieces that can be in force one after the other.

use std::collections::BTreeMap;

use super::{Importance, Plan, Tally, split};
use crate::hash::HashMap;
use crate::name::Name;
use crate::net::Family;
use crate::ruleset::{DataType, Element, SetDefinition, Value, concat_len};
use crate::transaction::{Change, Operation, Transaction};

/// How many elements that belong to no frontend, or lead nowhere any more, are in one piece.
const PIECE: usize = 1024;

/// The pieces of a transaction, in order: first everything that nothing leads to yet, then the frontends, each with all that
/// is its own, the most important first, then what nothing leads to any more. Pieces that follow each other can be applied
/// together; after each of them every frontend is either as it was or as it should be.
///
/// A table that must be made anew has no such pieces and is one.
#[must_use]
pub fn parts<'a>(transaction: &Transaction<'a>, importance: &Importance) -> Vec<Transaction<'a>> {
    let plans: HashMap<Family, Plan<'a>> = Family::ALL
        .into_iter()
        .map(|family| (family, Plan::of_all(Tally::of(transaction, family))))
        .collect();
    let remade: Vec<Family> =
        plans.iter().filter(|(_, plan)| plan.left.is_none()).map(|(family, _)| *family).collect();
    let mut pieces = Vec::new();
    let [prepare, switch, clean_up] = split(transaction, &plans);
    pieces.extend(prepare.into_iter().map(|operation| vec![operation]));
    let (remade, switch): (Vec<_>, Vec<_>) =
        switch.into_iter().partition(|operation| remade.contains(&operation.family));
    pieces.push(remade);
    let (elements, rules): (Vec<_>, Vec<_>) = switch.into_iter().partition(has_elements);
    pieces.extend(by_chain(rules));
    cut(elements, importance, &mut pieces);
    let (elements, structure): (Vec<_>, Vec<_>) = clean_up.into_iter().partition(has_elements);
    pieces.extend(structure.into_iter().map(|operation| vec![operation]));
    cut(elements, importance, &mut pieces);
    pieces.retain(|operations| !operations.is_empty());
    pieces.into_iter().map(|operations| Transaction { operations }).collect()
}

impl<'a> Plan<'a> {
    /// A plan that prepares and leaves as much as it can.
    fn of_all(tally: Tally<'a>) -> Self {
        if tally.remade && !tally.is_first() {
            return Self::default();
        }
        let elements = tally.gone_slots.iter().filter(|at| !tally.new_slots.contains(*at)).copied().collect();
        Self {
            prepared: Some(tally.new_chains.clone()),
            left: Some(super::Leftovers { chains: tally.gone_chains, elements }),
        }
    }
}

impl Tally<'_> {
    /// Whether the table comes and nothing of it was there.
    fn is_first(&self) -> bool {
        self.gone_sets.is_empty() && self.gone_chains.is_empty() && !self.drops_table
    }
}

fn has_elements(operation: &Operation<'_>) -> bool {
    matches!(operation.change, Change::AddElements { .. } | Change::DeleteElements { .. })
}

/// The changes of the rules of each chain that stays, which are emptied and filled together.
fn by_chain<'a>(operations: Vec<Operation<'a>>) -> impl Iterator<Item = Vec<Operation<'a>>> {
    let mut chains: BTreeMap<(Family, Option<&'a Name>), Vec<Operation<'a>>> = BTreeMap::new();
    for operation in operations {
        let chain = match operation.change {
            Change::FlushChain { name: chain }
            | Change::AddRule { chain, .. }
            | Change::ReplaceRule { chain, .. }
            | Change::DeleteRule { chain, .. } => Some(chain),
            _ => None,
        };
        chains.entry((operation.family, chain)).or_default().push(operation);
    }
    chains.into_values()
}

/// Cuts the elements of one stage.
fn cut<'a>(operations: Vec<Operation<'a>>, importance: &Importance, pieces: &mut Vec<Vec<Operation<'a>>>) {
    let mut coming = Vec::new();
    let mut going = Vec::new();
    let mut frontends: HashMap<(Family, Value), Vec<Operation<'a>>> = HashMap::default();
    for operation in operations {
        let family = operation.family;
        match operation.change {
            Change::AddElements { set, definition, elements } => {
                let make = |elements| Change::AddElements { set, definition, elements };
                by_frontend(family, definition, &elements, make, &mut frontends, &mut coming);
            }
            Change::DeleteElements { set, definition, elements } => {
                let make = |elements| Change::DeleteElements { set, definition, elements };
                by_frontend(family, definition, &elements, make, &mut frontends, &mut going);
            }
            _ => coming.push(vec![operation]),
        }
    }
    let mut frontends: Vec<_> = frontends.into_iter().collect();
    frontends.sort_by_cached_key(|((family, frontend), _)| {
        (importance.rank(*family, frontend), *family, frontend.clone())
    });
    pieces.append(&mut coming);
    pieces.extend(frontends.into_iter().map(|(_, operations)| operations));
    pieces.append(&mut going);
}

/// Gives each frontend its own elements; those of none are cut by their number.
fn by_frontend<'a>(
    family: Family,
    definition: &SetDefinition,
    elements: &[(&'a Value, &'a Element)],
    make: impl Fn(Vec<(&'a Value, &'a Element)>) -> Change<'a>,
    frontends: &mut HashMap<(Family, Value), Vec<Operation<'a>>>,
    others: &mut Vec<Vec<Operation<'a>>>,
) {
    let operation = |elements: Vec<_>| Operation { family, change: make(elements) };
    let Some(len) = frontend_len(definition) else {
        others.extend(elements.chunks(PIECE).map(|chunk| vec![operation(chunk.to_vec())]));
        return;
    };
    // Elements come in the order of their keys, so those of one frontend are neighbours.
    let frontend = |key: &Value| key.as_bytes().get(..len).map(Value::from_bytes).unwrap_or_default();
    for own in elements.chunk_by(|(a, _), (b, _)| a.as_bytes().get(..len) == b.as_bytes().get(..len)) {
        let Some((key, _)) = own.first() else { continue };
        frontends.entry((family, frontend(key))).or_default().push(operation(own.to_vec()));
    }
}

/// How many bytes of a set's keys name a frontend: an address, a protocol and a port, or the last two for a node port.
fn frontend_len(definition: &SetDefinition) -> Option<usize> {
    use DataType::{InetProto, InetService, Ipv4Addr, Ipv6Addr};
    let frontend = match definition.key.as_slice() {
        [Ipv4Addr | Ipv6Addr, InetProto, InetService, ..] => definition.key.get(..3),
        [InetProto, InetService, ..] => definition.key.get(..2),
        _ => None,
    };
    frontend.map(concat_len)
}

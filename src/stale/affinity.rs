//! Forgetting clients whose backend is gone.

use svcnat_rules::flows::{Judge, Remembered, is_misled};
use svcnat_rules::layout::set;
use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::ruleset::{Element, Ruleset, SetDefinition, Value};
use svcnat_rules::transaction::{Change, Operation, Transaction};

use super::Error;
use crate::netlink::{self, Batch, Netlink, Options, Transport, encode};

/// How often the map is read where packets changed it meanwhile; what was found by then goes in any case.
const ATTEMPTS: usize = 3;

/// Who reads the affinity maps and changes them: only the socket that owns a table can change it, but everybody can read.
pub trait Maps {
    /// Gives each element of a dynamic map to `each`; whether all of them came.
    ///
    /// # Errors
    ///
    /// Those of [`Netlink::dynamic_elements`].
    fn read(
        &mut self,
        family: Family,
        map: &Name,
        each: &mut dyn FnMut(Value, Value),
    ) -> Result<bool, netlink::Error>;

    /// Sends a batch.
    ///
    /// # Errors
    ///
    /// Those of [`Netlink::apply`].
    fn apply(&mut self, batch: Batch) -> Result<(), netlink::Error>;
}

impl<T: Transport> Maps for Netlink<T> {
    fn read(
        &mut self,
        family: Family,
        map: &Name,
        each: &mut dyn FnMut(Value, Value),
    ) -> Result<bool, netlink::Error> {
        self.dynamic_elements(family, map, each)
    }

    fn apply(&mut self, batch: Batch) -> Result<(), netlink::Error> {
        Self::apply(self, &batch)
    }
}

/// Deletes the elements of the affinity map that mislead their clients, and says how many there were. The rulesets are those after
/// each change.
pub(super) fn forget(
    kernel: &mut impl Maps,
    after: &[&Ruleset],
    family: Family,
    judges: &[Judge<'_>],
) -> Result<usize, Error> {
    let name = Name::from(set::AFFINITY);
    let mut maps = after.iter().rev().filter_map(|ruleset| ruleset.tables.get(&family)?.sets.get(&name));
    let Some(map) = maps.next() else { return Ok(0) };
    let mut forgotten = 0;
    for _ in 0..ATTEMPTS {
        let mut misled = Vec::new();
        let read = kernel.read(family, &name, &mut |key, data| {
            if Remembered::read(family, &key, &data).is_some_and(|remembered| is_misled(judges, &remembered))
            {
                misled.push(key);
            }
        });
        let complete = match read {
            // The last Service that remembers clients has gone since, and the map with it.
            Err(netlink::Error::NotFound { .. }) => return Ok(forgotten),
            read => read?,
        };
        forgotten += Deletion { kernel, family, name: &name, definition: &map.definition }.of(&misled)?;
        if complete {
            break;
        }
    }
    Ok(forgotten)
}

struct Deletion<'a, K> {
    kernel: &'a mut K,
    family: Family,
    name: &'a Name,
    definition: &'a SetDefinition,
}

impl<K: Maps> Deletion<'_, K> {
    /// Deletes elements and says how many were there. One that has timed out since fails the batch that it is in, which
    /// is then sent in halves.
    fn of(&mut self, keys: &[Value]) -> Result<usize, Error> {
        match (self.at_once(keys), keys) {
            (Ok(()), _) => Ok(keys.len()),
            (Err(Error::Affinity(netlink::Error::NotFound { .. })), [_]) => Ok(0),
            (Err(Error::Affinity(netlink::Error::NotFound { .. })), _) => {
                let (first, second) = keys.split_at(keys.len() / 2);
                Ok(self.of(first)? + self.of(second)?)
            }
            (Err(error), _) => Err(error),
        }
    }

    fn at_once(&mut self, keys: &[Value]) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        let element = Element::key_only();
        let elements = keys.iter().map(|key| (key, &element)).collect();
        let change = Change::DeleteElements { set: self.name, definition: self.definition, elements };
        let operations = vec![Operation { family: self.family, change }];
        let batch = encode(&Transaction { operations }, &Options::default())?;
        Ok(self.kernel.apply(batch)?)
    }
}

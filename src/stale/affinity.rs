//! Forgetting clients whose backend is gone.

use svcnat_rules::flows::{Judge, Remembered};
use svcnat_rules::layout::set;
use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::ruleset::{Element, Ruleset, SetDefinition, Value};
use svcnat_rules::transaction::{Change, Operation, Transaction};

use super::Error;
use crate::netlink::{self, Netlink, Options, Transport, encode};

/// How often the map is read where packets changed it meanwhile; what was found by then goes in any case.
const ATTEMPTS: usize = 3;

/// Deletes the elements of the affinity map that mislead their clients, and says how many there were.
pub(super) fn forget<T: Transport>(
    kernel: &mut Netlink<T>,
    after: &Ruleset,
    family: Family,
    judge: &Judge<'_>,
) -> Result<usize, Error> {
    let name = Name::from(set::AFFINITY);
    let Some(map) = after.tables.get(&family).and_then(|table| table.sets.get(&name)) else {
        return Ok(0);
    };
    let mut forgotten = 0;
    for _ in 0..ATTEMPTS {
        let mut misled = Vec::new();
        let complete = kernel.dynamic_elements(family, &name, |key, data| {
            if Remembered::read(family, &key, &data).is_some_and(|remembered| judge.is_misled(&remembered)) {
                misled.push(key);
            }
        })?;
        forgotten += Deletion { kernel, family, name: &name, definition: &map.definition }.of(&misled)?;
        if complete {
            break;
        }
    }
    Ok(forgotten)
}

struct Deletion<'a, T> {
    kernel: &'a mut Netlink<T>,
    family: Family,
    name: &'a Name,
    definition: &'a SetDefinition,
}

impl<T: Transport> Deletion<'_, T> {
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
        Ok(self.kernel.apply(&batch)?)
    }
}

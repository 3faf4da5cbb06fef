//! The elements of dynamic maps, which the packet path makes and which end by themselves.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::ruleset::{TABLE, Value};

use super::attr::{self, attrs};
use super::constants::{data, elem, msg, nlm};
use super::message::Message;
use super::read::Answer;
use super::{Error, Netlink, Transport};

impl<T: Transport> Netlink<T> {
    /// Reads the elements of a dynamic map, keys and data, as they are found; none where the map does not exist. Says
    /// whether all were found: packets change the map while it is read, and a hash table that grows may deal one
    /// element out twice and another not at all.
    ///
    /// # Errors
    ///
    /// [`Error::Privilege`], [`Error::NoNfTables`].
    pub fn dynamic_elements(
        &mut self,
        family: Family,
        map: &Name,
        mut each: impl FnMut(Value, Value),
    ) -> Result<bool, Error> {
        let of_map = |out: &mut Vec<u8>| {
            attr::put_str(out, elem::LIST_TABLE, TABLE);
            attr::put_str(out, elem::LIST_SET, map);
        };
        // Hashes tell elements apart well enough and take little memory.
        let hasher = RandomState::new();
        let mut seen = HashSet::new();
        let mut repeated = false;
        let answer = self.request(msg::GETSETELEM, nlm::F_DUMP, Some(family), of_map, |message| {
            for (key, data) in elements(message) {
                if seen.insert(hasher.hash_one(&key)) {
                    each(key, data);
                } else {
                    repeated = true;
                }
            }
        })?;
        Ok(answer == Answer::Complete && !repeated)
    }
}

fn elements<'a>(message: &Message<'a>) -> impl Iterator<Item = (Value, Value)> + use<'a> {
    let list = attr::find(message.body(), elem::LIST_ELEMENTS).unwrap_or_default();
    attrs(list).filter_map(|element| {
        let value = |kind| attr::find(attr::find(element.data, kind)?, data::VALUE);
        Some((Value::new().field(value(elem::KEY)?), Value::new().field(value(elem::DATA)?)))
    })
}

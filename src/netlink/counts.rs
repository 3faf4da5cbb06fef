//! How many connections the kernel has counted.

use std::collections::HashMap;

use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::ruleset::{TABLE, Value};

use super::constants::{elem, msg, nlm, set as set_number};
use super::element::{elements, read_count};
use super::read::Answer;
use super::read_keys::{AT_ONCE, End};
use super::release::is_since;
use super::{Error, Netlink, Transport, attr};

/// How often a set is read that changes meanwhile.
const ATTEMPTS: u32 = 10;

/// An element that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Its comment, which names a service port on frontends.
    pub comment: Option<Name>,
    /// How many packets have found it. Of connections only the first one looks.
    pub packets: u64,
}

impl<T: Transport> Netlink<T> {
    /// Whether the running kernel gives elements the counter of their set: from Linux 5.7 on. Older ones take the set and count
    /// nothing.
    #[must_use]
    pub fn can_count() -> bool {
        is_since(5, 7)
    }

    /// The counts of a whole set, by key; `None` where there is no such set.
    ///
    /// It is dumped, whose time grows with the square of the set: for sets of frontends. Elements that come and go meanwhile may be
    /// missing.
    ///
    /// # Errors
    ///
    /// [`Error::Privilege`], [`Error::NoNfTables`], [`Error::Io`].
    pub fn counts(&mut self, family: Family, set: &Name) -> Result<Option<HashMap<Value, Count>>, Error> {
        if !self.has_set(family, set)? {
            return Ok(None);
        }
        let mut found = HashMap::new();
        for _ in 0..ATTEMPTS {
            let of_set = |out: &mut Vec<u8>| {
                attr::put_str(out, elem::LIST_TABLE, TABLE);
                attr::put_str(out, elem::LIST_SET, set);
            };
            // A hash table that grows deals some elements out twice and as many not at all. What one round misses the next one
            // has.
            let (mut dealt, known) = (0, found.len());
            let answer = self.request(msg::GETSETELEM, nlm::F_DUMP, Some(family), of_set, |message| {
                for (key, comment, packets) in elements(message).filter_map(read_count) {
                    dealt += 1;
                    found.insert(key, Count { comment: comment.map(Name::from), packets });
                }
            })?;
            if answer == Answer::Complete && (found.len() == dealt || found.len() == known) {
                break;
            }
        }
        Ok(Some(found))
    }

    /// The counts of the elements with these keys; those that are not there are left out.
    ///
    /// # Errors
    ///
    /// As of [`counts`](Self::counts).
    pub fn counts_at(
        &mut self,
        family: Family,
        set: &Name,
        keys: &[Value],
    ) -> Result<HashMap<Value, u64>, Error> {
        let mut counts = HashMap::with_capacity(keys.len());
        if keys.is_empty() || !self.has_set(family, set)? {
            return Ok(counts);
        }
        let mut rest = keys;
        while !rest.is_empty() {
            let (some, behind) = rest.split_at(rest.len().min(AT_ONCE));
            let end = self.elements_at(family, set, some, |message| {
                counts
                    .extend(elements(message).filter_map(read_count).map(|(key, _, packets)| (key, packets)));
            })?;
            rest = match end {
                End::Missing(found) => rest.get(found + 1..).unwrap_or_default(),
                End::Complete | End::Lost => behind,
            };
        }
        Ok(counts)
    }

    /// Whether one of our tables has this set.
    fn has_set(&mut self, family: Family, set: &Name) -> Result<bool, Error> {
        let which = |out: &mut Vec<u8>| {
            attr::put_str(out, set_number::TABLE, TABLE);
            attr::put_str(out, set_number::NAME, set);
        };
        Ok(self.request(msg::GETSET, 0, Some(family), which, |_| {})? == Answer::Complete)
    }
}

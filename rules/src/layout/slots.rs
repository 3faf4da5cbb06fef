//! Slots: the order of a pool's backends in the kernel, kept stable so that a change of one backend moves no other.

use std::net::SocketAddr;

use super::frontend;
use super::names::{comment, pool_chain};
use super::picking::Picking;
use crate::hash::HashMap;
use crate::name::Name;
use crate::net::Family;
use crate::route::{Backend, Pool, Route};
use crate::ruleset::Value;

/// Where the backends of a route's pools are by now.
pub trait Previous {
    /// The backends of a pool by slot, as the layout `chains` has them; none where the pool is not known.
    fn in_chain(&self, route: &Route<'_>, pool: Pool) -> &[SocketAddr];

    /// The same as the layout `maps` has them.
    fn in_maps(&self, route: &Route<'_>, pool: Pool) -> &[SocketAddr];
}

/// The slots that lowering gave to the backends of one pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSlots {
    /// The route's family.
    pub family: Family,
    /// The name of the route's port.
    pub port: Name,
    /// Which of its pools.
    pub pool: Pool,
    /// The backends by slot.
    pub backends: Box<[SocketAddr]>,
}

impl Previous for [PoolSlots] {
    fn in_chain(&self, route: &Route<'_>, pool: Pool) -> &[SocketAddr] {
        let same = |slots: &&PoolSlots| {
            slots.family == route.family && slots.pool == pool && slots.port == route.port.port
        };
        self.iter().find(same).map_or(&[], |slots| &slots.backends)
    }

    fn in_maps(&self, route: &Route<'_>, pool: Pool) -> &[SocketAddr] {
        self.in_chain(route, pool)
    }
}

/// Which backends are in slot 0, 1, 2 and so on of pools, in terms of the layout that they were read from.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    /// By the chain that picks: the layout `chains`.
    chains: HashMap<(Family, Name), Vec<SocketAddr>>,
    /// By the frontend's key: the layout `maps`. With the comment that says whose frontend it is.
    frontends: HashMap<(Family, Pool, Value), (Name, Vec<SocketAddr>)>,
}

impl Slots {
    pub(super) fn insert_chain(&mut self, family: Family, chain: Name, backends: Vec<SocketAddr>) {
        self.chains.insert((family, chain), backends);
    }

    pub(super) fn insert_frontend(
        &mut self,
        family: Family,
        pool: Pool,
        key: Value,
        owner: Name,
        backends: Vec<SocketAddr>,
    ) {
        self.frontends.insert((family, pool, key), (owner, backends));
    }

    /// The layout that the slots were read from; `None` where there were none.
    #[must_use]
    pub fn picking(&self) -> Option<Picking> {
        match (self.chains.is_empty(), self.frontends.is_empty()) {
            (_, false) => Some(Picking::Maps),
            (false, true) => Some(Picking::Chains),
            (true, true) => None,
        }
    }
}

impl Previous for Slots {
    fn in_chain(&self, route: &Route<'_>, pool: Pool) -> &[SocketAddr] {
        self.by_chain(route, pool).or_else(|| self.by_frontend(route, pool)).unwrap_or(&[])
    }

    fn in_maps(&self, route: &Route<'_>, pool: Pool) -> &[SocketAddr] {
        self.by_frontend(route, pool).or_else(|| self.by_chain(route, pool)).unwrap_or(&[])
    }
}

impl Slots {
    fn by_chain(&self, route: &Route<'_>, pool: Pool) -> Option<&[SocketAddr]> {
        if self.chains.is_empty() {
            return None;
        }
        let chain = pool_chain(&route.port, pool);
        self.chains.get(&(route.family, chain)).map(Vec::as_slice)
    }

    /// All frontends that a route has got have the same slots, so those of the first one will do. Others may have lost to
    /// an older Service, whose slots say nothing here.
    fn by_frontend(&self, route: &Route<'_>, pool: Pool) -> Option<&[SocketAddr]> {
        if self.frontends.is_empty() {
            return None;
        }
        let comment = comment(route.port.text());
        let keys = route.frontends.iter().map(|frontend| frontend::key(route, frontend.at));
        let known = keys.filter_map(|key| self.frontends.get(&(route.family, pool, key)));
        known.filter(|(owner, _)| *owner == comment).map(|(_, backends)| backends.as_slice()).next()
    }
}

/// Gives each wanted backend a slot, from 0 without a hole.
///
/// Backends that had a slot stay in it. New ones go into the slots of those that left, lowest first, then behind the
/// last. Where more left than came, the last ones move into the holes: as few as can be.
pub(crate) fn assign<'a>(
    before: &[SocketAddr],
    wanted: impl Iterator<Item = &'a Backend<'a>>,
) -> Vec<&'a Backend<'a>> {
    let wanted: Vec<&Backend<'_>> = wanted.collect();
    let unchanged = || wanted.iter().map(|backend| &backend.address).eq(before);
    if before.is_empty() || unchanged() {
        return wanted;
    }
    let places: HashMap<SocketAddr, usize> =
        wanted.iter().enumerate().map(|(place, backend)| (backend.address, place)).collect();
    let mut new: Vec<Option<&Backend<'_>>> = wanted.iter().copied().map(Some).collect();
    let mut slots: Vec<Option<&Backend<'_>>> = Vec::with_capacity(wanted.len().max(before.len()));
    slots.extend(before.iter().map(|address| new.get_mut(*places.get(address)?)?.take()));
    let mut new = new.into_iter().flatten();
    for hole in slots.iter_mut().filter(|slot| slot.is_none()) {
        *hole = new.next();
    }
    slots.extend(new.map(Some));
    close_holes(slots)
}

/// Moves the last backends into the holes that are left.
fn close_holes<'a>(mut slots: Vec<Option<&'a Backend<'a>>>) -> Vec<&'a Backend<'a>> {
    let mut closed = Vec::with_capacity(slots.len());
    let mut next = 0;
    while next < slots.len() {
        if let Some(backend) = slots[next].or_else(|| last_filled(&mut slots, next)) {
            closed.push(backend);
        }
        next += 1;
    }
    closed
}

/// Takes the last backend off the end, dropping the holes behind it.
fn last_filled<'a>(slots: &mut Vec<Option<&'a Backend<'a>>>, down_to: usize) -> Option<&'a Backend<'a>> {
    while slots.len() > down_to + 1 {
        if let Some(Some(backend)) = slots.pop() {
            return Some(backend);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(name: char) -> Backend<'static> {
        let address = SocketAddr::from(([10, 0, 0, u8::try_from(name).unwrap()], 80));
        Backend { address, maybe_here: false, pod: None }
    }

    fn check(before: &str, wanted: &str, expected: &str) {
        let before: Vec<SocketAddr> = before.chars().map(|c| backend(c).address).collect();
        let backends: Vec<Backend<'_>> = wanted.chars().map(backend).collect();
        let expected: Vec<Backend<'_>> = expected.chars().map(backend).collect();
        let assigned: Vec<Backend<'_>> = assign(&before, backends.iter()).into_iter().copied().collect();
        assert_eq!(assigned, expected, "{before:?} -> {wanted}");
    }

    #[test]
    fn without_a_past_the_order_is_that_of_the_wish() {
        check("", "abc", "abc");
    }

    #[test]
    fn who_stays_keeps_the_slot() {
        check("cab", "abc", "cab");
        check("abc", "adc", "adc");
        check("abc", "abcd", "abcd");
    }

    #[test]
    fn holes_are_closed_from_the_end() {
        check("abcd", "bcd", "dbc");
        check("abcd", "cd", "dc");
        check("abcd", "ad", "ad");
        check("abcd", "d", "d");
        check("abcd", "", "");
    }

    #[test]
    fn a_slot_list_that_names_a_backend_twice_is_mended() {
        check("aab", "ab", "ab");
    }
}

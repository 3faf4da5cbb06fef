//! A route on its way into a fragment: what every step of lowering works on.

use super::fragment::{ElementAt, Fragment};
use super::names::comment;
use super::set_name::SetName;
use super::slots::PoolSlots;
use crate::name::Name;
use crate::resolve::View;
use crate::route::{Backend, Pool, Route};
use crate::ruleset::{Element, Value};

/// A route on its way into a fragment.
pub(super) struct Lowering<'a> {
    pub(super) view: View<'a>,
    pub(super) route: &'a Route<'a>,
    pub(super) fragment: &'a mut Fragment,
}

impl Lowering<'_> {
    /// Notes which slots the backends of a pool have.
    pub(super) fn note_slots(&mut self, pool: Pool, by_slot: &[&Backend<'_>]) {
        let backends = by_slot.iter().map(|backend| backend.address).collect();
        let port = self.route.port.port.clone();
        self.fragment.slots.push(PoolSlots { family: self.route.family, port, pool, backends });
    }

    /// The service port, for elements whose other words do not name it.
    pub(super) fn comment(&self) -> Name {
        comment(self.route.port.text())
    }

    pub(super) fn at(&self, set: SetName, key: Value, element: Element) -> ElementAt {
        ElementAt { family: self.route.family, set, key, element }
    }
}

//! What is known of one Service, by the objects that were told.

use super::order::Order;
use crate::cluster::{EndpointSlice, Service};
use crate::name::ObjectName;

/// What is known of one Service.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) service: Option<Box<Service>>,
    /// By name. Most Services have one, for which a map would take ten times the room.
    slices: Vec<(ObjectName, EndpointSlice)>,
    /// Where its backends are.
    pub(super) order: Order,
}

impl Entry {
    /// Whether nothing is known any more.
    pub(super) fn is_empty(&self) -> bool {
        self.service.is_none() && self.slices.is_empty()
    }

    /// The slices with their names.
    pub(super) fn slices(&self) -> impl Iterator<Item = (&ObjectName, &EndpointSlice)> {
        self.slices.iter().map(|(name, slice)| (name, slice))
    }

    /// The slice with a name.
    pub(super) fn slice(&self, name: &ObjectName) -> Option<&EndpointSlice> {
        let place = self.place(name).ok()?;
        self.slices.get(place).map(|(_, slice)| slice)
    }

    /// Puts a slice in the place of the one with its name.
    pub(super) fn put_slice(&mut self, name: ObjectName, slice: EndpointSlice) {
        match self.place(&name) {
            Ok(place) => self.slices[place].1 = slice,
            Err(place) => {
                self.slices.reserve_exact(1);
                self.slices.insert(place, (name, slice));
            }
        }
    }

    /// Forgets a slice.
    pub(super) fn remove_slice(&mut self, name: &ObjectName) {
        if let Ok(place) = self.place(name) {
            self.slices.remove(place);
        }
    }

    fn place(&self, name: &ObjectName) -> Result<usize, usize> {
        self.slices.binary_search_by(|(other, _)| other.cmp(name))
    }
}

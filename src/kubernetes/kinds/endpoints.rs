//! Endpoints, where EndpointSlices are not served.

use std::collections::HashSet;

use svcnat_rules::cluster::EndpointSlice;
use svcnat_rules::engine::Event;
use svcnat_rules::name::ObjectName;
use svcnat_rules::net::Family;

use super::{Kind, OURS, Outbox};
use crate::convert::{self, Invalid, Outcome};
use crate::kubernetes::handle::Resource;
use crate::kubernetes::object;

/// Tells Endpoints as slices: the n-th slice of a family that an object amounts to is `NAME-endpoints-ipv4-n`, and the
/// first of them has no number.
pub(in crate::kubernetes) struct Endpoints {
    /// Slices that were known before the first list and that it has not named yet.
    pub known: HashSet<ObjectName>,
}

/// How many slices of an object were told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::kubernetes) struct Told {
    ipv4: usize,
    ipv6: usize,
}

impl Told {
    fn of(&mut self, family: Family) -> &mut usize {
        match family {
            Family::Ipv4 => &mut self.ipv4,
            Family::Ipv6 => &mut self.ipv6,
        }
    }

    /// The names of the slices that were told.
    pub fn slices(mut self, object: &ObjectName) -> impl Iterator<Item = ObjectName> {
        Family::ALL.into_iter().flat_map(move |family| {
            let count = *self.of(family);
            (1..=count).map(move |number| slice_name(object, family, number))
        })
    }
}

fn slice_name(object: &ObjectName, family: Family, number: usize) -> ObjectName {
    let family = match family {
        Family::Ipv4 => "ipv4",
        Family::Ipv6 => "ipv6",
    };
    let number = if number == 1 { String::new() } else { format!("-{number}") };
    ObjectName::new(object.namespace(), &format!("{}-endpoints-{family}{number}", object.name()))
}

impl Endpoints {
    /// Tells these slices, and that those are gone which were told before and are not among them.
    fn tell(&mut self, name: &ObjectName, slices: Vec<EndpointSlice>, told: &mut Told, out: &mut Outbox) {
        let before = std::mem::take(told);
        for slice in slices {
            let count = told.of(slice.family);
            *count += 1;
            let name = slice_name(name, slice.family, *count);
            self.known.remove(&name);
            out.change(Event::Slice(name, slice));
        }
        let now: HashSet<_> = told.slices(name).collect();
        for gone in before.slices(name).filter(|slice| !now.contains(slice)) {
            out.change(Event::SliceGone(gone));
        }
    }
}

impl Kind for Endpoints {
    const RESOURCE: Resource = Resource::Endpoints;
    const PATH: &'static str = "/api/v1/endpoints";
    type Object = object::Endpoints;
    type Told = Told;

    fn labels(&self) -> Option<String> {
        Some(OURS.to_owned())
    }

    fn apply(
        &mut self,
        name: &ObjectName,
        object: Option<object::Endpoints>,
        told: &mut Told,
        out: &mut Outbox,
    ) -> Result<(), Invalid> {
        let converted = object.map(|object| convert::endpoints(&object.into())).transpose();
        let (slices, result) = match converted {
            Ok(Some(Outcome::Programmed(slices))) => (slices, Ok(())),
            other => (Vec::new(), other.map(drop)),
        };
        self.tell(name, slices, told, out);
        result
    }

    fn gone(&mut self, name: &ObjectName, mut told: Told, out: &mut Outbox) {
        self.tell(name, Vec::new(), &mut told, out);
    }

    fn settle(&mut self, out: &mut Outbox) {
        for name in std::mem::take(&mut self.known) {
            out.change(Event::SliceGone(name));
        }
    }
}

//! EndpointSlices.

use std::collections::HashSet;

use svcnat_rules::engine::Event;
use svcnat_rules::name::ObjectName;

use super::{Kind, OURS, Outbox};
use crate::convert::{self, Invalid, Outcome};
use crate::kubernetes::handle::Resource;
use crate::kubernetes::object;

/// Tells EndpointSlices one by one.
pub(in crate::kubernetes) struct Slices {
    /// Slices that were known before the first list and that it has not named yet.
    pub known: HashSet<ObjectName>,
}

impl Kind for Slices {
    const RESOURCE: Resource = Resource::EndpointSlices;
    const PATH: &'static str = "/apis/discovery.k8s.io/v1/endpointslices";
    type Object = object::EndpointSlice;
    type Told = bool;

    fn labels(&self) -> Option<String> {
        Some(OURS.to_owned())
    }

    fn apply(
        &mut self,
        name: &ObjectName,
        object: Option<object::EndpointSlice>,
        told: &mut bool,
        out: &mut Outbox,
    ) -> Result<(), Invalid> {
        let converted = object.map(|object| convert::endpoint_slice(&object.into())).transpose();
        if let Ok(Some(Outcome::Programmed(slice))) = converted {
            self.known.remove(name);
            *told = true;
            out.change(Event::Slice(name.clone(), slice));
            return Ok(());
        }
        self.gone(name, std::mem::take(told), out);
        converted.map(drop)
    }

    fn gone(&mut self, name: &ObjectName, told: bool, out: &mut Outbox) {
        if told {
            out.change(Event::SliceGone(name.clone()));
        }
    }

    fn settle(&mut self, out: &mut Outbox) {
        for name in std::mem::take(&mut self.known) {
            out.change(Event::SliceGone(name));
        }
    }
}

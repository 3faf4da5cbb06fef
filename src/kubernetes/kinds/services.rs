//! Services.

use std::collections::HashSet;

use svcnat_rules::engine::Event;
use svcnat_rules::name::ObjectName;

use super::{Kind, OURS, Outbox};
use crate::convert::{self, Invalid, Outcome};
use crate::kubernetes::handle::Resource;
use crate::kubernetes::object;

/// Tells Services one by one.
pub(in crate::kubernetes) struct Services {
    /// Services that were known before the first list and that it has not named yet.
    pub known: HashSet<ObjectName>,
}

impl Kind for Services {
    const RESOURCE: Resource = Resource::Services;
    const PATH: &'static str = "/api/v1/services";
    type Object = object::Service;
    type Told = bool;

    fn labels(&self) -> Option<String> {
        Some(OURS.to_owned())
    }

    fn apply(
        &mut self,
        name: &ObjectName,
        object: Option<object::Service>,
        told: &mut bool,
        out: &mut Outbox,
    ) -> Result<(), Invalid> {
        let converted = object.map(|object| convert::service(&object.into())).transpose();
        if let Ok(Some(Outcome::Programmed(service))) = converted {
            self.known.remove(name);
            *told = true;
            out.change(Event::Service(service));
            return Ok(());
        }
        self.gone(name, std::mem::take(told), out);
        converted.map(drop)
    }

    fn gone(&mut self, name: &ObjectName, told: bool, out: &mut Outbox) {
        if told {
            out.change(Event::ServiceGone(name.clone()));
        }
    }

    fn settle(&mut self, out: &mut Outbox) {
        for name in std::mem::take(&mut self.known) {
            out.change(Event::ServiceGone(name));
        }
    }
}

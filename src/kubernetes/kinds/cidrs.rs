//! ServiceCIDRs.

use std::collections::BTreeMap;

use svcnat_rules::engine::Event;
use svcnat_rules::name::ObjectName;
use svcnat_rules::net::Cidr;

use super::{Kind, Outbox};
use crate::convert::{self, Invalid};
use crate::kubernetes::handle::Resource;
use crate::kubernetes::object;

/// Tells the networks of all ServiceCIDRs together. There are few, so they are kept.
#[derive(Default)]
pub(in crate::kubernetes) struct ServiceCidrs {
    now: BTreeMap<ObjectName, Vec<Cidr>>,
    told: Option<Vec<Cidr>>,
}

impl Kind for ServiceCidrs {
    const RESOURCE: Resource = Resource::ServiceCidrs;
    const PATH: &'static str = "/apis/networking.k8s.io/v1/servicecidrs";
    type Object = object::ServiceCidr;
    type Told = ();

    fn apply(
        &mut self,
        name: &ObjectName,
        object: Option<object::ServiceCidr>,
        (): &mut (),
        _: &mut Outbox,
    ) -> Result<(), Invalid> {
        self.now.remove(name);
        if let Some(object) = object {
            self.now.insert(name.clone(), convert::service_cidr(&object.into())?);
        }
        Ok(())
    }

    fn gone(&mut self, name: &ObjectName, (): (), _: &mut Outbox) {
        self.now.remove(name);
    }

    fn settle(&mut self, out: &mut Outbox) {
        let mut networks: Vec<_> = self.now.values().flatten().copied().collect();
        networks.sort_unstable();
        networks.dedup();
        if self.told.as_ref() != Some(&networks) {
            self.told = Some(networks.clone());
            out.change(Event::ServiceCidrs(networks));
        }
    }
}

//! Changes as the engine makes them: it knows the cluster, so the changed object alone is compiled, and what follows is
//! sent.

use svcnat::netlink::{self, Netlink, encode};
use svcnat_rules::cluster::Cluster;
use svcnat_rules::config::Layout;
use svcnat_rules::engine::{Engine, Event};
use svcnat_rules::layout::Slots;

use super::{Change, Cost, Subject, engine_name};
use crate::Result;
use crate::cluster::{config, slice_name};
use crate::kernel::{self, Timed};
use crate::sample::timed;

/// The engine and its kernel.
pub struct Incremental {
    layout: &'static str,
    engine: Engine,
    netlink: Netlink<Timed>,
}

impl Incremental {
    /// Loads the whole cluster.
    pub fn new(name: &'static str, cluster: Cluster, layout: Layout) -> Result<Self> {
        let (mut netlink, _) = kernel::open()?;
        let (engine, delta) = Engine::load(cluster, config(layout), &Slots::default());
        netlink.apply(&encode(&delta.transaction(), &netlink::Options::default())?)?;
        Ok(Self { layout: name, engine, netlink })
    }

    fn send(&mut self, events: Vec<Event>) -> Result<usize> {
        let delta = self.engine.update(events);
        let batch = encode(&delta.transaction(), &netlink::Options::default())?;
        self.netlink.apply(&batch)?;
        Ok(batch.as_bytes().len())
    }
}

impl Subject for Incremental {
    fn name(&self) -> String {
        engine_name(self.layout)
    }

    fn apply(&mut self, change: &Change) -> Result<Option<Cost>> {
        let mut events = vec![Event::Slice(slice_name(change.number), change.after.clone())];
        if change.before.is_none() {
            events.insert(0, Event::Service(change.service.clone()));
        }
        let (bytes, total) = timed(|| self.send(events));
        Ok(Some(Cost { total, bytes: bytes?, chains: None }))
    }
}

//! A part of what is in force: the rules of some Services by themselves, and what people are told of them.

use std::collections::BTreeSet;

use super::{Engine, Event};
use crate::cluster::Cluster;
use crate::compile::{Conflict, fold};
use crate::describe::Counted;
use crate::layout::{self, Fragment, FrontendKey, Picking};
use crate::name::ObjectName;
use crate::route::ServicePortName;
use crate::ruleset::Ruleset;

/// How much the engine keeps rules for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Services that want rules.
    pub services: usize,
    /// Addresses and ports where clients connect.
    pub frontends: usize,
    /// Backends of all service ports.
    pub backends: usize,
    /// Frontends that more than one Service wants.
    pub contested: usize,
    /// Tables of nftables: one for each family that any of it is in.
    pub tables: usize,
    /// The layout in force.
    pub picking: Picking,
}

impl Engine {
    /// The Services whose rules events may change, each once; those of which nothing is known yet too.
    #[must_use]
    pub fn concerned(&self, events: &[Event]) -> BTreeSet<ObjectName> {
        let mut concerned = BTreeSet::new();
        for event in events {
            match event {
                Event::Service(service) => drop(concerned.insert(service.name.clone())),
                Event::ServiceGone(name) => drop(concerned.insert(name.clone())),
                Event::Slice(name, slice) => {
                    concerned.insert(slice.service.clone());
                    concerned.extend(self.slices.get(name).cloned());
                }
                Event::SliceGone(name) => concerned.extend(self.slices.get(name).cloned()),
                Event::Node(node) if *node == self.node => {}
                Event::Config(config) if *config == self.config => {}
                Event::Node(_) | Event::Config(_) => concerned.extend(self.entries.keys().cloned()),
                Event::ServiceCidrs(_) => {}
            }
        }
        concerned
    }

    /// These Services with their slices, the Node, and the networks that ClusterIPs are taken from.
    #[must_use]
    pub fn cluster_of<'a>(&self, services: impl IntoIterator<Item = &'a ObjectName>) -> Cluster {
        let (node, service_cidrs) = (self.node.clone(), self.service_cidrs.clone());
        let mut part = Cluster { node, service_cidrs, ..Cluster::default() };
        for name in services {
            let Some(entry) = self.entries.get(name) else { continue };
            part.services.extend(entry.service.as_deref().map(|service| (name.clone(), service.clone())));
            part.slices.extend(entry.slices().map(|(name, slice)| (name.clone(), slice.clone())));
        }
        part
    }

    /// The ruleset as if these were the only Services, with the frontends that they have got.
    #[must_use]
    pub fn ruleset_of<'a>(&self, services: impl IntoIterator<Item = &'a ObjectName>) -> Ruleset {
        let fragments: Vec<Fragment> = services.into_iter().map(|name| self.winning_fragment(name)).collect();
        fold(self.view(), self.picking, &self.service_cidrs, fragments).ruleset
    }

    fn winning_fragment(&self, name: &ObjectName) -> Fragment {
        let mut fragment = self.fragment(name);
        let mut index = 0;
        fragment.claims.retain(|claim| {
            let own = self.claims.winner(&claim.frontend);
            let wins = own.is_some_and(|winner| winner.service == *name && winner.index == index);
            index += 1;
            wins
        });
        fragment
    }

    /// The frontends that a Service wants and an older one has.
    #[must_use]
    pub fn lost(&self, name: &ObjectName) -> Vec<Conflict> {
        if self.claims.contested() == 0 {
            return Vec::new();
        }
        let routes = self.routes(name);
        let wanted =
            routes.iter().flat_map(|route| route.frontends.iter().map(move |frontend| (route, frontend.at)));
        let lost = |(route, at): (&crate::route::Route<'_>, _)| {
            let frontend = FrontendKey { family: route.family, at, protocol: route.port.protocol };
            let winner: ServicePortName = self.claims.winner(&frontend)?.service_port();
            let loser = route.port.clone();
            (winner != loser).then_some(Conflict { frontend, winner, loser })
        };
        wanted.filter_map(lost).collect()
    }

    /// What is counted of a Service, where connections are: the frontends that it has got, with their backends. `None` where
    /// there is no such Service.
    #[must_use]
    pub fn counted(&self, name: &ObjectName) -> Option<Vec<Counted>> {
        self.entries.get(name)?.service.as_deref()?;
        let mut counted = Vec::new();
        for route in self.routes(name) {
            for frontend in &route.frontends {
                let key =
                    FrontendKey { family: route.family, at: frontend.at, protocol: route.port.protocol };
                if self.claims.winner(&key).is_some_and(|winner| winner.service_port() == route.port) {
                    let backends = layout::backends(&route, frontend).collect();
                    counted.push(Counted { frontend: key, port: route.port.port.clone(), backends });
                }
            }
        }
        Some(counted)
    }

    /// How much there is, in constant time.
    #[must_use]
    pub fn extent(&self) -> Extent {
        Extent {
            services: self.services,
            frontends: self.claims.frontends(),
            backends: self.backend_rules,
            contested: self.claims.contested(),
            tables: self.needs.len(),
            picking: self.picking,
        }
    }
}

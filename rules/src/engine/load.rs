//! Everything at once: the first load, and the whole ruleset as it is in force.

use super::entry::Entry;
use super::order::Order;
use super::{Delta, Engine};
use crate::cluster::{Cluster, Service};
use crate::compile::{fold, lower_all};
use crate::config::Config;
use crate::installed::Installed;
use crate::iptables;
use crate::layout::{self, Slots};
use crate::name::ObjectName;
use crate::parallel;
use crate::route::by_age;
use crate::ruleset::Ruleset;

impl Engine {
    /// An engine that knows the cluster, and the whole ruleset as what changes from nothing. `slots` says where backends
    /// are in the kernel by now.
    ///
    /// The ruleset is needed for the first comparison with the kernel alone; the engine keeps nothing of it.
    #[must_use]
    pub fn load(cluster: Cluster, config: Config, slots: &Slots) -> (Self, Delta) {
        let mut engine = Self::new(config);
        engine.node = cluster.node;
        engine.service_cidrs = cluster.service_cidrs;
        engine.entries.reserve(cluster.services.len());
        engine.slices.reserve(cluster.slices.len());
        let endpoints = cluster.slices.values().map(|slice| slice.endpoints.len() * slice.ports.len()).sum();
        cluster.services.into_values().for_each(|service| engine.put_service(service));
        cluster.slices.into_iter().for_each(|(name, slice)| engine.put_slice(name, slice));
        let ruleset = engine.start(endpoints, slots);
        let mut services: Vec<ObjectName> = engine.entries.keys().cloned().collect();
        services.sort_unstable();
        (engine, Delta { services, rules: true, program: true, before: Installed::default(), after: ruleset })
    }

    /// Lowers all Services for the first time and takes down what they use. `endpoints` is about how many there are.
    fn start(&mut self, endpoints: usize, slots: &Slots) -> Ruleset {
        let names: Vec<ObjectName> = self.oldest_first().map(|service| service.name.clone()).collect();
        let (picking, lowered) = lower_all(self.config.layout, endpoints, slots.picking(), |picking| {
            let lower = |name: &ObjectName| {
                let routes = self.routes(name);
                let fragment = layout::lower(self.view(), picking, &routes, slots);
                (Order::of(picking, &routes, &fragment.slots), fragment)
            };
            parallel::map(&names, lower)
        });
        self.picking = picking;
        let mut fragments = Vec::with_capacity(lowered.len());
        for (name, (order, fragment)) in names.iter().zip(lowered) {
            self.backend_rules += fragment.backend_rules;
            self.use_all(&fragment);
            if let Some(entry) = self.entries.get_mut(name) {
                entry.order = order;
            }
            fragments.push(fragment);
        }
        self.needs = self.needs_now();
        self.programs = self.programs_for(&self.needs);
        fold(self.view(), picking, &self.service_cidrs, fragments).ruleset
    }

    /// The whole ruleset as the transactions so far have led to it: that of a full compile with the slots in force.
    ///
    /// Compiles the whole cluster; for a comparison with what the kernel holds, not for the path of a change.
    #[must_use]
    pub fn ruleset(&self) -> Ruleset {
        let services: Vec<&Service> = self.oldest_first().collect();
        let fragments = parallel::map(&services, |service| self.fragment(&service.name));
        fold(self.view(), self.picking, &self.service_cidrs, fragments).ruleset
    }

    /// The same as iptables rules: those of [`iptables::compile`].
    #[must_use]
    pub fn iptables(&self) -> iptables::Compiled {
        let fragments = self.oldest_first().map(|service| {
            let routes = self.routes(&service.name);
            iptables::lower(self.view(), &routes)
        });
        iptables::fold(self.view(), &self.service_cidrs, fragments)
    }

    /// The state of the cluster as the events so far have told it. Copies all of it, so it costs as much memory again.
    #[must_use]
    pub fn cluster(&self) -> Cluster {
        let services = self.entries.values().filter_map(|entry| entry.service.as_deref());
        let slices = self.entries.values().flat_map(Entry::slices);
        Cluster {
            services: services.map(|service| (service.name.clone(), service.clone())).collect(),
            slices: slices.map(|(name, slice)| (name.clone(), slice.clone())).collect(),
            node: self.node.clone(),
            service_cidrs: self.service_cidrs.clone(),
        }
    }

    fn oldest_first(&self) -> impl Iterator<Item = &Service> {
        let mut services: Vec<&Service> =
            self.entries.values().filter_map(|entry| entry.service.as_deref()).collect();
        services.sort_unstable_by(|a, b| by_age(a, b));
        services.into_iter()
    }
}

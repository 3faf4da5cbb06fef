//! The incremental engine: keeps the state of the cluster, and turns each change of it into the change of the ruleset.
//!
//! It is no second compiler. What a Service contributes is the same fragment as in a full [`compile`](crate::compile);
//! a change of a Service swaps its old fragment for the new one, and the difference is all that comes out. The old
//! fragment is not kept but made again from the old objects, which costs less than the memory would.
//!
//! The work for a change of one Service grows with that Service, not with the cluster. Only three things make the engine
//! look at every Service: another Node, other options, and a change of the layout.

mod claims;
mod delta;
mod entry;
mod interner;
mod load;
mod order;
mod part;
mod swap;
mod usage;

use std::collections::BTreeMap;

use claims::Claims;
pub use delta::Delta;
use delta::Programs;
use entry::Entry;
use interner::Interner;
use order::Order;
pub use part::Extent;
use swap::Update;
use usage::Usage;

use crate::cluster::{EndpointSlice, Node, Service};
use crate::compile::Conflict;
use crate::config::Config;
use crate::hash::HashMap;
use crate::layout::{self, Fragment, Picking, PoolSlots, ProgramNeeds, SetName, SharedChain};
use crate::name::ObjectName;
use crate::net::{Cidr, Family, Protocol};
use crate::resolve::{View, resolve};
use crate::route::Route;
use crate::ruleset::Value;

/// A change of the cluster or of what shapes the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A Service is new or different.
    Service(Service),
    /// A Service is gone, or does not want rules any more.
    ServiceGone(ObjectName),
    /// An EndpointSlice is new or different; the name is the slice's.
    Slice(ObjectName, EndpointSlice),
    /// An EndpointSlice is gone.
    SliceGone(ObjectName),
    /// This node's Node is new, different or gone.
    Node(Option<Node>),
    /// The networks that ClusterIPs are taken from are different; sorted, each once.
    ServiceCidrs(Vec<Cidr>),
    /// The operator's options are different.
    Config(Config),
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    node: Option<Node>,
    service_cidrs: Vec<Cidr>,
    /// By Service; also Services of which only slices are known.
    entries: HashMap<ObjectName, Entry>,
    /// The Service of each slice.
    slices: HashMap<ObjectName, ObjectName>,
    /// How many Services are known by themselves.
    services: usize,
    picking: Picking,
    backend_rules: usize,
    claims: Claims,
    shared: Usage<(Family, SetName, Value)>,
    shared_chains: Usage<(Family, SharedChain)>,
    affinity: Usage<(Family, u32, Protocol)>,
    families: Usage<Family>,
    needs: BTreeMap<Family, ProgramNeeds>,
    programs: Programs,
    interner: Interner,
}

impl Engine {
    /// An engine that knows nothing of the cluster yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            node: None,
            service_cidrs: Vec::new(),
            entries: HashMap::default(),
            slices: HashMap::default(),
            services: 0,
            picking: Picking::default(),
            backend_rules: 0,
            claims: Claims::default(),
            shared: Usage::default(),
            shared_chains: Usage::default(),
            affinity: Usage::default(),
            families: Usage::default(),
            needs: BTreeMap::new(),
            programs: Programs::default(),
            interner: Interner::default(),
        }
    }

    /// Takes changes together and says what they change in the ruleset. An event that brings what is known already costs a
    /// comparison, and changes nothing.
    pub fn update(&mut self, events: impl IntoIterator<Item = Event>) -> Delta {
        let mut update = Update::default();
        for event in events {
            self.note(&mut update, event);
        }
        self.carry_out(update)
    }

    /// The frontends that service ports want and do not get, in the order of the frontends.
    #[must_use]
    pub fn conflicts(&self) -> Vec<Conflict> {
        self.claims.conflicts()
    }

    /// A Service with its slices; `None` where it is not known, or its slices alone.
    #[must_use]
    pub fn service(&self, name: &ObjectName) -> Option<(&Service, impl Iterator<Item = &EndpointSlice>)> {
        let entry = self.entries.get(name)?;
        let service = entry.service.as_deref()?;
        Some((service, entry.slices().map(|(_, slice)| slice)))
    }

    /// The layout in force.
    #[must_use]
    pub fn picking(&self) -> Picking {
        self.picking
    }

    /// Finds out what changed for the Services whose former fragments the update holds.
    fn carry_out(&mut self, mut update: Update) -> Delta {
        let mut fresh: BTreeMap<ObjectName, (Fragment, Order)> = BTreeMap::new();
        for (name, old) in &update.old {
            let new = self.lowered(name, &old.slots);
            self.backend_rules -= old.backend_rules;
            self.backend_rules += new.0.backend_rules;
            fresh.insert(name.clone(), new);
        }
        let picking = Picking::choose(self.config.layout, self.backend_rules, Some(self.picking));
        if picking != self.picking {
            self.keep_all(&mut update);
            self.picking = picking;
            update.other_program = true;
            fresh =
                update.old.iter().map(|(name, old)| (name.clone(), self.lowered(name, &old.slots))).collect();
        }
        let rules = !fresh.is_empty();
        let mut services: Vec<ObjectName> = fresh.keys().cloned().collect();
        if !update.relabelled.is_empty() {
            services.append(&mut update.relabelled);
            services.sort_unstable();
            services.dedup();
        }
        for (name, (fragment, order)) in fresh {
            self.swap(&mut update, &name, &fragment, order);
        }
        Delta { services, rules, ..self.finish(update) }
    }

    /// Takes an event in, keeping the fragment that a Service had before its first one.
    fn note(&mut self, update: &mut Update, event: Event) {
        match event {
            Event::Service(service) => {
                self.relabel(update, &service);
                let known = self.entries.get(&service.name).and_then(|entry| entry.service.as_deref());
                if known != Some(&service) {
                    self.keep(update, &service.name);
                    self.put_service(service);
                }
            }
            Event::ServiceGone(name) => {
                if self.entries.get(&name).is_some_and(|entry| entry.service.is_some()) {
                    self.keep(update, &name);
                    self.services -= 1;
                    self.entries.entry(name).and_modify(|entry| entry.service = None);
                }
            }
            Event::Slice(name, slice) => {
                let known = self.entries.get(&slice.service).and_then(|entry| entry.slice(&name));
                if known != Some(&slice) {
                    self.forget_slice(update, &name);
                    self.keep(update, &slice.service);
                    self.put_slice(name, slice);
                }
            }
            Event::SliceGone(name) => self.forget_slice(update, &name),
            Event::ServiceCidrs(cidrs) => {
                update.other_program |= cidrs != self.service_cidrs;
                self.service_cidrs = cidrs;
            }
            Event::Node(node) => {
                if node != self.node {
                    self.keep_view(update);
                    self.node = node;
                }
            }
            Event::Config(config) => {
                if config != self.config {
                    self.keep_view(update);
                    self.config = config;
                }
            }
        }
    }

    /// Takes over the labels of a Service that is known. No rule depends on them, so none is made again for them.
    fn relabel(&mut self, update: &mut Update, service: &Service) {
        let known = self.entries.get_mut(&service.name).and_then(|entry| entry.service.as_deref_mut());
        if let Some(known) = known.filter(|known| known.labels != service.labels) {
            known.labels = service.labels.clone();
            update.relabelled.push(service.name.clone());
        }
    }

    fn put_service(&mut self, mut service: Service) {
        self.interner.service(&mut service);
        let entry = self.entries.entry(service.name.clone()).or_default();
        self.services += usize::from(entry.service.is_none());
        entry.service = Some(Box::new(service));
    }

    fn put_slice(&mut self, name: ObjectName, mut slice: EndpointSlice) {
        self.interner.slice(&mut slice);
        slice.endpoints.shrink_to_fit();
        if let Some((known, _)) = self.entries.get_key_value(&slice.service) {
            slice.service = known.clone();
        }
        self.slices.insert(name.clone(), slice.service.clone());
        self.entries.entry(slice.service.clone()).or_default().put_slice(name, slice);
    }

    fn forget_slice(&mut self, update: &mut Update, name: &ObjectName) {
        let Some(service) = self.slices.remove(name) else { return };
        self.keep(update, &service);
        if let Some(entry) = self.entries.get_mut(&service) {
            entry.remove_slice(name);
        }
    }

    fn view(&self) -> View<'_> {
        View { config: &self.config, node: self.node.as_ref() }
    }

    fn routes(&self, name: &ObjectName) -> Vec<Route<'_>> {
        let Some(entry) = self.entries.get(name) else { return Vec::new() };
        let Some(service) = &entry.service else { return Vec::new() };
        let slices: Vec<&EndpointSlice> = entry.slices().map(|(_, slice)| slice).collect();
        resolve(self.view(), service, &slices)
    }

    /// What a Service contributes as things are, its backends in the slots that they have.
    fn fragment(&self, name: &ObjectName) -> Fragment {
        let routes = self.routes(name);
        let slots = self.entries.get(name).map(|entry| entry.order.slots(self.picking, &routes));
        layout::lower(self.view(), self.picking, &routes, slots.unwrap_or_default().as_slice())
    }

    /// What a Service contributes from now on, when its backends had these slots.
    fn lowered(&self, name: &ObjectName, before: &[PoolSlots]) -> (Fragment, Order) {
        let routes = self.routes(name);
        let fragment = layout::lower(self.view(), self.picking, &routes, before);
        let order = Order::of(self.picking, &routes, &fragment.slots);
        (fragment, order)
    }
}

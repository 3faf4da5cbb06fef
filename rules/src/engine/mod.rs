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
mod swap;
mod usage;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use claims::Claims;
pub use delta::Delta;
use delta::Programs;
use swap::Update;
use usage::Usage;

use crate::cluster::{Cluster, EndpointSlice, Node, Service};
use crate::compile::Conflict;
use crate::config::Config;
use crate::layout::{self, Fragment, Picking, PoolSlots, ProgramNeeds, SharedChain, Slots};
use crate::name::{Name, ObjectName};
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
    picking: Picking,
    backend_rules: usize,
    claims: Claims,
    shared: Usage<(Family, Name, Value)>,
    shared_chains: Usage<(Family, SharedChain)>,
    affinity: Usage<(Family, u32, Protocol)>,
    families: Usage<Family>,
    needs: BTreeMap<Family, ProgramNeeds>,
    programs: Programs,
}

/// What is known of one Service.
#[derive(Debug, Default)]
struct Entry {
    service: Option<Service>,
    slices: BTreeMap<ObjectName, EndpointSlice>,
    /// Where its backends are.
    slots: Vec<PoolSlots>,
}

impl Engine {
    /// An engine that knows nothing of the cluster yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            node: None,
            service_cidrs: Vec::new(),
            entries: HashMap::new(),
            slices: HashMap::new(),
            picking: Picking::default(),
            backend_rules: 0,
            claims: Claims::default(),
            shared: Usage::default(),
            shared_chains: Usage::default(),
            affinity: Usage::default(),
            families: Usage::default(),
            needs: BTreeMap::new(),
            programs: Programs::default(),
        }
    }

    /// An engine that knows the cluster, and the whole ruleset as what changes from nothing. `slots` says where backends
    /// are in the kernel by now.
    #[must_use]
    pub fn load(cluster: Cluster, config: Config, slots: &Slots) -> (Self, Delta) {
        let mut engine = Self::new(config);
        engine.node = cluster.node;
        if let Some(picking) = slots.picking() {
            engine.picking = picking;
        }
        let cidrs = Event::ServiceCidrs(cluster.service_cidrs);
        let services = cluster.services.into_values().map(Event::Service);
        let slices = cluster.slices.into_iter().map(|(name, slice)| Event::Slice(name, slice));
        let delta = engine.take([cidrs].into_iter().chain(services).chain(slices), slots);
        (engine, delta)
    }

    /// Takes changes together and says what they change in the ruleset. An event that names nothing new changes nothing.
    pub fn update(&mut self, events: impl IntoIterator<Item = Event>) -> Delta {
        self.take(events, &Slots::default())
    }

    /// The frontends that service ports want and do not get, in the order of the frontends.
    #[must_use]
    pub fn conflicts(&self) -> Vec<Conflict> {
        self.claims.conflicts()
    }

    /// The layout in force.
    #[must_use]
    pub fn picking(&self) -> Picking {
        self.picking
    }

    fn take(&mut self, events: impl IntoIterator<Item = Event>, slots: &Slots) -> Delta {
        let mut update = Update::default();
        for event in events {
            self.note(&mut update, event);
        }
        let mut routes: HashMap<ObjectName, Vec<Route>> = HashMap::with_capacity(update.old.len());
        for (name, old) in &update.old {
            let new = self.routes(name);
            self.backend_rules -= old.backend_rules;
            self.backend_rules += new.iter().map(Route::backend_rules).sum::<usize>();
            routes.insert(name.clone(), new);
        }
        let picking = Picking::choose(self.config.layout, self.backend_rules, Some(self.picking));
        if picking != self.picking {
            self.keep_all(&mut update);
            self.picking = picking;
        }
        let names: BTreeSet<ObjectName> = update.old.keys().cloned().collect();
        for name in names {
            let routes = routes.remove(&name).unwrap_or_else(|| self.routes(&name));
            self.swap(&mut update, &name, &routes, slots);
        }
        self.finish(update)
    }

    /// Takes an event in, keeping the fragment that a Service had before its first one.
    fn note(&mut self, update: &mut Update, event: Event) {
        match event {
            Event::Service(service) => {
                self.keep(update, &service.name);
                let entry = self.entries.entry(service.name.clone()).or_default();
                entry.service = Some(service);
            }
            Event::ServiceGone(name) => {
                self.keep(update, &name);
                if let Some(entry) = self.entries.get_mut(&name) {
                    entry.service = None;
                }
            }
            Event::Slice(name, slice) => {
                self.forget_slice(update, &name);
                self.keep(update, &slice.service);
                self.slices.insert(name.clone(), slice.service.clone());
                self.entries.entry(slice.service.clone()).or_default().slices.insert(name, slice);
            }
            Event::SliceGone(name) => self.forget_slice(update, &name),
            Event::ServiceCidrs(cidrs) => self.service_cidrs = cidrs,
            Event::Node(node) => {
                self.keep_view(update);
                self.node = node;
            }
            Event::Config(config) => {
                self.keep_view(update);
                self.config = config;
            }
        }
    }

    fn forget_slice(&mut self, update: &mut Update, name: &ObjectName) {
        let Some(service) = self.slices.remove(name) else { return };
        self.keep(update, &service);
        if let Some(entry) = self.entries.get_mut(&service) {
            entry.slices.remove(name);
        }
    }

    fn view(&self) -> View<'_> {
        View { config: &self.config, node: self.node.as_ref() }
    }

    fn routes(&self, name: &ObjectName) -> Vec<Route> {
        let Some(entry) = self.entries.get(name) else { return Vec::new() };
        let slices: Vec<&EndpointSlice> = entry.slices.values().collect();
        entry.service.as_ref().map_or(Vec::new(), |service| resolve(self.view(), service, &slices))
    }

    /// What a Service contributes as things are.
    fn fragment(&self, name: &ObjectName) -> Fragment {
        let slots = self.entries.get(name).map_or(&[][..], |entry| entry.slots.as_slice());
        layout::lower(self.view(), self.picking, &self.routes(name), slots)
    }
}

//! The chains of the layout `maps` that several Services share.

use super::external::{external_local_rules, external_rules};
use super::names::{pick_prefix, set, shared_external_chain};
use super::set_name::SetName;
use super::statement::{Field, Statements};
use crate::name::Name;
use crate::net::Family;
use crate::resolve::View;
use crate::route::Pool;
use crate::ruleset::Rule;

/// How often a slot is drawn among all before it is drawn among those that are surely full.
pub const DRAWS: usize = 8;

/// A chain that several Services share; it depends on nothing but this description and the node's options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SharedChain {
    /// Picks a backend.
    Pick(Picker),
    /// From outside with policy Cluster: masquerades and picks.
    External(Picker),
    /// From outside with policy Local: local pods and the node itself pick among all, others among the local ones.
    ExternalLocal {
        /// How one of all is picked.
        every: Picker,
        /// The size of the local pool; `None` where it is empty.
        local: Option<u32>,
    },
}

/// How a backend is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Picker {
    /// Whether the frontend is a node port, which is looked up without an address.
    pub node_port: bool,
    /// Which backends.
    pub pool: Pool,
    /// Whether the client's last backend is asked for first.
    pub sticky: bool,
    /// The number of slots: the power of two that the number of backends does not exceed.
    pub size: u32,
}

impl SharedChain {
    /// Its name in the kernel.
    #[must_use]
    pub fn name(self) -> Name {
        match self {
            Self::Pick(picker) => picker.name(),
            Self::External(picker) => shared_external_chain(None, &picker.name()),
            Self::ExternalLocal { every, local } => {
                let local = local.map_or("none".to_owned(), |size| size.to_string());
                shared_external_chain(Some(&local), &every.name())
            }
        }
    }

    /// The chains that it leads to, each with those it leads to in turn.
    #[must_use]
    pub fn needs(self) -> Vec<Self> {
        match self {
            Self::Pick(picker) => picker.without_affinity().map(Self::Pick).into_iter().collect(),
            Self::External(picker) => Self::with_needs(Self::Pick(picker)),
            Self::ExternalLocal { every, local } => {
                let mut needs = Self::with_needs(Self::Pick(every));
                needs.extend(Self::local(every, local).into_iter().flat_map(Self::with_needs));
                needs
            }
        }
    }

    pub(super) fn with_needs(chain: Self) -> Vec<Self> {
        let mut all = vec![chain];
        all.extend(chain.needs());
        all
    }

    fn local(every: Picker, size: Option<u32>) -> Option<Self> {
        size.map(|size| Self::Pick(Picker { pool: Pool::Local, size, ..every }))
    }

    /// Its rules.
    #[must_use]
    pub fn rules(self, view: View<'_>, family: Family) -> Vec<Rule> {
        match self {
            Self::Pick(picker) => picker.rules(family),
            Self::External(picker) => external_rules(family, &picker.name()),
            Self::ExternalLocal { every, local } => {
                let local = Self::local(every, local).map(Self::name);
                external_local_rules(view, family, &every.name(), local.as_ref())
            }
        }
    }
}

impl Picker {
    fn name(self) -> Name {
        let node_port = if self.node_port { "node-port-" } else { "" };
        let sticky = if self.sticky { "sticky-" } else { "" };
        Name::from(format!("{node_port}{sticky}{}{}", pick_prefix(self.pool), self.size))
    }

    fn without_affinity(self) -> Option<Self> {
        self.sticky.then_some(Self { sticky: false, ..self })
    }

    fn rules(self, family: Family) -> Vec<Rule> {
        if let Some(picker) = self.without_affinity() {
            let client = [Field::Source, Field::Destination, Field::L4Proto, Field::DestinationPort];
            let remembered = Statements::new(family).dnat_to_map(&client, set::AFFINITY);
            return vec![remembered, Statements::new(family).goto(&picker.name())];
        }
        let draw = |slots| {
            let slot = Field::Slot(slots);
            let map = &self.map().text();
            if self.node_port {
                Statements::new(family).dnat_to_map(&[Field::L4Proto, Field::DestinationPort, slot], map)
            } else {
                let key = [Field::Destination, Field::L4Proto, Field::DestinationPort, slot];
                Statements::new(family).dnat_to_map(&key, map)
            }
        };
        // One or two slots are always all full.
        if self.size <= 2 {
            return vec![draw(self.size)];
        }
        let mut rules = vec![draw(self.size); DRAWS];
        rules.push(draw(self.size / 2));
        rules
    }

    /// The map that holds the backends.
    pub(super) fn map(self) -> SetName {
        match (self.node_port, self.pool) {
            (false, Pool::Cluster) => SetName::Backends,
            (false, Pool::Local) => SetName::LocalBackends,
            (true, Pool::Cluster) => SetName::NodePortBackends,
            (true, Pool::Local) => SetName::NodePortLocalBackends,
        }
    }
}

/// Whether it is a name that [`SharedChain::name`] makes.
pub(crate) fn is_shared_chain(name: &str) -> bool {
    let without = |name, prefix| str::strip_prefix(name, prefix).unwrap_or(name);
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    let picker = match name.strip_prefix("external-local-").and_then(|rest| rest.split_once('-')) {
        Some((local, picker)) if local == "none" || is_number(local) => picker,
        _ => without(name, "external-"),
    };
    let kind = without(without(picker, "node-port-"), "sticky-");
    kind.strip_prefix("pick-").is_some_and(|rest| is_number(without(rest, "local-")))
}

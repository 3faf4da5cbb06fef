//! What one Service contributes to the ruleset.

use std::collections::BTreeSet;

use super::frontend::FrontendKey;
use super::set_name::SetName;
use super::shared_chain::SharedChain;
use super::slots::PoolSlots;
use crate::name::Name;
use crate::net::{Family, Protocol};
use crate::route::{Age, ServicePortName};
use crate::ruleset::{Chain, Element, Value};

/// The contribution of one Service in both families.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fragment {
    /// Chains of its own, which no other Service's fragment has.
    pub chains: Vec<(Family, Name, Chain)>,
    /// Frontends that it wants, each with the elements that come with it.
    pub claims: Vec<Claim>,
    /// Elements that others may want as well, for the same purpose and in the same words.
    pub shared: Vec<ElementAt>,
    /// Chains that it uses with others; some more than once.
    pub shared_chains: Vec<(Family, SharedChain)>,
    /// Where the backends of its pools are; the rest of the fragment says the same in other words.
    pub slots: Vec<PoolSlots>,
    /// How many rules the layout `chains` has for its backends.
    pub backend_rules: usize,
    /// The families in which it has anything at all.
    pub families: Vec<Family>,
    /// The affinity timeouts that it uses, in seconds, with the protocols.
    pub affinity: BTreeSet<(Family, u32, Protocol)>,
}

/// A frontend that a service port wants, with the elements that make it work. They are in the ruleset together or,
/// where an older Service has the frontend, not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The frontend.
    pub frontend: FrontendKey,
    /// Who wants it.
    pub port: ServicePortName,
    /// How old the Service is that wants it.
    pub age: Age,
    /// Its elements.
    pub elements: Vec<ElementAt>,
}

/// An element and the set that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementAt {
    /// The table.
    pub family: Family,
    /// The set.
    pub set: SetName,
    /// The key.
    pub key: Value,
    /// The rest.
    pub element: Element,
}

impl ElementAt {
    /// Where the element is: no two in a ruleset have the same place.
    #[must_use]
    pub fn place(&self) -> (Family, SetName, &Value) {
        (self.family, self.set, &self.key)
    }
}

//! What can become of a packet.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::{Probability, Step};
use crate::name::Name;
use crate::ruleset::{Hook, Reject, Value};

/// Every possible outcome with its probability, which is never 0; together they are exactly 1.
pub type Outcomes = BTreeMap<Outcome, Probability>;

/// An outcome with one way that leads to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedOutcome {
    /// The outcome.
    pub outcome: Outcome,
    /// Its probability over all ways that lead to it.
    pub probability: Probability,
    /// One of these ways: of several, the one that the walk found first, which draws least.
    pub path: Vec<Step>,
}

/// What became of the packet and of the dynamic maps.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    /// What became of the packet.
    pub fate: Fate,
    /// What it wrote into dynamic maps, in order.
    pub effects: Vec<Effect>,
}

/// What became of the packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It passed all hooks.
    Delivered(Delivery),
    /// It was thrown away in silence.
    Dropped {
        /// Where.
        hook: Hook,
    },
    /// It was thrown away and its sender was told.
    Rejected {
        /// Where.
        hook: Hook,
        /// What the sender was told.
        how: Reject,
    },
}

/// How a packet left the last hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delivery {
    /// Who gets it.
    pub to: Receiver,
    /// Its destination by then: the backend where a rule said so, else what it was sent to.
    pub destination: SocketAddr,
    /// Whether its destination was changed (`ct status dnat`).
    pub dnat: bool,
    /// Whether it has a source address of this host instead of its own.
    pub masqueraded: bool,
}

/// Who gets a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Receiver {
    /// A process of this host.
    Host,
    /// Somebody behind an interface: a pod of this node, or another host.
    Network,
}

/// An element that the packet wrote into a dynamic map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Effect {
    /// The map.
    pub set: Name,
    /// The key.
    pub key: Value,
    /// What the key maps to from now on.
    pub data: Value,
    /// How long the element lives without a refresh, in milliseconds.
    pub timeout: u64,
    /// Whether the key was there already. Then its data stayed what it was: the kernel's `update` gives an element
    /// that exists nothing but a new timeout (`nft_dynset_eval`).
    pub refreshed: bool,
}

//! The way of a packet through chains and rules.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Receiver;
use crate::name::Name;
use crate::ruleset::{BaseHook, Reject, Value, Verdict};

/// One step of a packet's way. Only what applied to the packet is told: rules that did not match leave no step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A base chain was entered.
    BaseChain {
        /// Its name.
        chain: Name,
        /// Its hook.
        hook: BaseHook,
    },
    /// A rule matched; the steps up to the next rule are its.
    Rule {
        /// Its chain.
        chain: Name,
        /// Its index in the chain, from 0.
        index: usize,
        /// Its comment.
        comment: Option<Name>,
    },
    /// A set, map or verdict map had an element for the packet.
    Element {
        /// The set.
        set: Name,
        /// The element's key; an interval's first value.
        key: Value,
        /// The element's comment.
        comment: Option<Name>,
    },
    /// The packet got this mark.
    Mark(u32),
    /// The packet got this destination.
    Dnat(SocketAddr),
    /// The packet got a source address of this host.
    Masquerade,
    /// An element of a dynamic map was written.
    Update {
        /// The map.
        set: Name,
        /// The element's key.
        key: Value,
        /// The element's data.
        data: Value,
    },
    /// The rule ended with this verdict.
    Verdict(Verdict),
    /// The rule threw the packet away and told its sender.
    Reject(Reject),
    /// A chain that was jumped to, or gone to, came to its end or returned; a base chain's end is its policy, accept.
    ChainEnd {
        /// The chain.
        chain: Name,
    },
    /// The kernel looked up to whom the packet goes next.
    Route(Receiver),
}

/// What the walk writes its steps to.
///
/// Paths are cloned wherever the packet's way forks, so both kinds are cheap to clone.
pub(crate) trait Trail: Clone + Default {
    /// Adds a step, which is only made where it is kept.
    fn push(&mut self, step: impl FnOnce() -> Step);
}

/// Nothing is kept and nothing is spent.
impl Trail for () {
    fn push(&mut self, _: impl FnOnce() -> Step) {}
}

/// All steps, last first, in a list whose tails are shared by the ways that fork from it.
#[derive(Clone, Default)]
pub(crate) struct Path(Option<Arc<Node>>);

struct Node {
    step: Step,
    before: Path,
}

impl Trail for Path {
    fn push(&mut self, step: impl FnOnce() -> Step) {
        let before = std::mem::take(self);
        *self = Self(Some(Arc::new(Node { step: step(), before })));
    }
}

impl Path {
    /// The steps, first one first.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = std::iter::successors(self.0.as_deref(), |node| node.before.0.as_deref())
            .map(|node| node.step.clone())
            .collect();
        steps.reverse();
        steps
    }
}

/// Takes a list apart from its head on; left to itself, every node would drop the next one on a stack of its own.
impl Drop for Path {
    fn drop(&mut self) {
        let mut rest = self.0.take();
        while let Some(mut node) = rest.and_then(Arc::into_inner) {
            rest = node.before.0.take();
        }
    }
}

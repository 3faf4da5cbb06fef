//! The simulator: what becomes of a packet, with which probability, and why.
//!
//! It walks the typed ruleset as the kernel does, instruction by instruction, so it knows nothing about Services and
//! shares no thought with the compiler: what it says about a compiled ruleset is evidence. [`simulate`] gives every
//! possible outcome with its exact probability, [`trace`] also a way that leads there.
//!
//! # What is modelled
//!
//! - The hooks that a packet passes. From an interface: prerouting, then input, or forward and postrouting. From a
//!   process of this host: output, postrouting and, where it is for this host itself, prerouting and input on the
//!   interface `lo`, still as a new connection, but with both translations decided: the nat chains of prerouting and
//!   input do not see it.
//! - Base chains in the order of their priorities, those of equal priority by name (the kernel takes the one that was
//!   made last). Nat chains have their turn together, at the kernel's own priority for nat (-100 or 100).
//! - `drop` ends everything, `accept` the base chain, `dnat` and `masquerade` the nat chains of the hook. Jumps, gotos
//!   and returns, and the kernel's limit for them.
//! - Connection tracking as far as it takes one packet in the original direction: new or established, the original
//!   addresses, the translations, the status bits (not `IPS_ASSURED`, which depends on the traffic).
//! - Dynamic maps, with what the packet itself writes into them, and their size.
//! - `numgen random` as a uniform draw. (Scaling 32 random bits down to n numbers favours some by less than n/2^32.)
//!
//! # What is not
//!
//! - The rules of other tables, and tables of other families.
//! - Routing beyond "is it this host's address": every other address is reached. The checks on sources (`rp_filter`,
//!   `route_localnet`) are not made.
//! - Packets in the reply direction, ICMP, fragments, packets that connection tracking has no entry for.
//! - The choice of another source port where two connections would look the same. The source port is unknown after
//!   masquerading, and reading it an error.
//! - Time: no element of a dynamic map runs out.

mod chain_walk;
mod environment;
mod error;
mod facts;
pub(crate) mod flow;
mod fork;
pub(crate) mod hooks;
mod machine;
mod outcome;
mod packet;
mod probability;
mod registers;
mod sets;
pub(crate) mod trace;

#[cfg(test)]
mod tests;

pub use environment::Environment;
pub use error::{Fault, SimulateError};
pub use outcome::{Delivery, Effect, Fate, Outcome, Outcomes, Receiver, TracedOutcome};
pub use packet::{Connection, Origin, Packet};
pub use probability::Probability;
pub use trace::Step;

use chain_walk::Walk;
use flow::Ways;
use hooks::Passage as _;
use trace::{Path, Trail};

use crate::ruleset::{Ruleset, Table};

/// How many chains a packet can be in at once, a base chain included: a jump or goto to one more is refused by the
/// kernel (`NFT_JUMP_STACK_SIZE`, `nft_chain_validate`).
pub const MAX_CHAINS: usize = 16;

/// How many instructions are executed, over all ways of a packet, before the simulation gives up.
pub const STEP_LIMIT: u64 = 1 << 22;

/// Gives every possible outcome of a packet.
///
/// # Errors
///
/// Where a rule on the packet's way could not be loaded into a kernel, or asks for what is not modelled.
pub fn simulate(
    ruleset: &Ruleset,
    environment: &Environment,
    packet: &Packet,
) -> Result<Outcomes, SimulateError> {
    let ways = walk::<()>(ruleset, environment, packet)?;
    Ok(ways.into_iter().map(|(outcome, way)| (outcome, way.probability)).collect())
}

/// Gives every possible outcome of a packet and a way that leads to it, the most likely outcome first.
///
/// # Errors
///
/// As [`simulate`].
pub fn trace(
    ruleset: &Ruleset,
    environment: &Environment,
    packet: &Packet,
) -> Result<Vec<TracedOutcome>, SimulateError> {
    Ok(traced(walk::<Path>(ruleset, environment, packet)?))
}

/// The outcomes of a walk, the most likely first.
pub(crate) fn traced(ways: Ways<Outcome, Path>) -> Vec<TracedOutcome> {
    let traced = ways.into_iter().map(|(outcome, way)| TracedOutcome {
        outcome,
        probability: way.probability,
        path: way.trail.steps(),
    });
    let mut traced: Vec<TracedOutcome> = traced.collect();
    traced.sort_by(|a, b| b.probability.cmp(&a.probability));
    traced
}

fn walk<T: Trail>(
    ruleset: &Ruleset,
    environment: &Environment,
    packet: &Packet,
) -> Result<Ways<Outcome, T>, SimulateError> {
    let family = packet.family()?;
    let none = Table::default();
    let table = ruleset.tables.get(&family).unwrap_or(&none);
    let budget = Budget::new();
    let mut walk = Walk { family, table, packet, environment, budget, outcomes: Ways::default() };
    walk.run()?;
    Ok(walk.outcomes)
}

/// How many more instructions may be executed.
pub(crate) struct Budget(u64);

impl Budget {
    pub(crate) fn new() -> Self {
        Self(STEP_LIMIT)
    }

    pub(crate) fn spend(&mut self, steps: u64) -> Result<(), Fault> {
        self.0 = self.0.checked_sub(steps).ok_or(Fault::TooManySteps)?;
        Ok(())
    }
}

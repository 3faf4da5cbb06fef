//! The verifier: what every ruleset of ours fulfils before it is printed, encoded or simulated.
//!
//! 1. Names of chains and sets begin with a letter, hold letters, digits, `/`, `-`, `_` and `.`, and fit the kernel.
//! 2. Comments fit the kernel and hold nothing that ends a string in nft.
//! 3. Every chain and set that a rule or an element refers to exists; base chains are never jumped to.
//! 4. Jumps form no loop and are at most [`MAX_JUMPS`] deep.
//! 5. Keys, ends and data are as long as their set declares; a range ends at or behind its beginning in every field.
//! 6. A rule reads only registers that it wrote, and stays within the register file.
//! 7. A lookup takes data only from a map, verdicts only from a verdict map, an update only from a dynamic map.
//! 8. DNAT can be reached only from `nat` chains at prerouting or output, masquerading only at postrouting, and a
//!    rejection only at input, forward, output or prerouting, as the kernel demands.
//! 9. A verdict, a rejection or NAT is the last expression of its rule.
//! 10. Where connections are counted, every frontend has its counter, with the same name on it, and so has every backend that
//!     it leads to; there is no counter without a frontend.
//!
//! The kernel would refuse most of the others as well, but late, and without saying which Service is at fault.

mod chains;
mod counters;
mod registers;
mod sets;

use thiserror::Error;

use crate::name::Name;
use crate::net::Family;
use crate::ruleset::Ruleset;

/// How deep jumps may lead: a base chain and what it leads to are at most 16 chains (`NFT_JUMP_STACK_SIZE`).
pub const MAX_JUMPS: usize = 15;

/// A ruleset that the compiler should never have made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("table {} svcnat, {place}: {fault}", family.keyword())]
pub struct Violation {
    /// Which table.
    pub family: Family,
    /// The chain, rule, set or element, for people.
    pub place: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// Invariant 1.
    #[error("the name is not one that nft accepts")]
    Name,
    /// Invariant 2.
    #[error("the comment is too long or holds a quotation mark or a control character")]
    Comment,
    /// Invariant 3.
    #[error("there is no set {0}")]
    NoSet(Name),
    /// Invariant 3.
    #[error("there is no regular chain {0}")]
    NoChain(Name),
    /// Invariant 4.
    #[error("jumps loop or are more than {MAX_JUMPS} deep")]
    Depth,
    /// Invariant 5.
    #[error("the key, its end or the data does not fit the declaration of the set")]
    Element,
    /// Invariant 6.
    #[error("a register is read that nothing was written to, or lies beyond the last one")]
    Register,
    /// Invariant 7.
    #[error("set {0} is used as what it is not")]
    SetUse(Name),
    /// Invariant 8.
    #[error("{0} can be reached from hook {1}, where it is not allowed")]
    Hook(&'static str, &'static str),
    /// Invariant 9.
    #[error("an expression follows one that ends the rule")]
    AfterEnd,
    /// Invariant 10.
    #[error("its connections are not counted, or for another Service")]
    Uncounted,
    /// Invariant 10.
    #[error("it counts connections of no frontend")]
    StrayCounter,
}

/// Checks all invariants; returns every violation, in the order of the ruleset.
#[must_use]
pub fn verify(ruleset: &Ruleset) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (&family, table) in &ruleset.tables {
        let mut report = |place: String, fault| violations.push(Violation { family, place, fault });
        sets::check(table, &mut report);
        chains::check(table, &mut report);
        registers::check(family, table, &mut report);
    }
    counters::check(ruleset, &mut |family, place, fault| violations.push(Violation { family, place, fault }));
    violations
}

type Report<'r> = dyn FnMut(String, Fault) + 'r;

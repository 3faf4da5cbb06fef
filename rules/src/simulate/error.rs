//! Why a packet's way cannot be told.

use std::net::SocketAddr;

use thiserror::Error;

use super::STEP_LIMIT;
use crate::name::Name;
use crate::ruleset::{Header, Hook, Register};

/// Why a simulation has no result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SimulateError {
    /// The packet is impossible.
    #[error("a packet has addresses of one family, but this one goes from {from} to {to}")]
    MixedFamilies {
        /// The packet's source.
        from: SocketAddr,
        /// The packet's destination.
        to: SocketAddr,
    },
    /// A chain of type nat at a hook that has none; the kernel refuses it.
    #[error("chain {chain} is of type nat, which hook forward does not have")]
    NatAtForward {
        /// The chain.
        chain: Name,
    },
    /// A rule cannot be executed.
    #[error("chain {chain}, rule {}: {fault}", .rule + 1)]
    Rule {
        /// Its chain.
        chain: Name,
        /// Its index in the chain, from 0.
        rule: usize,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// What is wrong with a rule. But for the last two, the kernel refuses such rules when they are loaded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// There is no such set.
    #[error("there is no set {0}")]
    MissingSet(Name),
    /// There is no such chain.
    #[error("there is no chain {0}")]
    MissingChain(Name),
    /// Base chains are the kernel's to enter.
    #[error("{0} is a base chain and cannot be jumped to")]
    JumpToBaseChain(Name),
    /// `NFT_JUMP_STACK_SIZE`.
    #[error("the way to chain {0} is more than {max} chains long, or goes in a circle", max = super::MAX_CHAINS)]
    TooDeep(Name),
    /// An operand lies outside of the register file.
    #[error("{len} bytes from register word {} do not lie within the registers", .register.word())]
    OutsideRegisters {
        /// Where the operand begins.
        register: Register,
        /// How long it is in bytes; 0 is also wrong.
        len: usize,
    },
    /// An operand was not loaded by the rule.
    #[error("{len} bytes from register word {} are read, but this rule has not loaded them all", .register.word())]
    UnsetRegister {
        /// Where the operand begins.
        register: Register,
        /// How long it is in bytes.
        len: usize,
    },
    /// Two values that belong together have different lengths.
    #[error("{what} has {found} bytes where {expected} belong")]
    WrongLength {
        /// Which value.
        what: &'static str,
        /// How long it is.
        found: usize,
        /// How long it should be.
        expected: usize,
    },
    /// A set is used as something that it is not.
    #[error("set {set} is used as {used_as}, which it is not")]
    WrongKind {
        /// The set.
        set: Name,
        /// What the rule takes it for.
        used_as: &'static str,
    },
    /// A draw among no numbers.
    #[error("numgen draws below 0")]
    EmptyDraw,
    /// A statement that this hook or chain type does not allow.
    #[error("{statement} is not possible in a {kind} chain of hook {}", .hook.keyword())]
    Misplaced {
        /// The statement.
        statement: &'static str,
        /// The type of the base chain that leads here.
        kind: &'static str,
        /// Its hook.
        hook: Hook,
    },
    /// The rule reads bytes of the packet that the simulator knows nothing about.
    #[error("bytes {offset} to {} of the {} header are not known", usize::from(*.offset) + usize::from(*.len), match .header { Header::Network => "network", Header::Transport => "transport" })]
    UnknownBytes {
        /// Which header.
        header: Header,
        /// The first byte.
        offset: u8,
        /// How many.
        len: u8,
    },
    /// The packet's possible ways are too many.
    #[error("gave up after {STEP_LIMIT} instructions: the packet has too many possible ways")]
    TooManySteps,
}

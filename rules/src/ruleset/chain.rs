//! Chains, their hooks and their rules.

use std::fmt;

use super::Expr;
use crate::name::Name;

/// A chain of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// Where the kernel enters it; `None` for a regular chain, which is only jumped to.
    pub hook: Option<BaseHook>,
    /// Its rules in order.
    pub rules: Vec<Rule>,
}

/// One rule: expressions that are evaluated in order until one does not match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// What the kernel executes.
    pub exprs: Vec<Expr>,
    /// A comment for people, at most [`MAX_COMMENT`](super::MAX_COMMENT) bytes.
    pub comment: Option<Name>,
}

/// What makes a chain a base chain. The policy is always `accept`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseHook {
    /// The chain's type.
    pub kind: ChainType,
    /// The hook.
    pub hook: Hook,
    /// The order among the chains of the hook, lowest first.
    pub priority: i32,
}

/// The type of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainType {
    /// `filter`: sees every packet.
    Filter,
    /// `nat`: sees the first packet of each connection.
    Nat,
}

impl ChainType {
    /// The keyword after `type`, also the kernel's name for it.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
        }
    }
}

/// A netfilter hook of the IP families (`enum nf_inet_hooks`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// Every incoming packet, before routing.
    Prerouting,
    /// Packets for this host.
    Input,
    /// Packets for others.
    Forward,
    /// Packets of local processes.
    Output,
    /// Every outgoing packet, after routing.
    Postrouting,
}

impl Hook {
    /// Every hook.
    pub const ALL: [Self; 5] =
        [Self::Prerouting, Self::Input, Self::Forward, Self::Output, Self::Postrouting];

    /// The kernel's number (`NF_INET_PRE_ROUTING` and so on).
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Input => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }

    /// The keyword after `hook`.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        }
    }
}

/// Where a packet goes next.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Passes this hook.
    Accept,
    /// Is thrown away.
    Drop,
    /// Goes on in the chain that jumped here.
    Return,
    /// Goes on in that chain and comes back.
    Jump(Name),
    /// Goes on in that chain and does not come back here.
    Goto(Name),
}

impl Verdict {
    /// The chain that it leads to.
    #[must_use]
    pub fn chain(&self) -> Option<&Name> {
        match self {
            Self::Jump(chain) | Self::Goto(chain) => Some(chain),
            Self::Accept | Self::Drop | Self::Return => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Return => f.write_str("return"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

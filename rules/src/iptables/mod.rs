//! The iptables back end: the same routes as iptables rules, for nodes whose kernel or neighbours still need them.
//!
//! [`compile`] gives the rules of both families; they can be verified, printed for `iptables-restore`, compared with
//! what `iptables-save` says is there, and simulated.
//!
//! # The rules
//!
//! Chains of ours have names that begin with [`PREFIX`]; built-in chains hold nothing of ours but jumps, in front of the
//! rules of others. A dash at the end of a name stands for a Service's port or an address.
//!
//! | table | built-in chains | chain | what it does |
//! |---|---|---|---|
//! | mangle | PREROUTING, OUTPUT | `SVCNAT-SOURCES`, `SVCNAT-FW-` | drops what `loadBalancerSourceRanges` forbid |
//! | nat | PREROUTING, OUTPUT | `SVCNAT-SERVICES` | finds the address, else the node port |
//! | | | `SVCNAT-IP-` | one address: its ports |
//! | | | `SVCNAT-TO-CLUSTER-IP` | before that, masquerading of what no pod sends to a ClusterIP |
//! | | | `SVCNAT-NODE-PORTS` | finds the node port |
//! | | | `SVCNAT-EXT-` | connections from outside: external policy, masquerading |
//! | | | `SVCNAT-SVC-`, `SVCNAT-SVL-` | picks one of all backends, one of this node's |
//! | filter | INPUT, FORWARD, OUTPUT | `SVCNAT-NO-ENDPOINTS` | refuses frontends without backends |
//! | | FORWARD, OUTPUT | `SVCNAT-CLUSTER-IPS` | refuses other ports of ClusterIPs, drops unallocated ones |
//! | nat | POSTROUTING | `SVCNAT-POSTROUTING`, `SVCNAT-HAIRPIN` | masquerades what was marked, and hairpins |
//!
//! Backends are drawn one rule after the other, the k-th of n with the probability 1/(n-k+1), in steps of 1/2^31. Session
//! affinity is a list of `-m recent` for each backend of a service port. It holds at most 100 clients (the parameter
//! `ip_list_tot` of the kernel module `xt_recent`); one more replaces the one that was idle for longest.
//!
//! # What differs from nftables
//!
//! - A new connection is compared with one address after the other, so it costs in proportion to the Services.
//! - A client keeps its backend over all frontends of a service port, as with kube-proxy.
//! - Tables and families are committed one after the other. They are ordered so that a packet in between meets the old or
//!   the new state or a refusal, never a Service that is not its own.

mod as_nftables;
mod chain;
mod compile;
mod diff;
mod fragment;
mod installed;
mod listing;
mod lower;
pub(crate) mod names;
mod parse;
mod program;
mod rule;
mod script;
mod simulate;
mod verify;

pub use as_nftables::as_nftables;
pub use chain::{Chain, Ruleset, Table, TableName, built_in};
pub(crate) use compile::fold;
pub use compile::{Collision, Compiled, compile};
pub use diff::{Change, Edit, Summary, TableChange, Written, diff};
pub use fragment::{Claim, Entry, Fragment, OwnChain, SharedChain};
pub use installed::{Installed, InstalledRule, InstalledTable, Jump};
pub use listing::Section;
pub use lower::lower;
pub use names::{MAX_CHAIN, PREFIX};
pub use parse::{ParseError, parse};
pub use rule::{AddressType, Interface, Match, Odds, Recent, Rule, State, Target};
pub use script::{heading, script};
pub use simulate::{simulate, trace};
pub use verify::{Fault, Violation, verify};

//! The pure compiler from Kubernetes Services to netfilter rules.
//!
//! State of the cluster goes in, a typed ruleset comes out; the ruleset can be printed as an nft script, verified and
//! compared with another. Nothing here does I/O, looks at a clock, is unsafe or calls a C library.

pub mod cluster;
pub mod compile;
pub mod config;
pub mod describe;
pub mod diff;
pub mod engine;
pub mod explain;
pub mod flows;
pub mod hash;
pub mod installed;
pub mod iptables;
pub mod layout;
pub mod name;
pub mod net;
pub mod nft;
mod parallel;
pub mod patch;
pub mod resolve;
pub mod route;
pub mod ruleset;
#[cfg(feature = "serde")]
mod serial;
pub mod simulate;
pub mod stages;
pub mod transaction;
pub mod verify;

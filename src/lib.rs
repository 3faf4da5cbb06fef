//! svcnat: Kubernetes Services as nftables rules.
//!
//! The rules themselves are the business of the crate `svcnat_rules`; this crate has what surrounds it: sources of
//! cluster state, kernel back ends, the command line.

pub mod addresses;
pub mod agent;
pub mod agent_api;
pub mod cli;
mod compiler;
pub mod connections;
pub mod conntrack;
pub mod convert;
pub mod folder;
pub mod http;
pub mod iptables;
pub mod kube_proxy;
pub mod kubernetes;
pub mod manifests;
pub mod memory;
pub mod metrics;
pub mod netlink;
mod other_mode;
pub mod page;
pub mod preflight;
pub mod program;
pub mod settings;
pub mod source;
pub mod stale;
pub mod state_file;
pub mod sysctl;
pub mod trace;

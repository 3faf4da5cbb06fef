//! How the agent fares.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What an agent does and has done. Times are RFC 3339, durations seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// [`API_VERSION`](super::API_VERSION).
    pub api_version: String,
    /// svcnat's version.
    pub version: String,
    /// The node that the rules are for.
    pub node: String,
    /// Where the state of the cluster comes from: `kubernetes` or `manifests`.
    pub source: String,
    /// The packet filter: `nftables` or `iptables`.
    pub mode: String,
    /// The layout in force, `chains` or `maps`, and before there is one `null`.
    pub layout: Option<String>,
    /// Whether the kernel protects the tables from everybody else.
    pub owns_tables: bool,
    /// Whether the kernel holds what it should.
    pub state: State,
    /// What is wrong, where something is: a sentence without a full stop.
    pub problem: Option<String>,
    /// Whether load balancers should send traffic to this node, as its Node has it.
    pub eligible: bool,
    /// When the agent was started.
    pub started: Timestamp,
    /// The latest transaction or comparison that ended well.
    pub last_sync: Option<LastSync>,
    /// Changes that have come and are not in force.
    pub pending: usize,
    /// How much rules are kept for.
    pub counts: Option<Counts>,
    /// How often the tables were mended, since the start.
    pub repairs: Repairs,
    /// How often a transaction or a comparison has failed, since the start.
    pub failures: u64,
}

/// Whether the kernel holds what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Not all that exists has been told yet; the kernel holds what an earlier agent left.
    Waiting,
    /// It does.
    InStep,
    /// It may hold something else; everything is read back, compared and mended.
    OutOfStep,
}

/// The latest transaction or comparison that ended well.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastSync {
    /// When it ended.
    pub time: Timestamp,
    /// How long it took.
    pub seconds: f64,
    /// Whether everything was compared with the kernel, rather than changed where the cluster has changed.
    pub full: bool,
    /// How many operations were sent; 0 where nothing had to be.
    pub operations: usize,
    /// How many bytes were sent.
    pub bytes: usize,
}

/// How much rules are kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Services that want rules.
    pub services: usize,
    /// Addresses and ports where clients connect.
    pub frontends: usize,
    /// Backends of all service ports.
    pub backends: usize,
    /// Frontends that more than one Service wants.
    pub conflicts: usize,
}

/// How often the tables were mended, by the reason for looking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Repairs {
    /// A transaction was refused.
    pub transaction_failed: u64,
    /// Somebody else had changed the tables.
    pub changed_by_others: u64,
    /// The comparison from time to time found a difference.
    pub resync: u64,
}

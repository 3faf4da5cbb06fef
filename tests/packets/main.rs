//! Services in the kernel, proven with real packets: manifests are applied by the `svcnat` program, or rulesets by the
//! netlink back end, to nodes of a laboratory, and what clients see is compared with what Services promise.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod affinity;
mod changes;
mod counters;
mod differential;
mod frontends;
mod manifests;
mod policies;
mod refusals;
mod spread;
mod stage;

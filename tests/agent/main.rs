//! `svcnat agent` as a node runs it: the real program, against an API server that misbehaves on command or a folder, in
//! network namespaces of its own. What it must come to is what a full compile makes of the same objects.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "clippy does not see that helpers are tests"
)]

#[path = "../agent_support/mod.rs"]
mod agent_support;
mod away;
mod changes;
mod configuration;
mod connections;
mod flows;
mod folder;
mod health;
mod iptables;
mod loss;
mod questions;
mod start;

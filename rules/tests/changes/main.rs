//! Changes: what leads from one ruleset to another, tried on a strict fake kernel.

#![allow(clippy::unwrap_used, reason = "clippy does not see that helpers are tests")]

mod cluster;
mod counts;
mod diff;
mod engine;
#[path = "../facts/mod.rs"]
mod facts;
mod fake_kernel;
mod foreign;
mod stages;

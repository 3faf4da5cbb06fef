//! The netlink back end against the running kernel, in network namespaces of the tests' own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy does not see that helpers are tests"
)]

mod batches;
mod commit;
mod foreign;
mod large_maps;
mod namespace;
mod owning;
mod refusals;
mod rehearsal;
mod round_trip;
mod simulated;

//! The command line as operators meet it: the real binary, in network namespaces of its own, with good and bad input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy does not see that helpers are tests"
)]

mod apply;
mod bad_input;
mod check;
mod foreign;
mod help;
mod iptables;
mod privilege;
mod sandbox;
mod shells;

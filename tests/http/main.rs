//! What svcnat answers over HTTP, and where: real sockets in network namespaces of the tests' own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy does not see that helpers are tests"
)]

mod addresses;
mod flood;
mod health_checks;
mod page;
mod servers;
mod support;

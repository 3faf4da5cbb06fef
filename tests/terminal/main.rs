//! What is drawn on terminals, by the real program: `svcnat top`, and how far long work is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy does not see that helpers are tests"
)]

#[path = "../agent_support/mod.rs"]
mod agent_support;
mod progress;
#[path = "../pty_support/mod.rs"]
mod pty_support;
mod top;

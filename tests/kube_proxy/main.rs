//! `svcnat cleanup --kube-proxy` on nodes as kube-proxy leaves them, beside what others have there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy does not see that helpers are tests")]

mod modes;
mod node;
#[path = "../cli/sandbox.rs"]
#[allow(dead_code, clippy::expect_used, reason = "it serves the tests of other commands too")]
mod sandbox;

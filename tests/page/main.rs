//! The agent's page in a browser: the real agent with a folder of manifests, and headless Chromium, in a network namespace of each
//! test's own. What the page says is held against what commands say.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy does not see that helpers are tests"
)]

#[path = "../agent_support/mod.rs"]
mod agent_support;
mod browser;
mod connections;
mod looks;
mod many;
mod questions;
mod scene;
mod services;
mod text;
mod trace;

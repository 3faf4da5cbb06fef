//! State from the Kubernetes API, from the test suite's own server, which misbehaves on command.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod agent;
mod connection;
mod events;
mod faults;
mod kinds;
mod paging;
mod permissions;
mod restarts;
mod silence;

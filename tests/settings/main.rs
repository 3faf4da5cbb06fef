//! Configuration files and flags, and the settings that they come to.
//!
//! `tests/settings/cases/NAME` has a file, flags or both; `expected` is what they say: the settings as a configuration file
//! and the notes, or the errors. `BLESS=1 cargo test --test settings` writes it anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cases;
mod flags;
mod round_trip;

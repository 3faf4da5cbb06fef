//! The iptables rules: every invariant of their verifier is broken once, changes lead where they should on a strict fake of
//! `iptables-restore`, and cost what they should.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy does not see that helpers are tests")]

mod changes;
mod fake_restore;
mod verify;

//! Services and their backends in a few words, for people and their programs: what is asked for, and what becomes of it
//! on this node.
//!
//! It is taken from the objects ([`services`], [`backends_of`]) or, with gaps, from the rules alone ([`Listed`]). The types
//! are data: with the feature `serde`, they are the JSON that commands print and the agent answers. Their shape is
//! stable: members may be added, but none is taken away or changes its meaning. What is not known is `None`, in JSON
//! `null`, never absent.

mod backend;
mod cluster;
mod counted;
mod listed;
mod service;

pub use backend::{BackendSummary, Use, backends};
pub use cluster::{backends_of, services};
pub use counted::{Counted, counted};
pub use listed::{Listed, service_port};
pub use service::{BackendCount, ConflictSummary, PortSummary, ServiceSummary, service};

//! Which traces of earlier connections have become stale: tracked flows that a changed Service would now send elsewhere,
//! and remembered clients whose backend is gone.
//!
//! NAT looks at the first packet of a connection only, so a UDP client that keeps its socket would talk to its old
//! backend for ever. What must go follows from two tables of [`Frontends`], before the change and after it, both taken
//! from rulesets: the one that the kernel held and the one that it holds now. [`Looked`] says where looking is worth
//! the while, [`is_stale`] and [`is_misled`] decide about one flow and one remembered client.
//!
//! A flow is stale
//! - if its destination is a frontend and its backend is not one that the frontend gives this client now;
//! - if its destination is a frontend that has backends for this client, and it was not translated at all: it is
//!   older than the frontend, or than its first backend;
//! - if its destination was a frontend before, is none now, and its backend was one of that frontend's.
//!
//! Of TCP flows only those are stale whose backend is no endpoint of the Service any more ([`Endpoints`]): a pod that
//! terminates finishes what it began. A remembered client is stale if its frontend does not give it that backend now, or was
//! one before and is none now. What is at no frontend of either table is another Service's: both may be of a part only.
//!
//! Which backends a frontend gives a client is what the rules say (externalTrafficPolicy Local knows two kinds of
//! clients), as far as the client's address decides it. Where the incoming interface does, which conntrack does not
//! note, every backend counts that the client may have been given.

mod change;
mod endpoints;
mod follow;
mod frontends;
mod guard;
mod judge;
mod node_ports;
mod value;
mod way;

pub use change::Looked;
pub use endpoints::Endpoints;
pub use frontends::read_key;
pub use frontends::{Client, Frontend, Frontends};
pub use judge::{Flow, Judge, Remembered, is_misled, is_stale};
pub use node_ports::node_port_addresses;
pub use value::read_backend;

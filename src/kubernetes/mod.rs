//! State from the Kubernetes API: watches what rules are made of and tells it as [`News`](crate::source::News).
//!
//! [`run`] watches Services, EndpointSlices (Endpoints where slices are not served), this node's Node and ServiceCIDRs,
//! and never gives up: while the API server is away nothing is told, and what disappeared meanwhile is told after the
//! next list. Connections, TLS and credentials are the business of the crate `kube`.
//!
//! Lists and watches are put together here rather than by `kube::runtime::watcher`, which lists from any state or from
//! the latest only: the first can take a node back in time where a server lags behind, the second costs the control
//! plane dearly when a thousand nodes come back at once. What `watch.rs` asks for is what kube-proxy's client asks for:
//! nothing older than what was seen, from the server's cache.
//!
//! Of an object no more is kept than its name, its version and what was told of it.

mod answer;
mod client;
mod events;
mod failure;
mod handle;
mod kinds;
mod ledger;
mod list;
mod object;
mod outlet;
mod reporter;
mod run;
mod silence;
#[cfg(test)]
mod tests;
mod watch;

pub use client::{ClientError, ClientSettings, Connection};
pub use handle::{Handle, Resource, ResourceStatus};
pub use reporter::{Regarding, Report, Reporter, Severity};
pub use run::{Known, Options, run};

//! A Kubernetes API server for tests: what svcnat asks a real one, answered as a real one answers, from objects that the
//! test applies; and misbehaviour on command.
//!
//! ```
//! use serde_json::json;
//! use svcnat_apiserver::{ApiServer, Fault, On, Options, Resource, Times};
//!
//! # fn main() -> svcnat_apiserver::Result<()> {
//! let server = ApiServer::start(&Options::default())?;
//! server.apply(json!({
//!     "kind": "Service",
//!     "metadata": { "name": "web", "namespace": "shop" },
//!     "spec": { "clusterIP": "10.96.0.7", "ports": [{ "port": 80 }] },
//! }))?;
//! // Whoever lists Services next is told to come back in two seconds.
//! let busy = svcnat_apiserver::Failure::TooManyRequests { retry_after: 2 };
//! server.fault(On::list(Resource::Services), Times::Next(1), Fault::Status(busy));
//! let kubeconfig = server.kubeconfig();
//! # Ok(())
//! # }
//! ```
//!
//! # Whom it resembles
//!
//! A kube-apiserver 1.36. `recorded/` has what one answered, and `tests/recorded.rs` holds our answers against that.
//! The names of the parameters and what they mean are those of
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/>. Answers are JSON, as compact as programs get them, and never
//! compressed.
//!
//! # Versions
//!
//! One counter numbers the changes of all resources, as in etcd. The last [`HISTORY`] changes of each resource are
//! kept; who asks for what was before them is told 410 Expired.

mod answer;
mod body;
mod certificates;
mod continue_token;
mod defaults;
mod discovery;
mod error;
mod fault;
mod kubeconfig;
mod list;
mod managed_fields;
mod object;
mod options;
mod posted;
mod query;
mod resource;
mod route;
mod selector;
mod server;
mod shared;
mod status;
mod store;
pub mod synthetic;
mod transport;
mod watch;

pub use error::{Error, Result};
pub use fault::{Fault, On, Times, Verb};
pub use options::{Options, Transport};
pub use posted::Posted;
pub use resource::Resource;
pub use server::ApiServer;
pub use shared::Request;
pub use status::Failure;
pub use store::HISTORY;

//! What a running agent answers on its Unix socket: HTTP/1 with JSON, of this version.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/services` | [`List`] of [`ServiceSummary`], in the order of `namespace/name`; with `?namespace=NAME` only those in it, with `?labelSelector=SELECTOR` only those that a [`LabelSelector`] selects |
//! | `GET /v1/services?watch=true` | the same as a stream of [`WatchEvent`], one a line, without end; a Service that is not selected any more is deleted to whoever watches |
//! | `GET /v1/services/NAMESPACE/NAME/backends` | [`List`] of [`BackendSummary`] |
//! | `GET /v1/connections` | [`List`] of [`FrontendConnections`], by Service, port and frontend; with `?namespace=NAME` only those in it |
//! | `GET /v1/services/NAMESPACE/NAME/connections` | the same of one Service, with backends |
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/trace?protocol=tcp&source=ADDRESS&destination=ADDRESS:PORT` | what becomes of a packet by the rules in force, which are read for it: the object of `svcnat trace -o json` ([`Report`](crate::trace::json::Report)), and in `picture` its ways in SVG; with `&interface=NAME` or `&fromHost=true` as the command has them |
//!
//! Errors have a status code and a [`Complaint`]: 400 for a question that is none, 404 for what there is not, 501 for connections where they
//! are not counted, 503 while the agent has not been told yet all that exists. Commands print the same shapes with `-o json` and
//! `-o yaml`. They are stable as those of [`svcnat_rules::describe`] are. A list of many Services is of several moments; each Service
//! in it is of one.

mod client;
mod connections;
mod selector;
mod status;

use serde::{Deserialize, Serialize};
use svcnat_rules::describe::{BackendSummary, ServiceSummary};

pub use client::{Client, Error};
pub use connections::{BackendConnections, FrontendConnections};
pub use selector::LabelSelector;
pub use status::{Counts, LastSync, Repairs, State, Status};

/// `apiVersion` of every answer.
pub const API_VERSION: &str = "svcnat/v1";

/// Where the agent listens where nothing else is said.
pub const SOCKET: &str = "/run/svcnat/agent.sock";

/// A list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    /// [`API_VERSION`].
    pub api_version: String,
    /// `ServiceList`, `BackendList` or `ConnectionList`.
    pub kind: String,
    /// What is listed.
    pub items: Vec<T>,
}

impl<T> List<T> {
    fn new(kind: &str, items: Vec<T>) -> Self {
        Self { api_version: API_VERSION.to_owned(), kind: kind.to_owned(), items }
    }
}

impl List<ServiceSummary> {
    /// A list of Services.
    #[must_use]
    pub fn services(items: Vec<ServiceSummary>) -> Self {
        Self::new("ServiceList", items)
    }
}

impl List<BackendSummary> {
    /// A list of backends.
    #[must_use]
    pub fn backends(items: Vec<BackendSummary>) -> Self {
        Self::new("BackendList", items)
    }
}

impl List<FrontendConnections> {
    /// A list of frontends with their connections.
    #[must_use]
    pub fn connections(items: Vec<FrontendConnections>) -> Self {
        Self::new("ConnectionList", items)
    }
}

/// A change of a Service. The first ones are all that there are, ended by one [`Change::Synced`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchEvent {
    /// What has happened.
    #[serde(rename = "type")]
    pub change: Change,
    /// The Service as it is; when it is gone, as it was last. `null` for [`Change::Synced`].
    pub object: Option<ServiceSummary>,
}

/// What has happened to a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Change {
    /// It is new to whoever watches.
    Added,
    /// It is different.
    Modified,
    /// It is gone.
    Deleted,
    /// All that existed at the start has been told.
    Synced,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Complaint {
    /// A sentence without a full stop.
    pub message: String,
}

//! Health checks of load balancers: an HTTP server for each Service with a `healthCheckNodePort`, which says how many of
//! the Service's backends are on this node.
//!
//! Status, headers and body are kube-proxy 1.36's (`pkg/proxy/healthcheck/service_health.go`), as is where the servers
//! listen: on the addresses where node ports are served (`nodePortAddresses`), which are followed as they change.

mod claims;
mod listeners;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use svcnat_rules::cluster::Node;
use svcnat_rules::config::Config;
use svcnat_rules::name::ObjectName;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use super::connections::{Audience, Pool};
use super::health::Health;
use super::{JSON, status};
use claims::Claims;
use listeners::{Listeners, Selection};

/// How many connections all health checks have together at a time.
const CONNECTIONS: usize = 128;

const WEIGHT: HeaderName = HeaderName::from_static("x-load-balancing-endpoint-weight");

/// What a Service wants to have answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthCheck {
    /// `spec.healthCheckNodePort`.
    pub port: NonZeroU16,
    /// How many distinct addresses of ready endpoints the Service has on this node.
    pub local_endpoints: usize,
}

/// Why load balancers may not learn of a Service's backends on this node, or of another Service's. Each is told once,
/// until it is over. kube-proxy's event has the reason `FailedToStartServiceHealthcheck` and the action `Listen`.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Nothing can listen there.
    #[error(
        "failed to start healthcheck {service:?} on {address}: {source}; load balancers will send no traffic for it \
         to this node until it can be started, which is tried again and again"
    )]
    Listen {
        /// Whose health check.
        service: ObjectName,
        /// Where; no IP address stands for all of them.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Another Service has the port.
    #[error(
        "failed to start healthcheck {service:?} on port {port}: Service {holder} has the same healthCheckNodePort; \
         the port answers for that one as long as it exists"
    )]
    Taken {
        /// Whose health check.
        service: ObjectName,
        /// `spec.healthCheckNodePort` of both.
        port: NonZeroU16,
        /// The other one.
        holder: ObjectName,
    },
}

impl Problem {
    /// The Service that has it.
    #[must_use]
    pub fn service(&self) -> &ObjectName {
        match self {
            Self::Listen { service, .. } | Self::Taken { service, .. } => service,
        }
    }
}

/// The health checks of all Services. The servers end when this is dropped.
#[derive(Debug)]
pub struct HealthChecks {
    shared: Arc<Shared>,
    selection: watch::Sender<Selection>,
    _task: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    claims: Mutex<Claims>,
    /// Ports were touched.
    changed: Notify,
    health: Health,
    pool: Arc<Pool>,
    problems: mpsc::UnboundedSender<Problem>,
}

impl HealthChecks {
    /// No Service has one yet. `addresses` are this machine's ([`addresses::follow`](crate::addresses::follow)). Must be
    /// called inside a tokio runtime.
    #[must_use]
    pub fn start(
        config: &Config,
        node: Option<&Node>,
        addresses: watch::Receiver<BTreeSet<IpAddr>>,
        health: Health,
    ) -> (Self, mpsc::UnboundedReceiver<Problem>) {
        let (problems, told) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            claims: Mutex::default(),
            changed: Notify::new(),
            health,
            pool: Pool::new(CONNECTIONS, Audience::Everybody),
            problems,
        });
        let (selection, selected) = watch::channel(Selection::new(config, node));
        let mut task = JoinSet::new();
        task.spawn(Listeners::new(Arc::clone(&shared)).run(selected, addresses));
        (Self { shared, selection, _task: task }, told)
    }

    /// What a Service wants by now; `None` where it has no `healthCheckNodePort`, or is gone. The next answer has it.
    /// The work for it does not grow with the number of Services.
    pub fn set(&self, service: &ObjectName, check: Option<HealthCheck>) {
        let holder = self.shared.claims().set(service, check);
        if let (Some(holder), Some(HealthCheck { port, .. })) = (holder, check) {
            self.shared.tell(Problem::Taken { service: service.clone(), port, holder });
        }
        self.shared.changed.notify_one();
    }

    /// The options or the Node are different, so node ports may be served elsewhere.
    pub fn select(&self, config: &Config, node: Option<&Node>) {
        let selection = Selection::new(config, node);
        self.selection.send_if_modified(|known| {
            let modified = *known != selection;
            *known = selection;
            modified
        });
    }
}

impl Shared {
    fn claims(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody has to listen.
    fn tell(&self, problem: Problem) {
        _ = self.problems.send(problem);
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    service: ServiceName<'a>,
    local_endpoints: usize,
    service_proxy_healthy: bool,
}

#[derive(Serialize)]
struct ServiceName<'a> {
    namespace: &'a str,
    name: &'a str,
}

/// Answers whatever is asked, as kube-proxy does: load balancers differ in the path that they ask for.
async fn answer(State((shared, port)): State<(Arc<Shared>, NonZeroU16)>) -> Response {
    let holder = shared.claims().holder(port).map(|(service, endpoints)| (service.clone(), endpoints));
    // The last Service is gone, and so is the server in a moment.
    let Some((service, local_endpoints)) = holder else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let healthy = shared.health.is_healthy();
    let body = Body {
        service: ServiceName { namespace: service.namespace(), name: service.name() },
        local_endpoints,
        service_proxy_healthy: healthy,
    };
    let mut text = Vec::with_capacity(256);
    let formatter = PrettyFormatter::with_indent(b"\t");
    if body.serialize(&mut Serializer::with_formatter(&mut text, formatter)).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let weight = [(WEIGHT, local_endpoints.to_string())];
    (status(healthy && local_endpoints > 0), JSON, weight, text).into_response()
}

//! The servers for health, for metrics and for the page.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::connections::{Audience, Pool, serve};
use super::health::{Health, Verdict};
use super::listen::listen;
use super::{JSON, status};
use crate::metrics::{self, Metrics};

/// How often a port that is taken is tried again; kube-proxy's interval.
const RETRY: Duration = Duration::from_secs(5);

/// How many connections a server has at a time.
const CONNECTIONS: usize = 64;

/// Where to listen.
#[derive(Debug, Clone, Copy)]
pub struct Bind {
    /// The address; `0.0.0.0` and `::` both stand for all of both families.
    pub address: SocketAddr,
    /// Whether it is an error that the port is taken (`--bind-address-hard-fail`), instead of a reason to try again.
    pub hard_fail: bool,
}

/// Why a server was not started.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address} for {purpose}: {source}; stop what listens there (`ss -ltnp`), or choose another \
     address by {purpose}BindAddress or --{purpose}-bind-address"
)]
pub struct Error {
    /// Where.
    pub address: SocketAddr,
    purpose: &'static str,
    source: io::Error,
}

/// A server. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    _task: JoinSet<()>,
}

impl Server {
    /// Serves `/healthz`, `/livez` and `/readyz` (`healthzBindAddress`, kube-proxy's default being `0.0.0.0:10256`); see
    /// [`health`](super::health). Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// If nothing can listen there, and [`Bind::hard_fail`] is set. Otherwise there is a warning, and it is tried again.
    pub fn health(bind: Bind, health: Health, metrics: Metrics) -> Result<Self, Error> {
        let router = Router::new()
            .route("/healthz", any(healthz))
            .route("/livez", any(livez))
            .route("/readyz", any(readyz))
            .with_state((health, metrics));
        Self::start("healthz", bind, router, Audience::Everybody)
    }

    /// Serves `/metrics`, `/healthz`, `/proxyMode` and `/configz` (`metricsBindAddress`, kube-proxy's default being
    /// `127.0.0.1:10249`). `configuration` is the `KubeProxyConfiguration` in force. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// As [`Server::health`].
    pub fn metrics(
        bind: Bind,
        metrics: Metrics,
        configuration: watch::Receiver<serde_json::Value>,
    ) -> Result<Self, Error> {
        let router = Router::new()
            .route("/metrics", any(metrics_text))
            .with_state(metrics)
            .route("/configz", any(configz))
            .route("/proxyMode", any(proxy_mode))
            .with_state(configuration)
            .route("/healthz", any(async || text("ok")));
        Self::start("metrics", bind, router, Audience::Everybody)
    }

    /// Serves the page (`pageBindAddress`, none by default) to processes of this host; see [`page::router`](crate::page::router).
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// As [`Server::health`].
    pub fn page(bind: Bind, router: Router) -> Result<Self, Error> {
        Self::start("page", bind, router, Audience::ThisHost)
    }

    fn start(purpose: &'static str, bind: Bind, router: Router, audience: Audience) -> Result<Self, Error> {
        let pool = Pool::new(CONNECTIONS, audience);
        let mut task = JoinSet::new();
        match listen(bind.address) {
            Ok(listener) => {
                task.spawn(serve(listener, router, pool));
            }
            Err(source) => {
                let error = Error { address: bind.address, purpose, source };
                if bind.hard_fail {
                    return Err(error);
                }
                tracing::warn!("{error}; trying again every {RETRY:?}");
                task.spawn(async move {
                    let listener = loop {
                        sleep(RETRY).await;
                        if let Ok(listener) = listen(bind.address) {
                            break listener;
                        }
                    };
                    tracing::info!("listening on {} for {purpose}", bind.address);
                    serve(listener, router, pool).await;
                });
            }
        }
        Ok(Self { _task: task })
    }
}

async fn healthz(State((health, metrics)): State<(Health, Metrics)>) -> Response {
    let verdict = health.healthz();
    metrics.healthz_answered(counted(&verdict));
    answer(&verdict)
}

async fn livez(State((health, metrics)): State<(Health, Metrics)>) -> Response {
    let verdict = health.livez();
    metrics.livez_answered(counted(&verdict));
    answer(&verdict)
}

fn counted(verdict: &Verdict) -> metrics::Status {
    if verdict.good { metrics::Status::Ok } else { metrics::Status::Unavailable }
}

fn answer(verdict: &Verdict) -> Response {
    (status(verdict.good), JSON, Json(&verdict.body)).into_response()
}

async fn readyz(State((health, _)): State<(Health, Metrics)>) -> Response {
    let ready = health.is_ready();
    let words = if ready { "ok" } else { "no complete ruleset is in force yet" };
    (status(ready), text(words)).into_response()
}

async fn metrics_text(State(metrics): State<Metrics>) -> Response {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.refreshed_text().await).into_response()
}

/// The key is the one under which kube-proxy registers its configuration.
async fn configz(State(configuration): State<watch::Receiver<serde_json::Value>>) -> Response {
    let configuration = configuration.borrow().clone();
    (JSON, Json(serde_json::json!({ "kubeproxy.config.k8s.io": configuration }))).into_response()
}

async fn proxy_mode(State(configuration): State<watch::Receiver<serde_json::Value>>) -> Response {
    let configuration = configuration.borrow();
    text(configuration.get("mode").and_then(serde_json::Value::as_str).unwrap_or_default())
}

fn text(words: &str) -> Response {
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, words.to_owned()).into_response()
}

//! Asking an agent.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use form_urlencoded::Serializer;
use futures::StreamExt as _;
use http::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use svcnat_rules::describe::{BackendSummary, ServiceSummary};
use svcnat_rules::name::ObjectName;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::{Complaint, FrontendConnections, LabelSelector, List, Status, WatchEvent};

/// How long an answer may take; an agent that is alive lists 100,000 Services in a fraction of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest answer in bytes: that of a million Services.
const MAX_BYTES: usize = 1 << 30;

/// Why an agent has not answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens.
    #[error(
        "no svcnat agent answers at {}: {source}; --socket names another place, -f takes manifests, and --kernel shows what \
         the rules in the kernel tell",
        .path.display()
    )]
    NoAgent {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Only root may ask, and whoever the agent runs as.
    #[error("not permitted to ask the svcnat agent at {}: run as root", .path.display())]
    Privilege {
        /// The socket.
        path: PathBuf,
    },
    /// The agent has no answer.
    #[error("the svcnat agent says: {0}")]
    Refused(String),
    /// What was asked for is not there.
    #[error("{0}")]
    NotFound(String),
    /// Something else than an agent of this version answers, or the connection is lost.
    #[error("the svcnat agent at {} does not answer as expected: {reason}", .path.display())]
    Unexpected {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Asks the agent behind a socket. Each question is a connection of its own.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    runtime: Runtime,
}

impl Client {
    /// Makes ready to ask; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// Where the system gives no event queue.
    pub fn new(path: &Path) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { path: path.to_owned(), runtime })
    }

    /// The Services, all or those of a namespace, all or those that are selected.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn services(
        &self,
        namespace: Option<&str>,
        selector: Option<&LabelSelector>,
    ) -> Result<List<ServiceSummary>, Error> {
        self.get(&within("services", namespace, selector, false))
    }

    /// The backends of a Service.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is no such Service that wants rules; else see [`Error`].
    pub fn backends(&self, service: &ObjectName) -> Result<List<BackendSummary>, Error> {
        self.get(&format!("/v1/services/{service}/backends"))
    }

    /// The new connections of all frontends, or of those of a namespace's Services, without their backends.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] where the agent runs without `--counters`; else see [`Error`].
    pub fn connections(&self, namespace: Option<&str>) -> Result<List<FrontendConnections>, Error> {
        self.get(&within("connections", namespace, None, false))
    }

    /// The new connections of a Service's frontends and backends.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where no rule serves such a Service, [`Error::Refused`] where the agent runs without `--counters`;
    /// else see [`Error`].
    pub fn service_connections(&self, service: &ObjectName) -> Result<List<FrontendConnections>, Error> {
        self.get(&format!("/v1/services/{service}/connections"))
    }

    /// How the agent fares.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn status(&self) -> Result<Status, Error> {
        self.get("/v1/status")
    }

    /// Hands on changes of such Services as they happen, until `each` says that it is enough, or the agent ends.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn watch(
        &self,
        namespace: Option<&str>,
        selector: Option<&LabelSelector>,
        mut each: impl FnMut(WatchEvent) -> bool,
    ) -> Result<(), Error> {
        self.runtime.block_on(async {
            let mut lines =
                self.ask(&within("services", namespace, selector, true)).await?.into_data_stream();
            let mut rest: Vec<u8> = Vec::new();
            while let Some(bytes) = lines.next().await {
                rest.extend_from_slice(&bytes.map_err(|error| self.unexpected(error.to_string()))?);
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    if !each(self.parse(&line)?) {
                        return Ok(());
                    }
                }
            }
            Err(self.unexpected("it has ended"))
        })
    }

    fn get<T: DeserializeOwned>(&self, uri: &str) -> Result<T, Error> {
        self.runtime.block_on(async {
            let answer = async {
                let body = self.ask(uri).await?;
                to_bytes(body, MAX_BYTES).await.map_err(|error| self.unexpected(error.to_string()))
            };
            let bytes =
                timeout(PATIENCE, answer).await.map_err(|_| self.unexpected("it takes too long"))??;
            self.parse(&bytes)
        })
    }

    async fn ask(&self, uri: &str) -> Result<Body, Error> {
        let stream = UnixStream::connect(&self.path).await.map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => Error::Privilege { path: self.path.clone() },
            _ => Error::NoAgent { path: self.path.clone(), source },
        })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.unexpected(error.to_string()))?;
        tokio::spawn(connection);
        let request = Request::get(uri).header("Host", "svcnat").body(Body::empty());
        let request = request.map_err(|error| self.unexpected(error.to_string()))?;
        let answer =
            sender.send_request(request).await.map_err(|error| self.unexpected(error.to_string()))?;
        let status = answer.status();
        let body = Body::new(answer.into_body());
        if status.is_success() {
            return Ok(body);
        }
        let bytes: Bytes =
            to_bytes(body, MAX_BYTES).await.map_err(|error| self.unexpected(error.to_string()))?;
        let Ok(Complaint { message }) = serde_json::from_slice(&bytes) else {
            return Err(self.unexpected(format!("status {status}")));
        };
        Err(match status {
            StatusCode::NOT_FOUND => Error::NotFound(message),
            _ => Error::Refused(message),
        })
    }

    fn parse<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(bytes).map_err(|error| self.unexpected(error.to_string()))
    }

    fn unexpected(&self, reason: impl Into<String>) -> Error {
        Error::Unexpected { path: self.path.clone(), reason: reason.into() }
    }
}

/// The place of what there is of Services.
fn within(what: &str, namespace: Option<&str>, selector: Option<&LabelSelector>, watch: bool) -> String {
    let mut query = Serializer::new(String::new());
    query.extend_pairs(namespace.map(|namespace| ("namespace", namespace)));
    query.extend_pairs(selector.map(|selector| ("labelSelector", selector.to_string())));
    query.extend_pairs(watch.then_some(("watch", "true")));
    format!("/v1/{what}?{}", query.finish())
}

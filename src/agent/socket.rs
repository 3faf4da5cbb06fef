//! The Unix socket on which the agent answers questions; see [`agent_api`](crate::agent_api).

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as Probe;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path as Segments, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use axum::{Json, Router};
use nix::unistd::geteuid;
use serde::Deserialize;
use svcnat_rules::name::ObjectName;
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use super::connections;
use super::listing::{self, Filter};
use super::packets;
use super::questions::Asker;
use crate::agent_api::{Complaint, LabelSelector, List};
use crate::memory;
use crate::settings::Mode;

/// How long to wait when the process or the machine is out of file descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// A list of so many Services takes some megabytes for a while.
const MANY: usize = 1_000;

/// A socket with its server. Both go when it is dropped.
pub(super) struct Socket {
    path: PathBuf,
    _task: JoinSet<()>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        // It may be gone already, with its folder.
        drop(fs::remove_file(&self.path));
    }
}

impl Socket {
    /// Listens, and answers. The folder is made where it is missing, and the socket of an agent that is no more is replaced.
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// Where the file system refuses, or another process listens there: [`io::ErrorKind::AddrInUse`].
    pub(super) fn listen(path: &Path, answers: Router) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
                fs::remove_file(path)?;
                UnixListener::bind(path)
            }
            listener => listener,
        }?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            // It never returns.
            drop(axum::serve(Guarded(listener), answers).await);
        });
        let socket = Self { path: path.to_owned(), _task: task };
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(socket)
    }
}

/// Whether a socket is there that nobody listens on.
fn is_abandoned(path: &Path) -> bool {
    matches!(Probe::connect(path), Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
}

/// A listener that takes connections of root and of the agent's own user alone, whatever has become of the file's
/// permissions.
struct Guarded(UnixListener);

impl Listener for Guarded {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.0.accept().await {
                Ok((stream, address)) if is_permitted(&stream) => return (stream, address),
                Ok(_) => {
                    tracing::warn!(
                        "a process that is not root's was refused an answer on the agent's socket"
                    );
                }
                Err(error) => {
                    tracing::debug!("cannot accept a connection on the agent's socket: {error}");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

fn is_permitted(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == geteuid().as_raw())
}

/// Answers to all questions of [`agent_api`](crate::agent_api), by asking the keeper or, of packets, the packet filter of a mode.
pub(super) fn answers(asker: Asker, mode: Mode) -> Router {
    Router::new()
        .route("/v1/services", get(services))
        .route("/v1/services/{namespace}/{name}/backends", get(backends))
        .route("/v1/services/{namespace}/{name}/connections", get(connections::of_service))
        .route("/v1/connections", get(connections::list))
        .route("/v1/status", get(status))
        .fallback(async || complaint(StatusCode::NOT_FOUND, "there is no such question".to_owned()))
        .with_state(asker)
        .merge(packets::answers(mode))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Which {
    namespace: Option<String>,
    label_selector: Option<String>,
    #[serde(default)]
    watch: bool,
}

async fn services(State(asker): State<Asker>, Query(which): Query<Which>) -> Response {
    let selector = which.label_selector.map(|text| text.parse::<LabelSelector>()).transpose();
    let selector = match selector {
        Ok(selector) => selector,
        Err(error) => return complaint(StatusCode::BAD_REQUEST, format!("labelSelector: {error}")),
    };
    let filter = Filter { namespace: which.namespace, selector };
    if which.watch {
        return match listing::watch(asker, filter).await {
            Some(lines) => ([(CONTENT_TYPE, "application/jsonl")], Body::from_stream(lines)).into_response(),
            None => not_yet(),
        };
    }
    let Some(services) = listing::all(&asker, &filter).await else { return not_yet() };
    let many = services.len() > MANY;
    // On a thread of its own: the text of 10,000 Services has some megabytes.
    let text = spawn_blocking(move || serde_json::to_vec(&List::services(services))).await;
    if many {
        memory::give_back();
    }
    match text {
        Ok(Ok(text)) => ([(CONTENT_TYPE, "application/json")], text).into_response(),
        _ => complaint(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written".to_owned()),
    }
}

async fn backends(
    State(asker): State<Asker>,
    Segments((namespace, name)): Segments<(String, String)>,
) -> Response {
    let service = ObjectName::new(&namespace, &name);
    let Some(part) = asker.part(vec![service.clone()]).await else { return not_yet() };
    match part.backends(&service) {
        Some(backends) => Json(List::backends(backends)).into_response(),
        None => no_service(&service),
    }
}

async fn status(State(asker): State<Asker>) -> Response {
    asker.status().await.map_or_else(not_yet, |status| Json(status).into_response())
}

pub(super) fn not_yet() -> Response {
    complaint(
        StatusCode::SERVICE_UNAVAILABLE,
        "not all that exists in the cluster is known yet; `svcnat status` says more".to_owned(),
    )
}

pub(super) fn no_service(service: &ObjectName) -> Response {
    complaint(StatusCode::NOT_FOUND, format!("no Service {service} wants rules"))
}

pub(super) fn complaint(status: StatusCode, message: String) -> Response {
    (status, Json(Complaint { message })).into_response()
}

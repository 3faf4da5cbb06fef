//! Connections: how many there can be and how long one lasts, whatever clients do.
//!
//! A connection carries one request and ends after a fixed time at the latest, unless its answer goes on. Where there are as many as
//! there can be, the oldest gives way to the newest: clients that hold connections open without asking cannot keep others
//! out, and never cost more file descriptors than the limit.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// How long a connection lasts at most: a request is small, and the longest answer (metrics) fits into few packets.
const LIFETIME: Duration = Duration::from_secs(10);

/// The most that a request line and its headers may have, in bytes; the least that hyper takes for a buffer.
const REQUEST_SIZE: usize = 8192;

/// The most headers that a request may have.
const HEADERS: usize = 64;

/// How long to wait when the process or the machine is out of file descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// Whom a server answers, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// Whoever connects, for [`LIFETIME`].
    Everybody,
    /// Processes of this network namespace, for as long as an answer goes on: packets from elsewhere can have a loopback
    /// address as their destination where the sysctl route_localnet lets them in, but none as their source.
    ThisHost,
}

/// The connections of one or several servers, at most `limit` at a time.
#[derive(Debug)]
pub(super) struct Pool {
    limit: usize,
    audience: Audience,
    /// The oldest first.
    open: Mutex<VecDeque<AbortHandle>>,
}

impl Pool {
    pub(super) fn new(limit: usize, audience: Audience) -> Arc<Self> {
        Arc::new(Self { limit, audience, open: Mutex::default() })
    }

    fn admit(&self, connection: AbortHandle) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= self.limit {
            open.retain(|connection| !connection.is_finished());
        }
        if open.len() >= self.limit
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        open.push_back(connection);
    }
}

/// Answers connections until it is dropped, which ends them all.
pub(super) async fn serve(listener: TcpListener, router: Router, pool: Arc<Pool>) {
    let audience = pool.audience;
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((_, peer)) if audience == Audience::ThisHost && !peer.ip().is_loopback() => {
                tracing::debug!("{peer} is not this host, and is refused an answer");
            }
            Ok((stream, _)) => pool.admit(connections.spawn(answer(stream, router.clone(), audience))),
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                tracing::debug!("cannot accept an HTTP connection: {error}");
                sleep(PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Errors that accept(2) passes on from a connection that has failed before it was accepted.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn answer(stream: TcpStream, router: Router, audience: Audience) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(LIFETIME)
        .max_buf_size(REQUEST_SIZE)
        .max_headers(HEADERS)
        .keep_alive(false)
        // Names as Go writes them, for clients that compare bytes.
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let ended = match audience {
        Audience::Everybody => timeout(LIFETIME, connection).await,
        Audience::ThisHost => Ok(connection.await),
    };
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("an HTTP connection has failed: {error}"),
        Err(_) => tracing::debug!("an HTTP client is too slow: its connection was ended after {LIFETIME:?}"),
    }
}

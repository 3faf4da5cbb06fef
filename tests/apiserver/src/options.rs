//! How a server is started.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::Resource;

/// How clients reach the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// TLS with a certificate of a CA that is made for this server. Clients choose among these protocols (ALPN).
    Tls {
        /// The server's protocols, the preferred one first: `h2`, `http/1.1`. Without any, clients speak HTTP/1.1.
        alpn: Vec<String>,
    },
    /// Plain TCP: HTTP/1.1, or HTTP/2 for clients that begin with it.
    Plain,
}

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How clients reach it.
    pub transport: Transport,
    /// The bearer tokens that are accepted. When it is empty, clients need none.
    pub tokens: Vec<String>,
    /// The resources that are not served at first; see [`ApiServer::set_served`](crate::ApiServer::set_served).
    pub not_served: Vec<Resource>,
    /// Whether `sendInitialEvents=true` is granted at first; see
    /// [`ApiServer::set_streaming_lists`](crate::ApiServer::set_streaming_lists).
    pub streaming_lists: bool,
    /// How often an open watch that wants bookmarks gets one.
    pub bookmark_interval: Duration,
}

impl Default for Options {
    /// TLS on a free port of 127.0.0.1, with one token; everything is served and granted; bookmarks about once a minute.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            transport: Transport::Tls { alpn: vec!["h2".to_owned(), "http/1.1".to_owned()] },
            tokens: vec!["let-me-in".to_owned()],
            not_served: Vec::new(),
            streaming_lists: true,
            bookmark_interval: Duration::from_secs(60),
        }
    }
}

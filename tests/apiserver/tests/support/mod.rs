//! What the tests of the server have in common.

#![allow(dead_code, reason = "each test program needs another part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use svcnat_apiserver::{ApiServer, Options, Transport};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// How long anything may take that must happen.
pub const SOON: Duration = Duration::from_secs(10);
/// How long nothing must happen where nothing may.
pub const QUIET: Duration = Duration::from_millis(100);

/// A server for clients that speak HTTP by hand.
pub fn plain() -> ApiServer {
    let options = Options { transport: Transport::Plain, tokens: Vec::new(), ..Options::default() };
    ApiServer::start(&options).unwrap()
}

/// A client of the `kube` crate, by the kubeconfig that the server gives.
pub async fn client(server: &ApiServer) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(&server.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

/// A connection that speaks HTTP/2 over TLS. (The `kube` crate speaks HTTP/1.1 only.)
pub struct Http2 {
    url: String,
    sender: http2::SendRequest<Empty<Bytes>>,
}

impl Http2 {
    pub async fn connect(server: &ApiServer) -> Self {
        let ca = CertificateDer::from_pem_slice(server.ca_pem().unwrap().as_bytes()).unwrap();
        let mut trusted = RootCertStore::empty();
        trusted.add(ca).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(trusted)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
        let name = ServerName::from(server.address().ip());
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { url: server.url(), sender }
    }

    pub async fn get(&mut self, path: &str) -> Response<Incoming> {
        let request = Request::get(format!("{}{path}", self.url))
            .header("authorization", "Bearer let-me-in")
            .body(Empty::new())
            .unwrap();
        tokio::time::timeout(SOON, self.sender.send_request(request)).await.unwrap().unwrap()
    }
}

/// Waits until something is true, while the client goes on.
pub async fn until(is_true: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_true() {
        assert!(Instant::now() < deadline, "it does not become true");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A Service.
pub fn service(name: &str) -> Value {
    json!({
        "kind": "Service",
        "metadata": { "name": name, "namespace": "shop" },
        "spec": { "clusterIP": "10.96.0.7", "ports": [{ "port": 80 }] },
    })
}

/// A request in HTTP/1.1 by hand, of which the head has been answered.
pub struct Raw {
    /// The status line and the headers, in lower case.
    pub head: Vec<String>,
    stream: BufReader<TcpStream>,
}

impl Raw {
    pub fn get(server: &ApiServer, path: &str) -> Self {
        Self::send(server, &format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n"))
    }

    pub fn send(server: &ApiServer, request: &str) -> Self {
        let mut stream = BufReader::new(TcpStream::connect(server.address()).unwrap());
        stream.get_ref().set_read_timeout(Some(SOON)).unwrap();
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        loop {
            let line = read_line(&mut stream);
            if line.is_empty() {
                return Self { head, stream };
            }
            head.push(line.to_ascii_lowercase());
        }
    }

    pub fn status(&self) -> u16 {
        self.head[0].split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// A body whose length was told.
    pub fn body(mut self) -> Value {
        let length = self.header("content-length").unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// The next chunk; nothing at the proper end, an error where the connection ends before that.
    pub fn chunk(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut size = String::new();
        self.stream.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16)
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::UnexpectedEof))?;
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk)?;
        chunk.truncate(size);
        Ok((size > 0).then_some(chunk))
    }

    /// The rest of a body in chunks, and whether it ended properly.
    pub fn rest(&mut self) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            match self.chunk() {
                Ok(Some(chunk)) => body.extend(chunk),
                Ok(None) => return (body, true),
                Err(_) => return (body, false),
            }
        }
    }

    /// The next event of a watch, which comes as a chunk of its own: its type, the object's name and its version.
    pub fn event(&mut self) -> (String, String, u64) {
        let event = self.json();
        let text = |pointer| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let version = text("/object/metadata/resourceVersion").parse().unwrap_or(0);
        (text("/type").to_owned(), text("/object/metadata/name").to_owned(), version)
    }

    pub fn json(&mut self) -> Value {
        serde_json::from_slice(&self.chunk().unwrap().unwrap()).unwrap()
    }

    /// Whether nothing comes for a while.
    pub fn is_silent(&mut self) -> bool {
        self.stream.get_ref().set_read_timeout(Some(QUIET)).unwrap();
        let silent = self.stream.fill_buf().is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock);
        self.stream.get_ref().set_read_timeout(Some(SOON)).unwrap();
        silent
    }
}

fn read_line(stream: &mut impl BufRead) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

//! A network for a test, a runtime such as the agent's, and a client that knows no more of HTTP than is needed.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use svcnat_lab::Namespace;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a test in a network that has a loopback interface, on one thread.
pub fn in_network<T: Send>(test: impl AsyncFnOnce() -> T + Send) -> T {
    Namespace::new().expect("a network namespace").run(|| {
        ip("link set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test())
    })
}

/// Runs the program `ip` in the network.
pub fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("ip runs");
    assert!(status.success(), "ip {arguments}");
}

/// An address with a port, both as text.
pub fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status line without its line ending.
    pub status: String,
    /// The headers but `Date`, in their order.
    pub headers: Vec<String>,
    pub body: String,
}

impl Answer {
    pub fn code(&self) -> u16 {
        self.status.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

/// Asks for a path.
pub async fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")).await
}

/// Sends a request and takes all that comes until the connection is closed.
pub async fn ask(address: SocketAddr, request: &str) -> io::Result<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = timeout(PATIENCE, exchange).await.expect("an answer in time")?;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut lines = head.split("\r\n").map(str::to_owned);
    let status = lines.next().unwrap();
    let headers = lines.filter(|line| !line.starts_with("Date: ")).collect();
    Ok(Answer { status, headers, body: body.to_owned() })
}

/// Waits until something holds.
#[track_caller]
pub fn eventually<'a>(
    what: &'a str,
    mut holds: impl AsyncFnMut() -> bool + 'a,
) -> impl Future<Output = ()> + 'a {
    let place = std::panic::Location::caller();
    async move {
        let start = Instant::now();
        while !holds().await {
            assert!(start.elapsed() < PATIENCE, "{what}: still not so, {place}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Whether nothing listens there. A connection that is caught by the end of a server is reset instead.
pub async fn is_refused(address: SocketAddr) -> bool {
    get(address, "/").await.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

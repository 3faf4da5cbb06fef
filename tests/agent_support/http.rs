//! A client of the agent's servers.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;

/// Asks for a path; the status and the body.
pub fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
}

/// The status of `/healthz`, `/livez` or `/readyz`; nothing while nobody listens.
pub fn status(path: &str) -> Option<u16> {
    get(SocketAddr::from(([127, 0, 0, 1], 10_256)), path).ok().map(|(status, _)| status)
}

/// What the server for metrics says at a path.
pub fn page(path: &str) -> String {
    get(SocketAddr::from(([127, 0, 0, 1], 10_249)), path).unwrap().1
}

/// The value of a metric, whose labels belong to the name.
#[track_caller]
pub fn metric(name: &str) -> f64 {
    let page = page("/metrics");
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no metric {name} in\n{page}")).parse().unwrap()
}

/// How often the agent has mended the rules, for any reason.
pub fn repairs() -> f64 {
    let reasons = ["changed_by_others", "resync", "transaction_failed"];
    reasons.iter().map(|reason| metric(&format!("svcnat_repairs_total{{reason=\"{reason}\"}}"))).sum()
}

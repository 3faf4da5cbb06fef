//! The state as bytes.

use serde::{Deserialize, Serialize};
use svcnat_rules::cluster::Cluster;

use crate::convert::{printable, validate};

/// How every version begins, and nothing else does.
pub(super) const MAGIC: &[u8] = b"{\"format\":\"svcnat state\",\"version\":";
/// The version that is written and read: it changes with any type in the state.
pub(super) const VERSION: u64 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: String,
    version: u64,
    /// How many bytes follow the first line.
    length: u64,
    /// Their CRC-32 (that of ISO 3309, as in gzip), in hexadecimal digits.
    crc32: String,
}

impl Header {
    fn of(body: &[u8]) -> Self {
        Self {
            format: "svcnat state".to_owned(),
            version: VERSION,
            length: body.len() as u64,
            crc32: format!("{:08x}", crc32fast::hash(body)),
        }
    }

    fn line(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// What is wrong with bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Foreign,
    Version(u64),
    Length { expected: u64, found: u64 },
    Damaged,
    Meaning(String),
}

/// The state as it is written.
pub(super) fn encode(cluster: &Cluster) -> serde_json::Result<Vec<u8>> {
    let mut body = serde_json::to_vec(cluster)?;
    body.push(b'\n');
    let mut text = Header::of(&body).line()?;
    text.append(&mut body);
    Ok(text)
}

/// The state that was written.
pub(super) fn decode(bytes: &[u8]) -> Result<Cluster, Fault> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(Fault::Foreign)?;
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or(Fault::Damaged)?;
    let (line, body) = bytes.split_at_checked(MAGIC.len() + end + 1).ok_or(Fault::Damaged)?;
    // The heads of other versions may say other things after this.
    match serde_json::from_slice::<serde_json::Value>(line)
        .ok()
        .and_then(|head| head.get("version")?.as_u64())
    {
        Some(VERSION) => {}
        Some(other) => return Err(Fault::Version(other)),
        None => return Err(Fault::Damaged),
    }
    let head: Header = serde_json::from_slice(line).map_err(|_| Fault::Damaged)?;
    let found = body.len() as u64;
    if head.length != found {
        return Err(Fault::Length { expected: head.length, found });
    }
    // The line as a whole, so that nothing in it can be different without being noticed.
    if Header::of(body).line().ok().as_deref() != Some(line) {
        return Err(Fault::Damaged);
    }
    let cluster: Cluster =
        serde_json::from_slice(body).map_err(|error| Fault::Meaning(printable(&error.to_string())))?;
    validate(&cluster).map_err(|invalid| Fault::Meaning(printable(&invalid.to_string())))?;
    Ok(cluster)
}

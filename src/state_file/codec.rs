//! The state as bytes.

use serde::{Deserialize, Serialize};
use svcnat_rules::cluster::Cluster;

use crate::convert::{printable, validate};

/// How every version begins, and nothing else does.
pub(super) const MAGIC: &[u8] = b"{\"format\":\"svcnat state\",\"version\":";
/// The version that is written: it changes with any type in the state.
pub(super) const VERSION: u64 = 2;
/// The oldest version that is read. Services had no labels in it.
pub(super) const OLDEST: u64 = 1;

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
    fn of(version: u64, body: &[u8]) -> Self {
        Self {
            format: "svcnat state".to_owned(),
            version,
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

/// A state on its way into a file, part by part: the lines that follow the first one.
#[derive(Debug, Default)]
pub struct Text(Vec<u8>);

impl Text {
    /// A state in one part.
    ///
    /// # Errors
    ///
    /// As [`Text::add`].
    pub fn of(state: &Cluster) -> serde_json::Result<Self> {
        let mut text = Self::default();
        text.add(state)?;
        Ok(text)
    }

    /// Adds a part. What parts have in common is the last one's.
    ///
    /// # Errors
    ///
    /// None of which anything is known: the types in a state have nothing that JSON has not.
    pub fn add(&mut self, part: &Cluster) -> serde_json::Result<()> {
        serde_json::to_writer(&mut self.0, part)?;
        self.0.push(b'\n');
        Ok(())
    }

    /// The first line, and what follows it.
    pub(super) fn finish(self) -> serde_json::Result<[Vec<u8>; 2]> {
        Ok([Header::of(VERSION, &self.0).line()?, self.0])
    }
}

/// The state that was written.
pub(super) fn decode(bytes: &[u8]) -> Result<Cluster, Fault> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(Fault::Foreign)?;
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or(Fault::Damaged)?;
    let (line, body) = bytes.split_at_checked(MAGIC.len() + end + 1).ok_or(Fault::Damaged)?;
    // The heads of other versions may say other things after this.
    let version = serde_json::from_slice::<serde_json::Value>(line)
        .ok()
        .and_then(|head| head.get("version")?.as_u64())
        .ok_or(Fault::Damaged)?;
    if !(OLDEST..=VERSION).contains(&version) {
        return Err(Fault::Version(version));
    }
    let head: Header = serde_json::from_slice(line).map_err(|_| Fault::Damaged)?;
    let found = body.len() as u64;
    if head.length != found {
        return Err(Fault::Length { expected: head.length, found });
    }
    // The line as a whole, so that nothing in it can be different without being noticed.
    if Header::of(version, body).line().ok().as_deref() != Some(line) {
        return Err(Fault::Damaged);
    }
    let mut cluster = Cluster::default();
    for part in body.split_inclusive(|byte| *byte == b'\n') {
        let part: Cluster =
            serde_json::from_slice(part).map_err(|error| Fault::Meaning(printable(&error.to_string())))?;
        cluster.services.extend(part.services);
        cluster.slices.extend(part.slices);
        (cluster.node, cluster.service_cidrs) = (part.node, part.service_cidrs);
    }
    validate(&cluster).map_err(|invalid| Fault::Meaning(printable(&invalid.to_string())))?;
    Ok(cluster)
}

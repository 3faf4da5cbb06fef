//! The last known state of the cluster in a file, so that a node that boots while the control plane is away has its
//! Services.
//!
//! The file is one line of JSON that says what follows (format, length, checksum), and one for each part of the state, in the
//! types of [`svcnat_rules::cluster`]; `tail -n +2 FILE | jq` shows it. It is written beside its place and renamed, so
//! that at any moment there is the old state or the new one. What is read is trusted no further than what comes from
//! elsewhere: it has passed its checksum and [`validate`](crate::convert::validate()).

mod codec;
mod error;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::libc;
use svcnat_rules::cluster::Cluster;

use codec::Fault;
pub use codec::Text;
pub use error::Error;

/// The most bytes that are read. A cluster of 100,000 Services with ten endpoints each has half of it.
const MAX_BYTES: u64 = 256 << 20;

/// Writes the state, atomically, into a file that only its owner may read. When it returns without an error, the state
/// outlasts a loss of power.
///
/// A link in the place of the file is replaced, not followed. One call at a time for each path: what a process that was
/// killed has left beside the file is removed.
///
/// # Errors
///
/// [`Error::Foreign`] where something stands in the place that is not a state file, [`Error::Unwritable`] where the file
/// system refuses. What was there is still there.
pub fn write(path: &Path, state: Text) -> Result<(), Error> {
    let failed = |source| Error::Unwritable { path: path.to_owned(), source };
    let lines = state.finish().map_err(|error| failed(error.into()))?;
    if !may_replace(path).map_err(failed)? {
        return Err(Error::Foreign(path.to_owned()));
    }
    let (folder, beside) = places(path).ok_or_else(|| failed(io::ErrorKind::IsADirectory.into()))?;
    write_beside(&beside, &lines)
        .and_then(|()| fs::rename(&beside, path))
        .and_then(|()| File::open(&folder)?.sync_all())
        .map_err(|error| {
            // It is in nobody's way, and the next writing would remove it too.
            let _ = fs::remove_file(&beside);
            failed(error)
        })
}

/// Reads the state; `None` where there is no file.
///
/// # Errors
///
/// Whatever is not exactly what [`write()`] wrote. Nothing of it is used then, and there is nothing better to do than to go
/// on without.
pub fn read(path: &Path) -> Result<Option<Cluster>, Error> {
    let failed = |source| Error::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    codec::decode(&bytes).map(Some).map_err(|fault| match fault {
        Fault::Foreign => Error::Foreign(path.to_owned()),
        Fault::Version(found) => Error::Version { path: path.to_owned(), found },
        Fault::Length { expected, found } => Error::Cut { path: path.to_owned(), expected, found },
        Fault::Damaged => Error::Damaged(path.to_owned()),
        Fault::Meaning(reason) => Error::Meaning { path: path.to_owned(), reason },
    })
}

/// Whether the path is free or has a state file, however damaged. A link is replaced whatever it leads to.
fn may_replace(path: &Path) -> io::Result<bool> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        found => found?,
    };
    if !found.is_file() {
        return Ok(found.is_symlink());
    }
    let mut head = Vec::new();
    open(path)?.take(codec::MAGIC.len() as u64).read_to_end(&mut head)?;
    Ok(codec::MAGIC.starts_with(&head))
}

/// Opens a file to read. What is no file (a pipe, say) must not keep us waiting.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// The folder of a file, and where in it the file is made.
fn places(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let name = path.file_name()?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(".new");
    Some((folder.to_owned(), folder.join(beside)))
}

fn write_beside(beside: &Path, lines: &[Vec<u8>]) -> io::Result<()> {
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    for line in lines {
        file.write_all(line)?;
    }
    file.sync_all()
}

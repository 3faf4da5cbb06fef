//! Reading what has changed, and the difference that it makes.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::libc;
use svcnat_rules::cluster::{Cluster, changes};
use svcnat_rules::engine::Event;

use super::Options;
use super::pending::Touched;
use crate::manifests::{ManifestErrors, Parsed, Reason, assemble, file_name, files, read_from};

/// How a reading ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// All is well; what has changed since all was well the last time.
    Read(Vec<Event>),
    /// Something cannot be read or understood.
    Broken(ManifestErrors),
    /// Something changed while it was read.
    Unsettled,
}

/// The manifests as they were read.
pub(super) struct Reader {
    options: Options,
    files: HashMap<PathBuf, Read>,
    /// What they said when all was well.
    cluster: Cluster,
    /// The errors that were reported, empty when all is well.
    reported: String,
    /// The notes that were told.
    told: BTreeSet<String>,
}

/// One file as it was read.
struct Read {
    stamp: Option<Stamp>,
    parsed: Parsed,
}

/// What differs when a file has been written or a path stands for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Stamp {
    fn from(found: &Metadata) -> Self {
        Self {
            file: (found.dev(), found.ino()),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

impl Reader {
    pub fn new(options: Options) -> Self {
        Self {
            options,
            files: HashMap::new(),
            cluster: Cluster::default(),
            reported: String::new(),
            told: BTreeSet::new(),
        }
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Reads what was touched or has another stamp.
    pub fn read(&mut self, touched: &Touched) -> Outcome {
        let (mut order, mut notes, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for path in &self.options.paths {
            match files(path) {
                Ok((files, found)) => {
                    order.extend(files);
                    notes.extend(found);
                }
                Err(ManifestErrors(found)) => errors.extend(found),
            }
        }
        let listed: BTreeSet<&PathBuf> = order.iter().collect();
        self.files.retain(|path, _| listed.contains(path));
        for path in listed {
            if self.must_read(path, touched) {
                let Some(read) = read(path) else { return Outcome::Unsettled };
                self.files.insert(path.clone(), read);
            }
        }
        let parsed = || order.iter().filter_map(|path| self.files.get(path)).map(|read| &read.parsed);
        errors.extend(parsed().flat_map(|parsed| parsed.errors.iter().cloned()));
        if !errors.is_empty() {
            return Outcome::Broken(ManifestErrors(errors));
        }
        notes.extend(parsed().flat_map(|parsed| parsed.notes.iter().cloned()));
        let objects = parsed().flat_map(|parsed| &parsed.objects);
        let (mut cluster, found) = assemble(objects, &self.options.node_name);
        notes.extend(found);
        cluster.service_cidrs.extend(&self.options.service_cidrs);
        cluster.service_cidrs.sort_unstable();
        cluster.service_cidrs.dedup();
        let events = changes(&self.cluster, &cluster);
        self.cluster = cluster;
        self.all_is_well(notes.iter().map(ToString::to_string).collect());
        Outcome::Read(events)
    }

    /// Reports errors, unless they are those that were reported the last time.
    pub fn report(&mut self, errors: &ManifestErrors) {
        let errors = errors.to_string();
        if errors != self.reported {
            tracing::error!("the manifests cannot be read; the rules stay as they are:\n{errors}");
            self.reported = errors;
        }
    }

    fn all_is_well(&mut self, notes: BTreeSet<String>) {
        if !self.reported.is_empty() {
            tracing::warn!("the manifests can be read again");
            self.reported.clear();
        }
        for note in notes.difference(&self.told) {
            tracing::info!("{note}");
        }
        self.told = notes;
    }

    fn must_read(&self, path: &Path, touched: &Touched) -> bool {
        let Some(last) = self.files.get(path) else { return true };
        // inotify's paths are without links.
        let named = || match touched {
            Touched::ByStamp => false,
            Touched::Paths(paths) => path.canonicalize().is_ok_and(|path| paths.contains(&path)),
            Touched::All => true,
        };
        // Nothing need change in a file for the system to read it the next time.
        let unreadable =
            || last.parsed.errors.iter().any(|error| matches!(error.reason, Reason::Unreadable(_)));
        let stamp = || fs::metadata(path).ok().as_ref().map(Stamp::from);
        stamp() != last.stamp || unreadable() || named()
    }
}

/// Reads a file; `None` if it changed meanwhile.
fn read(path: &Path) -> Option<Read> {
    let file = open(path);
    let stamp = |file: &io::Result<File>| {
        file.as_ref().ok().and_then(|file| file.metadata().ok()).as_ref().map(Stamp::from)
    };
    let before = stamp(&file);
    let parsed = read_from(&file_name(path), file.as_ref().map_err(copy));
    let still = fs::metadata(path).ok().as_ref().map(Stamp::from);
    // A file that cannot be opened may have a stamp all the same.
    (before.is_none() || before == still).then_some(Read { stamp: still, parsed })
}

/// Opens a file. What is no file (a pipe, say) must not keep us waiting.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

fn copy(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

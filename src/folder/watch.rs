//! Keeping the right folders watched.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::libc;
use notify::{ErrorKind, INotifyWatcher, RecursiveMode, Watcher as _};

use super::error::Error;
use super::paths::Interests;
use super::pending::Pending;

/// How often the way to the manifests may change while it is being watched.
const ATTEMPTS: usize = 8;

/// The folders on the way to the manifests, watched.
pub(super) struct Watch {
    watcher: INotifyWatcher,
    pending: Arc<Pending>,
    watched: BTreeSet<PathBuf>,
    /// Folders that this process may not watch.
    forbidden: BTreeSet<PathBuf>,
}

impl Watch {
    pub fn new(pending: Arc<Pending>) -> Result<Self, Error> {
        let told = Arc::clone(&pending);
        let handler = move |event: notify::Result<notify::Event>| match event {
            Ok(event) => told.take(&event),
            Err(error) => {
                tracing::warn!("events of manifests were lost, reading everything again: {error}");
                told.touch_all();
            }
        };
        let watcher =
            INotifyWatcher::new(handler, notify::Config::default()).map_err(|error| match error.kind {
                ErrorKind::Io(error) if error.raw_os_error() == Some(libc::EMFILE) => Error::Instances,
                kind => failed(Path::new("the manifests"), kind),
            })?;
        Ok(Self { watcher, pending, watched: BTreeSet::new(), forbidden: BTreeSet::new() })
    }

    /// Watches everything on the way to the paths. False where that way keeps changing.
    pub fn follow(&mut self, paths: &[PathBuf]) -> Result<bool, Error> {
        let here = |source| Error::Watch { path: PathBuf::from("."), source };
        let mut interests = Interests::of(paths).map_err(here)?;
        for _ in 0..ATTEMPTS {
            self.pending.set_interests(&interests);
            self.watch(&interests)?;
            // Only what is the same afterwards was watched before it was looked at.
            let again = Interests::of(paths).map_err(here)?;
            if again == interests {
                return Ok(true);
            }
            interests = again;
        }
        Ok(false)
    }

    fn watch(&mut self, interests: &Interests) -> Result<(), Error> {
        let wanted = &interests.watched;
        for path in self.watched.difference(wanted) {
            // It may be gone, and its watch with it.
            let _ = self.watcher.unwatch(path);
        }
        // A folder may be another one by the same name, and watching one twice does no harm.
        for path in wanted {
            match self.watcher.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => {}
                Err(error) => self.not_watched(path, error.kind)?,
            }
        }
        self.watched.clone_from(wanted);
        Ok(())
    }

    fn not_watched(&mut self, path: &Path, kind: ErrorKind) -> Result<(), Error> {
        match failed(path, kind) {
            Error::Watch { source, .. }
                if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                Ok(())
            }
            Error::Watch { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                if self.forbidden.insert(path.to_owned()) {
                    tracing::warn!("{}: not watched, its changes are noticed late: {source}", path.display());
                }
                Ok(())
            }
            error => Err(error),
        }
    }
}

fn failed(path: &Path, kind: ErrorKind) -> Error {
    let source = match kind {
        ErrorKind::MaxFilesWatch => return Error::Watches(path.to_owned()),
        ErrorKind::PathNotFound => io::ErrorKind::NotFound.into(),
        ErrorKind::Io(source) => source,
        other => io::Error::other(format!("{other:?}")),
    };
    Error::Watch { path: path.to_owned(), source }
}

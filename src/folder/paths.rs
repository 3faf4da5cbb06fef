//! What a path stands for depends on every folder entry and link on the way to it: these are what must be watched.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::manifests::has_manifest_name;

/// How many links are followed in one path (the kernel's `MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// What must be watched to learn of every change of some paths. All folders are named without links, so that none has
/// two names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Interests {
    /// Entries of folders that lead to the manifests.
    pub entries: BTreeSet<PathBuf>,
    /// Folders of which every entry counts.
    pub folders: BTreeSet<PathBuf>,
    /// The folders to watch: all of these, and those that have one of the entries.
    pub watched: BTreeSet<PathBuf>,
}

impl Interests {
    /// What must be watched for files and for folders of manifests.
    pub fn of(paths: &[PathBuf]) -> io::Result<Self> {
        let mut interests = Self::default();
        let here = if paths.iter().all(|path| path.is_absolute()) {
            PathBuf::from("/")
        } else {
            std::env::current_dir()?.canonicalize()?
        };
        for path in paths {
            let place = interests.add(&here, path);
            let Ok(entries) = fs::read_dir(&place) else { continue };
            for entry in entries.filter_map(Result::ok) {
                let name = PathBuf::from(entry.file_name());
                if has_manifest_name(&name) && entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                    interests.add(&place, &name);
                }
            }
            interests.watched.insert(place.clone());
            interests.folders.insert(place);
        }
        Ok(interests)
    }

    /// Whether a change of this path can change what is read.
    pub fn concern(&self, path: &Path) -> bool {
        self.entries.contains(path)
            || path.parent().is_some_and(|parent| self.folders.contains(parent))
            // A folder that is watched itself; it must be watched anew.
            || self.watched.contains(path)
    }

    /// Adds the entries that lead to a path seen from `here`, up to the first that does not exist. Gives where it ends.
    fn add(&mut self, here: &Path, path: &Path) -> PathBuf {
        let mut at = here.to_owned();
        let mut rest = backwards(path);
        let mut links = 0;
        while let Some(name) = rest.pop() {
            if name == "/" {
                at = PathBuf::from("/");
                continue;
            }
            if name == ".." {
                at.pop();
                continue;
            }
            let entry = at.join(&name);
            let found = fs::symlink_metadata(&entry);
            self.watched.insert(at.clone());
            self.entries.insert(entry.clone());
            match found {
                Err(_) => return entry,
                Ok(found) if found.is_symlink() => {
                    links += 1;
                    let Some(target) = fs::read_link(&entry).ok().filter(|_| links <= MAX_LINKS) else {
                        return entry;
                    };
                    rest.extend(backwards(&target));
                }
                Ok(_) => at = entry,
            }
        }
        at
    }
}

/// The components of a path, the first one last.
fn backwards(path: &Path) -> Vec<OsString> {
    let components = path.components().filter(|component| *component != Component::CurDir);
    let mut names: Vec<OsString> =
        components.map(|component| OsStr::to_owned(component.as_os_str())).collect();
    names.reverse();
    names
}

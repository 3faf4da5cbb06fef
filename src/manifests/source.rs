//! Where manifests come from: files, folders, standard input.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use svcnat_rules::name::Name;

use super::error::{ManifestError, ManifestErrors, Reason};
use super::note::Note;
use super::parse::{Parsed, parse_and_tell};
use super::progress::Told;

/// The most bytes that are read from one file. Twice what a cluster of 100,000 Services exports.
pub const MAX_BYTES: u64 = 256 << 20;

/// The endings that make a file in a folder a manifest; the same as kubectl's.
const ENDINGS: [&str; 3] = ["json", "yaml", "yml"];

/// A place to read manifests from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file, or a folder whose own files (not those of folders within) are read as far as they end in `.json`,
    /// `.yaml` or `.yml` and do not begin with a dot.
    Path(PathBuf),
}

impl From<&OsStr> for Source {
    /// `-` is standard input, everything else a path.
    fn from(text: &OsStr) -> Self {
        if text == "-" { Self::Stdin } else { Self::Path(text.into()) }
    }
}

impl From<&str> for Source {
    fn from(text: &str) -> Self {
        OsStr::new(text).into()
    }
}

/// The files that a path stands for: itself or, for a folder, its manifests in the order of their names. The notes name
/// what has a manifest's name but is not a file.
///
/// # Errors
///
/// The path or one of the folder's entries cannot be read, or the folder has no manifests.
pub fn files(path: &Path) -> Result<(Vec<PathBuf>, Vec<Note>), ManifestErrors> {
    let failed = |error| error_at(path, Reason::Unreadable(Arc::new(error)));
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok((vec![path.to_owned()], Vec::new()));
    }
    let entries = fs::read_dir(path).map_err(failed)?.collect::<io::Result<Vec<_>>>().map_err(failed)?;
    let mut paths: Vec<_> =
        entries.into_iter().map(|entry| entry.path()).filter(|path| has_manifest_name(path)).collect();
    paths.sort_unstable();
    // What cannot be looked at, such as a dangling link, is left for the reading to report.
    let is_file = |path: &PathBuf| fs::metadata(path).map_or(true, |found| found.is_file());
    let (files, others): (Vec<_>, Vec<_>) = paths.into_iter().partition(is_file);
    if files.is_empty() {
        return Err(error_at(path, Reason::EmptyFolder));
    }
    Ok((files, others.iter().map(|path| Note::NotAFile(file_name(path))).collect()))
}

/// Whether a file in a folder is a manifest, by its name. Hidden files are not, as for the kubelet: they are what editors and
/// copying programs keep beside a file while they work, and links that lead nowhere among them (Emacs' `.#a.yaml`).
pub(crate) fn has_manifest_name(path: &Path) -> bool {
    let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !is_hidden && ENDINGS.iter().any(|ending| path.extension() == Some(OsStr::new(ending)))
}

/// Reads and parses everything that a source names.
pub(super) fn read(source: &Source, told: &mut Told<'_>) -> Parsed {
    let path = match source {
        Source::Stdin => {
            return read_and_tell(&Name::from("standard input"), Ok(io::stdin().lock()), told);
        }
        Source::Path(path) => path,
    };
    match files(path) {
        Ok((files, notes)) => {
            let mut parsed = Parsed { notes, ..Parsed::default() };
            for file in files {
                parsed.append(read_and_tell(&file_name(&file), File::open(&file), told));
            }
            parsed
        }
        Err(ManifestErrors(errors)) => Parsed { errors, ..Parsed::default() },
    }
}

/// The size of all files that sources name; `None` where that cannot be known.
pub(super) fn total_bytes(sources: &[Source]) -> Option<u64> {
    let of_file =
        |file: &PathBuf| fs::metadata(file).ok().filter(|found| found.is_file()).map(|found| found.len());
    let of_source = |source: &Source| match source {
        Source::Stdin => None,
        Source::Path(path) => files(path).ok()?.0.iter().map(of_file).sum::<Option<u64>>(),
    };
    sources.iter().map(of_source).sum()
}

/// Reads and parses one file.
pub(crate) fn read_from(file: &Name, reader: io::Result<impl Read>) -> Parsed {
    read_and_tell(file, reader, &mut Told::new(&mut |_| {}, None))
}

fn read_and_tell(file: &Name, reader: io::Result<impl Read>, told: &mut Told<'_>) -> Parsed {
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large, also where it has no end.
    let read = reader.and_then(|reader| reader.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    let reason = match read {
        Err(error) => Reason::Unreadable(Arc::new(error)),
        Ok(length) if length as u64 > MAX_BYTES => Reason::TooLarge,
        Ok(_) => return parse_and_tell(file, &bytes, told),
    };
    Parsed { errors: vec![ManifestError::of_file(file, reason)], ..Parsed::default() }
}

/// How a file is named in places.
pub(crate) fn file_name(path: &Path) -> Name {
    Name::from(path.to_string_lossy().as_ref())
}

fn error_at(path: &Path, reason: Reason) -> ManifestErrors {
    ManifestErrors(vec![ManifestError::of_file(&file_name(path), reason)])
}

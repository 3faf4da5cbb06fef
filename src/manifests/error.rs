//! What can be wrong with manifests.

use std::fmt;
use std::io;
use std::sync::Arc;

use svcnat_rules::name::Name;

use super::object::ObjectRef;
use crate::convert::{Problem, printable};

/// Every error of a reading, one for each line when displayed. There is at least one.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ManifestErrors(pub Vec<ManifestError>);

/// One error and where it is.
#[derive(Debug, Clone)]
pub struct ManifestError {
    /// The place.
    pub place: Place,
    /// The object, where it is known.
    pub object: Option<ObjectRef>,
    /// The path of the field from the object's root, such as `spec.ports[0].port`; empty where it is the whole object.
    pub field: String,
    /// What is wrong.
    pub reason: Reason,
}

/// A place in a source. Displayed as `FILE:LINE: document N`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file or folder as the operator named it, or `standard input`.
    pub file: Name,
    /// The line, counted from 1; `None` where the whole file is meant.
    pub line: Option<u64>,
    /// The document within the file, counted from 1 without the empty ones; `None` where the whole file is meant.
    pub document: Option<usize>,
    /// The entry of a list, such as `items[3]`; empty for an object that stands by itself.
    pub item: String,
}

impl Place {
    /// The whole of a file.
    #[must_use]
    pub fn file(file: &Name) -> Self {
        Self { file: file.clone(), line: None, document: None, item: String::new() }
    }
}

/// What is wrong.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Reason {
    /// The operating system could not read the file or folder.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] Arc<io::Error>),
    /// A folder without manifests.
    #[error("no manifests in this folder: no file in it ends in .yaml, .yml or .json")]
    EmptyFolder,
    /// A file without manifests.
    #[error("no manifests in it")]
    Empty,
    /// A file beyond [`super::MAX_BYTES`].
    #[error("larger than {} MiB; split it into several files", super::MAX_BYTES >> 20)]
    TooLarge,
    /// A file with bytes that no text has.
    #[error("a binary file, neither YAML nor JSON")]
    Binary,
    /// A file in an encoding other than UTF-8.
    #[error("not UTF-8 text")]
    NotUtf8,
    /// Neither YAML nor JSON, or beyond the limits that keep a small file from taking all memory.
    #[error("{0}")]
    Syntax(String),
    /// A field with a value of the wrong type.
    #[error("{0}")]
    Type(String),
    /// A field with a value that Kubernetes does not allow.
    #[error(transparent)]
    Invalid(#[from] Problem),
}

impl ManifestError {
    /// An error about a file as a whole.
    pub(super) fn of_file(file: &Name, reason: Reason) -> Self {
        Self { place: Place::file(file), object: None, field: String::new(), reason }
    }
}

impl std::error::Error for ManifestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.reason)
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", printable(&self.field))?;
        }
        self.reason.fmt(f)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.file))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(document) = self.document {
            write!(f, ": document {document}")?;
        }
        if !self.item.is_empty() {
            write!(f, " {}", self.item)?;
        }
        Ok(())
    }
}

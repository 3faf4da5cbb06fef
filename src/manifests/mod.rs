//! Reading manifests: files, folders and standard input, as `kubectl apply -f` takes them.
//!
//! Three steps, each usable by itself: [`files`] lists what a source names, [`parse`] turns the bytes of one file into
//! converted objects, [`assemble`] makes the cluster of all objects. Whoever watches a folder parses the files that have
//! changed and compares the objects.
//!
//! All errors of all files are reported at once, and then nothing is returned: rules made from half of the manifests
//! would take Services down.

mod assemble;
mod document;
mod error;
pub(crate) mod locate;
mod note;
mod object;
mod parse;
mod progress;
mod source;
pub(crate) mod split;
pub(crate) mod yaml;

#[cfg(test)]
mod tests;

pub use assemble::assemble;
pub use error::{ManifestError, ManifestErrors, Place, Reason};
pub use note::Note;
pub use object::{Content, Object, ObjectRef};
pub use parse::{Parsed, parse};
pub use progress::Progress;
use progress::Told;
pub use source::{MAX_BYTES, Source, files};
pub(crate) use source::{file_name, has_manifest_name, read_from};
use svcnat_rules::cluster::Cluster;

/// What the manifests say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifests {
    /// The state to compile.
    pub cluster: Cluster,
    /// What whoever wrote the manifests may want to know, in the order of the files.
    pub notes: Vec<Note>,
}

/// Reads all sources in their order. `node_name` names the Node that the rules are for.
///
/// Where an object is given more than once, the last one counts, as if all had been applied one after the other. The
/// files of a folder are read in the order of their names.
///
/// # Errors
///
/// Every file that cannot be read, every source without a manifest, and every object that cannot be understood.
pub fn read(sources: &[Source], node_name: &str) -> Result<Manifests, ManifestErrors> {
    read_and_tell(sources, node_name, &mut |_| {})
}

/// The same; `tell` is told how far it is.
///
/// # Errors
///
/// As [`read`].
pub fn read_and_tell(
    sources: &[Source],
    node_name: &str,
    tell: &mut dyn FnMut(Progress),
) -> Result<Manifests, ManifestErrors> {
    let mut parsed = Parsed::default();
    let mut told = Told::new(tell, source::total_bytes(sources));
    for source in sources {
        parsed.append(source::read(source, &mut told));
    }
    if !parsed.errors.is_empty() {
        return Err(ManifestErrors(parsed.errors));
    }
    let (cluster, notes) = assemble(&parsed.objects, node_name);
    parsed.notes.extend(notes);
    Ok(Manifests { cluster, notes: parsed.notes })
}

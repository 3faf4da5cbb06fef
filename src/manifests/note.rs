//! What a reading has to say beside its result.

use std::collections::BTreeMap;

use svcnat_rules::name::Name;

use super::error::Place;
use super::object::ObjectRef;
use crate::convert::{NotProgrammed, printable};

/// Something that is no error, but that whoever wrote the manifests may not expect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Note {
    /// Objects of kinds that rules do not depend on, with their number.
    #[error("{file}: passed over: {}", counts(.kinds))]
    OtherKinds {
        /// The file.
        file: Name,
        /// How many of each kind.
        kinds: BTreeMap<String, usize>,
    },
    /// An object of a kind that rules depend on, in a version that is not read.
    #[error("{place}: {object}: passed over: apiVersion {} is not read, only {expected}", printable(.found))]
    OtherVersion {
        /// Where it stands.
        place: Place,
        /// The object.
        object: ObjectRef,
        /// Its `apiVersion`.
        found: String,
        /// The `apiVersion` that is read.
        expected: &'static str,
    },
    /// An entry of a folder that has a manifest's name but is not a file.
    #[error("{}: passed over: not a file; folders within folders are not read", printable(.0))]
    NotAFile(Name),
    /// An object that takes no part in the rules.
    #[error("{place}: {object}: not programmed: {reason}")]
    NotProgrammed {
        /// Where it stands.
        place: Place,
        /// The object.
        object: ObjectRef,
        /// Why not.
        reason: NotProgrammed,
    },
    /// An object that is given again later.
    #[error("{place}: {object}: replaced by the one in {by}")]
    Replaced {
        /// Where the one stands that does not count.
        place: Place,
        /// The object.
        object: ObjectRef,
        /// Where the one stands that counts.
        by: Place,
    },
    /// There are Nodes, but none that the rules are for.
    #[error("no Node is named \"{}\"; the manifests have {}", printable(.wanted), .known.join(", "))]
    NodeMissing {
        /// The name looked for.
        wanted: String,
        /// Some of the names that there are.
        known: Vec<String>,
    },
}

fn counts(kinds: &BTreeMap<String, usize>) -> String {
    let one = |(kind, count): (&String, &usize)| format!("{count} {}", printable(kind));
    kinds.iter().map(one).collect::<Vec<_>>().join(", ")
}

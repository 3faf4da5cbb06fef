//! Tests of reading as a whole; inputs stand inline.

mod bad_input;
mod endpoints;
mod files;
mod reading;

use svcnat_rules::cluster::Cluster;
use svcnat_rules::name::Name;

use super::{ManifestErrors, Manifests, Parsed, assemble, parse};

/// Reads one file from memory as the node `n1`.
fn read_text(text: impl AsRef<[u8]>) -> Result<Manifests, ManifestErrors> {
    let Parsed { objects, mut notes, errors } = parse(&Name::from("web.yaml"), text.as_ref());
    if !errors.is_empty() {
        return Err(ManifestErrors(errors));
    }
    let (cluster, more) = assemble(&objects, "n1");
    notes.extend(more);
    Ok(Manifests { cluster, notes })
}

/// The cluster of a text without errors.
fn cluster(text: &str) -> Cluster {
    match read_text(text) {
        Ok(manifests) => manifests.cluster,
        Err(errors) => panic!("{errors}\n{text}"),
    }
}

/// The errors of a text, one for each line.
fn errors(text: impl AsRef<[u8]>) -> String {
    read_text(text).map_or_else(|errors| errors.to_string(), |manifests| format!("no error: {manifests:?}"))
}

/// The notes of a text, one for each line.
fn notes(text: &str) -> String {
    let manifests = read_text(text).unwrap();
    manifests.notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

//! The YAML reader and its limits.

use serde::de::DeserializeSeed;
use serde_json::{Map, Value};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, MessageFormatter, Options, UserMessageFormatter, alias_limits, budget, options};

use super::document::Objects;
use crate::convert::printable;

/// How deep collections may be nested, so that reading fits the 2 MiB stack of a thread. The deepest objects in use,
/// CustomResourceDefinitions, reach about 50.
const MAX_DEPTH: usize = 64;
/// How many nodes all aliases of a document may stand for. An alias is a reference that is read as a copy, so that a
/// few lines can stand for gigabytes ("billion laughs").
const MAX_COPIES: usize = 20_000;
/// How many bytes of text all aliases of a document may stand for.
const MAX_COPIED_BYTES: usize = 1 << 20;

/// Reads one document.
pub(super) fn read(text: &str, objects: Objects<'_>) -> Result<(), Error> {
    serde_saphyr::with_deserializer_from_str_with_options(text, options(text), |reader| {
        objects.deserialize(reader)
    })
}

/// Reads one document that is a mapping, as a whole.
pub(crate) fn read_mapping(text: &str) -> Result<Map<String, Value>, Error> {
    serde_saphyr::from_str_with_options(text, options(text))
}

/// What grows with the size of the file is bounded by that already; only what could grow faster has a limit here. An
/// escape of two bytes can stand for three, hence twice the size for all scalars together.
///
/// Words like `yes` and `y` are text, as YAML 1.2 has it. kubectl reads some of them as booleans and then refuses them
/// in labels; where a boolean is wanted they are refused here.
fn options(text: &str) -> Options {
    options! {
        budget: budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_total_scalar_bytes: 2 * text.len() + MAX_COPIED_BYTES,
            max_recorded_anchor_events: MAX_COPIES,
            max_recorded_anchor_bytes: MAX_COPIED_BYTES,
            max_merge_keys: 1_000,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: alias_limits! { max_total_replayed_events: MAX_COPIES },
        emit_comments: false,
        strict_booleans: true,
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}

/// The message without its position, which counts from the beginning of the document.
pub(crate) fn message(error: &Error) -> String {
    match error {
        Error::AliasError { error, .. } => message(error),
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            format!("nested deeper than {MAX_DEPTH} levels")
        }
        Error::Budget { breach, .. } => {
            format!("its aliases stand for too much: {}", printable(&format!("{breach:?}")))
        }
        Error::AliasReplayLimitExceeded { .. } => {
            format!("its aliases stand for too much: more than {MAX_COPIES} values")
        }
        _ => printable(&UserMessageFormatter.format_message(error)),
    }
}

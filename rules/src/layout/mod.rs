//! Lowering: from routes to fragments of the ruleset, and the program that serves them all.
//!
//! A [`Fragment`] is what one Service contributes; it depends on that Service alone. The *program* is the rest:
//! base chains, shared chains, declarations of sets. It names no Service and no backend.

mod chains;
mod fragment;
mod lowering;
mod maps;
mod names;
mod program;
mod read_back;
mod slots;
mod statement;

use crate::config::Layout;

pub use fragment::{Claim, ElementAt, Fragment, FrontendKey};
pub use maps::{DRAWS, Picker, SharedChain};
pub use names::{pool_of_chain, set};
pub use program::{ProgramNeeds, program};
pub use read_back::slots_in;
pub use slots::{PoolSlots, Previous, Slots};

pub(crate) use lowering::lower;
pub(crate) use maps::is_shared_chain;
pub(crate) use names::{chain, is_external_chain, picks_local, service_of_chain, service_of_element};

/// How backends are picked in the kernel: the layout in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Picking {
    /// A chain for each service port with one random-statistic rule per backend: easy to read.
    #[default]
    Chains,
    /// Shared maps from frontend and slot to backend: every change costs the same.
    Maps,
}

/// `auto` goes over to maps when there are more backend rules than this.
pub const MAPS_ABOVE: usize = 4096;

/// `auto` goes back to chains when there are fewer backend rules than this. That it is less keeps a cluster at the
/// border from changing to and fro.
pub const CHAINS_BELOW: usize = 2048;

impl Picking {
    /// The layout to use for so many backend rules, where `before` is the one in force.
    #[must_use]
    pub fn choose(layout: Layout, backend_rules: usize, before: Option<Self>) -> Self {
        match layout {
            Layout::Chains => Self::Chains,
            Layout::Maps => Self::Maps,
            Layout::Auto if backend_rules > MAPS_ABOVE => Self::Maps,
            Layout::Auto if backend_rules < CHAINS_BELOW => Self::Chains,
            Layout::Auto => before.unwrap_or(Self::Chains),
        }
    }
}

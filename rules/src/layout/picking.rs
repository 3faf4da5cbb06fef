//! Which layout is in force, and when it changes.

use crate::config::Layout;

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

//! Which layout is in force, when it changes, and which pools have slots in it.

use crate::config::Layout;
use crate::route::{Backend, Pool, Route};

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

    /// The backends of a pool in the order that they have without a past.
    ///
    /// In chains from the last to the first, so that a chain that is made at once reads in the order of the addresses.
    pub(crate) fn usual_order<'a>(
        self,
        backends: &'a [Backend<'a>],
    ) -> impl Iterator<Item = &'a Backend<'a>> + Clone {
        let (count, from_the_end) = (backends.len(), self == Self::Chains);
        (0..count).map(move |n| &backends[if from_the_end { count - 1 - n } else { n }])
    }

    /// The pools of a route whose backends have slots.
    pub(crate) fn pools<'a>(self, route: &'a Route<'a>) -> impl Iterator<Item = Pool> + 'a {
        [Pool::Cluster, Pool::Local].into_iter().filter(move |pool| self == Self::Maps || route.uses(*pool))
    }
}

/// The pools of some routes whose backends have slots, in the order in which lowering meets them.
pub(crate) fn pools_with_slots<'a>(
    picking: Picking,
    routes: &'a [Route<'a>],
) -> impl Iterator<Item = (&'a Route<'a>, Pool)> {
    routes.iter().flat_map(move |route| picking.pools(route).map(move |pool| (route, pool)))
}

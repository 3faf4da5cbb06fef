//! The layout `maps`: backends are elements of shared maps, and the chains that pick them are shared by all Services.
//!
//! A map holds `(frontend, slot) -> backend`; the slots of a frontend with n backends are 0 to n-1. The chain for the
//! power of two M serves every frontend with M/2 < n <= M: it draws a slot below M and, where that slot is empty, draws
//! again, [`DRAWS`](super::DRAWS) times in all; the last draw is below M/2, where every slot is full. So a backend that comes or goes is
//! one element that comes or goes, and a frontend changes its chain only when n passes a power of two.
//!
//! The price is a small bias: the backends in the lower half get all of the draws that [`DRAWS`](super::DRAWS) misses leave over,
//! ((M-n)/M)^8 < 1/256 of them.

use super::fragment::ElementAt;
use super::frontend;
use super::lowering::Lowering;
use super::names::comment;
use super::picking::Picking;
use super::set_name::SetName;
use super::shared_chain::{Picker, SharedChain};
use super::slots::{Previous, assign};
use crate::resolve::View;
use crate::route::{Backend, Frontend, FrontendAddress, Handling, Pool};
use crate::ruleset::{Element, Value, Verdict};

/// The backends of a route by slot; all its frontends have the same.
pub(super) struct Slotted<'a> {
    cluster: Vec<&'a Backend<'a>>,
    local: Vec<&'a Backend<'a>>,
}

impl<'a> Slotted<'a> {
    fn backends(&self, pool: Pool) -> &[&'a Backend<'a>] {
        match pool {
            Pool::Cluster => &self.cluster,
            Pool::Local => &self.local,
        }
    }

    /// How many elements the backends of a frontend are.
    pub(super) fn elements(&self, frontend: &Frontend) -> usize {
        frontend.handling.pools().iter().map(|pool| self.backends(*pool).len()).sum()
    }
}

pub(super) fn assign_slots<'a>(
    lowering: &mut Lowering<'a>,
    previous: &(impl Previous + ?Sized),
) -> Slotted<'a> {
    let route = lowering.route;
    let mut of = |pool| {
        let by_slot = assign(previous.in_maps(route, pool), Picking::Maps.usual_order(route.backends(pool)));
        lowering.note_slots(pool, &by_slot);
        by_slot
    };
    Slotted { cluster: of(Pool::Cluster), local: of(Pool::Local) }
}

/// Adds the elements that serve a frontend: its verdict and its backends.
pub(super) fn serve(
    lowering: &mut Lowering<'_>,
    slotted: &Slotted<'_>,
    frontend: &Frontend,
    serving: SetName,
    elements: &mut Vec<ElementAt>,
) {
    let picker = |pool| Picker {
        node_port: matches!(frontend.at, FrontendAddress::NodePort(_)),
        pool,
        sticky: lowering.route.affinity_seconds.is_some(),
        size: size(slotted.backends(pool)),
    };
    let local_size = (!slotted.local.is_empty()).then(|| size(&slotted.local));
    let pools = frontend.handling.pools();
    let chain = match frontend.handling {
        Handling::Internal(pool) => SharedChain::Pick(picker(pool)),
        Handling::ExternalLocal => {
            SharedChain::ExternalLocal { every: picker(Pool::Cluster), local: local_size }
        }
        _ => SharedChain::External(picker(Pool::Cluster)),
    };
    let family = lowering.route.family;
    lowering
        .fragment
        .shared_chains
        .extend(SharedChain::with_needs(chain).into_iter().map(|chain| (family, chain)));
    let key = frontend::key(lowering.route, frontend.at);
    let verdict = Element::verdict(Verdict::Goto(chain.name())).with_comment(lowering.comment());
    elements.push(lowering.at(serving, key.clone(), verdict));
    for &pool in pools {
        let set = picker(pool).map();
        for (slot, backend) in (0..).zip(slotted.backends(pool)) {
            let (key, element) = (key.clone().slot(slot), element(lowering.view, backend));
            elements.push(ElementAt { family, set, key, element });
        }
    }
}

fn element(view: View<'_>, backend: &Backend<'_>) -> Element {
    let element = Element::value(Value::new().addr(backend.address.ip()).port(backend.address.port()));
    match backend.pod.as_ref().filter(|_| view.config.backend_comments) {
        Some(pod) => element.with_comment(comment(pod.text())),
        None => element,
    }
}

/// The number of slots among which one of these backends is drawn.
fn size(backends: &[&Backend<'_>]) -> u32 {
    u32::try_from(backends.len().next_power_of_two()).unwrap_or(1 << 31)
}

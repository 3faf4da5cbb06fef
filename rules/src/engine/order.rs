//! Where the backends of a Service are, in as little memory as will do.

use std::net::SocketAddr;

use crate::layout::{Picking, PoolSlots, pools_with_slots};
use crate::route::Route;

/// The slots of all pools of one Service, as they differ from those that the same pools would have without a past.
///
/// For each pool and slot it holds the number of the backend among those of the pool, which are sorted. Most Services have
/// their backends where they would be without a past; then it holds nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Order(Box<[u32]>);

impl Order {
    /// Takes down the slots that lowering gave to the backends of these routes.
    pub(super) fn of(picking: Picking, routes: &[Route<'_>], slots: &[PoolSlots]) -> Self {
        let moved = pools_with_slots(picking, routes).zip(slots).any(|((route, pool), slots)| {
            let usual = picking.usual_order(route.backends(pool)).map(|backend| backend.address);
            !usual.eq(slots.backends.iter().copied())
        });
        if !moved {
            return Self::default();
        }
        let numbers = pools_with_slots(picking, routes).zip(slots).flat_map(|((route, pool), slots)| {
            let backends = route.backends(pool);
            let number =
                move |address: &SocketAddr| backends.binary_search_by_key(address, |at| at.address).ok();
            slots.backends.iter().filter_map(number).filter_map(|n| u32::try_from(n).ok())
        });
        Self(numbers.collect())
    }

    /// The slots again, for the same routes and the same layout; nothing where they are as without a past.
    pub(super) fn slots(&self, picking: Picking, routes: &[Route<'_>]) -> Vec<PoolSlots> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut numbers = self.0.iter();
        let slots = pools_with_slots(picking, routes).map(|(route, pool)| {
            let backends = route.backends(pool);
            let at = |number: &u32| {
                usize::try_from(*number).ok().and_then(|number| backends.get(number)).map(|at| at.address)
            };
            let by_slot = numbers.by_ref().take(backends.len()).filter_map(at).collect();
            PoolSlots { family: route.family, port: route.port.port.clone(), pool, backends: by_slot }
        });
        slots.collect()
    }
}

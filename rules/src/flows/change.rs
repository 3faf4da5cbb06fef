//! Where a change may have left something stale.

use std::collections::{BTreeMap, BTreeSet};

use super::{Frontend, Frontends};
use crate::layout::FrontendKey;
use crate::net::{Family, Protocol};
use crate::route::FrontendAddress;

/// Where to look for what is stale. Empty after a change that can have left nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// Which flows, and whether those matter too that were not translated.
    pub flows: BTreeMap<(Family, Protocol), bool>,
    /// In which families a remembered client may be misled.
    pub affinity: BTreeSet<Family>,
}

impl Looked {
    /// Compares two tables of frontends. A backend that is added to others leaves nothing stale.
    ///
    /// `dead_connections` asks for TCP connections to endpoints that are gone. Endpoints that terminate are in no
    /// ruleset, so with it translated TCP flows are always looked at; without it, never.
    #[must_use]
    pub fn between(before: &Frontends, after: &Frontends, dead_connections: bool) -> Self {
        let none = Frontend::default();
        let moved = before.node_port_addresses() != after.node_port_addresses();
        let moved = |key: &FrontendKey| moved && matches!(key.at, FrontendAddress::NodePort(_));
        let mut looked = Self::default();
        for (key, was) in before.iter() {
            let is = after.get(key).unwrap_or(&none);
            if was.loses(is) || (moved(key) && !was.is_empty()) {
                looked.note((key.family, key.protocol), false);
                if was.is_sticky() || is.is_sticky() {
                    looked.affinity.insert(key.family);
                }
            }
        }
        for (key, is) in after.iter() {
            let was = before.get(key).unwrap_or(&none);
            if was.opens(is) || (moved(key) && !is.is_empty()) {
                looked.note((key.family, key.protocol), true);
            }
            // Clients of an earlier Service at the same frontend may still be remembered.
            if is.is_sticky() && (was.opens(is) || !was.is_sticky()) {
                looked.affinity.insert(key.family);
            }
        }
        looked.flows.retain(|(_, protocol), _| *protocol != Protocol::Tcp);
        if dead_connections {
            let all = before.iter().chain(after.iter()).map(|(key, _)| key);
            for key in all.filter(|key| key.protocol == Protocol::Tcp) {
                looked.note((key.family, key.protocol), false);
            }
        }
        looked
    }

    /// Looks at all frontends, whether they changed or not; at TCP only for remembered clients.
    #[must_use]
    pub fn everywhere(frontends: &Frontends) -> Self {
        let mut looked = Self::default();
        for (key, frontend) in frontends.iter() {
            if key.protocol != Protocol::Tcp {
                looked.note((key.family, key.protocol), false);
            }
            if frontend.is_sticky() {
                looked.affinity.insert(key.family);
            }
        }
        looked
    }

    /// Looks where another change asks for it as well.
    pub fn extend(&mut self, other: Self) {
        for (which, untranslated) in other.flows {
            self.note(which, untranslated);
        }
        self.affinity.extend(other.affinity);
    }

    fn note(&mut self, which: (Family, Protocol), untranslated: bool) {
        *self.flows.entry(which).or_default() |= untranslated;
    }

    /// Whether there is nowhere to look.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty() && self.affinity.is_empty()
    }
}

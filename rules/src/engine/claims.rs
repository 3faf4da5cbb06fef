//! Who wants which frontend, and who has it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::compile::Conflict;
use crate::layout::{Claim, Fragment, FrontendKey};
use crate::name::ObjectName;
use crate::route::{Age, ServicePortName};

/// All claims of the cluster.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Who wants a frontend, the winner first.
    wanted: HashMap<FrontendKey, BTreeMap<Claimant, ServicePortName>>,
    /// Frontends that more than one wants.
    contested: BTreeSet<FrontendKey>,
}

/// Who wants a frontend, ordered as winners are chosen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claimant {
    age: Age,
    pub(super) service: ObjectName,
    /// Which of the Service's claims.
    pub(super) index: usize,
}

impl Claimant {
    fn new(claim: &Claim, index: usize) -> Self {
        Self { age: claim.age, service: claim.port.service.clone(), index }
    }
}

/// The claims of a fragment with who makes them.
pub(super) fn claimants(fragment: &Fragment) -> impl Iterator<Item = (Claimant, &Claim)> {
    fragment.claims.iter().enumerate().map(|(index, claim)| (Claimant::new(claim, index), claim))
}

impl Claims {
    pub(super) fn winner(&self, frontend: &FrontendKey) -> Option<&Claimant> {
        self.wanted.get(frontend)?.keys().next()
    }

    pub(super) fn insert(&mut self, claimant: Claimant, claim: &Claim) {
        let claimants = self.wanted.entry(claim.frontend).or_default();
        claimants.insert(claimant, claim.port.clone());
        if claimants.len() > 1 {
            self.contested.insert(claim.frontend);
        }
    }

    pub(super) fn remove(&mut self, claimant: &Claimant, frontend: &FrontendKey) {
        let Some(claimants) = self.wanted.get_mut(frontend) else { return };
        claimants.remove(claimant);
        if claimants.len() < 2 {
            self.contested.remove(frontend);
        }
        if claimants.is_empty() {
            self.wanted.remove(frontend);
        }
    }

    /// The claims that got nothing, in the order of the frontends and then of the losers.
    pub(super) fn conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        for frontend in &self.contested {
            let mut ports = self.wanted.get(frontend).into_iter().flat_map(BTreeMap::values);
            let Some(winner) = ports.next() else { continue };
            let lost = |loser: &ServicePortName| Conflict {
                frontend: *frontend,
                winner: winner.clone(),
                loser: loser.clone(),
            };
            let first = conflicts.len();
            conflicts.extend(ports.map(lost));
            conflicts[first..].sort_by(|a, b| a.loser.cmp(&b.loser));
        }
        conflicts
    }
}

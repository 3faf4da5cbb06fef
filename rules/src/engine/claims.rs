//! Who wants which frontend, and who has it.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::compile::Conflict;
use crate::hash::HashMap;
use crate::layout::{Claim, Fragment, FrontendKey};
use crate::name::{Name, ObjectName};
use crate::net::Protocol;
use crate::route::{Age, ServicePortName};

/// All claims of the cluster.
#[derive(Debug, Default)]
pub(super) struct Claims {
    wanted: HashMap<FrontendKey, Claimants>,
    /// Frontends that more than one wants.
    contested: BTreeSet<FrontendKey>,
}

/// Who wants one frontend. Nearly always that is one, and a set for each would be most of what claims cost in memory.
#[derive(Debug)]
enum Claimants {
    One(Claimant),
    /// The winner first.
    Several(BTreeSet<Claimant>),
}

/// Who wants a frontend, ordered as winners are chosen.
#[derive(Debug, Clone)]
pub(super) struct Claimant {
    age: Age,
    pub(super) service: ObjectName,
    /// Which of the Service's claims.
    pub(super) index: u32,
    port: Name,
    protocol: Protocol,
}

impl Claimant {
    fn new(claim: &Claim, index: u32) -> Self {
        let ServicePortName { service, port, protocol } = claim.port.clone();
        Self { age: claim.age, service, index, port, protocol }
    }

    fn rank(&self) -> (Age, &ObjectName, u32) {
        (self.age, &self.service, self.index)
    }

    pub(super) fn service_port(&self) -> ServicePortName {
        ServicePortName { service: self.service.clone(), port: self.port.clone(), protocol: self.protocol }
    }
}

impl Ord for Claimant {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Claimant {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Claimant {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Claimant {}

/// The claims of a fragment with who makes them.
pub(super) fn claimants(fragment: &Fragment) -> impl Iterator<Item = (Claimant, &Claim)> {
    (0..).zip(&fragment.claims).map(|(index, claim)| (Claimant::new(claim, index), claim))
}

impl Claimants {
    fn winner(&self) -> Option<&Claimant> {
        match self {
            Self::One(one) => Some(one),
            Self::Several(several) => several.first(),
        }
    }
}

impl Claims {
    /// How many frontends somebody wants.
    pub(super) fn frontends(&self) -> usize {
        self.wanted.len()
    }

    /// How many frontends more than one wants.
    pub(super) fn contested(&self) -> usize {
        self.contested.len()
    }

    pub(super) fn winner(&self, frontend: &FrontendKey) -> Option<&Claimant> {
        self.wanted.get(frontend)?.winner()
    }

    pub(super) fn insert(&mut self, claimant: Claimant, frontend: FrontendKey) {
        let several = match self.wanted.remove(&frontend) {
            None => {
                self.wanted.insert(frontend, Claimants::One(claimant));
                return;
            }
            Some(Claimants::One(one)) => BTreeSet::from([one, claimant]),
            Some(Claimants::Several(mut several)) => {
                several.insert(claimant);
                several
            }
        };
        self.wanted.insert(frontend, Claimants::Several(several));
        self.contested.insert(frontend);
    }

    pub(super) fn remove(&mut self, claimant: &Claimant, frontend: &FrontendKey) {
        match self.wanted.get_mut(frontend) {
            None => return,
            Some(Claimants::One(one)) if one == claimant => drop(self.wanted.remove(frontend)),
            Some(Claimants::One(_)) => return,
            Some(claimants @ Claimants::Several(_)) => {
                let Claimants::Several(several) = claimants else { return };
                several.remove(claimant);
                if several.len() > 1 {
                    return;
                }
                if let Some(last) = several.pop_first() {
                    *claimants = Claimants::One(last);
                }
            }
        }
        self.contested.remove(frontend);
    }

    /// The claims that got nothing, in the order of the frontends and then of the losers.
    pub(super) fn conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        for frontend in &self.contested {
            let Some(Claimants::Several(several)) = self.wanted.get(frontend) else { continue };
            let mut claimants = several.iter().map(Claimant::service_port);
            let Some(winner) = claimants.next() else { continue };
            let first = conflicts.len();
            conflicts.extend(claimants.map(|loser| Conflict {
                frontend: *frontend,
                winner: winner.clone(),
                loser,
            }));
            conflicts[first..].sort_by(|a, b| a.loser.cmp(&b.loser));
        }
        conflicts
    }
}

//! One way through the rules, from a frontend to backends.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Client;
use super::guard::{Passes, passes};
use crate::net::Protocol;
use crate::ruleset::Expr;

/// All ways from a frontend, or from a chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ways {
    /// In the order of the rules.
    pub(super) ways: Vec<Way>,
    /// Whether clients are remembered.
    pub(super) sticky: bool,
}

/// One way through the rules to backends, or to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    /// What each rule on the way asks for.
    pub(super) guards: Vec<Vec<Expr>>,
    /// The backends at its end, sorted, each once.
    pub(super) backends: Arc<[SocketAddr]>,
    /// Whether who takes this way takes none behind it.
    pub(super) last: bool,
}

impl Way {
    /// A way to backends. `certain` says that each packet that comes this far gets one of them.
    pub(super) fn to(mut backends: Vec<SocketAddr>, certain: bool) -> Self {
        backends.sort_unstable();
        backends.dedup();
        let last = certain && !backends.is_empty();
        Self { guards: Vec::new(), backends: backends.into(), last }
    }

    /// A way that ends without a backend.
    pub(super) fn nowhere() -> Self {
        Self { guards: Vec::new(), backends: Arc::default(), last: true }
    }

    /// The same way behind a rule that asks for something.
    pub(super) fn behind(&self, guard: &[Expr]) -> Self {
        let mut guards = self.guards.clone();
        if !guard.is_empty() {
            guards.insert(0, guard.to_vec());
        }
        Self { guards, ..self.clone() }
    }

    /// Whether a client's packet comes to the end of it.
    pub(super) fn passes(&self, client: Client, protocol: Protocol) -> Passes {
        let mut all = Passes::Yes;
        for guard in &self.guards {
            match passes(guard, client, protocol) {
                Passes::No => return Passes::No,
                Passes::Maybe => all = Passes::Maybe,
                Passes::Yes => {}
            }
        }
        all
    }

    /// Whether the backend is at its end.
    pub(super) fn leads_to(&self, backend: SocketAddr) -> bool {
        self.backends.binary_search(&backend).is_ok()
    }
}

//! Whether the rules are what they should be: what `/healthz`, `/livez` and `/readyz` answer.
//!
//! | | 200 |
//! |---|---|
//! | `/healthz` | the rules are in force, no change waits for longer than the timeout, load balancers may send traffic here |
//! | `/livez` | no change waits for longer than the timeout, once rules were in force |
//! | `/readyz` | the rules are in force |
//!
//! The first two are kube-proxy 1.36's (`pkg/proxy/healthcheck/proxy_health.go`), and so is their JSON, except that
//! kube-proxy is healthy before any rule exists. A node whose API server is away at the start is live but neither healthy
//! nor ready: starting svcnat anew would not help.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

/// What is known of the health of this process. Clones are the same.
#[derive(Debug, Clone)]
pub struct Health(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    waiting: Option<Waiting>,
    synced: Option<Timestamp>,
    eligible: bool,
}

/// When the changes were queued that are not in force yet.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    oldest: Instant,
    newest: Instant,
}

impl Health {
    /// Nothing is in force yet, and load balancers may send traffic here. `timeout` is how long a change may wait,
    /// kube-proxy's being twice the `syncPeriod`.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        let state = Mutex::new(State { waiting: None, synced: None, eligible: true });
        Self(Arc::new(Shared { timeout, state }))
    }

    /// A change has come that is not in force yet.
    pub fn queued(&self) {
        self.queued_at(Instant::now());
    }

    fn queued_at(&self, now: Instant) {
        let waiting = &mut self.state().waiting;
        *waiting = Some(Waiting { oldest: waiting.map_or(now, |waiting| waiting.oldest), newest: now });
    }

    /// All changes that had come by `taken` are in force, in both families. The first time, that is the first complete
    /// ruleset.
    pub fn synced(&self, taken: Instant) {
        let mut state = self.state();
        state.synced = Some(Timestamp::now());
        // When exactly the oldest of the later ones came is not known; it was not before.
        state.waiting = state
            .waiting
            .filter(|waiting| waiting.newest > taken)
            .map(|waiting| Waiting { oldest: waiting.oldest.max(taken), ..waiting });
    }

    /// Whether load balancers should send traffic to this node, as its Node has it.
    pub fn set_eligible(&self, eligible: bool) {
        self.state().eligible = eligible;
    }

    /// Whether load balancers should send traffic to this node, as its Node has it.
    #[must_use]
    pub fn is_eligible(&self) -> bool {
        self.state().eligible
    }

    /// Whether the first complete ruleset is in force.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state().synced.is_some()
    }

    /// Whether rules are in force and no change waits for too long. What the Node says does not matter.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.look(Instant::now()).healthy()
    }

    pub(super) fn healthz(&self) -> Verdict {
        self.healthz_at(Instant::now())
    }

    fn healthz_at(&self, now: Instant) -> Verdict {
        let look = self.look(now);
        Verdict::new(look, look.healthy(), Some(look.eligible))
    }

    pub(super) fn livez(&self) -> Verdict {
        self.livez_at(Instant::now())
    }

    fn livez_at(&self, now: Instant) -> Verdict {
        let look = self.look(now);
        Verdict::new(look, look.synced.is_none() || look.healthy(), None)
    }

    fn look(&self, now: Instant) -> Look {
        let state = self.state();
        let late = state.waiting.is_some_and(|waiting| now.duration_since(waiting.oldest) >= self.0.timeout);
        Look { synced: state.synced, late, eligible: state.eligible }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy)]
struct Look {
    synced: Option<Timestamp>,
    late: bool,
    eligible: bool,
}

impl Look {
    fn healthy(self) -> bool {
        self.synced.is_some() && !self.late
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Whether the answer is 200.
    pub(super) good: bool,
    pub(super) body: Body,
}

/// Times are RFC 3339.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body {
    last_updated: String,
    current_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_eligible: Option<bool>,
    healthy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

/// One transaction carries both families, so they are always alike.
#[derive(Debug, Serialize)]
struct Status {
    #[serde(rename = "IPv4")]
    ipv4: FamilyStatus,
    #[serde(rename = "IPv6")]
    ipv6: FamilyStatus,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct FamilyStatus {
    last_updated: String,
    healthy: bool,
}

/// How Go writes a time that was never set.
const NEVER: &str = "0001-01-01T00:00:00Z";

impl Verdict {
    fn new(look: Look, healthy: bool, eligible: Option<bool>) -> Self {
        let good = healthy && eligible != Some(false);
        let now = Timestamp::now().to_string();
        let synced = look.synced.map(|time| time.to_string());
        let status = synced.clone().map(|last_updated| {
            let family = FamilyStatus { last_updated, healthy };
            Status { ipv4: family.clone(), ipv6: family }
        });
        // Who asks for a recent `lastUpdated` rather than for the status must not take it for old because nothing has
        // changed in the cluster.
        let last_updated = if good { now.clone() } else { synced.unwrap_or_else(|| NEVER.to_owned()) };
        Self {
            good,
            body: Body { last_updated, current_time: now, node_eligible: eligible, healthy, status },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    enum Step {
        Queued,
        Seconds(u64),
        /// What had come so many seconds ago is in force.
        Synced(u64),
        Eligible(bool),
        /// Whether `/healthz` and `/livez` are 200.
        Expect(bool, bool),
    }
    use Step::{Eligible, Expect, Queued, Seconds, Synced};

    #[track_caller]
    fn check(steps: impl IntoIterator<Item = Step>) {
        let health = Health::new(TIMEOUT);
        let mut now = Instant::now();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Queued => health.queued_at(now),
                Seconds(seconds) => now += Duration::from_secs(seconds),
                Synced(ago) => health.synced(now.checked_sub(Duration::from_secs(ago)).unwrap()),
                Eligible(eligible) => health.set_eligible(eligible),
                Expect(healthy, live) => {
                    assert_eq!(health.healthz_at(now).good, healthy, "/healthz in step {number}");
                    assert_eq!(health.livez_at(now).good, live, "/livez in step {number}");
                }
            }
        }
    }

    #[test]
    fn a_start_that_waits_is_live_but_not_healthy() {
        check([
            Expect(false, true),
            Queued,
            Seconds(3600),
            Expect(false, true),
            Synced(0),
            Expect(true, true),
        ]);
    }

    #[test]
    fn a_change_that_waits_for_the_timeout_is_too_late() {
        check([Synced(0), Queued, Seconds(59), Queued, Expect(true, true), Seconds(1), Expect(false, false)]);
        check([Synced(0), Queued, Seconds(60), Expect(false, false), Synced(0), Expect(true, true)]);
        check([Synced(0), Seconds(3600), Expect(true, true)]);
    }

    #[test]
    fn a_change_that_came_while_another_was_committed_still_waits() {
        check([Synced(0), Queued, Seconds(50), Queued, Synced(10), Seconds(50), Expect(false, false)]);
        check([Synced(0), Queued, Seconds(50), Queued, Synced(10), Seconds(49), Expect(true, true)]);
        check([Synced(0), Queued, Seconds(50), Queued, Synced(0), Seconds(60), Expect(true, true)]);
    }

    #[test]
    fn a_node_that_is_going_away_is_live_but_not_healthy() {
        check([Synced(0), Eligible(false), Expect(false, true), Eligible(true), Expect(true, true)]);
    }

    #[track_caller]
    fn check_body(verdict: &Verdict, expected: &str) {
        let now = &verdict.body.current_time;
        let updated = verdict.body.status.as_ref().map_or(NEVER, |status| &status.ipv4.last_updated);
        let expected = expected.replace("NOW", now).replace("UPDATED", updated);
        assert_eq!(serde_json::to_string(&verdict.body).unwrap(), expected);
    }

    #[test]
    fn the_body_is_kube_proxys() {
        let health = Health::new(TIMEOUT);
        let start = Instant::now();
        let late = start + TIMEOUT;
        check_body(
            &health.healthz_at(start),
            r#"{"lastUpdated":"0001-01-01T00:00:00Z","currentTime":"NOW","nodeEligible":true,"healthy":false}"#,
        );
        check_body(&health.livez_at(start), r#"{"lastUpdated":"NOW","currentTime":"NOW","healthy":true}"#);
        health.synced(start);
        let good = r#""status":{"IPv4":{"lastUpdated":"UPDATED","healthy":true},"IPv6":{"lastUpdated":"UPDATED","healthy":true}}}"#;
        let healthz = r#"{"lastUpdated":"NOW","currentTime":"NOW","nodeEligible":true,"healthy":true,"#;
        check_body(&health.healthz_at(start), &[healthz, good].concat());
        health.set_eligible(false);
        // The node is not healthy, the rules are.
        let healthz = r#"{"lastUpdated":"UPDATED","currentTime":"NOW","nodeEligible":false,"healthy":true,"#;
        check_body(&health.healthz_at(start), &[healthz, good].concat());
        health.queued_at(start);
        check_body(
            &health.livez_at(late),
            r#"{"lastUpdated":"UPDATED","currentTime":"NOW","healthy":false,"status":{"IPv4":{"lastUpdated":"UPDATED","healthy":false},"IPv6":{"lastUpdated":"UPDATED","healthy":false}}}"#,
        );
    }
}

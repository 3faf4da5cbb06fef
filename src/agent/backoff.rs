//! How long to wait before the next attempt.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(100);

/// Waits that double with each failure up to a limit, each cut by up to a half, so that nodes do not keep step.
#[derive(Debug)]
pub(super) struct Backoff {
    failures: u32,
    limit: Duration,
}

impl Backoff {
    pub(super) fn new(limit: Duration) -> Self {
        Self { failures: 0, limit: limit.max(FIRST) }
    }

    /// The wait after one more failure.
    pub(super) fn next(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.failures.min(20)).min(self.limit);
        self.failures += 1;
        // Each hasher has keys of its own, which are random enough here.
        let jitter = RandomState::new().hash_one(self.failures) % 1000;
        let cut = whole.as_secs_f64() * 0.5 * (f64::from(u32::try_from(jitter).unwrap_or(0)) / 1000.0);
        whole.saturating_sub(Duration::from_secs_f64(cut))
    }

    /// An attempt went well.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_limit_and_begin_anew_after_success() {
        let limit = Duration::from_secs(30);
        let mut backoff = Backoff::new(limit);
        for failures in 0..40 {
            let whole = FIRST.saturating_mul(1 << failures.min(20)).min(limit);
            let wait = backoff.next();
            assert!(wait <= whole && wait >= whole / 2, "{failures}: {wait:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}

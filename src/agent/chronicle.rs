//! What the keeper has done so far, for `svcnat status`.

use std::time::Duration;

use jiff::Timestamp;

use crate::agent_api::{LastSync, Repairs};
use crate::metrics::{RepairReason, Sent};

/// What has happened since the start.
#[derive(Debug)]
pub(super) struct Chronicle {
    pub(super) started: Timestamp,
    pub(super) last_sync: Option<LastSync>,
    pub(super) repairs: Repairs,
    pub(super) failures: u64,
    /// The latest failure, where nothing has gone well since.
    pub(super) error: Option<String>,
}

impl Chronicle {
    /// Nothing has happened yet.
    pub(super) fn new() -> Self {
        Self {
            started: Timestamp::now(),
            last_sync: None,
            repairs: Repairs::default(),
            failures: 0,
            error: None,
        }
    }

    /// The kernel holds what it should.
    pub(super) fn synced(&mut self, took: Duration, full: bool, sent: Option<&Sent>) {
        self.error = None;
        self.last_sync = Some(LastSync {
            time: Timestamp::now(),
            seconds: took.as_secs_f64(),
            full,
            operations: sent.map_or(0, |sent| sent.operations),
            bytes: sent.map_or(0, |sent| sent.bytes),
        });
    }

    /// It held something else, and was mended.
    pub(super) fn repaired(&mut self, reason: RepairReason) {
        *match reason {
            RepairReason::TransactionFailed => &mut self.repairs.transaction_failed,
            RepairReason::ChangedByOthers => &mut self.repairs.changed_by_others,
            RepairReason::Resync => &mut self.repairs.resync,
        } += 1;
    }

    /// An attempt has failed.
    pub(super) fn failed(&mut self, error: &impl ToString) {
        self.failures += 1;
        self.error = Some(error.to_string());
    }
}

//! The outlet of mode iptables: a thread that runs the programs of iptables, which take their time, and remembers what is there.

use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use svcnat_rules::engine::Engine;
use svcnat_rules::installed;
use svcnat_rules::iptables::{
    Change, Collision, Installed, Ruleset, Summary, Table, TableChange, TableName, as_nftables, diff, verify,
};
use svcnat_rules::net::Family;
use tokio::sync::oneshot;

use super::iptables_watch::Watch;
use super::outlet::{Done, Print, SendError};
use crate::iptables;
use crate::metrics::{Metrics, Sent};

/// A handle on the thread.
pub(super) struct Iptables {
    requests: mpsc::Sender<Request>,
    dry_run: bool,
    /// What is known not to be served since its chains would have the names of others.
    collisions: Vec<Collision>,
}

/// Who carries changes out.
pub(super) enum Sink {
    /// The programs of iptables; who else changes our rules is noticed, and how many there are is counted.
    Programs(iptables::Iptables, Watch, Metrics),
    /// Nobody: each change is printed. What is there is what was there at the start.
    DryRun(Print, Installed),
}

enum Request {
    Read(oneshot::Sender<Result<installed::Installed, SendError>>),
    Make { wanted: Ruleset, read_back: bool, reply: oneshot::Sender<Result<Made, SendError>> },
}

/// Rules that are in force.
struct Made {
    sent: Option<Sent>,
    summary: Summary,
}

impl Iptables {
    /// Starts the thread, in the network namespace of the calling one.
    pub(super) fn start(sink: Sink) -> std::io::Result<Self> {
        let dry_run = matches!(sink, Sink::DryRun(..));
        let (requests, inbox) = mpsc::channel();
        let mut worker = Worker { sink, installed: None };
        thread::Builder::new().name("iptables".to_owned()).spawn(move || worker.serve(&inbox))?;
        Ok(Self { requests, dry_run, collisions: Vec::new() })
    }

    /// Whether nothing is changed on this machine.
    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// What is there, in the words of nftables.
    pub(super) async fn read(&self) -> Result<installed::Installed, SendError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Read(reply)).map_err(|_| SendError::Gone)?;
        answer.await.map_err(|_| SendError::Gone)?
    }

    /// Writes what is other than it was read or written last.
    pub(super) async fn change(&mut self, engine: &Engine) -> Result<Done, SendError> {
        self.make(engine, false).await
    }

    /// Reads everything back and writes what differs.
    pub(super) async fn compare(&mut self, engine: &Engine) -> Result<Done, SendError> {
        self.make(engine, true).await
    }

    async fn make(&mut self, engine: &Engine, read_back: bool) -> Result<Done, SendError> {
        let compiled = engine.iptables();
        for collision in compiled.collisions.iter().filter(|one| !self.collisions.contains(one)) {
            tracing::warn!("conflict: {collision}");
        }
        self.collisions = compiled.collisions;
        let (reply, answer) = oneshot::channel();
        let request = Request::Make { wanted: compiled.ruleset, read_back, reply };
        self.requests.send(request).map_err(|_| SendError::Gone)?;
        let Made { sent, summary } = answer.await.map_err(|_| SendError::Gone)??;
        Ok(Done { sent, summary: summary.to_string() })
    }
}

struct Worker {
    sink: Sink,
    /// What is there; nothing where that is not known.
    installed: Option<Installed>,
}

impl Worker {
    /// Who asked and does not wait any more needs no answer.
    fn serve(&mut self, inbox: &mpsc::Receiver<Request>) {
        while let Ok(request) = inbox.recv() {
            match request {
                Request::Read(reply) => {
                    let read = self.read();
                    drop(reply.send(read.map(|read| installed::Installed::from(&as_nftables(read)))));
                }
                Request::Make { wanted, read_back, reply } => drop(reply.send(self.make(wanted, read_back))),
            }
        }
    }

    /// Reads what is there, and remembers it.
    fn read(&mut self) -> Result<&Installed, SendError> {
        let read = match &mut self.sink {
            Sink::DryRun(_, installed) => installed.clone(),
            Sink::Programs(iptables, watch, _) => {
                self.installed = None;
                watch.reading();
                iptables.read()?
            }
        };
        Ok(self.installed.insert(read))
    }

    /// What a failure leaves is not known until it is read.
    fn make(&mut self, wanted: Ruleset, read_back: bool) -> Result<Made, SendError> {
        if let Some(violation) = verify(&wanted).into_iter().next() {
            return Err(violation.into());
        }
        if read_back || self.installed.is_none() {
            self.read()?;
        }
        let installed = self.installed.take().unwrap_or_default();
        let change = diff(&wanted, &installed);
        let summary = change.summary();
        if change.is_empty() {
            self.sink.count(&wanted, &change);
            self.installed = Some(installed);
            return Ok(Made { sent: None, summary });
        }
        let sent = self.sink.send(&change)?;
        self.sink.count(&wanted, &change);
        self.installed = Some(Installed::from(wanted));
        Ok(Made { sent, summary })
    }
}

impl Sink {
    fn send(&mut self, change: &Change<'_>) -> Result<Option<Sent>, SendError> {
        match self {
            Self::DryRun(print, _) => {
                print(change)?;
                Ok(None)
            }
            Self::Programs(iptables, watch, _) => {
                let began = Instant::now();
                watch.writing();
                let applied = iptables.apply(change);
                watch.written(change.families.len());
                let Summary { chains_added, chains_removed, rules_added, rules_removed } = change.summary();
                let operations = chains_added + chains_removed + rules_added + rules_removed;
                Ok(Some(Sent { operations, bytes: applied?, kernel: began.elapsed() }))
            }
        }
    }

    /// Tells how many rules there are by now, and how many of them a change has written.
    fn count(&self, wanted: &Ruleset, change: &Change<'_>) {
        let Self::Programs(_, _, metrics) = self else { return };
        for family in Family::ALL {
            for table in TableName::ALL {
                let there = wanted.families.get(&family).and_then(|tables| tables.get(&table));
                let changed = change.families.get(&family).and_then(|tables| tables.get(&table));
                let (rules, written) = (there.map(Table::rules), changed.map(TableChange::rules_written));
                metrics.iptables_synced(family, table, rules.unwrap_or(0), written.unwrap_or(0));
            }
        }
    }
}

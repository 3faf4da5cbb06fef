//! Kubernetes Events (events.k8s.io/v1), which `kubectl describe` and `kubectl get events` show.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter as Controller};
use svcnat_rules::name::ObjectName;
use tokio::sync::mpsc;

use super::client::Connection;

/// How many reports may wait to be sent.
const QUEUE: usize = 64;
/// A repeated report is sent no more often than this.
const QUIET: Duration = Duration::from_secs(60);
/// The API's limits, in bytes: `reason` and `action` 128, `note` 1,024.
const WORD: usize = 128;
const NOTE: usize = 1_024;

/// The object that an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Regarding {
    /// This node.
    Node,
    /// A Service.
    Service(ObjectName),
}

/// The `type` of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// For information.
    Normal,
    /// Somebody should look.
    Warning,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Report {
    /// The object that it is about.
    pub regarding: Regarding,
    /// `type`.
    pub severity: Severity,
    /// `reason`: why, one word in PascalCase.
    pub reason: &'static str,
    /// `action`: what was done or tried, one word in PascalCase.
    pub action: &'static str,
    /// `note`: what people read.
    pub note: String,
}

/// Takes reports and never waits. Cloning gives another handle to the same queue.
#[derive(Debug, Clone)]
pub struct Reporter {
    sender: mpsc::Sender<Report>,
    dropped: Arc<AtomicU64>,
}

impl Reporter {
    /// A reporter for this node, and the future that sends the reports; it ends when all handles are gone.
    pub fn new(connection: Connection, node: String) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let poster = Poster { connection, node, dropped: Arc::clone(&dropped), sent: HashMap::new() };
        (Self { sender, dropped }, poster.run(receiver))
    }

    /// Queues a report. Where too many wait already, it is dropped and counted.
    pub fn report(&self, report: Report) {
        if self.sender.try_send(report).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many reports were dropped: for lack of room, or because the API server did not take them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Sends reports one after the other.
struct Poster {
    connection: Connection,
    node: String,
    dropped: Arc<AtomicU64>,
    /// When which report was last sent.
    sent: HashMap<Report, Instant>,
}

impl Poster {
    async fn run(mut self, mut receiver: mpsc::Receiver<Report>) {
        let mut generation = None;
        let mut recorder = None;
        while let Some(report) = receiver.recv().await {
            if !self.is_due(&report, Instant::now()) {
                continue;
            }
            let current = self.connection.current();
            let recorder = match recorder.take().filter(|_| generation == Some(current.generation)) {
                Some(same) => recorder.insert(same),
                None => recorder.insert(Recorder::new(current.client.clone(), self.controller())),
            };
            generation = Some(current.generation);
            let (event, object) = (event(&report), self.object(&report.regarding));
            if let Err(failure) = current.patiently(recorder.publish(&event, &object)).await {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%failure, reason = report.reason, "an event could not be posted");
            }
        }
    }

    /// Whether a report is to be sent at this time. Repeats within [`QUIET`] are not; later ones extend the series that
    /// the first began.
    fn is_due(&mut self, report: &Report, now: Instant) -> bool {
        self.sent.retain(|_, sent| now.saturating_duration_since(*sent) < QUIET);
        if self.sent.contains_key(report) {
            return false;
        }
        self.sent.insert(report.clone(), now);
        true
    }

    fn controller(&self) -> Controller {
        Controller { controller: "svcnat".to_owned(), instance: Some(self.node.clone()) }
    }

    fn object(&self, regarding: &Regarding) -> ObjectReference {
        let object = |kind: &str, name: &str| ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some(kind.to_owned()),
            name: Some(name.to_owned()),
            ..ObjectReference::default()
        };
        match regarding {
            // The kubelet and kube-proxy give the name for the uid, and `kubectl describe node` looks for that.
            Regarding::Node => ObjectReference { uid: Some(self.node.clone()), ..object("Node", &self.node) },
            Regarding::Service(name) => ObjectReference {
                namespace: Some(name.namespace().to_owned()),
                ..object("Service", name.name())
            },
        }
    }
}

fn event(report: &Report) -> Event {
    Event {
        type_: match report.severity {
            Severity::Normal => EventType::Normal,
            Severity::Warning => EventType::Warning,
        },
        reason: cut(report.reason, WORD).to_owned(),
        action: cut(report.action, WORD).to_owned(),
        note: Some(cut(&report.note, NOTE).to_owned()),
        secondary: None,
    }
}

/// The text's start, at most this many bytes.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::client::ClientSettings;

    fn report(note: &str) -> Report {
        Report {
            regarding: Regarding::Node,
            severity: Severity::Warning,
            reason: "Because",
            action: "Did",
            note: note.to_owned(),
        }
    }

    async fn connection() -> Connection {
        let master = Some("127.0.0.1:9".to_owned());
        Connection::new(ClientSettings { master, ..ClientSettings::default() }).await.unwrap()
    }

    #[tokio::test]
    async fn repeats_wait_and_too_many_are_dropped_and_counted() {
        let (reporter, _unpolled) = Reporter::new(connection().await, "n1".to_owned());
        for number in 0..QUEUE + 3 {
            reporter.report(report(&number.to_string()));
        }
        assert_eq!(reporter.dropped(), 3);

        let mut poster = Poster {
            connection: connection().await,
            node: "n1".to_owned(),
            dropped: Arc::default(),
            sent: HashMap::new(),
        };
        let began = Instant::now();
        let mut check = |note: &str, seconds: u64, due: bool| {
            assert_eq!(
                poster.is_due(&report(note), began + Duration::from_secs(seconds)),
                due,
                "{note} {seconds}"
            );
        };
        check("a", 0, true);
        check("a", 59, false);
        check("b", 59, true);
        check("a", 60, true);
        check("a", 61, false);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let check = |text: &str, most: usize, expected: &str| assert_eq!(cut(text, most), expected);
        check("abc", 5, "abc");
        check("abc", 2, "ab");
        check("aéb", 2, "a");
        check("aéb", 3, "aé");
        check("", 2, "");
        check("é", 0, "");
    }
}

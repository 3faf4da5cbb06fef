//! Watches without a network: events go in as lines of JSON, news comes out as text.
//!
//! `recorded/` has bodies of what a kube-apiserver 1.36.2 answered.

mod lines;
mod recorded;

use std::collections::HashSet;
use std::time::Duration;

use svcnat_rules::engine::Event;
use svcnat_rules::name::ObjectName;
use tokio::sync::mpsc;

use super::answer::Answer;
use super::client::{ClientSettings, Connection};
use super::events::Events;
use super::failure::{Failure, Since};
use super::handle::Handle;
use super::kinds::Kind;
use super::outlet::{Outlet, Share};
use super::watch::Watch;
use crate::source::News;

/// A watch that nobody but the test feeds.
struct Fed<K: Kind> {
    watch: Watch<K>,
    receiver: mpsc::Receiver<News>,
    handle: Handle,
}

impl<K: Kind> Fed<K> {
    async fn new(kind: K) -> Self {
        let settings = ClientSettings { master: Some("127.0.0.1:9".to_owned()), ..ClientSettings::default() };
        let connection = Connection::new(settings).await.unwrap();
        let (sender, receiver) = mpsc::channel(1_000);
        let handle = Handle::default();
        let share = Share::new(Outlet::new(sender, 1));
        Self { watch: Watch::new(kind, connection, share, handle.clone()), receiver, handle }
    }

    /// Feeds the lines of a streaming list, and of the watch that it goes on as, until they end.
    async fn list(&mut self, lines: &str) -> Result<(), Failure> {
        self.list_since(&Since::Any, lines).await
    }

    async fn list_since(&mut self, since: &Since, lines: &str) -> Result<(), Failure> {
        self.watch.begin_list(since);
        self.feed(lines, Some(since)).await
    }

    /// Feeds the lines of a watch.
    async fn follow(&mut self, lines: &str) -> Result<(), Failure> {
        self.feed(lines, None).await
    }

    async fn feed(&mut self, lines: &str, listing: Option<&Since>) -> Result<(), Failure> {
        self.watch.follow(Events::new(Answer::new(lines.as_bytes(), Duration::from_secs(9))), listing).await
    }

    /// What was told since the last question.
    fn told(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.receiver.try_recv().ok()).map(|news| in_words(&news)).collect()
    }
}

fn in_words(news: &News) -> String {
    match news {
        News::Complete => "complete".to_owned(),
        News::Eligible(eligible) => format!("eligible {eligible}"),
        News::Change(change) => match &change.event {
            Event::Service(service) => format!("service {} {:?}", service.name, service.cluster_ips),
            Event::ServiceGone(name) => format!("service {name} gone"),
            Event::Slice(name, slice) => {
                let addresses: Vec<_> =
                    slice.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect();
                format!("slice {name} of {} {}", slice.service, addresses.join(","))
            }
            Event::SliceGone(name) => format!("slice {name} gone"),
            Event::Node(node) => format!("node {:?}", node.as_ref().map(|node| &node.addresses)),
            Event::ServiceCidrs(networks) => {
                format!("cidrs {}", networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
            }
            Event::Config(_) => "config".to_owned(),
        },
    }
}

fn names<const N: usize>(names: [&str; N]) -> HashSet<ObjectName> {
    names.into_iter().map(|name| ObjectName::new("demo", name)).collect()
}

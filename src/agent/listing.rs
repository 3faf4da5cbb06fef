//! Describing Services to whoever asks on the socket: all at once, or as they change.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Bytes;
use futures::{Stream, StreamExt as _, stream};
use svcnat_rules::describe::ServiceSummary;
use svcnat_rules::name::ObjectName;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::task::spawn_blocking;

use super::questions::{Asker, PAGE};
use crate::agent_api::{Change, LabelSelector, WatchEvent};

/// Which Services are asked for.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    /// Only those of a namespace.
    pub(super) namespace: Option<String>,
    /// Only those with such labels.
    pub(super) selector: Option<LabelSelector>,
}

impl Filter {
    /// The name behind which the first Services come that are asked for.
    fn start(&self) -> Option<ObjectName> {
        self.namespace.as_ref().map(|namespace| ObjectName::new(namespace, ""))
    }

    fn takes(&self, name: &ObjectName) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| name.namespace() == namespace)
    }

    fn selects(&self, service: &ServiceSummary) -> bool {
        self.takes(&service.object_name())
            && self.selector.as_ref().is_none_or(|selector| selector.selects(service))
    }
}

/// The Services in the order of their names; `None` before all that exists has been told, or when the agent ends.
pub(super) async fn all(asker: &Asker, filter: &Filter) -> Option<Vec<ServiceSummary>> {
    let mut found = Vec::new();
    let mut after = filter.start();
    loop {
        let (part, last) = asker.page(after).await?;
        let Some(last) = last else { return Some(found) };
        let services = spawn_blocking(move || part.services()).await.ok()?;
        found.extend(services.into_iter().filter(|service| filter.selects(service)));
        if !filter.takes(&last) {
            return Some(found);
        }
        after = Some(last);
    }
}

/// Those of the Services that there are and that are asked for.
async fn some(asker: &Asker, filter: &Filter, names: &[ObjectName]) -> Option<Vec<ServiceSummary>> {
    let mut found = Vec::with_capacity(names.len());
    for page in names.chunks(PAGE) {
        let part = asker.part(page.to_vec()).await?;
        let services = spawn_blocking(move || part.services()).await.ok()?;
        found.extend(services.into_iter().filter(|service| filter.selects(service)));
    }
    Some(found)
}

/// Lines that tell of all Services, then of each that is different, until the agent ends. `None` as for [`all`].
pub(super) async fn watch(
    asker: Asker,
    filter: Filter,
) -> Option<impl Stream<Item = Result<Bytes, Infallible>> + use<>> {
    // From before the list on, so that nothing comes in between.
    let touched = asker.touched();
    let services = all(&asker, &filter).await?;
    let mut watch = Watch { asker, filter, touched, known: BTreeMap::new() };
    let mut events = watch.seen(services);
    events.push(WatchEvent { change: Change::Synced, object: None });
    let later = stream::unfold(watch, |mut watch| async move {
        let events = watch.next().await?;
        Some((events, watch))
    });
    Some(stream::once(async { events }).chain(later).map(|events| Ok(lines(&events))))
}

/// What somebody who watches has been told.
struct Watch {
    asker: Asker,
    filter: Filter,
    touched: Receiver<Arc<[ObjectName]>>,
    known: BTreeMap<ObjectName, ServiceSummary>,
}

impl Watch {
    /// The events of the next updates; `None` when the agent ends.
    async fn next(&mut self) -> Option<Vec<WatchEvent>> {
        let (names, there) = match self.touched.recv().await {
            Ok(touched) => {
                let names = self.concerned(&touched);
                let there = some(&self.asker, &self.filter, &names).await?;
                (names, there)
            }
            // Too much has happened to know what.
            Err(RecvError::Lagged(_)) => {
                self.touched = self.asker.touched();
                let there = all(&self.asker, &self.filter).await?;
                (self.known.keys().cloned().collect(), there)
            }
            Err(RecvError::Closed) => return None,
        };
        let left: HashSet<ObjectName> = there.iter().map(ServiceSummary::object_name).collect();
        let gone =
            names.iter().filter(|name| !left.contains(name)).filter_map(|name| self.known.remove(name));
        let gone = gone.map(|object| WatchEvent { change: Change::Deleted, object: Some(object) });
        let mut events: Vec<WatchEvent> = gone.collect();
        events.extend(self.seen(there));
        Some(events)
    }

    /// The Services that an update may have made different: those that it touched, and those that had lost a frontend, which
    /// they may have won since.
    fn concerned(&self, touched: &[ObjectName]) -> Vec<ObjectName> {
        let losers =
            self.known.iter().filter(|(_, known)| known.conflicts.iter().any(|lost| !lost.is_empty()));
        let names = touched.iter().chain(losers.map(|(name, _)| name));
        let names: BTreeSet<&ObjectName> = names.filter(|name| self.filter.takes(name)).collect();
        names.into_iter().cloned().collect()
    }

    /// What of these Services is news.
    fn seen(&mut self, services: Vec<ServiceSummary>) -> Vec<WatchEvent> {
        let mut events = Vec::new();
        for service in services {
            let before = self.known.insert(service.object_name(), service.clone());
            let change = if before.is_some() { Change::Modified } else { Change::Added };
            if before.as_ref() != Some(&service) {
                events.push(WatchEvent { change, object: Some(service) });
            }
        }
        events
    }
}

fn lines(events: &[WatchEvent]) -> Bytes {
    let mut text = Vec::new();
    for event in events {
        // Writing to memory does not fail, and the shapes have nothing that JSON has not.
        if serde_json::to_writer(&mut text, event).is_ok() {
            text.push(b'\n');
        }
    }
    text.into()
}

//! The thread that removes what changes leave behind: flows to backends that are gone, clients that would be misled. It works
//! behind the transactions, which never wait for it.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::ruleset::Value;

use super::kernel::Errands;
use super::leftovers::Leftovers;
use crate::memory;
use crate::metrics::Metrics;
use crate::netlink::{self, Batch, Netlink};
use crate::stale::Maps;

/// A handle on the thread.
#[derive(Debug, Clone)]
pub(super) struct Cleaner {
    jobs: mpsc::Sender<Leftovers>,
}

impl Cleaner {
    /// Starts the thread, in the network namespace of the calling one. `errands` run at the
    /// socket that owns the tables; there is none in mode iptables.
    pub(super) fn start(errands: Option<Errands>, metrics: Metrics) -> Result<Self, netlink::Error> {
        let (jobs, inbox) = mpsc::channel();
        thread::Builder::new()
            .name("stale".to_owned())
            .spawn(move || work(errands.as_ref(), &metrics, &inbox))
            .map_err(|source| netlink::Error::Io { action: "start a thread", source })?;
        Ok(Self { jobs })
    }

    /// Queues what a change leaves behind.
    pub(super) fn clean(&self, leftovers: Leftovers) {
        // The thread ends only when the process does.
        drop(self.jobs.send(leftovers));
    }
}

/// To find tracked flows the kernel walks through the whole table of them, for each change anew. So what comes meanwhile is looked
/// for together, and after each walk the thread rests so many times as long, which leaves it a twentieth of a processor.
const REST: u32 = 19;
/// But no longer than kube-proxy takes at least between two looks (`minSyncPeriod`).
const LONGEST_REST: Duration = Duration::from_secs(1);

fn work(errands: Option<&Errands>, metrics: &Metrics, inbox: &mpsc::Receiver<Leftovers>) {
    let mut leftovers = Vec::new();
    loop {
        if leftovers.is_empty() {
            let Ok(first) = inbox.recv() else { return };
            leftovers.push(first);
        }
        leftovers.extend(inbox.try_iter());
        let began = Instant::now();
        let removed = match Netlink::open() {
            Ok(reader) => Leftovers::remove(&leftovers, &mut Remote { reader, errands }),
            Err(error) => {
                tracing::warn!("{error}; what changes left behind is looked for later");
                thread::sleep(LONGEST_REST);
                continue;
            }
        };
        for problem in &removed.problems {
            tracing::warn!("{problem}");
        }
        if removed.flows > 0 || removed.affinity > 0 {
            tracing::info!("flows -{}, affinity -{}", removed.flows, removed.affinity);
        }
        metrics.affinity_removed(removed.affinity);
        for (family, flows) in &removed.flows_by_family {
            metrics.conntrack_reconciled(*family, began.elapsed(), *flows);
        }
        let many = leftovers.iter().any(Leftovers::are_many);
        leftovers = Vec::new();
        if many {
            memory::give_back();
        }
        thread::sleep((began.elapsed() * REST).min(LONGEST_REST));
    }
}

/// Reads by a socket of its own and changes by the one that owns the tables, which is so never kept by a long list.
struct Remote<'a> {
    reader: Netlink,
    /// Without one there are no maps: the clients that iptables remembers go with the rules that name their backend.
    errands: Option<&'a Errands>,
}

impl Maps for Remote<'_> {
    fn read(
        &mut self,
        family: Family,
        map: &Name,
        each: &mut dyn FnMut(Value, Value),
    ) -> Result<bool, netlink::Error> {
        match self.errands {
            Some(_) => self.reader.dynamic_elements(family, map, each),
            None => Ok(true),
        }
    }

    fn apply(&mut self, batch: Batch) -> Result<(), netlink::Error> {
        self.errands.map_or(Ok(()), |errands| errands.run(batch))
    }
}

//! What one change costs: the same changes, made by svcnat and in the peer's shape.
//!
//! A [`Subject`] is one way of bringing a change into the kernel; each has a file of its own.

mod apply;
mod engine;
pub mod iptables;
mod peer;

use std::time::Duration;

use svcnat_rules::cluster::{Cluster, EndpointSlice, Service};
use svcnat_rules::net::Protocol;

use crate::cluster::{Maker, Size, service_name, slice_name};
use crate::sample::{Effort, Samples};
use crate::{LAYOUTS, Result, kernel, reach};

/// What changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A pod takes the place of another one.
    Replaced,
    /// A pod comes.
    Added,
    /// A pod goes.
    Removed,
    /// A Service comes with its backends.
    ServiceAdded,
}

impl Kind {
    /// Every kind, in the order of the page.
    pub const ALL: [Self; 4] = [Self::Replaced, Self::Added, Self::Removed, Self::ServiceAdded];

    /// For the page.
    pub fn title(self) -> &'static str {
        match self {
            Self::Replaced => "one backend replaced",
            Self::Added => "one backend added",
            Self::Removed => "one backend removed",
            Self::ServiceAdded => "one Service added",
        }
    }
}

/// One Service's state from now on.
#[derive(Debug, Clone)]
pub struct Change {
    /// The Service's number.
    pub number: usize,
    /// The Service.
    pub service: Service,
    /// Its slice until now; none for a new Service.
    pub before: Option<EndpointSlice>,
    /// Its slice from now on.
    pub after: EndpointSlice,
}

/// What a change cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// From the changed object to the kernel's answer.
    pub total: Duration,
    /// How much was sent, in bytes: of netlink, or of the script for a program.
    pub bytes: usize,
    /// How many chains were written, where they are written as a whole.
    pub chains: Option<usize>,
}

/// A way to bring changes into a kernel that holds the whole cluster already.
pub trait Subject {
    /// For the page.
    fn name(&self) -> String;

    /// Brings a change into the kernel; `None` where that took too long.
    fn apply(&mut self, change: &Change) -> Result<Option<Cost>>;
}

/// What the engine is called with one of the layouts.
pub fn engine_name(layout: &str) -> String {
    format!("engine, `{layout}`")
}

/// What was measured of one subject for one kind of change.
#[derive(Debug)]
pub struct Measured {
    /// The size of the cluster.
    pub size: Size,
    /// The subject.
    pub subject: String,
    /// The kind.
    pub kind: Kind,
    /// From the changed object to the kernel's answer.
    pub times: Samples,
    /// The most that was sent, in bytes.
    pub bytes: usize,
    /// The most chains that were written, where they are written as a whole.
    pub chains: Option<usize>,
}

const EFFORT: Effort = Effort { samples: 1_000, time: Duration::from_secs(5) };

/// Measures all subjects, each in a namespace of its own.
pub fn measure(size: Size, patience: Duration) -> Result<Vec<Measured>> {
    let maker = Maker::new(size, Protocol::Tcp);
    let cluster = maker.cluster();
    let mut measured = Vec::new();
    for (name, layout) in LAYOUTS.into_iter().filter(|(_, layout)| reach::layout(*layout, size)) {
        measured.extend(kernel::in_namespace(|| {
            let subject = engine::Incremental::new(name, cluster.clone(), layout)?;
            measure_subject(size, &maker, subject, &Kind::ALL)
        })?);
        if !reach::apply(size) {
            continue;
        }
        measured.extend(kernel::in_namespace(|| {
            let subject = apply::Apply::new(name, cluster.clone(), layout)?;
            measure_subject(size, &maker, subject, &Kind::ALL)
        })?);
    }
    if !reach::peer(size) {
        return Ok(measured);
    }
    measured.extend(kernel::in_namespace(|| match peer::Peer::new(&cluster, patience)? {
        Some(subject) => measure_subject(size, &maker, subject, &Kind::ALL),
        None => Ok(Vec::new()),
    })?);
    Ok(measured)
}

/// New Services stay, so only as many come as do not make the cluster another one.
fn effort(kind: Kind, size: Size) -> Effort {
    match kind {
        Kind::ServiceAdded => Effort { samples: (size.services / 20).clamp(5, EFFORT.samples), ..EFFORT },
        _ => EFFORT,
    }
}

fn measure_subject(
    size: Size,
    maker: &Maker,
    mut subject: impl Subject,
    kinds: &[Kind],
) -> Result<Vec<Measured>> {
    let mut script = Script { size, maker, made: 0 };
    let mut measured = Vec::new();
    for &kind in kinds {
        let mut times = Samples::default();
        let (mut bytes, mut chains) = (0, None);
        effort(kind, size).repeat(|| {
            for (step, change) in script.changes(kind) {
                let Some(cost) = subject.apply(&change)? else { continue };
                if step == Step::Measured {
                    times.push(cost.total);
                    bytes = bytes.max(cost.bytes);
                    chains = chains.max(cost.chains);
                }
            }
            Ok::<(), crate::Error>(())
        })?;
        measured.push(Measured { size, subject: subject.name(), kind, times, bytes, chains });
    }
    Ok(measured)
}

/// Whether a change is measured or only leads to one that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Measured,
    Silent,
}

/// The sequence of changes, the same for each subject. But for new Services, each Service is as it was at the end.
struct Script<'a> {
    size: Size,
    maker: &'a Maker,
    made: usize,
}

impl Script<'_> {
    fn changes(&mut self, kind: Kind) -> Vec<(Step, Change)> {
        self.made += 1;
        if kind == Kind::ServiceAdded {
            let number = self.size.services + self.made;
            let (service, after) = (self.maker.service(number), self.maker.slice(number));
            return vec![(Step::Measured, Change { number, service, before: None, after })];
        }
        // Far from each other, so that none is in a cache by chance.
        let number = (self.made * 7_919) % self.size.services;
        let service = self.maker.service(number);
        let usual = self.maker.slice(number);
        let mut other = usual.clone();
        let fresh = self.maker.fresh(number, self.made);
        match kind {
            Kind::Replaced => {
                other.endpoints.iter_mut().take(1).for_each(|endpoint| *endpoint = fresh.clone());
            }
            _ => other.endpoints.push(fresh),
        }
        let change = |before: &EndpointSlice, after: &EndpointSlice| Change {
            number,
            service: service.clone(),
            before: Some(before.clone()),
            after: after.clone(),
        };
        let (there, back) = match kind {
            Kind::Removed => (Step::Silent, Step::Measured),
            _ => (Step::Measured, Step::Silent),
        };
        vec![(there, change(&usual, &other)), (back, change(&other, &usual))]
    }
}

/// Writes a change into a cluster.
fn note(cluster: &mut Cluster, change: &Change) {
    cluster.services.insert(service_name(change.number, ""), change.service.clone());
    cluster.slices.insert(slice_name(change.number), change.after.clone());
}

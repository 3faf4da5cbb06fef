//! Questions to the keeper, which alone knows the state. What it does for an answer is little: it copies a few Services.
//! Describing them is the work of whoever asks, on another thread.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use svcnat_rules::cluster::Cluster;
use svcnat_rules::compile::Conflict;
use svcnat_rules::config::Config;
use svcnat_rules::describe::{self, BackendSummary, Counted, ServiceSummary};
use svcnat_rules::engine::Engine;
use svcnat_rules::layout::Picking;
use svcnat_rules::name::ObjectName;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::chronicle::Chronicle;
use crate::agent_api::{API_VERSION, Counts, State, Status};
use crate::settings::Settings;

/// How many questions may wait.
const WAITING: usize = 16;

/// How many updates a watcher may lag behind before it must look at everything again.
const LAG: usize = 256;

/// A question with the way for its answer. Of Services nothing is known before all that exists has been told.
pub(super) enum Question {
    /// A few Services behind a name.
    Page(Option<ObjectName>, oneshot::Sender<Option<Page>>),
    /// These Services, as far as they are known.
    Part(Vec<ObjectName>, oneshot::Sender<Option<Part>>),
    Status(oneshot::Sender<Status>),
    /// What is known of a few Services behind a name, to be kept; behind the last one, of the node.
    Known(Option<ObjectName>, oneshot::Sender<Option<Known>>),
    /// What is counted of these Services, as far as they are known.
    Counted(Vec<ObjectName>, oneshot::Sender<Result<Counting, NotCounted>>),
}

/// What the kernel counts.
#[derive(Debug)]
pub(super) struct Counting {
    /// How many series each metric of it has.
    pub(super) series: usize,
    /// The frontends and backends of the Services that were asked for.
    pub(super) services: Vec<(ObjectName, Vec<Counted>)>,
}

/// Why nothing is told of what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotCounted {
    /// Connections are not counted.
    Off,
    /// Not all that exists has been told yet, or the agent ends.
    NotYet,
}

/// What is known of a few Services, with the name of the last one; behind the end, what is known of the node.
pub(super) type Known = (Cluster, Option<ObjectName>);

/// How many Services the keeper copies at once: a change of the cluster waits no longer than that takes, which is about 0.1 ms
/// for Services of ten endpoints.
pub(super) const PAGE: usize = 32;

/// A few Services that follow each other, with the name of the last one; none behind the end.
pub(super) type Page = (Part, Option<ObjectName>);

/// Some Services with all that describing them takes.
#[derive(Debug)]
pub(super) struct Part {
    cluster: Cluster,
    config: Config,
    lost: Vec<Conflict>,
}

impl Part {
    /// The Services in the order of their names.
    pub(super) fn services(&self) -> Vec<ServiceSummary> {
        describe::services(&self.cluster, &self.config, &self.lost)
    }

    /// The backends of a Service; `None` where it is not there.
    pub(super) fn backends(&self, name: &ObjectName) -> Option<Vec<BackendSummary>> {
        describe::backends_of(&self.cluster, &self.config, name)
    }
}

/// What a keeper knows when it is asked.
pub(super) struct Facts<'a> {
    /// None before all that exists has been told.
    pub(super) engine: Option<&'a Engine>,
    pub(super) watchers: &'a Watchers,
    pub(super) settings: &'a Settings,
    pub(super) chronicle: &'a Chronicle,
    pub(super) source: &'static str,
    pub(super) owns_tables: bool,
    pub(super) eligible: bool,
    /// Why the kernel may hold something else than it should.
    pub(super) out_of_step: Option<&'static str>,
    pub(super) pending: usize,
}

impl Facts<'_> {
    /// Answers. Who asked and does not wait any more needs no answer.
    pub(super) fn answer(&self, question: Question) {
        match question {
            Question::Page(after, reply) => {
                drop(reply.send(self.engine.map(|engine| self.page(engine, after.as_ref()))));
            }
            Question::Part(names, reply) => {
                drop(reply.send(self.engine.map(|engine| self.part(engine, &names))));
            }
            Question::Status(reply) => drop(reply.send(self.status())),
            Question::Known(after, reply) => {
                drop(reply.send(self.engine.map(|engine| self.known(engine, after.as_ref()))));
            }
            Question::Counted(names, reply) => drop(reply.send(self.counting(names))),
        }
    }

    fn counting(&self, names: Vec<ObjectName>) -> Result<Counting, NotCounted> {
        if !self.settings.rules.counters {
            return Err(NotCounted::Off);
        }
        let engine = self.engine.ok_or(NotCounted::NotYet)?;
        let services = names.into_iter().filter_map(|name| {
            let counted = engine.counted(&name)?;
            Some((name, counted))
        });
        Ok(Counting { series: self.settings.counters_series, services: services.collect() })
    }

    fn page(&self, engine: &Engine, after: Option<&ObjectName>) -> Page {
        let names = self.names_behind(after);
        (self.part(engine, &names), names.last().cloned())
    }

    fn known(&self, engine: &Engine, after: Option<&ObjectName>) -> Known {
        let names = self.names_behind(after);
        let part = match names.as_slice() {
            [] => engine.cluster_of(&[]),
            names => Cluster { node: None, service_cidrs: Vec::new(), ..engine.cluster_of(names) },
        };
        (part, names.last().cloned())
    }

    fn names_behind(&self, after: Option<&ObjectName>) -> Vec<ObjectName> {
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.watchers.names.range((behind, Bound::Unbounded)).take(PAGE).cloned().collect()
    }

    fn part(&self, engine: &Engine, names: &[ObjectName]) -> Part {
        Part {
            cluster: engine.cluster_of(names),
            config: self.settings.rules.clone(),
            lost: names.iter().flat_map(|name| engine.lost(name)).collect(),
        }
    }

    fn status(&self) -> Status {
        let extent = self.engine.map(Engine::extent);
        let state = match (self.chronicle.last_sync, self.out_of_step) {
            (Some(_), None) => State::InStep,
            (None, None) if self.engine.is_none() => State::Waiting,
            _ => State::OutOfStep,
        };
        let problem = [self.out_of_step.map(str::to_owned), self.chronicle.error.clone()];
        let problem = problem.into_iter().flatten().collect::<Vec<_>>().join(": ");
        Status {
            api_version: API_VERSION.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.settings.rules.node_name.to_string(),
            source: self.source.to_owned(),
            mode: self.settings.mode.name().to_owned(),
            layout: extent.map(|extent| layout(extent.picking).to_owned()),
            owns_tables: self.owns_tables,
            state,
            problem: Some(problem).filter(|problem| !problem.is_empty()),
            eligible: self.eligible,
            started: self.chronicle.started,
            last_sync: self.chronicle.last_sync,
            pending: self.pending,
            counts: extent.map(|extent| Counts {
                services: extent.services,
                frontends: extent.frontends,
                backends: extent.backends,
                conflicts: extent.contested,
            }),
            repairs: self.chronicle.repairs,
            failures: self.chronicle.failures,
        }
    }
}

fn layout(picking: Picking) -> &'static str {
    match picking {
        Picking::Chains => "chains",
        Picking::Maps => "maps",
    }
}

/// Whoever asks. Clones ask the same keeper.
#[derive(Clone)]
pub(super) struct Asker {
    questions: mpsc::Sender<Question>,
    touched: broadcast::Sender<Arc<[ObjectName]>>,
}

/// Who is told which Services an update has touched, and the names of all that there are, in their order.
pub(super) struct Watchers {
    touched: broadcast::Sender<Arc<[ObjectName]>>,
    names: BTreeSet<ObjectName>,
}

impl Asker {
    /// With the keeper's ends of both ways.
    pub(super) fn new() -> (Self, mpsc::Receiver<Question>, Watchers) {
        let (sender, questions) = mpsc::channel(WAITING);
        let (touched, _) = broadcast::channel(LAG);
        let watchers = Watchers { touched: touched.clone(), names: BTreeSet::new() };
        (Self { questions: sender, touched }, questions, watchers)
    }

    /// A few Services in the order of their names, the first ones behind a name. `None` before all that exists has been told, or
    /// when the agent ends.
    pub(super) async fn page(&self, after: Option<ObjectName>) -> Option<Page> {
        self.ask(|reply| Question::Page(after, reply)).await.flatten()
    }

    /// Some Services.
    pub(super) async fn part(&self, names: Vec<ObjectName>) -> Option<Part> {
        self.ask(|reply| Question::Part(names, reply)).await.flatten()
    }

    /// How the agent fares. `None` when it ends.
    pub(super) async fn status(&self) -> Option<Status> {
        self.ask(Question::Status).await
    }

    /// What is known of a few Services, for a thread that may wait. `None` as for [`Asker::page`].
    pub(super) fn known_blocking(&self, after: Option<ObjectName>) -> Option<Known> {
        let (reply, answer) = oneshot::channel();
        self.questions.blocking_send(Question::Known(after, reply)).ok()?;
        answer.blocking_recv().ok().flatten()
    }

    /// What is counted of some Services.
    pub(super) async fn counted(&self, names: Vec<ObjectName>) -> Result<Counting, NotCounted> {
        self.ask(|reply| Question::Counted(names, reply)).await.unwrap_or(Err(NotCounted::NotYet))
    }

    /// The Services that updates touch from now on.
    pub(super) fn touched(&self) -> broadcast::Receiver<Arc<[ObjectName]>> {
        self.touched.subscribe()
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.questions.send(question(reply)).await.ok()?;
        answer.await.ok()
    }
}

impl Watchers {
    /// An update has touched these Services. Who lost a frontend, or got one back, may not be among them.
    pub(super) fn tell(&mut self, engine: &Engine, services: &[ObjectName]) {
        for name in services {
            if engine.service(name).is_none() {
                self.names.remove(name);
            } else if !self.names.contains(name) {
                self.names.insert(name.clone());
            }
        }
        if self.touched.receiver_count() == 0 {
            return;
        }
        let losers = engine.conflicts().into_iter().map(|conflict| conflict.loser.service);
        // Nobody listens any more, perhaps.
        drop(self.touched.send(services.iter().cloned().chain(losers).collect()));
    }
}

//! Questions to the keeper, which alone knows the state. What it does for an answer is little: it copies some Services, or
//! their names. Describing them is the work of whoever asks, on another thread.

use std::sync::Arc;

use svcnat_rules::cluster::Cluster;
use svcnat_rules::compile::Conflict;
use svcnat_rules::config::Config;
use svcnat_rules::describe::{self, BackendSummary, ServiceSummary};
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
    /// The names of all Services, in no order.
    Names(oneshot::Sender<Option<Vec<ObjectName>>>),
    /// These Services, as far as they are known.
    Part(Vec<ObjectName>, oneshot::Sender<Option<Part>>),
    Status(oneshot::Sender<Status>),
}

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
            Question::Names(reply) => drop(reply.send(self.engine.map(Engine::names))),
            Question::Part(names, reply) => {
                drop(reply.send(self.engine.map(|engine| self.part(engine, &names))));
            }
            Question::Status(reply) => drop(reply.send(self.status())),
        }
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

/// Who is told which Services an update has touched.
pub(super) struct Watchers(broadcast::Sender<Arc<[ObjectName]>>);

impl Asker {
    /// With the keeper's ends of both ways.
    pub(super) fn new() -> (Self, mpsc::Receiver<Question>, Watchers) {
        let (sender, questions) = mpsc::channel(WAITING);
        let (touched, _) = broadcast::channel(LAG);
        let watchers = Watchers(touched.clone());
        (Self { questions: sender, touched }, questions, watchers)
    }

    /// The names of all Services, in no order. `None` before all that exists has been told, or when the agent ends.
    pub(super) async fn names(&self) -> Option<Vec<ObjectName>> {
        self.ask(Question::Names).await.flatten()
    }

    /// Some Services.
    pub(super) async fn part(&self, names: Vec<ObjectName>) -> Option<Part> {
        self.ask(|reply| Question::Part(names, reply)).await.flatten()
    }

    /// How the agent fares. `None` when it ends.
    pub(super) async fn status(&self) -> Option<Status> {
        self.ask(Question::Status).await
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
    pub(super) fn tell(&self, engine: &Engine, services: &[ObjectName]) {
        if self.0.receiver_count() == 0 {
            return;
        }
        let losers = engine.conflicts().into_iter().map(|conflict| conflict.loser.service);
        // Nobody listens any more, perhaps.
        drop(self.0.send(services.iter().cloned().chain(losers).collect()));
    }
}

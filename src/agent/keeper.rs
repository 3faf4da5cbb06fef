//! The loop that keeps the kernel's rules equal to what the cluster says. One task owns the state; what arrives while a
//! transaction runs is taken together afterwards.
//!
//! Usually a change of the cluster is a small transaction that the engine computes. After anything else (the start, a
//! refusal, a change by somebody else) the kernel is *out of step*: everything is read back, compared and mended, with
//! back-off until it works. The engine goes on taking changes meanwhile, and nothing is ever flushed.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use svcnat_rules::cluster::{Cluster, Node};
use svcnat_rules::engine::{Engine, Event};
use svcnat_rules::net::Family;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;

use super::backoff::Backoff;
use super::chronicle::Chronicle;
use super::cleaner::Cleaner;
use super::kernel::Errand;
use super::leftovers::Leftovers;
use super::observers::Observers;
use super::outlet::{Outlet, SendError};
use super::questions::{Facts, Question, Watchers};
use super::saver::Saver;
use crate::http::Health;
use crate::kubernetes::{Regarding, Severity};
use crate::memory;
use crate::metrics::{RepairReason, Sent, Synced};
use crate::settings::Settings;
use crate::source::News;
use crate::sysctl::Sysctl;

/// How many news are taken at once.
const BATCH: usize = 4096;

/// How many changes' times are remembered while the kernel is out of step.
const REMEMBERED: usize = 10_000;

/// An update of so many Services takes some megabytes for a while.
const MANY: usize = 1_000;

/// What reaches the loop from outside.
pub(super) struct Inputs {
    pub(super) news: mpsc::Receiver<News>,
    pub(super) settings: mpsc::Receiver<Settings>,
    /// Somebody else was at work in our tables.
    pub(super) disturbances: mpsc::Receiver<()>,
    /// Somebody wants to know something.
    pub(super) questions: mpsc::Receiver<Question>,
    /// Another thread wants something sent by the socket that owns the tables.
    pub(super) errands: mpsc::UnboundedReceiver<Errand>,
    /// Ends the loop.
    pub(super) stop: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// What a keeper works with.
pub(super) struct Parts {
    pub(super) settings: Settings,
    pub(super) outlet: Outlet,
    /// None in a dry run.
    pub(super) cleaner: Option<Cleaner>,
    pub(super) observers: Observers,
    pub(super) health: Health,
    pub(super) saver: Option<Saver>,
    pub(super) watchers: Watchers,
    /// What the source is, for people.
    pub(super) source: &'static str,
    /// The configuration that `/configz` shows.
    pub(super) configz: watch::Sender<serde_json::Value>,
    /// Is told when all rules are in force for the first time.
    pub(super) first_success: Option<oneshot::Sender<()>>,
    pub(super) set_log_level: Box<dyn Fn(&Settings) + Send + Sync>,
}

pub(super) struct Keeper {
    parts: Parts,
    state: State,
    /// The Node as the source tells it.
    node: Option<Node>,
    pending: Vec<Event>,
    times: Vec<Times>,
    leftovers: Vec<Leftovers>,
    /// Why the kernel may hold something else than the engine says.
    out_of_step: Option<RepairReason>,
    backoff: Backoff,
    retry_at: Instant,
    last_sync: Option<Instant>,
    /// When everything was last compared with the kernel.
    compared: Option<Instant>,
    /// When everything is to be compared since somebody else was at work.
    disturbed: Option<Instant>,
    /// Until when disturbances wait.
    undisturbed_until: Instant,
    service_changes: u32,
    endpoint_changes: u32,
    chronicle: Chronicle,
}

/// What is known.
enum State {
    /// Not all that exists yet; and whether it is by now.
    Gathering(Cluster, bool),
    Keeping(Box<Engine>),
}

/// When a change came.
#[derive(Debug, Clone, Copy)]
struct Times {
    read: Instant,
    triggered: Option<(Family, std::time::SystemTime)>,
}

impl Keeper {
    /// Keeps nothing yet. `known` is a state from earlier, which is put in force at once.
    pub(super) fn new(parts: Parts, known: Option<Cluster>) -> Self {
        let complete = known.is_some();
        Self {
            backoff: Backoff::new(parts.settings.sync_period),
            parts,
            node: known.as_ref().and_then(|known| known.node.clone()),
            state: State::Gathering(known.unwrap_or_default(), complete),
            pending: Vec::new(),
            times: Vec::new(),
            leftovers: Vec::new(),
            out_of_step: None,
            retry_at: Instant::now(),
            last_sync: None,
            compared: None,
            disturbed: None,
            undisturbed_until: Instant::now(),
            service_changes: 0,
            endpoint_changes: 0,
            chronicle: Chronicle::new(),
        }
    }

    /// Runs until it is told to stop, or the source has ended. The rules stay.
    pub(super) async fn run(mut self, mut inputs: Inputs) {
        let mut inbox = Vec::with_capacity(BATCH);
        loop {
            self.act().await;
            let wake = self.wake_at().map(tokio::time::Instant::from_std);
            tokio::select! {
                biased;
                () = &mut inputs.stop => break,
                Some(settings) = inputs.settings.recv() => self.reload(settings),
                Some(()) = inputs.disturbances.recv() => self.disturbed(),
                Some(errand) = inputs.errands.recv() => self.parts.outlet.run(errand),
                // One at a time: changes come in between.
                Some(question) = inputs.questions.recv() => self.answer(question),
                taken = inputs.news.recv_many(&mut inbox, BATCH) => {
                    if taken == 0 {
                        tracing::error!("the source of the cluster's state has ended");
                        break;
                    }
                    inbox.drain(..).for_each(|news| self.take(news));
                }
                () = sleep_until(wake.unwrap_or_else(tokio::time::Instant::now)), if wake.is_some() => {}
            }
        }
        // Who waits for an answer need not wait any more.
        drop(inputs.questions);
        if let (Some(saver), State::Keeping(engine)) = (&mut self.parts.saver, &self.state) {
            saver.finish(engine).await;
        }
    }

    fn answer(&self, question: Question) {
        let facts = Facts {
            engine: match &self.state {
                State::Keeping(engine) => Some(engine),
                State::Gathering(..) => None,
            },
            watchers: &self.parts.watchers,
            settings: &self.parts.settings,
            chronicle: &self.chronicle,
            source: self.parts.source,
            owns_tables: self.parts.outlet.owns(),
            eligible: self.parts.health.is_eligible(),
            out_of_step: self.out_of_step.map(why),
            pending: self.pending.len(),
        };
        facts.answer(question);
    }

    fn take(&mut self, news: News) {
        match news {
            News::Eligible(eligible) => self.parts.health.set_eligible(eligible),
            News::Complete => {
                if let State::Gathering(_, complete) = &mut self.state {
                    *complete = true;
                }
                if let Some(saver) = &mut self.parts.saver {
                    saver.trust();
                }
            }
            News::Change(change) => {
                let triggered = match (&change.event, change.triggered) {
                    (Event::Slice(_, slice), Some(at)) => Some((slice.family, at)),
                    _ => None,
                };
                self.note(change.event, Some(Times { read: change.read, triggered }));
            }
        }
    }

    fn note(&mut self, mut event: Event, times: Option<Times>) {
        match &mut event {
            Event::Service(_) | Event::ServiceGone(_) => {
                self.service_changes += 1;
                self.parts.observers.metrics.service_change_queued();
            }
            Event::Slice(..) | Event::SliceGone(_) => {
                self.endpoint_changes += 1;
                self.parts.observers.metrics.endpoint_change_queued();
            }
            Event::Node(node) => {
                self.node.clone_from(node);
                if let Some(node) = node {
                    self.parts.settings.override_address(node);
                }
                self.parts.observers.moved(&self.parts.settings.rules, node.as_ref());
            }
            Event::ServiceCidrs(_) | Event::Config(_) => {}
        }
        match &mut self.state {
            State::Gathering(cluster, _) => cluster.apply(event),
            State::Keeping(_) => {
                self.parts.health.queued();
                self.times.extend(times.filter(|_| self.times.len() < REMEMBERED));
                self.pending.push(event);
            }
        }
    }

    fn reload(&mut self, settings: Settings) {
        let old = std::mem::replace(&mut self.parts.settings, settings);
        let new = &self.parts.settings;
        self.parts.configz.send_replace(new.to_json());
        let dry = self.parts.outlet.is_dry_run();
        if old.conntrack != new.conntrack && !dry {
            set_sysctls(new);
        }
        if old.verbosity != new.verbosity {
            (self.parts.set_log_level)(new);
        }
        if old.oom_score_adj != new.oom_score_adj && !dry {
            set_oom_score_adj(new);
        }
        self.backoff = Backoff::new(new.sync_period);
        let (rules, moved) = (old.rules != new.rules, old.node_address != new.node_address);
        if rules {
            self.parts.observers.moved(&self.parts.settings.rules, self.node.as_ref());
            self.note(Event::Config(self.parts.settings.rules.clone()), None);
        }
        if moved {
            self.note(Event::Node(self.node.clone()), None);
        }
    }

    fn disturbed(&mut self) {
        if matches!(self.state, State::Keeping(_)) {
            self.disturbed.get_or_insert(self.undisturbed_until);
        }
    }

    /// Does what is due.
    async fn act(&mut self) {
        let now = Instant::now();
        if self.disturbed.is_some_and(|due| due <= now) {
            self.out_of_step.get_or_insert(RepairReason::ChangedByOthers);
            self.retry_at = now;
        }
        if matches!(self.state, State::Gathering(_, true)) && now >= self.retry_at {
            self.load().await;
        }
        if !self.pending.is_empty() && self.next_sync() <= now {
            self.sync().await;
        }
        if self.next_comparison().is_some_and(|due| due <= now) {
            self.out_of_step.get_or_insert(RepairReason::Resync);
        }
        if self.out_of_step.is_some() && Instant::now() >= self.retry_at {
            self.mend().await;
        }
        if let (Some(saver), State::Keeping(_)) = (&mut self.parts.saver, &self.state) {
            saver.save_if_due();
        }
    }

    /// When something is due next.
    fn wake_at(&self) -> Option<Instant> {
        let retry = match &self.state {
            State::Gathering(_, complete) => complete.then_some(self.retry_at),
            State::Keeping(_) => self.out_of_step.map(|_| self.retry_at),
        };
        let sync = (!self.pending.is_empty()).then(|| self.next_sync());
        let save = self.parts.saver.as_ref().and_then(Saver::due);
        // A kernel that is out of step is compared anyway, when it is time for the next attempt.
        let compare = self.next_comparison().filter(|_| self.out_of_step.is_none());
        [retry, sync, save, compare, self.disturbed].into_iter().flatten().min()
    }

    /// When everything is compared with the kernel without a reason; never where the tables are our own, since nobody else can
    /// have changed them.
    fn next_comparison(&self) -> Option<Instant> {
        let last = self.compared.filter(|_| !self.parts.outlet.owns())?;
        Some(last + self.parts.settings.sync_period)
    }

    fn next_sync(&self) -> Instant {
        self.last_sync.map_or_else(Instant::now, |last| last + self.parts.settings.min_sync_period)
    }

    /// The first complete ruleset.
    async fn load(&mut self) {
        let began = Instant::now();
        let State::Gathering(cluster, _) = &mut self.state else { return };
        let installed = match self.parts.outlet.read().await {
            Ok(installed) => installed,
            Err(error) => return self.failed(&error),
        };
        let (cluster, rules) = (std::mem::take(cluster), self.parts.settings.rules.clone());
        let (engine, loaded) = Engine::load(cluster, rules, &self.parts.outlet.slots(&installed));
        self.parts.observers.updated(&engine, &loaded.services);
        self.parts.watchers.tell(&engine, &loaded.services);
        self.parts.observers.moved(&self.parts.settings.rules, self.node.as_ref());
        let done = self.parts.outlet.load(&engine, &loaded, &installed).await;
        // What is left behind is removed once all is in force, be that by this transaction or by a later one.
        self.leftovers.push(Leftovers::of_start(installed, loaded.after, &engine, &self.parts.settings));
        self.state = State::Keeping(Box::new(engine));
        if !self.parts.outlet.is_dry_run() {
            set_sysctls(&self.parts.settings);
        }
        match done {
            Err(error) => {
                self.out_of_step = Some(RepairReason::TransactionFailed);
                self.failed(&error);
            }
            Ok(done) => {
                let what = if self.parts.outlet.is_dry_run() { "printed" } else { "in force" };
                let took = began.elapsed();
                tracing::info!("the first complete ruleset is {what} after {took:?}: {}", done.summary);
                self.in_force(began, true, done.sent);
            }
        }
    }

    /// Sends what the pending changes change.
    async fn sync(&mut self) {
        let taken = Instant::now();
        let events = std::mem::take(&mut self.pending);
        let State::Keeping(engine) = &mut self.state else { return };
        let leftovers = Leftovers::before(engine, &events, &self.parts.settings);
        let delta = engine.update(events);
        self.parts.observers.updated(engine, &delta.services);
        self.parts.watchers.tell(engine, &delta.services);
        self.leftovers.extend(leftovers.map(|before| before.after(engine, &self.parts.settings)));
        if let Some(saver) = &mut self.parts.saver {
            saver.changed();
        }
        if self.out_of_step.is_some() {
            // What keeps failing may be one family; the other one's changes need not wait for as long as that does.
            if self.parts.outlet.fails_in_parts() {
                self.retry_at = self.retry_at.min(self.undisturbed_until);
            }
            return;
        }
        let sent = self.parts.outlet.update(engine, &delta).await;
        let many = delta.services.len() > MANY;
        drop(delta);
        match sent {
            Ok(sent) => {
                self.in_force(taken, false, sent);
                if many {
                    memory::give_back();
                }
            }
            Err(error) => {
                self.out_of_step = Some(RepairReason::TransactionFailed);
                self.retry_at = Instant::now();
                tracing::warn!("{error}; everything is read back and compared");
                self.chronicle.failed(&error);
                self.parts.observers.metrics.sync_failed(false);
            }
        }
    }

    /// Reads everything back and sends what differs.
    async fn mend(&mut self) {
        let taken = Instant::now();
        let State::Keeping(engine) = &self.state else { return };
        self.disturbed = None;
        let compared = self.parts.outlet.compare(engine).await;
        self.undisturbed_until = Instant::now() + self.parts.outlet.pause(taken.elapsed());
        match compared {
            Err(error) if error.is_outdated() => self.retry_at = Instant::now() + self.backoff.next(),
            Err(error) => self.failed(&error),
            Ok(done) => {
                let reason = self.out_of_step.take().unwrap_or(RepairReason::Resync);
                if done.sent.is_some() {
                    self.parts.observers.metrics.repaired(reason);
                    self.chronicle.repaired(reason);
                    self.tell_of_repair(reason, &done.summary);
                }
                self.in_force(taken, true, done.sent);
                memory::give_back();
            }
        }
    }

    fn tell_of_repair(&self, reason: RepairReason, summary: &str) {
        let why = why(reason);
        tracing::warn!("the rules were mended ({why}): {summary}");
        self.parts.observers.report(
            Regarding::Node,
            Severity::Warning,
            "RulesRepaired",
            "Repair",
            format!("svcnat mended the rules ({why}): {summary}"),
        );
    }

    /// All changes taken by then are in force.
    fn in_force(&mut self, taken: Instant, full: bool, sent: Option<Sent>) {
        let now = Instant::now();
        self.last_sync = Some(now);
        if let Some(first_success) = self.parts.first_success.take() {
            // Nobody waits for it in a dry run.
            let _ = first_success.send(());
        }
        if full {
            self.compared = Some(now);
        }
        self.backoff.reset();
        self.parts.health.synced(taken);
        self.chronicle.synced(now - taken, full, sent.as_ref());
        let metrics = &self.parts.observers.metrics;
        metrics.synced(&Synced {
            full,
            took: now - taken,
            service_changes: std::mem::take(&mut self.service_changes),
            endpoint_changes: std::mem::take(&mut self.endpoint_changes),
            transaction: sent,
        });
        if let State::Keeping(engine) = &self.state {
            metrics.set_owned_tables(self.parts.outlet.owned(engine));
        }
        for times in self.times.drain(..) {
            metrics.change_in_force(now - times.read);
            if let Some((family, at)) = times.triggered {
                metrics.network_programmed(family, at.elapsed().unwrap_or(Duration::ZERO));
            }
        }
        for leftovers in self.leftovers.drain(..) {
            if let Some(cleaner) = &self.parts.cleaner {
                cleaner.clean(leftovers);
            }
        }
    }

    fn failed(&mut self, error: &SendError) {
        let wait = self.backoff.next();
        self.retry_at = Instant::now() + wait;
        self.parts.observers.metrics.sync_failed(true);
        self.chronicle.failed(error);
        tracing::error!("{error}; tried again in {wait:.1?}");
    }
}

/// Why the rules are compared with what they should be, for people.
fn why(reason: RepairReason) -> &'static str {
    match reason {
        RepairReason::TransactionFailed => "after a refusal",
        RepairReason::ChangedByOthers => "somebody else had changed our tables",
        RepairReason::Resync => "a difference was found",
    }
}

fn set_sysctls(settings: &Settings) {
    log(&Sysctl::default().set_conntrack(&settings.conntrack));
}

pub(super) fn set_oom_score_adj(settings: &Settings) {
    log(&Sysctl::default().set_oom_score_adj(settings.oom_score_adj));
}

fn log(report: &crate::sysctl::Report) {
    for change in &report.changes {
        tracing::info!("{change}");
    }
    for warning in &report.warnings {
        tracing::warn!("{warning}");
    }
}
